//! The TLS side of the test client: any certificate is accepted, and handed to the test.

use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::certs::{Leaf, provider};

/// How a request opens TLS.
#[derive(Clone, Debug, Default)]
pub struct TlsSettings {
    /// The server name of the handshake; empty sends none.
    pub server_name: String,
    /// Protocols to offer; empty offers the one the request speaks.
    pub alpn: Vec<String>,
    /// The client's own certificate.
    pub identity: Option<Leaf>,
}

impl TlsSettings {
    #[must_use]
    pub fn new(server_name: &str) -> Self {
        Self { server_name: server_name.to_owned(), ..Self::default() }
    }

    /// Opens TLS on `stream`, offering `default_alpn` if the settings name no protocol.
    pub(super) async fn connect(
        &self,
        stream: TcpStream,
        default_alpn: &str,
    ) -> Result<TlsStream<TcpStream>> {
        let verifier = AnyCertificate(provider().signature_verification_algorithms);
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(leaf) => builder.with_client_auth_cert(leaf.chain()?, leaf.key()?)?,
        };
        config.alpn_protocols = match self.alpn.as_slice() {
            [] => vec![default_alpn.into()],
            names => names.iter().map(|name| name.clone().into_bytes()).collect(),
        };
        config.enable_sni = !self.server_name.is_empty();
        let name = if config.enable_sni { self.server_name.as_str() } else { "none.invalid" };
        let name = ServerName::try_from(name.to_owned())?;
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect(name, stream).await.context("the TLS handshake failed")
    }
}

/// Accepts every certificate whose key signed the handshake.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
