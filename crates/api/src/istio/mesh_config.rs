//! MeshConfig: settings of the whole mesh.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    Duration, is_default, istio::extension_provider::ExtensionProvider,
    istio::load_balancer::LocalityLbSetting, istio::mesh_proxy_config::MeshProxyConfig,
    istio::traffic_policy::ClientTlsSettings, istio::traffic_policy::ConnectionPoolSettings,
    istio::traffic_policy::OutlierDetection, istio::traffic_policy::TcpKeepalive,
    istio::virtual_service::HttpRetry,
};

/// The mesh configuration. What is absent has Istio's default, which is not filled in here.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MeshConfig {
    #[serde(alias = "proxy_listen_port", skip_serializing_if = "is_default")]
    pub proxy_listen_port: i32,
    #[serde(alias = "proxy_inbound_listen_port", skip_serializing_if = "is_default")]
    pub proxy_inbound_listen_port: i32,
    #[serde(alias = "proxy_http_port", skip_serializing_if = "is_default")]
    pub proxy_http_port: i32,
    #[serde(alias = "connect_timeout", skip_serializing_if = "is_default")]
    pub connect_timeout: Option<Duration>,
    #[serde(alias = "protocol_detection_timeout", skip_serializing_if = "is_default")]
    pub protocol_detection_timeout: Option<Duration>,
    #[serde(alias = "tcp_keepalive", skip_serializing_if = "is_default")]
    pub tcp_keepalive: Option<TcpKeepalive>,
    #[serde(alias = "ingress_class", skip_serializing_if = "is_default")]
    pub ingress_class: String,
    #[serde(alias = "ingress_service", skip_serializing_if = "is_default")]
    pub ingress_service: String,
    #[serde(alias = "ingress_controller_mode", skip_serializing_if = "is_default")]
    pub ingress_controller_mode: IngressControllerMode,
    #[serde(alias = "ingress_selector", skip_serializing_if = "is_default")]
    pub ingress_selector: String,
    #[serde(alias = "enable_tracing", skip_serializing_if = "is_default")]
    pub enable_tracing: bool,
    #[serde(alias = "access_log_file", skip_serializing_if = "is_default")]
    pub access_log_file: String,
    #[serde(alias = "access_log_format", skip_serializing_if = "is_default")]
    pub access_log_format: String,
    #[serde(alias = "access_log_encoding", skip_serializing_if = "is_default")]
    pub access_log_encoding: AccessLogEncoding,
    #[serde(alias = "enable_envoy_access_log_service", skip_serializing_if = "is_default")]
    pub enable_envoy_access_log_service: bool,
    #[serde(alias = "disable_envoy_listener_log", skip_serializing_if = "is_default")]
    pub disable_envoy_listener_log: bool,
    #[serde(alias = "default_config", skip_serializing_if = "is_default")]
    pub default_config: Option<MeshProxyConfig>,
    #[serde(alias = "outbound_traffic_policy", skip_serializing_if = "is_default")]
    pub outbound_traffic_policy: Option<MeshOutboundTrafficPolicy>,
    #[serde(alias = "inbound_traffic_policy", skip_serializing_if = "is_default")]
    pub inbound_traffic_policy: Option<MeshInboundTrafficPolicy>,
    #[serde(alias = "config_sources", skip_serializing_if = "is_default")]
    pub config_sources: Vec<serde_json::Value>,
    #[serde(alias = "enable_auto_mtls", skip_serializing_if = "is_default")]
    pub enable_auto_mtls: Option<bool>,
    #[serde(alias = "trust_domain", skip_serializing_if = "is_default")]
    pub trust_domain: String,
    #[serde(alias = "trust_domain_aliases", skip_serializing_if = "is_default")]
    pub trust_domain_aliases: Vec<String>,
    #[serde(alias = "ca_certificates", skip_serializing_if = "is_default")]
    pub ca_certificates: Vec<CertificateData>,
    #[serde(alias = "default_service_export_to", skip_serializing_if = "is_default")]
    pub default_service_export_to: Vec<String>,
    #[serde(alias = "default_virtual_service_export_to", skip_serializing_if = "is_default")]
    pub default_virtual_service_export_to: Vec<String>,
    #[serde(alias = "default_destination_rule_export_to", skip_serializing_if = "is_default")]
    pub default_destination_rule_export_to: Vec<String>,
    #[serde(alias = "root_namespace", skip_serializing_if = "is_default")]
    pub root_namespace: String,
    #[serde(alias = "locality_lb_setting", skip_serializing_if = "is_default")]
    pub locality_lb_setting: Option<LocalityLbSetting>,
    #[serde(alias = "dns_refresh_rate", skip_serializing_if = "is_default")]
    pub dns_refresh_rate: Option<Duration>,
    #[serde(alias = "h2_upgrade_policy", skip_serializing_if = "is_default")]
    pub h2_upgrade_policy: MeshH2UpgradePolicy,
    #[serde(alias = "inbound_cluster_stat_name", skip_serializing_if = "is_default")]
    pub inbound_cluster_stat_name: String,
    #[serde(alias = "outbound_cluster_stat_name", skip_serializing_if = "is_default")]
    pub outbound_cluster_stat_name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub certificates: Vec<serde_json::Value>,
    #[serde(alias = "thrift_config", skip_serializing_if = "is_default")]
    pub thrift_config: Option<serde_json::Value>,
    #[serde(alias = "enable_prometheus_merge", skip_serializing_if = "is_default")]
    pub enable_prometheus_merge: Option<bool>,
    #[serde(alias = "verify_certificate_at_client", skip_serializing_if = "is_default")]
    pub verify_certificate_at_client: Option<bool>,
    #[serde(skip_serializing_if = "is_default")]
    pub ca: Option<CertificateAuthority>,
    #[serde(alias = "extension_providers", skip_serializing_if = "is_default")]
    pub extension_providers: Vec<ExtensionProvider>,
    #[serde(alias = "default_providers", skip_serializing_if = "is_default")]
    pub default_providers: Option<DefaultProviders>,
    #[serde(alias = "discovery_selectors", skip_serializing_if = "is_default")]
    pub discovery_selectors: Vec<MeshLabelSelector>,
    #[serde(alias = "path_normalization", skip_serializing_if = "is_default")]
    pub path_normalization: Option<ProxyPathNormalization>,
    #[serde(alias = "default_http_retry_policy", skip_serializing_if = "is_default")]
    pub default_http_retry_policy: Option<HttpRetry>,
    #[serde(alias = "default_inbound_http_retry_policy", skip_serializing_if = "is_default")]
    pub default_inbound_http_retry_policy: Option<HttpRetry>,
    #[serde(
        rename = "meshMTLS",
        alias = "mesh_mtls",
        alias = "mesh_mTLS",
        skip_serializing_if = "is_default"
    )]
    pub mesh_mtls: Option<TlsConfig>,
    #[serde(alias = "tls_defaults", skip_serializing_if = "is_default")]
    pub tls_defaults: Option<TlsConfig>,
    #[serde(alias = "service_settings", skip_serializing_if = "is_default")]
    pub service_settings: Vec<ServiceSettings>,
    #[serde(alias = "service_scope_configs", skip_serializing_if = "is_default")]
    pub service_scope_configs: Vec<serde_json::Value>,
    #[serde(alias = "default_traffic_policy", skip_serializing_if = "is_default")]
    pub default_traffic_policy: Option<Arc<DefaultTrafficPolicy>>,
    #[serde(alias = "service_entry_visibility", skip_serializing_if = "is_default")]
    pub service_entry_visibility: Option<serde_json::Value>,
    #[serde(alias = "zone_aware_lb_setting", skip_serializing_if = "is_default")]
    pub zone_aware_lb_setting: Option<serde_json::Value>,
    #[serde(alias = "connection_settings", skip_serializing_if = "is_default")]
    pub connection_settings: Option<serde_json::Value>,
}

