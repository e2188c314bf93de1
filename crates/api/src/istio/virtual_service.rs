//! VirtualService: which requests go where, and what happens to them on the way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use crate::istio::fault::{FaultAbort, FaultDelay, HttpFaultInjection, Percent};
use crate::{Duration, is_default, istio::HttpBody, istio::StringMatch};

/// Routing rules for the traffic to a set of hosts.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualService {
    #[serde(skip_serializing_if = "is_default")]
    pub hosts: Vec<String>,
    /// `mesh`, or names of Gateways as `name` or `namespace/name`; empty means `mesh`.
    #[serde(skip_serializing_if = "is_default")]
    pub gateways: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub http: Vec<HttpRoute>,
    #[serde(skip_serializing_if = "is_default")]
    pub tls: Vec<TlsRoute>,
    #[serde(skip_serializing_if = "is_default")]
    pub tcp: Vec<TcpRoute>,
    #[serde(alias = "export_to", skip_serializing_if = "is_default")]
    pub export_to: Vec<String>,
}

/// One HTTP rule. The first rule that matches a request wins.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRoute {
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Alternatives; empty matches everything.
    #[serde(skip_serializing_if = "is_default")]
    pub match_: Vec<HttpMatchRequest>,
    #[serde(skip_serializing_if = "is_default")]
    pub route: Vec<HttpRouteDestination>,
    #[serde(skip_serializing_if = "is_default")]
    pub redirect: Option<HttpRedirect>,
    #[serde(alias = "direct_response", skip_serializing_if = "is_default")]
    pub direct_response: Option<HttpDirectResponse>,
    #[serde(skip_serializing_if = "is_default")]
    pub delegate: Option<Delegate>,
    #[serde(skip_serializing_if = "is_default")]
    pub rewrite: Option<HttpRewrite>,
    #[serde(skip_serializing_if = "is_default")]
    pub timeout: Option<Duration>,
    #[serde(skip_serializing_if = "is_default")]
    pub retries: Option<HttpRetry>,
    #[serde(skip_serializing_if = "is_default")]
    pub fault: Option<HttpFaultInjection>,
    #[serde(skip_serializing_if = "is_default")]
    pub mirror: Option<Destination>,
    #[serde(skip_serializing_if = "is_default")]
    pub mirrors: Vec<HttpMirrorPolicy>,
    /// Deprecated whole percents of `mirror`.
    #[serde(alias = "mirror_percent", skip_serializing_if = "is_default")]
    pub mirror_percent: Option<u32>,
    #[serde(alias = "mirror_percentage", skip_serializing_if = "is_default")]
    pub mirror_percentage: Option<Percent>,
    #[serde(alias = "cors_policy", skip_serializing_if = "is_default")]
    pub cors_policy: Option<CorsPolicy>,
    #[serde(skip_serializing_if = "is_default")]
    pub headers: Option<Headers>,
}

/// Another VirtualService that holds the rules in place of a route.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Delegate {
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub namespace: String,
}

/// Changes to the headers of requests and responses.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Headers {
    #[serde(skip_serializing_if = "is_default")]
    pub request: Option<HeaderOperations>,
    #[serde(skip_serializing_if = "is_default")]
    pub response: Option<HeaderOperations>,
}

/// Header values to set, to append, and names to remove.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HeaderOperations {
    #[serde(skip_serializing_if = "is_default")]
    pub set: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "is_default")]
    pub add: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "is_default")]
    pub remove: Vec<String>,
}

