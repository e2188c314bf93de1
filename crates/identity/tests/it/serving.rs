//! `CreateCertificate` as an agent calls it: a gRPC client of tonic against the xDS port.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::uri::{PathAndQuery, Uri};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use identity::{
    Authority, CertificateService, Credential, IstioCertificateRequest, IstioCertificateResponse,
    Metrics, SigningLimits,
};
use prometheus_client::registry::Registry;
use prost::Message;
use prost_types::{Struct, Value};
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Code, body::Body, client::Grpc};
use tonic_prost::ProstCodec;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};
use xds::{AdsService, AdsStream, PeerInfo, UnaryMethod};

use crate::{authenticating::Gate, handshake::certificates, issuing::cart};

const REQUEST: &str = include_str!("../../testdata/rsa.csr");

/// There are no streams in these tests.
struct NoStreams;

impl AdsService for NoStreams {
    async fn serve(&self, _: AdsStream) -> xds::Status {
        xds::Status::new(xds::Code::Unimplemented, "none")
    }
}

/// The service on a port of this machine.
struct Server {
    gate: Gate,
    authority: Authority,
    address: SocketAddr,
    metrics: Metrics,
    registry: Registry,
    service: CertificateService,
    _shutdown: DropGuard,
}

impl Server {
    async fn new(limits: SigningLimits) -> Self {
        let gate = Gate::new();
        let authority = gate.fixture.open();
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let service =
            CertificateService::new(authority.clone(), gate.open(), limits, metrics.clone());
        let listener = xds::listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let server = xds::Server::new(xds::Settings::default(), xds::Metrics::default());
        let server = server.mount(Arc::new(service.clone()));
        tokio::spawn(server.run(listener, NoStreams, shutdown.clone()));
        let _shutdown = shutdown.drop_guard();
        Self { gate, authority, address, metrics, registry, service, _shutdown }
    }

    fn token(&self) -> String {
        match self.gate.token(|_| ()) {
            Credential::Bearer(token) => format!("Bearer {}", token.expose()),
            Credential::ClientCertificate(_) => panic!("it is a token"),
        }
    }

    /// Calls as an agent does.
    async fn call(
        &self,
        authorization: Option<&str>,
        message: IstioCertificateRequest,
    ) -> Result<Vec<String>, tonic::Status> {
        let socket = TokioIo::new(TcpStream::connect(self.address).await.unwrap());
        let (requests, running) = http2::handshake(TokioExecutor::new(), socket).await.unwrap();
        tokio::spawn(running);
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let mut requests = requests.clone();
            async move { requests.send_request(request).await }
        });
        let mut request = tonic::Request::new(message);
        if let Some(value) = authorization {
            request.metadata_mut().insert("authorization", value.parse().unwrap());
        }
        let mut client = Grpc::with_origin(service, Uri::from_static("http://meltemi.test"));
        client.ready().await.unwrap();
        let path = PathAndQuery::from_static(self.service.path());
        let codec = ProstCodec::<IstioCertificateRequest, IstioCertificateResponse>::default();
        let answer = client.unary(request, path, codec).await?;
        Ok(answer.into_inner().cert_chain)
    }

    async fn ask(&self, csr: &str) -> Result<Vec<String>, tonic::Status> {
        self.call(Some(&self.token()), request(csr)).await
    }

    /// Calls as the transport does once it has accepted somebody.
    async fn call_from(&self, peer: PeerInfo, message: Bytes) -> Result<Vec<String>, xds::Status> {
        let answer = self.service.call(peer, message).await?;
        Ok(IstioCertificateResponse::decode(answer).unwrap().cert_chain)
    }
}

fn request(csr: &str) -> IstioCertificateRequest {
    IstioCertificateRequest { csr: csr.to_owned(), ..IstioCertificateRequest::default() }
}

/// A caller on another machine.
fn remote() -> PeerInfo {
    PeerInfo {
        address: SocketAddr::from(([10, 0, 0, 1], 4000)),
        tls: true,
        certificates: Arc::default(),
        authorization: None,
    }
}

#[tokio::test]
async fn the_caller_decides_the_name_and_the_chain_ends_with_the_roots() {
    let server = Server::new(SigningLimits::default()).await;
    let chain = server.ask(REQUEST).await.unwrap();
    assert_eq!(chain.len(), 3, "leaf, intermediate, roots");
    assert_eq!(chain[2], *server.authority.roots());
    let leaf = &certificates(&chain[0])[0];
    let (_, leaf) = X509Certificate::from_der(leaf).unwrap();
    let names = leaf.subject_alternative_name().unwrap().unwrap();
    let expected = [GeneralName::URI("spiffe://cluster.local/ns/shop/sa/cart")];
    assert_eq!(names.value.general_names, expected, "not what the request says");
    // Renewal with the certificate alone, and a life of its own.
    let shown = certificates(&chain[..2].concat());
    let peer = PeerInfo { certificates: shown.into(), ..remote() };
    let message = IstioCertificateRequest { validity_duration: 3600, ..request(REQUEST) };
    let chain = server.call_from(peer, message.encode_to_vec().into()).await.unwrap();
    let leaf = &certificates(&chain[0])[0];
    let (_, leaf) = X509Certificate::from_der(leaf).unwrap();
    assert_eq!(leaf.subject_alternative_name().unwrap().unwrap().value.general_names, expected);
    let life = leaf.validity().not_after.timestamp() - leaf.validity().not_before.timestamp();
    assert_eq!(life, 3600 + 300);
    let Metrics { requests, issued, authentication_failures, unreadable_requests, .. } =
        &server.metrics;
    assert_eq!((requests.get(), issued.get()), (2, 2));
    assert_eq!((authentication_failures.get(), unreadable_requests.get()), (0, 0));
}