/// The parts of a traffic policy that hold where no DestinationRule has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DefaultTrafficPolicy {
    #[serde(alias = "connection_pool", skip_serializing_if = "is_default")]
    pub connection_pool: Option<ConnectionPoolSettings>,
    #[serde(alias = "outlier_detection", skip_serializing_if = "is_default")]
    pub outlier_detection: Option<OutlierDetection>,
}

/// Which Ingress objects count.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum IngressControllerMode {
    #[default]
    #[serde(rename = "UNSPECIFIED")]
    Unspecified,
    #[serde(rename = "OFF")]
    Off,
    #[serde(rename = "DEFAULT")]
    Default,
    #[serde(rename = "STRICT")]
    Strict,
}

/// Form of the access log.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum AccessLogEncoding {
    #[default]
    #[serde(rename = "TEXT")]
    Text,
    #[serde(rename = "JSON")]
    Json,
}

/// Whether HTTP/1.1 is sent on as HTTP/2.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum MeshH2UpgradePolicy {
    #[default]
    #[serde(rename = "DO_NOT_UPGRADE")]
    DoNotUpgrade,
    #[serde(rename = "UPGRADE")]
    Upgrade,
}

/// What happens to calls of unknown services.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MeshOutboundTrafficPolicy {
    #[serde(skip_serializing_if = "is_default")]
    pub mode: MeshOutboundMode,
}

