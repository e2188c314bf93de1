//! Traffic policies of a DestinationRule: pools, load balancing, ejection, TLS.

use serde::{Deserialize, Serialize};

use crate::{
    Duration, is_default, istio::load_balancer::LoadBalancerSettings,
    istio::virtual_service::PortSelector,
};

/// Everything that can be set for the connections to a host.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TrafficPolicy {
    #[serde(alias = "load_balancer", skip_serializing_if = "is_default")]
    pub load_balancer: Option<LoadBalancerSettings>,
    #[serde(alias = "connection_pool", skip_serializing_if = "is_default")]
    pub connection_pool: Option<ConnectionPoolSettings>,
    #[serde(alias = "outlier_detection", skip_serializing_if = "is_default")]
    pub outlier_detection: Option<OutlierDetection>,
    #[serde(skip_serializing_if = "is_default")]
    pub tls: Option<ClientTlsSettings>,
    #[serde(alias = "port_level_settings", skip_serializing_if = "is_default")]
    pub port_level_settings: Vec<PortTrafficPolicy>,
    #[serde(skip_serializing_if = "is_default")]
    pub tunnel: Option<TunnelSettings>,
    #[serde(alias = "proxy_protocol", skip_serializing_if = "is_default")]
    pub proxy_protocol: Option<ProxyProtocol>,
    #[serde(alias = "retry_budget", skip_serializing_if = "is_default")]
    pub retry_budget: Option<RetryBudget>,
}

/// Replaces the whole policy for one port.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PortTrafficPolicy {
    #[serde(skip_serializing_if = "is_default")]
    pub port: Option<PortSelector>,
    #[serde(alias = "load_balancer", skip_serializing_if = "is_default")]
    pub load_balancer: Option<LoadBalancerSettings>,
    #[serde(alias = "connection_pool", skip_serializing_if = "is_default")]
    pub connection_pool: Option<ConnectionPoolSettings>,
    #[serde(alias = "outlier_detection", skip_serializing_if = "is_default")]
    pub outlier_detection: Option<OutlierDetection>,
    #[serde(skip_serializing_if = "is_default")]
    pub tls: Option<ClientTlsSettings>,
}

/// Limits of connections and requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConnectionPoolSettings {
    #[serde(skip_serializing_if = "is_default")]
    pub tcp: Option<TcpSettings>,
    #[serde(skip_serializing_if = "is_default")]
    pub http: Option<HttpSettings>,
}

/// Limits of all connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpSettings {
    #[serde(alias = "max_connections", skip_serializing_if = "is_default")]
    pub max_connections: i32,
    #[serde(alias = "connect_timeout", skip_serializing_if = "is_default")]
    pub connect_timeout: Option<Duration>,
    #[serde(alias = "tcp_keepalive", skip_serializing_if = "is_default")]
    pub tcp_keepalive: Option<TcpKeepalive>,
    #[serde(alias = "max_connection_duration", skip_serializing_if = "is_default")]
    pub max_connection_duration: Option<Duration>,
    #[serde(alias = "idle_timeout", skip_serializing_if = "is_default")]
    pub idle_timeout: Option<Duration>,
}

/// Keep-alive probes of the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpKeepalive {
    #[serde(skip_serializing_if = "is_default")]
    pub probes: u32,
    #[serde(skip_serializing_if = "is_default")]
    pub time: Option<Duration>,
    #[serde(skip_serializing_if = "is_default")]
    pub interval: Option<Duration>,
}

/// Limits of HTTP requests and connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpSettings {
    #[serde(alias = "http1_max_pending_requests", skip_serializing_if = "is_default")]
    pub http1_max_pending_requests: i32,
    #[serde(alias = "http2_max_requests", skip_serializing_if = "is_default")]
    pub http2_max_requests: i32,
    #[serde(alias = "max_requests_per_connection", skip_serializing_if = "is_default")]
    pub max_requests_per_connection: i32,
    #[serde(alias = "max_retries", skip_serializing_if = "is_default")]
    pub max_retries: i32,
    #[serde(alias = "idle_timeout", skip_serializing_if = "is_default")]
    pub idle_timeout: Option<Duration>,
    #[serde(alias = "h2_upgrade_policy", skip_serializing_if = "is_default")]
    pub h2_upgrade_policy: H2UpgradePolicy,
    #[serde(alias = "use_client_protocol", skip_serializing_if = "is_default")]
    pub use_client_protocol: bool,
    #[serde(alias = "max_concurrent_streams", skip_serializing_if = "is_default")]
    pub max_concurrent_streams: i32,
    #[serde(alias = "http2_keep_alive", skip_serializing_if = "is_default")]
    pub http2_keep_alive: Option<Http2KeepAlive>,
}

