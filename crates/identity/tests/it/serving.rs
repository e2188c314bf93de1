//! `CreateCertificate` as an agent calls it: a gRPC client of tonic against the service.

use std::{sync::Arc, time::Duration};

use http::uri::PathAndQuery;
use identity::{
    Authority, CallerCredentials, CertificateService, Credential, IstioCertificateRequest,
    IstioCertificateResponse, Metrics, SigningLimits,
};
use prometheus_client::registry::Registry;
use prost_types::{Struct, Value};
use tonic::{Code, Status, body::Body, client::Grpc};
use tonic_prost::ProstCodec;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

use crate::{authenticating::Gate, handshake::certificates};

const REQUEST: &str = include_str!("../../testdata/rsa.csr");

struct Server {
    gate: Gate,
    authority: Authority,
    service: CertificateService,
    metrics: Metrics,
    registry: Registry,
}

impl Server {
    fn new(limits: SigningLimits) -> Self {
        let gate = Gate::new();
        let authority = gate.fixture.open();
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry, authority.clone());
        let service =
            CertificateService::new(authority.clone(), gate.open(), limits, metrics.clone());
        Self { gate, authority, service, metrics, registry }
    }

    fn token(&self) -> String {
        match self.gate.token(|_| ()) {
            Credential::Bearer(token) => format!("Bearer {}", token.expose()),
            Credential::ClientCertificate(_) => panic!("it is a token"),
        }
    }

    /// Calls with a token, over a connection that says of itself what `caller` says.
    async fn call(
        &self,
        caller: Option<CallerCredentials>,
        authorization: Option<&str>,
        message: IstioCertificateRequest,
    ) -> Result<Vec<String>, Status> {
        let mut service = self.service.clone();
        let connection = tower::service_fn(move |mut request: http::Request<Body>| {
            request.extensions_mut().extend(match &caller {
                None => http::Extensions::new(),
                Some(caller) => {
                    let mut extensions = http::Extensions::new();
                    extensions.insert(Arc::new(caller.clone()));
                    extensions
                }
            });
            tower_service::Service::call(&mut service, request)
        });
        let mut request = tonic::Request::new(message);
        if let Some(value) = authorization {
            request.metadata_mut().insert("authorization", value.parse().unwrap());
        }
        let mut client = Grpc::new(connection);
        client.ready().await.unwrap();
        let path = PathAndQuery::from_static(CertificateService::PATH);
        let codec = ProstCodec::<IstioCertificateRequest, IstioCertificateResponse>::default();
        let answer = client.unary(request, path, codec).await?;
        Ok(answer.into_inner().cert_chain)
    }

    async fn ask(&self, csr: &str) -> Result<Vec<String>, Status> {
        let message = IstioCertificateRequest { csr: csr.to_owned(), ..Default::default() };
        self.call(Some(private()), Some(&self.token()), message).await
    }
}

fn private() -> CallerCredentials {
    CallerCredentials { is_private: true, ..CallerCredentials::default() }
}

#[tokio::test]
async fn the_caller_decides_the_name_and_the_chain_ends_with_the_roots() {
    let server = Server::new(SigningLimits::default());
    let chain = server.ask(REQUEST).await.unwrap();
    assert_eq!(chain.len(), 3, "leaf, intermediate, roots");
    assert_eq!(chain[2], *server.authority.roots());
    let leaf = &certificates(&chain[0])[0];
    let (_, leaf) = X509Certificate::from_der(leaf).unwrap();
    let names = leaf.subject_alternative_name().unwrap().unwrap();
    let expected = [GeneralName::URI("spiffe://cluster.local/ns/shop/sa/cart")];
    assert_eq!(names.value.general_names, expected, "not what the request says");
    // Renewal with the certificate alone.
    let shown = certificates(&chain[..2].concat());
    let caller = CallerCredentials { certificates: shown.into(), is_private: true };
    let message = IstioCertificateRequest {
        csr: REQUEST.to_owned(),
        validity_duration: 3600,
        metadata: None,
    };
    let chain = server.call(Some(caller), None, message).await.unwrap();
    let leaf = &certificates(&chain[0])[0];
    let (_, leaf) = X509Certificate::from_der(leaf).unwrap();
    let life = leaf.validity().not_after.timestamp() - leaf.validity().not_before.timestamp();
    assert_eq!(life, 3600 + 300);
    let Metrics { requests, issued, authentication_failures, unreadable_requests } =
        &server.metrics;
    assert_eq!((requests.get(), issued.get()), (2, 2));
    assert_eq!((authentication_failures.get(), unreadable_requests.get()), (0, 0));
}

#[tokio::test]
async fn callers_who_have_not_shown_who_they_are_get_nothing() {
    let server = Server::new(SigningLimits::default());
    let token = server.token();
    let message = IstioCertificateRequest { csr: REQUEST.to_owned(), ..Default::default() };
    let open = Some(CallerCredentials::default());
    for (caller, authorization) in [
        (None, Some(token.as_str())),
        (open, Some(&token)),
        (Some(private()), None),
        (Some(private()), Some("Bearer nothing")),
        (Some(private()), Some("Basic YTpi")),
        (Some(private()), Some(token.trim_start_matches("Bearer "))),
    ] {
        let refused = server.call(caller, authorization, message.clone()).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
        assert!(!refused.message().is_empty());
    }
    assert_eq!(server.metrics.authentication_failures.get(), 6);
    assert_eq!(server.metrics.issued.get(), 0);
}

#[tokio::test]
async fn bad_requests_are_told_what_is_wrong() {
    let server = Server::new(SigningLimits::default());
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
    assert_eq!(server.metrics.unreadable_requests.get(), 4);
    let refused = server.ask(&"x".repeat(70_000)).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "it is not even decoded");
    let metadata =
        Struct { fields: [("ImpersonatedIdentity".to_owned(), Value::default())].into() };
    let message = IstioCertificateRequest {
        csr: REQUEST.to_owned(),
        validity_duration: 0,
        metadata: Some(metadata),
    };
    let refused = server.call(Some(private()), Some(&server.token()), message).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn too_many_requests_are_shed_and_taken_later() {
    let server = Server::new(SigningLimits { per_second: 1, burst: 3 });
    let ask = || server.ask(REQUEST);
    for _ in 0..3 {
        ask().await.unwrap();
    }
    assert_eq!(ask().await.unwrap_err().code(), Code::ResourceExhausted);
    server.gate.fixture.ambient.pass(Duration::from_millis(1001));
    ask().await.unwrap();
    assert_eq!(ask().await.unwrap_err().code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn metrics_have_the_names_that_dashboards_read() {
    let server = Server::new(SigningLimits::default());
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