#[tokio::test]
async fn callers_who_have_not_shown_who_they_are_get_nothing() {
    let server = Server::new(SigningLimits::default()).await;
    let token = server.token();
    let without_scheme = token.trim_start_matches("Bearer ");
    for authorization in [None, Some("Bearer nothing"), Some("Basic YTpi"), Some(without_scheme)] {
        let refused = server.call(authorization, request(REQUEST)).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
        assert!(!refused.message().is_empty());
    }
    let foreign = crate::ambient::Fixture::new().open().issue(&cart()).unwrap();
    let foreign = certificates(&foreign.chain_pem);
    let message = Bytes::from(request(REQUEST).encode_to_vec());
    let peer = PeerInfo { certificates: foreign.into(), ..remote() };
    let refused = server.call_from(peer, message.clone()).await.unwrap_err();
    assert_eq!(refused.code, xds::Code::Unauthenticated);
    // A good token is refused where somebody could listen.
    let peer = PeerInfo { authorization: Some(token.parse().unwrap()), ..remote() };
    let open = PeerInfo { tls: false, ..peer.clone() };
    let refused = server.call_from(open, message.clone()).await.unwrap_err();
    assert_eq!(refused.code, xds::Code::Unauthenticated);
    assert_eq!(server.metrics.authentication_failures.get(), 6);
    assert_eq!(server.metrics.issued.get(), 0);
    server.call_from(peer, message).await.unwrap();
}

#[tokio::test]
async fn bad_requests_are_told_what_is_wrong() {
    let server = Server::new(SigningLimits::default()).await;
    let weak = include_str!("../../testdata/weak.csr");
    for (csr, expected) in [
        ("", "it is not a PKCS#10 signing request"),
        ("hello", "it is not a PKCS#10 signing request"),
        (weak, "the key must be ECDSA P-256"),
        (&"x".repeat(40_000), "the signing request has 40000 bytes"),
    ] {
        let refused = server.ask(csr).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains(expected), "{}", refused.message());
    }
    let authorization = Some(server.token().parse().unwrap());
    let peer = PeerInfo { authorization, ..remote() };
    let refused = server.call_from(peer, b"\xff".as_slice().into()).await.unwrap_err();
    assert_eq!(refused.code, xds::Code::InvalidArgument);
    assert_eq!(server.metrics.unreadable_requests.get(), 5);
    let fields = [("ImpersonatedIdentity".to_owned(), Value::default())].into();
    let message = IstioCertificateRequest { metadata: Some(Struct { fields }), ..request(REQUEST) };
    let refused = server.call(Some(&server.token()), message).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    // The transport does not even read what is longer than any request.
    server.ask(&"x".repeat(300_000)).await.unwrap_err();
    assert_eq!(server.metrics.requests.get(), 6);
}

#[tokio::test]
async fn too_many_requests_are_shed_and_taken_later() {
    let server = Server::new(SigningLimits { per_second: 1, burst: 3 }).await;
    for _ in 0..3 {
        server.ask(REQUEST).await.unwrap();
    }
    assert_eq!(server.ask(REQUEST).await.unwrap_err().code(), Code::ResourceExhausted);
    server.gate.fixture.ambient.pass(Duration::from_millis(1001));
    server.ask(REQUEST).await.unwrap();
    assert_eq!(server.ask(REQUEST).await.unwrap_err().code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn metrics_have_the_names_that_dashboards_read() {
    let server = Server::new(SigningLimits::default()).await;
    server.ask(REQUEST).await.unwrap();
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &server.registry).unwrap();
    let end = server.authority.status().chain_not_after;
    let end = end.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for line in [
        "citadel_server_csr_count 1".to_owned(),
        "citadel_server_success_cert_issuance_count 1".to_owned(),
        "citadel_server_authentication_failure_count 0".to_owned(),
        "citadel_server_csr_parsing_err_count 0".to_owned(),
        format!("citadel_server_cert_chain_expiry_timestamp {end}"),
        "citadel_server_root_cert_expiry_timestamp 2115360000".to_owned(),
    ] {
        assert!(text.lines().any(|it| it == line), "no `{line}` in\n{text}");
    }
}
