//! TLS and plaintext on one port.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};
use rustls::ClientConfig;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
};
use xds::{
    AdsStream, Code, Protocol, Settings, Status,
    client::{AdsClient, ClientError, ClientSettings},
    tls::{self, Pem},
};

use crate::harness::{Running, eventually, node, patiently, start};

/// An authority, and what it has issued.
struct Authority(CertifiedIssuer<'static, KeyPair>);

fn pem(place: &str, text: String) -> Pem {
    Pem { place: place.to_owned(), text }
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> Pem {
        pem("ca", self.0.pem())
    }

    /// A certificate for both ends, valid until the end of a year.
    fn issue(&self, name: &str, year: i32) -> (Pem, Pem) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 12, 31);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (pem("certificate", certificate.pem()), pem("key", key.serialize_pem()))
    }

    fn server(&self, clients: &Self) -> Arc<rustls::ServerConfig> {
        let (certificate, key) = self.issue("server.test", YEAR);
        tls::server_config(&certificate, &key, Some(&clients.pem())).unwrap()
    }

    /// A client that believes this authority, with a certificate of another one.
    fn client(&self, own: Option<&(Pem, Pem)>) -> Arc<ClientConfig> {
        tls::client_config(&self.pem(), own.map(|(certificate, key)| (certificate, key))).unwrap()
    }
}

/// Far away.
const YEAR: i32 = 2999;

async fn describe(stream: AdsStream) -> Status {
    let peer = stream.peer;
    let text =
        format!("{} tls={} certificates={}", stream.protocol, peer.tls, peer.certificates.len());
    Status::new(Code::Aborted, text)
}

async fn start_tls(authority: &Authority) -> (Running, watch::Sender<Arc<rustls::ServerConfig>>) {
    let (sender, configs) = watch::channel(authority.server(authority));
    (start(Settings { tls: Some(configs), ..Settings::default() }, describe).await, sender)
}

fn settings(server: &Running, tls: Option<Arc<ClientConfig>>) -> ClientSettings {
    let name = || "server.test".try_into().unwrap();
    let settings = ClientSettings::new(server.address, Protocol::Delta, node());
    ClientSettings { tls: tls.map(|config| (config, name())), ..settings }
}

async fn described(settings: &ClientSettings) -> String {
    let mut client = AdsClient::connect_with(settings).await.unwrap();
    match patiently(client.next_response()).await {
        Err(ClientError::Ended(status)) => status.message.into_owned(),
        other => panic!("expected a status, found {other:?}"),
    }
}

/// Whether the server ends the connection of this client, in or right after the handshake.
async fn is_turned_away(settings: &ClientSettings) -> bool {
    match patiently(AdsClient::connect_with(settings)).await {
        Err(_) => true,
        Ok(mut client) => {
            !matches!(patiently(client.next_response()).await, Err(ClientError::Ended(_)))
        }
    }
}

#[tokio::test]
async fn both_protocols_plaintext_and_tls_share_one_port() {
    let authority = Authority::new();
    let (server, _configs) = start_tls(&authority).await;
    let anonymous = authority.client(None);
    let known = authority.client(Some(&authority.issue("client.test", YEAR)));
    for (protocol, text) in [(Protocol::Delta, "delta"), (Protocol::Sotw, "state-of-the-world")] {
        let speaking = |it| ClientSettings { protocol, ..settings(&server, it) };
        assert_eq!(described(&speaking(None)).await, format!("{text} tls=false certificates=0"));
        let tls = speaking(Some(anonymous.clone()));
        assert_eq!(described(&tls).await, format!("{text} tls=true certificates=0"));
        let tls = speaking(Some(known.clone()));
        assert_eq!(described(&tls).await, format!("{text} tls=true certificates=1"));
    }
}

#[tokio::test]
async fn a_foreign_or_expired_certificate_is_worse_than_none() {
    let (authority, foreign) = (Authority::new(), Authority::new());
    let (server, _configs) = start_tls(&authority).await;
    for own in [foreign.issue("client.test", YEAR), authority.issue("client.test", 2001)] {
        assert!(is_turned_away(&settings(&server, Some(authority.client(Some(&own))))).await);
    }
    let anonymous = settings(&server, Some(authority.client(None)));
    assert!(!is_turned_away(&anonymous).await);
}

#[tokio::test]
async fn each_handshake_takes_the_authorities_of_its_moment() {
    let (old, new) = (Authority::new(), Authority::new());
    let (server, configs) = start_tls(&old).await;
    let (known, later) = (old.issue("client.test", YEAR), new.issue("client.test", YEAR));
    // One client, which could resume its session.
    let known = settings(&server, Some(old.client(Some(&known))));
    let later = settings(&server, Some(old.client(Some(&later))));
    assert_eq!(described(&known).await, "delta tls=true certificates=1");
    assert!(is_turned_away(&later).await);
    configs.send(old.server(&new)).unwrap();
    assert!(is_turned_away(&known).await);
    assert_eq!(described(&later).await, "delta tls=true certificates=1");
}

#[tokio::test]
async fn a_broken_handshake_ends_its_connection_only() {
    let authority = Authority::new();
    let (server, _configs) = start_tls(&authority).await;
    for data in [&[0x16, 3, 1, 0, 2, 9, 9][..], b"GET / HTTP/1.1\r\n\r\n", b""] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(data).await.unwrap();
        socket.shutdown().await.unwrap();
        let _ = patiently(socket.read_to_end(&mut Vec::new())).await;
    }
    eventually("they are counted", || server.metrics.connections_failed.get() == 3).await;
    assert_eq!(described(&settings(&server, None)).await, "delta tls=false certificates=0");
}

#[test]
fn unusable_files_are_named() {
    let error = Pem::read("none.pem".as_ref()).err().unwrap();
    assert!(error.to_string().contains("none.pem"));
    let authority = Authority::new();
    let ((certificate, _), (_, key)) = (authority.issue("a", YEAR), authority.issue("b", YEAR));
    let error = tls::server_config(&certificate, &key, None).unwrap_err();
    assert_eq!(error.to_string(), "failed to use certificate `certificate`");
    let error = tls::server_config(&certificate, &certificate, None).unwrap_err();
    assert_eq!(error.to_string(), "failed to read `certificate` as PEM");
}
