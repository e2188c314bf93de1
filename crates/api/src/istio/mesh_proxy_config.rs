//! Settings of proxies in the mesh configuration (`defaultConfig`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Duration, is_default, istio::CustomTag, istio::proxy_config::ProxyImage,
    istio::traffic_policy::ClientTlsSettings, istio::traffic_policy::TcpKeepalive,
    istio::workload_entry::ReadinessProbe,
};

/// How proxies start and what they tell.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MeshProxyConfig {
    #[serde(alias = "config_path", skip_serializing_if = "is_default")]
    pub config_path: String,
    #[serde(alias = "binary_path", skip_serializing_if = "is_default")]
    pub binary_path: String,
    #[serde(alias = "service_cluster", skip_serializing_if = "is_default")]
    pub service_cluster: String,
    #[serde(alias = "drain_duration", skip_serializing_if = "is_default")]
    pub drain_duration: Option<Duration>,
    #[serde(alias = "parent_shutdown_duration", skip_serializing_if = "is_default")]
    pub parent_shutdown_duration: Option<Duration>,
    #[serde(alias = "discovery_address", skip_serializing_if = "is_default")]
    pub discovery_address: String,
    #[serde(alias = "discovery_refresh_delay", skip_serializing_if = "is_default")]
    pub discovery_refresh_delay: Option<Duration>,
    #[serde(alias = "zipkin_address", skip_serializing_if = "is_default")]
    pub zipkin_address: String,
    #[serde(alias = "statsd_udp_address", skip_serializing_if = "is_default")]
    pub statsd_udp_address: String,
    #[serde(alias = "proxy_admin_port", skip_serializing_if = "is_default")]
    pub proxy_admin_port: i32,
    #[serde(alias = "availability_zone", skip_serializing_if = "is_default")]
    pub availability_zone: String,
    #[serde(alias = "control_plane_auth_policy", skip_serializing_if = "is_default")]
    pub control_plane_auth_policy: String,
    #[serde(alias = "custom_config_file", skip_serializing_if = "is_default")]
    pub custom_config_file: String,
    #[serde(alias = "stat_name_length", skip_serializing_if = "is_default")]
    pub stat_name_length: i32,
    #[serde(skip_serializing_if = "is_default")]
    pub concurrency: Option<i32>,
    #[serde(alias = "proxy_bootstrap_template_path", skip_serializing_if = "is_default")]
    pub proxy_bootstrap_template_path: String,
    #[serde(alias = "interception_mode", skip_serializing_if = "is_default")]
    pub interception_mode: InboundInterceptionMode,
    #[serde(skip_serializing_if = "is_default")]
    pub tracing: Option<MeshTracing>,
    #[serde(skip_serializing_if = "is_default")]
    pub sds: Option<serde_json::Value>,
    #[serde(alias = "envoy_access_log_service", skip_serializing_if = "is_default")]
    pub envoy_access_log_service: Option<RemoteService>,
    #[serde(alias = "envoy_metrics_service", skip_serializing_if = "is_default")]
    pub envoy_metrics_service: Option<RemoteService>,
    #[serde(alias = "proxy_metadata", skip_serializing_if = "is_default")]
    pub proxy_metadata: BTreeMap<String, String>,
    #[serde(alias = "runtime_values", skip_serializing_if = "is_default")]
    pub runtime_values: BTreeMap<String, String>,
    #[serde(alias = "status_port", skip_serializing_if = "is_default")]
    pub status_port: i32,
    #[serde(alias = "extra_stat_tags", skip_serializing_if = "is_default")]
    pub extra_stat_tags: Vec<String>,
    #[serde(alias = "gateway_topology", skip_serializing_if = "is_default")]
    pub gateway_topology: Option<Topology>,
    #[serde(alias = "termination_drain_duration", skip_serializing_if = "is_default")]
    pub termination_drain_duration: Option<Duration>,
    #[serde(alias = "mesh_id", skip_serializing_if = "is_default")]
    pub mesh_id: String,
    #[serde(alias = "readiness_probe", skip_serializing_if = "is_default")]
    pub readiness_probe: Option<ReadinessProbe>,
    #[serde(alias = "proxy_stats_matcher", skip_serializing_if = "is_default")]
    pub proxy_stats_matcher: Option<ProxyStatsMatcher>,
    #[serde(alias = "hold_application_until_proxy_starts", skip_serializing_if = "is_default")]
    pub hold_application_until_proxy_starts: Option<bool>,
    #[serde(alias = "ca_certificates_pem", skip_serializing_if = "is_default")]
    pub ca_certificates_pem: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub image: Option<ProxyImage>,
    #[serde(alias = "private_key_provider", skip_serializing_if = "is_default")]
    pub private_key_provider: Option<serde_json::Value>,
    #[serde(alias = "proxy_headers", skip_serializing_if = "is_default")]
    pub proxy_headers: Option<ProxyHeaders>,
    #[serde(alias = "file_flush_interval", skip_serializing_if = "is_default")]
    pub file_flush_interval: Option<Duration>,
    #[serde(alias = "file_flush_min_size_kb", skip_serializing_if = "is_default")]
    pub file_flush_min_size_kb: Option<u32>,
    #[serde(alias = "stats_compression", skip_serializing_if = "is_default")]
    pub stats_compression: Option<bool>,
}

