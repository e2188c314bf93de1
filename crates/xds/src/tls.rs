//! Makes TLS settings of PEM files.
//!
//! - `ring` does the cryptography and HTTP/2 is the only protocol offered.
//! - Not here: where certificates come from and when they change.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{VerifierBuilderError, WebPkiClientVerifier},
};

/// The name of HTTP/2 in TLS.
const ALPN_H2: &[u8] = b"h2";

/// Why files do not make TLS settings.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not there or not PEM.
    #[error("failed to read PEM file `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the reader met.
        source: pem::Error,
    },
    /// The certificate cannot be used, or the key is not its key.
    #[error("failed to use certificate `{}`", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
    /// The authorities cannot be used to check clients.
    #[error("failed to use authorities `{}`", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What rustls says.
        source: VerifierBuilderError,
    },
}

/// A server's settings of its certificate chain (leaf first) and private key. With
/// `client_authorities`, a client may show a certificate, which must then be issued by them.
pub fn server_config(
    certificate: &Path,
    key: &Path,
    client_authorities: Option<&Path>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(certificate)?;
    let private_key = PrivateKeyDer::from_pem_file(key).map_err(read_error(key))?;
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(certificate_error(certificate))?;
    let builder = match client_authorities {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let roots = Arc::new(roots(path)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
                .allow_unauthenticated()
                .build()
                .map_err(|source| TlsError::Authorities { path: path.to_owned(), source })?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config =
        builder.with_single_cert(chain, private_key).map_err(certificate_error(certificate))?;
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    Ok(Arc::new(config))
}

/// A client's settings: servers must be issued by `authorities`; `identity` is the client's own
/// certificate chain and key, if it has one.
pub fn client_config(
    authorities: &Path,
    identity: Option<(&Path, &Path)>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(certificate_error(authorities))?
        .with_root_certificates(roots(authorities)?);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let private_key = PrivateKeyDer::from_pem_file(key).map_err(read_error(key))?;
            builder
                .with_client_auth_cert(certificates(certificate)?, private_key)
                .map_err(certificate_error(certificate))?
        }
    };
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    read.map_err(read_error(path))
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(certificate_error(path))?;
    }
    Ok(roots)
}

fn read_error(path: &Path) -> impl Fn(pem::Error) -> TlsError {
    move |source| TlsError::Read { path: path.to_owned(), source }
}

fn certificate_error(path: &Path) -> impl Fn(rustls::Error) -> TlsError {
    move |source| TlsError::Certificate { path: path.to_owned(), source }
}