/// HTTP/2 pings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Http2KeepAlive {
    #[serde(skip_serializing_if = "is_default")]
    pub interval: Option<Duration>,
    #[serde(skip_serializing_if = "is_default")]
    pub timeout: Option<Duration>,
}

/// Whether HTTP/1.1 is sent on as HTTP/2.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum H2UpgradePolicy {
    #[default]
    #[serde(rename = "DEFAULT")]
    Default,
    #[serde(rename = "DO_NOT_UPGRADE")]
    DoNotUpgrade,
    #[serde(rename = "UPGRADE")]
    Upgrade,
}

/// When an endpoint that fails is left out for a while.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OutlierDetection {
    /// Dead in Istio; kept to warn about it.
    #[serde(alias = "consecutive_errors", skip_serializing_if = "is_default")]
    pub consecutive_errors: i32,
    #[serde(alias = "split_external_local_origin_errors", skip_serializing_if = "is_default")]
    pub split_external_local_origin_errors: bool,
    #[serde(alias = "consecutive_local_origin_failures", skip_serializing_if = "is_default")]
    pub consecutive_local_origin_failures: Option<u32>,
    #[serde(alias = "consecutive_gateway_errors", skip_serializing_if = "is_default")]
    pub consecutive_gateway_errors: Option<u32>,
    #[serde(alias = "consecutive_5xx_errors", skip_serializing_if = "is_default")]
    pub consecutive_5xx_errors: Option<u32>,
    #[serde(skip_serializing_if = "is_default")]
    pub interval: Option<Duration>,
    #[serde(alias = "base_ejection_time", skip_serializing_if = "is_default")]
    pub base_ejection_time: Option<Duration>,
    #[serde(alias = "max_ejection_percent", skip_serializing_if = "is_default")]
    pub max_ejection_percent: i32,
    #[serde(alias = "min_health_percent", skip_serializing_if = "is_default")]
    pub min_health_percent: i32,
    #[serde(alias = "outlier_detection_http_error_codes", skip_serializing_if = "is_default")]
    pub outlier_detection_http_error_codes: Vec<u32>,
}

/// How clients encrypt.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientTlsSettings {
    #[serde(skip_serializing_if = "is_default")]
    pub mode: ClientTlsMode,
    #[serde(alias = "client_certificate", skip_serializing_if = "is_default")]
    pub client_certificate: String,
    #[serde(alias = "private_key", skip_serializing_if = "is_default")]
    pub private_key: String,
    #[serde(alias = "ca_certificates", skip_serializing_if = "is_default")]
    pub ca_certificates: String,
    #[serde(alias = "credential_name", skip_serializing_if = "is_default")]
    pub credential_name: String,
    #[serde(alias = "subject_alt_names", skip_serializing_if = "is_default")]
    pub subject_alt_names: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub sni: String,
    #[serde(alias = "insecure_skip_verify", skip_serializing_if = "is_default")]
    pub insecure_skip_verify: Option<bool>,
    #[serde(alias = "ca_crl", skip_serializing_if = "is_default")]
    pub ca_crl: String,
}

/// Who proves an identity to whom.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum ClientTlsMode {
    #[default]
    #[serde(rename = "DISABLE")]
    Disable,
    #[serde(rename = "SIMPLE")]
    Simple,
    #[serde(rename = "MUTUAL")]
    Mutual,
    #[serde(rename = "ISTIO_MUTUAL")]
    IstioMutual,
}

/// TCP through an HTTP proxy.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TunnelSettings {
    #[serde(skip_serializing_if = "is_default")]
    pub protocol: String,
    #[serde(alias = "target_host", skip_serializing_if = "is_default")]
    pub target_host: String,
    #[serde(alias = "target_port", skip_serializing_if = "is_default")]
    pub target_port: u32,
}

/// PROXY protocol towards the endpoints.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyProtocol {
    #[serde(skip_serializing_if = "is_default")]
    pub version: ProxyProtocolVersion,
}

/// Version of the PROXY protocol.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum ProxyProtocolVersion {
    #[default]
    V1,
    V2,
}

/// Retries as a share of the active requests.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RetryBudget {
    #[serde(skip_serializing_if = "is_default")]
    pub percent: Option<f64>,
    #[serde(alias = "min_retry_concurrency", skip_serializing_if = "is_default")]
    pub min_retry_concurrency: u32,
    #[serde(alias = "budget_interval", skip_serializing_if = "is_default")]
    pub budget_interval: Option<Duration>,
}