/// How connections get into a sidecar.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum InboundInterceptionMode {
    #[default]
    #[serde(rename = "REDIRECT")]
    Redirect,
    #[serde(rename = "TPROXY")]
    Tproxy,
    #[serde(rename = "NONE")]
    None,
}

/// Old place of the tracing settings. At most one backend is set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MeshTracing {
    #[serde(skip_serializing_if = "is_default")]
    pub zipkin: Option<TracingBackend>,
    #[serde(skip_serializing_if = "is_default")]
    pub lightstep: Option<TracingBackend>,
    #[serde(skip_serializing_if = "is_default")]
    pub datadog: Option<TracingBackend>,
    #[serde(skip_serializing_if = "is_default")]
    pub stackdriver: Option<serde_json::Value>,
    #[serde(alias = "open_census_agent", skip_serializing_if = "is_default")]
    pub open_census_agent: Option<serde_json::Value>,
    #[serde(alias = "custom_tags", skip_serializing_if = "is_default")]
    pub custom_tags: BTreeMap<String, CustomTag>,
    #[serde(alias = "max_path_tag_length", skip_serializing_if = "is_default")]
    pub max_path_tag_length: u32,
    #[serde(skip_serializing_if = "is_default")]
    pub sampling: f64,
    #[serde(alias = "tls_settings", skip_serializing_if = "is_default")]
    pub tls_settings: Option<ClientTlsSettings>,
    #[serde(alias = "enable_istio_tags", skip_serializing_if = "is_default")]
    pub enable_istio_tags: Option<bool>,
}

/// Address of a collector.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TracingBackend {
    #[serde(skip_serializing_if = "is_default")]
    pub address: String,
    #[serde(alias = "access_token", skip_serializing_if = "is_default")]
    pub access_token: String,
}

/// A gRPC service of the proxies.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RemoteService {
    #[serde(skip_serializing_if = "is_default")]
    pub address: String,
    #[serde(alias = "tls_settings", skip_serializing_if = "is_default")]
    pub tls_settings: Option<ClientTlsSettings>,
    #[serde(alias = "tcp_keepalive", skip_serializing_if = "is_default")]
    pub tcp_keepalive: Option<TcpKeepalive>,
}

/// What stands before a gateway.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Topology {
    #[serde(alias = "num_trusted_proxies", skip_serializing_if = "is_default")]
    pub num_trusted_proxies: u32,
    #[serde(alias = "forward_client_cert_details", skip_serializing_if = "is_default")]
    pub forward_client_cert_details: ForwardClientCertDetails,
    #[serde(alias = "proxy_protocol", skip_serializing_if = "is_default")]
    pub proxy_protocol: Option<serde_json::Value>,
}

