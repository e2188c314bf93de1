//! `istio.v1.auth.IstioCertificateService/CreateCertificate`: how Istio's agents ask.
//!
//! - Whoever accepts connections puts [`CallerCredentials`] into the extensions of a request; a
//!   token comes in the header `authorization`. They alone decide whose certificate it is.
//! - Bounded: a request is at most [`LONGEST_MESSAGE`] long, and no more is signed in a second than
//!   [`SigningLimits`] say. What is above is refused at once, and agents try again.
//! - What went wrong in here is logged; the caller is told what it can do.

use std::{
    convert::Infallible,
    future::{Future, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use http_body::Body as HttpBody;
use rustls::pki_types::CertificateDer;
use tonic::{
    Code, Status,
    body::Body,
    metadata::MetadataMap,
    server::{Grpc, UnaryService},
};
use tonic_prost::ProstCodec;
use tower_service::Service;

use crate::{
    Authenticators, Authority, Credential, IssueError, Metrics, SigningLimits, Token,
    authority::error_chain,
    limit::Bucket,
    wire::{IstioCertificateRequest, IstioCertificateResponse},
};

/// The longest request: a signing request and some.
pub const LONGEST_MESSAGE: usize = 64 << 10;
/// The wish for somebody else's certificate, which a node's proxy may have in Istio.
const IMPERSONATION: &str = "ImpersonatedIdentity";

/// What a connection knows of its other end. Put `Arc<CallerCredentials>` into the extensions of
/// every request of the connection.
#[derive(Clone, Default)]
pub struct CallerCredentials {
    /// The certificates of the TLS connection, leaf first; empty without one.
    pub certificates: Arc<[CertificateDer<'static>]>,
    /// Whether nobody can listen: TLS, or the same machine.
    pub is_private: bool,
}

/// The service. Clones share their state.
#[derive(Clone, Debug)]
pub struct CertificateService(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    authority: Authority,
    authenticators: Authenticators,
    bucket: Bucket,
    metrics: Metrics,
}

impl CertificateService {
    /// The HTTP path of its method.
    pub const PATH: &'static str = "/istio.v1.auth.IstioCertificateService/CreateCertificate";

    /// A service that signs with `authority` for those whom `authenticators` know.
    pub fn new(
        authority: Authority,
        authenticators: Authenticators,
        limits: SigningLimits,
        metrics: Metrics,
    ) -> Self {
        let bucket = Bucket::new(limits);
        Self(Arc::new(Inner { authority, authenticators, bucket, metrics }))
    }

    async fn create(
        self,
        request: tonic::Request<IstioCertificateRequest>,
    ) -> Result<tonic::Response<IstioCertificateResponse>, Status> {
        let Inner { authority, authenticators, bucket, metrics } = &*self.0;
        metrics.requests.inc();
        let credentials = credentials(&request).inspect_err(|_| {
            metrics.authentication_failures.inc();
        })?;
        let identity = authenticators.authenticate_any(&credentials).await.map_err(|error| {
            metrics.authentication_failures.inc();
            Status::unauthenticated(error.to_string())
        })?;
        let IstioCertificateRequest { csr, validity_duration, metadata } = request.into_inner();
        if metadata.is_some_and(|metadata| metadata.fields.contains_key(IMPERSONATION)) {
            let message = "certificates are issued for the caller alone: leave out the metadata \
                           `ImpersonatedIdentity`";
            return Err(Status::permission_denied(message));
        }
        if !bucket.take(authenticators.now()) {
            let message = "too many certificates are asked for at once: try again in a few seconds";
            return Err(Status::resource_exhausted(message));
        }
        let seconds = u64::try_from(validity_duration).unwrap_or_default();
        let lifetime = (seconds > 0).then(|| Duration::from_secs(seconds));
        let own = authority.clone();
        // Signing is work for the processor, and may note a new longest life on disk.
        let signing = tokio::task::spawn_blocking(move || {
            own.sign(csr.as_bytes(), &identity, lifetime).inspect_err(|error| {
                tracing::debug!(%identity, %error, "No certificate");
            })
        });
        let signed = signing.await.map_err(|_| Status::internal("signing failed"))?;
        let chain = signed.map_err(|error| refuse(&error, metrics))?;
        metrics.issued.inc();
        let mut cert_chain = vec![chain.leaf_pem];
        cert_chain.extend(chain.intermediates_pem.iter().map(|it| it.to_string()));
        cert_chain.push(chain.roots_pem.to_string());
        Ok(tonic::Response::new(IstioCertificateResponse { cert_chain }))
    }
}

/// What the caller has shown, the certificate first. An expired certificate beside a good token is
/// a proxy that comes back after a long time.
fn credentials<T>(request: &tonic::Request<T>) -> Result<Vec<Credential>, Status> {
    let caller = request.extensions().get::<Arc<CallerCredentials>>();
    let Some(caller) = caller.filter(|caller| caller.is_private) else {
        let message = "certificates are issued over TLS alone: connect with TLS";
        return Err(Status::unauthenticated(message));
    };
    let mut found = Vec::new();
    if !caller.certificates.is_empty() {
        found.push(Credential::ClientCertificate(caller.certificates.clone()));
    }
    found.extend(bearer(request.metadata()).map(Credential::Bearer));
    Ok(found)
}

fn bearer(metadata: &MetadataMap) -> Option<Token> {
    let value = metadata.get("authorization")?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Token::new(token.trim().to_owned()))
}

fn refuse(error: &IssueError, metrics: &Metrics) -> Status {
    match error {
        IssueError::Request(error) => {
            metrics.unreadable_requests.inc();
            Status::invalid_argument(error.to_string())
        }
        IssueError::ForeignTrustDomain { .. } => Status::permission_denied(error.to_string()),
        IssueError::Expired | IssueError::Mint(_) | IssueError::Note(_) => {
            tracing::error!(error = error_chain(error), "No certificate can be issued");
            Status::new(Code::Unavailable, "the authority cannot sign now: its log says why")
        }
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<B> Service<Request<B>> for CertificateService
where
    B: HttpBody + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answer {
        if request.uri().path() != Self::PATH {
            return Box::pin(ready(Ok(Status::unimplemented("no such method").into_http())));
        }
        let own = self.clone();
        Box::pin(async move {
            let mut grpc =
                Grpc::new(ProstCodec::default()).max_decoding_message_size(LONGEST_MESSAGE);
            Ok(grpc.unary(Method(own), request).await)
        })
    }
}

/// The method as tonic calls it.
struct Method(CertificateService);

impl UnaryService<IstioCertificateRequest> for Method {
    type Response = IstioCertificateResponse;
    type Future = Pin<
        Box<dyn Future<Output = Result<tonic::Response<IstioCertificateResponse>, Status>> + Send>,
    >;

    fn call(&mut self, request: tonic::Request<IstioCertificateRequest>) -> Self::Future {
        Box::pin(self.0.clone().create(request))
    }
}