/// Refuse unknown destinations or let them pass.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum MeshOutboundMode {
    #[default]
    #[serde(rename = "REGISTRY_ONLY")]
    RegistryOnly,
    #[serde(rename = "ALLOW_ANY")]
    AllowAny,
    #[serde(rename = "ALLOW_ANY_DYNAMIC_DNS")]
    AllowAnyDynamicDns,
}

/// Where inbound traffic of unknown ports goes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MeshInboundTrafficPolicy {
    #[serde(skip_serializing_if = "is_default")]
    pub mode: MeshInboundMode,
}

/// Address that inbound traffic is sent on to.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum MeshInboundMode {
    #[default]
    #[serde(rename = "PASSTHROUGH")]
    Passthrough,
    #[serde(rename = "LOCALHOST")]
    Localhost,
}

/// Further roots of trust, by one of two means.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CertificateData {
    #[serde(skip_serializing_if = "is_default")]
    pub pem: Option<String>,
    #[serde(alias = "spiffe_bundle_url", skip_serializing_if = "is_default")]
    pub spiffe_bundle_url: Option<String>,
    #[serde(alias = "cert_signers", skip_serializing_if = "is_default")]
    pub cert_signers: Vec<String>,
    #[serde(alias = "trust_domains", skip_serializing_if = "is_default")]
    pub trust_domains: Vec<String>,
}

/// An authority other than our own.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CertificateAuthority {
    #[serde(skip_serializing_if = "is_default")]
    pub address: String,
    #[serde(alias = "tls_settings", skip_serializing_if = "is_default")]
    pub tls_settings: Option<ClientTlsSettings>,
    #[serde(alias = "request_timeout", skip_serializing_if = "is_default")]
    pub request_timeout: Option<Duration>,
    #[serde(alias = "istiod_side", skip_serializing_if = "is_default")]
    pub istiod_side: Option<bool>,
}

/// Providers that apply where no Telemetry says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DefaultProviders {
    #[serde(skip_serializing_if = "is_default")]
    pub tracing: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub metrics: Vec<String>,
    #[serde(alias = "access_logging", skip_serializing_if = "is_default")]
    pub access_logging: Vec<String>,
}

/// A Kubernetes label selector.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MeshLabelSelector {
    #[serde(alias = "match_labels", skip_serializing_if = "is_default")]
    pub match_labels: BTreeMap<String, String>,
    #[serde(alias = "match_expressions", skip_serializing_if = "is_default")]
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

/// One requirement on a label.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelectorRequirement {
    #[serde(skip_serializing_if = "is_default")]
    pub key: String,
    #[serde(skip_serializing_if = "is_default")]
    pub operator: String,
    #[serde(skip_serializing_if = "is_default")]
    pub values: Vec<String>,
}

/// How paths are made canonical.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyPathNormalization {
    #[serde(skip_serializing_if = "is_default")]
    pub normalization: NormalizationType,
}

/// Steps of path normalization.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum NormalizationType {
    #[default]
    #[serde(rename = "DEFAULT")]
    Default,
    #[serde(rename = "NONE")]
    None,
    #[serde(rename = "BASE")]
    Base,
    #[serde(rename = "MERGE_SLASHES")]
    MergeSlashes,
    #[serde(rename = "DECODE_AND_MERGE_SLASHES")]
    DecodeAndMergeSlashes,
}

/// Limits of TLS.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsConfig {
    #[serde(alias = "min_protocol_version", skip_serializing_if = "is_default")]
    pub min_protocol_version: MeshTlsProtocol,
    #[serde(alias = "ecdh_curves", skip_serializing_if = "is_default")]
    pub ecdh_curves: Vec<String>,
    #[serde(alias = "cipher_suites", skip_serializing_if = "is_default")]
    pub cipher_suites: Vec<String>,
}

/// Version of TLS.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum MeshTlsProtocol {
    #[default]
    #[serde(rename = "TLS_AUTO")]
    TlsAuto,
    #[serde(rename = "TLSV1_2")]
    Tlsv1_2,
    #[serde(rename = "TLSV1_3")]
    Tlsv1_3,
}

/// Settings of the services with these hosts.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSettings {
    #[serde(skip_serializing_if = "is_default")]
    pub settings: Option<ServiceSettingsValues>,
    #[serde(skip_serializing_if = "is_default")]
    pub hosts: Vec<String>,
}

/// The settings.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSettingsValues {
    #[serde(alias = "cluster_local", skip_serializing_if = "is_default")]
    pub cluster_local: bool,
}