/// What happens to client certificate headers.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum ForwardClientCertDetails {
    #[default]
    #[serde(rename = "UNDEFINED")]
    Undefined,
    #[serde(rename = "SANITIZE")]
    Sanitize,
    #[serde(rename = "FORWARD_ONLY")]
    ForwardOnly,
    #[serde(rename = "APPEND_FORWARD")]
    AppendForward,
    #[serde(rename = "SANITIZE_SET")]
    SanitizeSet,
    #[serde(rename = "ALWAYS_FORWARD_ONLY")]
    AlwaysForwardOnly,
}

/// Further statistics that are kept.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyStatsMatcher {
    #[serde(alias = "inclusion_prefixes", skip_serializing_if = "is_default")]
    pub inclusion_prefixes: Vec<String>,
    #[serde(alias = "inclusion_suffixes", skip_serializing_if = "is_default")]
    pub inclusion_suffixes: Vec<String>,
    #[serde(alias = "inclusion_regexps", skip_serializing_if = "is_default")]
    pub inclusion_regexps: Vec<String>,
}

/// Headers that the proxy adds.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyHeaders {
    #[serde(alias = "forwarded_client_cert", skip_serializing_if = "is_default")]
    pub forwarded_client_cert: ForwardClientCertDetails,
    #[serde(alias = "set_current_client_cert_details", skip_serializing_if = "is_default")]
    pub set_current_client_cert_details: Option<CurrentClientCertDetails>,
    #[serde(alias = "request_id", skip_serializing_if = "is_default")]
    pub request_id: Option<HeaderSwitch>,
    #[serde(skip_serializing_if = "is_default")]
    pub server: Option<ServerHeader>,
    #[serde(alias = "attempt_count", skip_serializing_if = "is_default")]
    pub attempt_count: Option<HeaderSwitch>,
    #[serde(alias = "envoy_debug_headers", skip_serializing_if = "is_default")]
    pub envoy_debug_headers: Option<HeaderSwitch>,
    #[serde(alias = "metadata_exchange_headers", skip_serializing_if = "is_default")]
    pub metadata_exchange_headers: Option<MetadataExchangeHeaders>,
    #[serde(alias = "preserve_http1_header_case", skip_serializing_if = "is_default")]
    pub preserve_http1_header_case: Option<bool>,
    #[serde(alias = "x_forwarded_host", skip_serializing_if = "is_default")]
    pub x_forwarded_host: Option<EnabledSwitch>,
    #[serde(alias = "x_forwarded_port", skip_serializing_if = "is_default")]
    pub x_forwarded_port: Option<EnabledSwitch>,
}

/// Parts of the client certificate that are passed on.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CurrentClientCertDetails {
    #[serde(skip_serializing_if = "is_default")]
    pub subject: Option<bool>,
    #[serde(skip_serializing_if = "is_default")]
    pub cert: Option<bool>,
    #[serde(skip_serializing_if = "is_default")]
    pub chain: Option<bool>,
    #[serde(skip_serializing_if = "is_default")]
    pub dns: Option<bool>,
    #[serde(skip_serializing_if = "is_default")]
    pub uri: Option<bool>,
}

/// A header that is on unless disabled.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HeaderSwitch {
    #[serde(skip_serializing_if = "is_default")]
    pub disabled: Option<bool>,
}

/// A header that is off unless enabled.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnabledSwitch {
    #[serde(skip_serializing_if = "is_default")]
    pub enabled: Option<bool>,
}

/// The `server` header.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServerHeader {
    #[serde(skip_serializing_if = "is_default")]
    pub disabled: Option<bool>,
    #[serde(skip_serializing_if = "is_default")]
    pub value: String,
}

/// Peer metadata in headers.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MetadataExchangeHeaders {
    #[serde(skip_serializing_if = "is_default")]
    pub mode: MetadataExchangeMode,
}

/// Where metadata headers are sent.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum MetadataExchangeMode {
    #[default]
    #[serde(rename = "UNDEFINED")]
    Undefined,
    #[serde(rename = "IN_MESH")]
    InMesh,
}
