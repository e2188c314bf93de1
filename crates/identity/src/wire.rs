//! The messages of `istio.v1.auth.IstioCertificateService`, as Istio's agents speak it.

use prost_types::Struct;

/// `istio.v1.auth.IstioCertificateRequest`
#[derive(Clone, PartialEq, prost::Message)]
pub struct IstioCertificateRequest {
    /// The signing request, as PEM.
    #[prost(string, tag = "1")]
    pub csr: String,
    /// The wished life in seconds; not above 0 means the usual one.
    #[prost(int64, tag = "3")]
    pub validity_duration: i64,
    /// Wishes of certain agents, such as `ImpersonatedIdentity`.
    #[prost(message, optional, tag = "4")]
    pub metadata: Option<Struct>,
}

/// `istio.v1.auth.IstioCertificateResponse`
#[derive(Clone, PartialEq, prost::Message)]
pub struct IstioCertificateResponse {
    /// One PEM each: the certificate, its intermediates, and all trusted roots last.
    #[prost(string, repeated, tag = "1")]
    pub cert_chain: Vec<String>,
}
