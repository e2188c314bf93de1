//! A mutual TLS handshake in memory, at a time of the test's choice.

use std::{sync::Arc, time::SystemTime};

use identity::WorkloadCertificate;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    ServerConfig, ServerConnection, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{WebPkiSupportedAlgorithms, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    time_provider::TimeProvider,
};

/// One side: its certificate and the roots that it trusts.
#[derive(Clone)]
pub(crate) struct Side {
    pub(crate) certificate: WorkloadCertificate,
    pub(crate) roots: Arc<str>,
}

#[derive(Debug)]
struct At(SystemTime);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        self.0.duration_since(SystemTime::UNIX_EPOCH).ok().map(UnixTime::since_unix_epoch)
    }
}

/// Servers are named by SPIFFE identities: the chain is checked and no DNS name.
#[derive(Debug)]
struct ChainOnly {
    verifier: Arc<dyn ClientCertVerifier>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for ChainOnly {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verifier.verify_client_cert(leaf, intermediates, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, leaf, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, leaf, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

pub(crate) fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().unwrap()
}

fn verifier(roots: &str) -> Arc<dyn ClientCertVerifier> {
    let mut store = RootCertStore::empty();
    certificates(roots).into_iter().for_each(|root| store.add(root).unwrap());
    let provider = Arc::new(ring::default_provider());
    WebPkiClientVerifier::builder_with_provider(store.into(), provider).build().unwrap()
}

/// Both sides show their certificates and check the other's.
pub(crate) fn handshake(client: &Side, server: &Side, now: SystemTime) -> Result<(), Error> {
    let provider = Arc::new(ring::default_provider());
    let key = |side: &Side| {
        PrivateKeyDer::from_pem_slice(side.certificate.key_pem.expose().as_bytes()).unwrap()
    };
    let chain = |side: &Side| certificates(&side.certificate.chain_pem);
    let mut server_config = ServerConfig::builder_with_details(provider.clone(), Arc::new(At(now)))
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier(&server.roots))
        .with_single_cert(chain(server), key(server))?;
    server_config.send_tls13_tickets = 0;
    let algorithms = provider.signature_verification_algorithms;
    let client_config = ClientConfig::builder_with_details(provider, Arc::new(At(now)))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(ChainOnly {
            verifier: verifier(&client.roots),
            algorithms,
        }))
        .with_client_auth_cert(chain(client), key(client))?;
    let name = ServerName::try_from("meltemi.test").unwrap();
    let mut client = ClientConnection::new(client_config.into(), name)?;
    let mut server = ServerConnection::new(server_config.into())?;
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut bytes.as_slice()).unwrap();
        server.process_new_packets()?;
        bytes.clear();
        server.write_tls(&mut bytes).unwrap();
        client.read_tls(&mut bytes.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    Ok(())
}

/// Whether a handshake fails because a certificate is too old.
pub(crate) fn is_expired(result: Result<(), Error>) -> bool {
    matches!(
        result,
        Err(Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. }
        ))
    )
}
