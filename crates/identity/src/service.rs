//! `istio.v1.auth.IstioCertificateService/CreateCertificate`: how Istio's agents ask.
//!
//! - What the connection and the header `authorization` prove decides alone whose certificate it
//!   is; the names in the request are not read.
//! - Bounded: `xds` limits the length of a message and how many calls run at once; no more is
//!   signed in a second than [`SigningLimits`] say. What is above is refused at once, and agents
//!   try again.
//! - What went wrong in here is logged; the caller is told what it can do.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use prost::Message;
use xds::{Code, PeerInfo, Status, UnaryAnswer, UnaryMethod};

use crate::{
    Authenticators, Authority, Credential, IssueError, Metrics, Proven, SigningLimits,
    authority::error_chain,
    limit::Bucket,
    wire::{IstioCertificateRequest, IstioCertificateResponse},
};

/// The wish for somebody else's certificate, which a node's proxy may have in Istio.
const IMPERSONATION: &str = "ImpersonatedIdentity";

/// The service, to be mounted on the port of the ADS streams. Clones share their state.
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
    /// A service that signs with `authority` for those whom `authenticators` know.
    pub fn new(
        authority: Authority,
        authenticators: Authenticators,
        limits: SigningLimits,
        metrics: Metrics,
    ) -> Self {
        let bucket = Bucket::new(limits);
        metrics.watch(&authority);
        Self(Arc::new(Inner { authority, authenticators, bucket, metrics }))
    }

    async fn create(&self, peer: &PeerInfo, message: Bytes) -> Result<Bytes, Status> {
        let Inner { authority, authenticators, bucket, metrics } = &*self.0;
        metrics.requests.inc();
        let identity = self.caller(peer).await.inspect_err(|_| {
            metrics.authentication_failures.inc();
        })?;
        let request = IstioCertificateRequest::decode(message).map_err(|_| {
            metrics.unreadable_requests.inc();
            Status::new(Code::InvalidArgument, "it is not an `IstioCertificateRequest`")
        })?;
        let IstioCertificateRequest { csr, validity_duration, metadata } = request;
        if metadata.is_some_and(|metadata| metadata.fields.contains_key(IMPERSONATION)) {
            let message = "certificates are issued for the caller alone: leave out the metadata \
                           `ImpersonatedIdentity`";
            return Err(Status::new(Code::PermissionDenied, message));
        }
        if !bucket.take(authenticators.now()) {
            let message = "too many certificates are asked for at once: try again in a few seconds";
            return Err(Status::new(Code::ResourceExhausted, message));
        }
        let seconds = u64::try_from(validity_duration).unwrap_or_default();
        let lifetime = (seconds > 0).then(|| Duration::from_secs(seconds));
        let own = authority.clone();
        // Signing is work for the processor, and may note a new longest life on disk.
        let signing =
            tokio::task::spawn_blocking(move || own.sign(csr.as_bytes(), &identity, lifetime));
        let signed = signing.await.map_err(|_| Status::new(Code::Internal, "signing failed"))?;
        let chain = signed.map_err(|error| refuse(&error, metrics))?;
        metrics.issued.inc();
        let mut cert_chain = vec![chain.leaf_pem];
        cert_chain.extend(chain.intermediates_pem.iter().map(|it| it.to_string()));
        cert_chain.push(chain.roots_pem.to_string());
        Ok(IstioCertificateResponse { cert_chain }.encode_to_vec().into())
    }

    async fn caller(&self, peer: &PeerInfo) -> Result<model::Identity, Status> {
        if !peer.is_private() {
            let message = "certificates are issued over TLS alone: connect with TLS";
            return Err(Status::new(Code::Unauthenticated, message));
        }
        let proven = self.0.authenticators.authenticate_any(&Credential::of(peer)).await;
        match proven {
            Ok(Proven { identity, .. }) => Ok(identity),
            Err(error) => Err(Status::new(Code::Unauthenticated, error.to_string())),
        }
    }
}

fn refuse(error: &IssueError, metrics: &Metrics) -> Status {
    match error {
        IssueError::Request(error) => {
            metrics.unreadable_requests.inc();
            Status::new(Code::InvalidArgument, error.to_string())
        }
        IssueError::ForeignTrustDomain { .. } => {
            Status::new(Code::PermissionDenied, error.to_string())
        }
        IssueError::Expired | IssueError::Mint(_) | IssueError::Note(_) => {
            tracing::error!(error = error_chain(error), "No certificate can be issued");
            Status::new(Code::Unavailable, "the authority cannot sign now: its log says why")
        }
    }
}

impl UnaryMethod for CertificateService {
    fn path(&self) -> &'static str {
        "/istio.v1.auth.IstioCertificateService/CreateCertificate"
    }

    fn call(&self, peer: PeerInfo, message: Bytes) -> UnaryAnswer<'_> {
        Box::pin(async move { self.create(&peer, message).await })
    }
}
