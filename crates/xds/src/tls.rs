//! Makes TLS settings of PEM.
//!
//! - `ring` does the cryptography and HTTP/2 is the only protocol offered.
//! - Nothing is resumed: every connection verifies its client against the authorities of its
//!   moment, and whether the client's certificate is still valid.
//! - Not here: where certificates come from and when they change.

use std::{
    fs, io,
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
    server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier},
};
use tokio::sync::watch;

/// The name of HTTP/2 in TLS.
const ALPN_H2: &[u8] = b"h2";

/// The settings in force; whoever holds the other end may replace them.
pub type TlsConfigs = watch::Receiver<Arc<ServerConfig>>;

/// Settings that never change.
pub fn unchanging(config: Arc<ServerConfig>) -> TlsConfigs {
    watch::channel(config).1
}

/// Why something does not make TLS settings.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("failed to read file `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A text is not PEM.
    #[error("failed to read `{place}` as PEM")]
    Pem {
        /// The file, or what the text is.
        place: String,
        /// What the reader met.
        source: pem::Error,
    },
    /// The certificate cannot be used, or the key is not its key.
    #[error("failed to use certificate `{place}`")]
    Certificate {
        /// The file, or what the text is.
        place: String,
        /// What rustls says.
        source: rustls::Error,
    },
    /// The authorities cannot be used to check clients.
    #[error("failed to use authorities `{place}`")]
    Authorities {
        /// The file, or what the text is.
        place: String,
        /// What rustls says.
        source: VerifierBuilderError,
    },
}

/// PEM, and where it is from.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem {
    /// The file, or what the text is.
    pub place: String,
    /// It may hold a key, and is never shown.
    pub text: String,
}

impl Pem {
    /// Of a file.
    pub fn read(path: &Path) -> Result<Self, TlsError> {
        let text = fs::read_to_string(path)
            .map_err(|source| TlsError::Read { path: path.to_owned(), source })?;
        Ok(Self { place: path.display().to_string(), text })
    }

    fn pem_error(&self) -> impl Fn(pem::Error) -> TlsError {
        move |source| TlsError::Pem { place: self.place.clone(), source }
    }

    fn certificate_error(&self) -> impl Fn(rustls::Error) -> TlsError {
        move |source| TlsError::Certificate { place: self.place.clone(), source }
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let read = CertificateDer::pem_slice_iter(self.text.as_bytes());
        read.collect::<Result<_, _>>().map_err(self.pem_error())
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_slice(self.text.as_bytes()).map_err(self.pem_error())
    }

    fn roots(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots.add(certificate).map_err(self.certificate_error())?;
        }
        Ok(roots)
    }
}

/// A server's settings of its certificate chain (leaf first) and private key. With
/// `client_authorities`, a client may show a certificate, which must then be issued by them.
pub fn server_config(
    certificate: &Pem,
    key: &Pem,
    client_authorities: Option<&Pem>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificate.certificates()?;
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(certificate.certificate_error())?;
    let builder = match client_authorities {
        None => builder.with_no_client_auth(),
        Some(authorities) => {
            let roots = Arc::new(authorities.roots()?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
                .allow_unauthenticated()
                .build()
                .map_err(|source| TlsError::Authorities {
                    place: authorities.place.clone(),
                    source,
                })?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config =
        builder.with_single_cert(chain, key.key()?).map_err(certificate.certificate_error())?;
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// A client's settings: servers must be issued by `authorities`; `identity` is the client's own
/// certificate chain and key, if it has one.
pub fn client_config(
    authorities: &Pem,
    identity: Option<(&Pem, &Pem)>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(authorities.certificate_error())?
        .with_root_certificates(authorities.roots()?);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder
            .with_client_auth_cert(certificate.certificates()?, key.key()?)
            .map_err(certificate.certificate_error())?,
    };
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
