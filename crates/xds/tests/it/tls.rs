//! TLS and plaintext on one port.

use std::{path::PathBuf, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use xds::{
    AdsStream, Code, Protocol, Settings, Status,
    client::{AdsClient, ClientError, ClientSettings},
    tls,
};

use crate::harness::{Running, eventually, node, patiently, start};

struct Files {
    folder: TempDir,
}

impl Files {
    /// An authority, and a certificate and key of server and client, as PEM files.
    fn new() -> Self {
        let files = Self { folder: TempDir::new().unwrap() };
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        files.write("ca.pem", &authority.pem());
        for name in ["server", "client"] {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new([format!("{name}.test")]).unwrap();
            let certificate = params.signed_by(&key, &authority).unwrap();
            files.write(&format!("{name}.pem"), &certificate.pem());
            files.write(&format!("{name}.key"), &key.serialize_pem());
        }
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }
}

async fn describe(stream: AdsStream) -> Status {
    let peer = stream.peer;
    let text =
        format!("{} tls={} certificates={}", stream.protocol, peer.tls, peer.certificates.len());
    Status::new(Code::Aborted, text)
}

async fn start_tls(files: &Files) -> Running {
    let certificate = files.path("server.pem");
    let config =
        tls::server_config(&certificate, &files.path("server.key"), Some(&files.path("ca.pem")));
    start(Settings { tls: Some(config.unwrap()), ..Settings::default() }, describe).await
}

async fn described(settings: &ClientSettings) -> String {
    let mut client = AdsClient::connect_with(settings).await.unwrap();
    match patiently(client.next_response()).await {
        Err(ClientError::Ended(status)) => status.message.into_owned(),
        other => panic!("expected a status, found {other:?}"),
    }
}

#[tokio::test]
async fn both_protocols_plaintext_and_tls_share_one_port() {
    let files = Files::new();
    let server = start_tls(&files).await;
    let name = || "server.test".try_into().unwrap();
    let anonymous = tls::client_config(&files.path("ca.pem"), None).unwrap();
    let (certificate, key) = (files.path("client.pem"), files.path("client.key"));
    let known = tls::client_config(&files.path("ca.pem"), Some((&certificate, &key))).unwrap();
    for (protocol, text) in [(Protocol::Delta, "delta"), (Protocol::Sotw, "state-of-the-world")] {
        let mut settings = ClientSettings::new(server.address, protocol, node());
        assert_eq!(described(&settings).await, format!("{text} tls=false certificates=0"));
        settings.tls = Some((anonymous.clone(), name()));
        assert_eq!(described(&settings).await, format!("{text} tls=true certificates=0"));
        settings.tls = Some((Arc::clone(&known), name()));
        assert_eq!(described(&settings).await, format!("{text} tls=true certificates=1"));
    }
}

#[tokio::test]
async fn a_broken_handshake_ends_its_connection_only() {
    let files = Files::new();
    let server = start_tls(&files).await;
    for data in [&[0x16, 3, 1, 0, 2, 9, 9][..], b"GET / HTTP/1.1\r\n\r\n", b""] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(data).await.unwrap();
        socket.shutdown().await.unwrap();
        let _ = patiently(socket.read_to_end(&mut Vec::new())).await;
    }
    eventually("they are counted", || server.metrics.connections_failed.get() == 3).await;
    let settings = ClientSettings::new(server.address, Protocol::Delta, node());
    assert_eq!(described(&settings).await, "delta tls=false certificates=0");
}

#[test]
fn unusable_files_are_named() {
    let files = Files::new();
    let error = tls::server_config(&files.path("none.pem"), &files.path("server.key"), None);
    assert!(error.unwrap_err().to_string().contains("none.pem"));
    let error = tls::server_config(&files.path("server.pem"), &files.path("client.key"), None);
    assert!(error.unwrap_err().to_string().contains("failed to use certificate"));
}