/// Conditions that must all hold.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpMatchRequest {
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub uri: Option<StringMatch>,
    #[serde(skip_serializing_if = "is_default")]
    pub scheme: Option<StringMatch>,
    #[serde(skip_serializing_if = "is_default")]
    pub method: Option<StringMatch>,
    #[serde(skip_serializing_if = "is_default")]
    pub authority: Option<StringMatch>,
    /// A header with `StringMatch::Unset` only has to be present.
    #[serde(skip_serializing_if = "is_default")]
    pub headers: BTreeMap<String, StringMatch>,
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
    #[serde(alias = "source_labels", skip_serializing_if = "is_default")]
    pub source_labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "is_default")]
    pub gateways: Vec<String>,
    #[serde(alias = "query_params", skip_serializing_if = "is_default")]
    pub query_params: BTreeMap<String, StringMatch>,
    #[serde(alias = "ignore_uri_case", skip_serializing_if = "is_default")]
    pub ignore_uri_case: bool,
    #[serde(alias = "without_headers", skip_serializing_if = "is_default")]
    pub without_headers: BTreeMap<String, StringMatch>,
    #[serde(alias = "source_namespace", skip_serializing_if = "is_default")]
    pub source_namespace: String,
    #[serde(alias = "stat_prefix", skip_serializing_if = "is_default")]
    pub stat_prefix: String,
}

/// A weighted share of the requests.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRouteDestination {
    #[serde(skip_serializing_if = "is_default")]
    pub destination: Option<Destination>,
    #[serde(skip_serializing_if = "is_default")]
    pub weight: i32,
    #[serde(skip_serializing_if = "is_default")]
    pub headers: Option<Headers>,
}

/// A service, optionally one subset and one port of it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Destination {
    #[serde(skip_serializing_if = "is_default")]
    pub host: String,
    #[serde(skip_serializing_if = "is_default")]
    pub subset: String,
    #[serde(skip_serializing_if = "is_default")]
    pub port: Option<PortSelector>,
}

/// A port by number.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PortSelector {
    #[serde(skip_serializing_if = "is_default")]
    pub number: u32,
}

/// An answer that sends the caller elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRedirect {
    #[serde(skip_serializing_if = "is_default")]
    pub uri: String,
    #[serde(skip_serializing_if = "is_default")]
    pub authority: String,
    /// Excludes `derive_port`.
    #[serde(skip_serializing_if = "is_default")]
    pub port: Option<u32>,
    #[serde(alias = "derive_port", skip_serializing_if = "is_default")]
    pub derive_port: Option<RedirectPortSelection>,
    #[serde(skip_serializing_if = "is_default")]
    pub scheme: String,
    #[serde(alias = "redirect_code", skip_serializing_if = "is_default")]
    pub redirect_code: u32,
    #[serde(alias = "prefix_rewrite", skip_serializing_if = "is_default")]
    pub prefix_rewrite: String,
}

/// Where the port of a redirect comes from.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum RedirectPortSelection {
    #[default]
    #[serde(rename = "FROM_PROTOCOL_DEFAULT")]
    FromProtocolDefault,
    #[serde(rename = "FROM_REQUEST_PORT")]
    FromRequestPort,
}

/// A fixed answer.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpDirectResponse {
    #[serde(skip_serializing_if = "is_default")]
    pub status: u32,
    #[serde(skip_serializing_if = "is_default")]
    pub body: Option<HttpBody>,
}

/// Changes to the path and the authority before forwarding.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRewrite {
    #[serde(skip_serializing_if = "is_default")]
    pub uri: String,
    #[serde(skip_serializing_if = "is_default")]
    pub authority: String,
    #[serde(alias = "uri_regex_rewrite", skip_serializing_if = "is_default")]
    pub uri_regex_rewrite: Option<RegexRewrite>,
}

/// An RE2 pattern and its replacement.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RegexRewrite {
    #[serde(skip_serializing_if = "is_default")]
    pub match_: String,
    #[serde(skip_serializing_if = "is_default")]
    pub rewrite: String,
}

/// How often and when a failed request is sent again.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRetry {
    #[serde(skip_serializing_if = "is_default")]
    pub attempts: i32,
    #[serde(alias = "per_try_timeout", skip_serializing_if = "is_default")]
    pub per_try_timeout: Option<Duration>,
    #[serde(alias = "retry_on", skip_serializing_if = "is_default")]
    pub retry_on: String,
    #[serde(alias = "retry_remote_localities", skip_serializing_if = "is_default")]
    pub retry_remote_localities: Option<bool>,
    #[serde(alias = "retry_ignore_previous_hosts", skip_serializing_if = "is_default")]
    pub retry_ignore_previous_hosts: Option<bool>,
    #[serde(skip_serializing_if = "is_default")]
    pub backoff: Option<Duration>,
}

