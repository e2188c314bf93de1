//! Makes a certificate authority and certificates for tests, in memory and as PEM files.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls::{
    RootCertStore, ServerConfig, crypto::CryptoProvider, crypto::ring, server::WebPkiClientVerifier,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tempfile::TempDir;

/// A self-signed authority. Its files, and those of what it issued, go when it is dropped.
#[derive(Debug)]
pub struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    folder: TempDir,
    /// The authority's own certificate.
    pub pem: String,
    /// `pem` as a file.
    pub path: PathBuf,
}

/// A certificate with its key.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// The certificate, and behind it its issuers, where they are not roots.
    pub certificate_pem: String,
    /// PKCS#8.
    pub key_pem: String,
    pub certificate_path: PathBuf,
    pub key_path: PathBuf,
}

impl CertificateAuthority {
    pub fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        let folder = tempfile::Builder::new().prefix("meltemi-certs-").tempdir()?;
        let path = write(folder.path(), "ca.pem", &pem)?;
        Ok(Self { issuer: Issuer::new(params, key), folder, pem, path })
    }

    /// Issues a certificate for `names`: DNS names, IP addresses and URIs such as `spiffe://…`.
    /// The files are named after the first.
    pub fn leaf(&self, names: &[&str]) -> Result<Leaf> {
        self.leaf_with(names, CertificateParams::default())
    }

    /// The same, valid in 2001 alone.
    pub fn expired_leaf(&self, names: &[&str]) -> Result<Leaf> {
        let mut params = CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2001, 12, 31);
        self.leaf_with(names, params)
    }

    fn leaf_with(&self, names: &[&str], period: CertificateParams) -> Result<Leaf> {
        let (uris, hosts): (Vec<&str>, Vec<&str>) =
            names.iter().copied().partition(|name| name.contains("://"));
        let hosts: Vec<String> = hosts.into_iter().map(str::to_owned).collect();
        let mut params = CertificateParams::new(hosts)?;
        (params.not_before, params.not_after) = (period.not_before, period.not_after);
        for uri in uris {
            params.subject_alt_names.push(SanType::URI(uri.try_into()?));
        }
        let first = names.first().copied().unwrap_or("leaf");
        params.distinguished_name.push(DnType::CommonName, first);
        let key = KeyPair::generate()?;
        let certificate_pem = params.signed_by(&key, &self.issuer)?.pem();
        let key_pem = key.serialize_pem();
        let stem = first.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
        let folder = self.folder.path();
        Ok(Leaf {
            certificate_path: write(folder, &format!("{stem}.pem"), &certificate_pem)?,
            key_path: write(folder, &format!("{stem}.key"), &key_pem)?,
            certificate_pem,
            key_pem,
        })
    }

    /// Settings of a TLS server that shows `leaf` and speaks HTTP/2 or HTTP/1.1.
    pub fn server_config(&self, leaf: &Leaf) -> Result<Arc<ServerConfig>> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth();
        with_http_alpn(builder.with_single_cert(leaf.chain()?, leaf.key()?)?)
    }

    /// As [`Self::server_config`], for clients with a certificate of this authority alone.
    pub fn mutual_server_config(&self, leaf: &Leaf) -> Result<Arc<ServerConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes())?)?;
        let verifier =
            WebPkiClientVerifier::builder_with_provider(roots.into(), provider()).build()?;
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier);
        with_http_alpn(builder.with_single_cert(leaf.chain()?, leaf.key()?)?)
    }
}

impl Leaf {
    /// Reads both from files (PEM).
    pub fn read(certificate: &Path, key: &Path) -> Result<Self> {
        let read = |path: &Path| {
            fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))
        };
        Ok(Self {
            certificate_pem: read(certificate)?,
            key_pem: read(key)?,
            certificate_path: certificate.to_owned(),
            key_path: key.to_owned(),
        })
    }

    /// The certificate as it is shown in a handshake.
    pub fn certificate_der(&self) -> Result<CertificateDer<'static>> {
        Ok(CertificateDer::from_pem_slice(self.certificate_pem.as_bytes())?)
    }

    pub(crate) fn chain(&self) -> Result<Vec<CertificateDer<'static>>> {
        let all = CertificateDer::pem_slice_iter(self.certificate_pem.as_bytes());
        Ok(all.collect::<Result<_, _>>()?)
    }

    pub(crate) fn key(&self) -> Result<PrivateKeyDer<'static>> {
        Ok(PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes())?)
    }
}

/// The provider is always given by value: a test must not depend on a process-wide default.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn with_http_alpn(mut config: ServerConfig) -> Result<Arc<ServerConfig>> {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))?;
    Ok(path)
}