/// Cross-origin rules.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CorsPolicy {
    /// Deprecated exact origins.
    #[serde(alias = "allow_origin", skip_serializing_if = "is_default")]
    pub allow_origin: Vec<String>,
    #[serde(alias = "allow_origins", skip_serializing_if = "is_default")]
    pub allow_origins: Vec<StringMatch>,
    #[serde(alias = "allow_methods", skip_serializing_if = "is_default")]
    pub allow_methods: Vec<String>,
    #[serde(alias = "allow_headers", skip_serializing_if = "is_default")]
    pub allow_headers: Vec<String>,
    #[serde(alias = "expose_headers", skip_serializing_if = "is_default")]
    pub expose_headers: Vec<String>,
    #[serde(alias = "max_age", skip_serializing_if = "is_default")]
    pub max_age: Option<Duration>,
    #[serde(alias = "allow_credentials", skip_serializing_if = "is_default")]
    pub allow_credentials: Option<bool>,
    #[serde(alias = "unmatched_preflights", skip_serializing_if = "is_default")]
    pub unmatched_preflights: UnmatchedPreflights,
}

/// What happens to preflights from other origins.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum UnmatchedPreflights {
    #[default]
    #[serde(rename = "UNSPECIFIED")]
    Unspecified,
    #[serde(rename = "FORWARD")]
    Forward,
    #[serde(rename = "IGNORE")]
    Ignore,
}

/// A rule for connections that stay encrypted.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsRoute {
    #[serde(skip_serializing_if = "is_default")]
    pub match_: Vec<TlsMatchAttributes>,
    #[serde(skip_serializing_if = "is_default")]
    pub route: Vec<RouteDestination>,
}

/// Conditions on a TLS connection that must all hold.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsMatchAttributes {
    #[serde(alias = "sni_hosts", skip_serializing_if = "is_default")]
    pub sni_hosts: Vec<String>,
    #[serde(alias = "destination_subnets", skip_serializing_if = "is_default")]
    pub destination_subnets: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
    #[serde(alias = "source_labels", skip_serializing_if = "is_default")]
    pub source_labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "is_default")]
    pub gateways: Vec<String>,
    #[serde(alias = "source_namespace", skip_serializing_if = "is_default")]
    pub source_namespace: String,
}

/// A rule for opaque connections.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpRoute {
    #[serde(skip_serializing_if = "is_default")]
    pub match_: Vec<L4MatchAttributes>,
    #[serde(skip_serializing_if = "is_default")]
    pub route: Vec<RouteDestination>,
}

/// Conditions on a TCP connection that must all hold.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct L4MatchAttributes {
    #[serde(alias = "destination_subnets", skip_serializing_if = "is_default")]
    pub destination_subnets: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
    #[serde(alias = "source_subnet", skip_serializing_if = "is_default")]
    pub source_subnet: String,
    #[serde(alias = "source_labels", skip_serializing_if = "is_default")]
    pub source_labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "is_default")]
    pub gateways: Vec<String>,
    #[serde(alias = "source_namespace", skip_serializing_if = "is_default")]
    pub source_namespace: String,
}

/// A weighted share of the connections.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteDestination {
    #[serde(skip_serializing_if = "is_default")]
    pub destination: Option<Destination>,
    #[serde(skip_serializing_if = "is_default")]
    pub weight: i32,
}

/// A copy of the traffic whose answers are dropped.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpMirrorPolicy {
    #[serde(skip_serializing_if = "is_default")]
    pub destination: Option<Destination>,
    #[serde(skip_serializing_if = "is_default")]
    pub percentage: Option<Percent>,
}
