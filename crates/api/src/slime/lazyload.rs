//! Settings of Slime's lazyload module, with our own beside them.
//!
//! - Every field of the module is known, so that its settings can be taken as they are; what each
//!   does here, or what to use instead, is said where they take effect (`snapshot::FencingSettings`).
//! - A field that is `null` is absent, as Slime has it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Duration, is_default, null_is_absent};

/// The module's `general` section, and what is ours: `mode`, `withoutOnDemand`, `gateway`,
/// `expireWait`, `service` and `prometheus`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LazyloadSettings {
    /// How much fenced workloads are sent that do not say so themselves.
    #[serde(skip_serializing_if = "is_default")]
    pub mode: Option<String>,
    /// What takes the place of `on-demand` for proxies that cannot ask at their first calls.
    #[serde(alias = "without_on_demand", skip_serializing_if = "is_default")]
    pub without_on_demand: Option<String>,
    /// The gateway that has the whole mesh.
    #[serde(skip_serializing_if = "is_default")]
    pub gateway: Option<LazyGatewaySettings>,
    /// How long a dependency stays that nothing asks for any more.
    #[serde(alias = "expire_wait", skip_serializing_if = "is_default")]
    pub expire_wait: Option<Duration>,
    /// `global.service` of Slime: the label with the name of a fence; `app` unless set.
    #[serde(skip_serializing_if = "is_default")]
    pub service: Option<String>,
    #[serde(alias = "wormhole_port", skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub wormhole_port: Vec<serde_json::Value>,
    #[serde(alias = "auto_port", skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub auto_port: bool,
    #[serde(alias = "cleanup_wormhole_port", skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub cleanup_wormhole_port: bool,
    #[serde(alias = "auto_fence", skip_serializing_if = "is_default")]
    pub auto_fence: Option<bool>,
    #[serde(alias = "default_fence", skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub default_fence: bool,
    #[serde(alias = "fence_label_key_alias", skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub fence_label_key_alias: String,
    #[serde(skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub namespace: Vec<String>,
    #[serde(alias = "global_sidecar_mode", skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub global_sidecar_mode: String,
    #[serde(alias = "cluster_gs_namespace", skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub cluster_gs_namespace: String,
    #[serde(alias = "metric_source_type", skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub metric_source_type: String,
    /// Ours: a Prometheus that is asked who calls whom.
    #[serde(skip_serializing_if = "is_default")]
    pub prometheus: Option<PrometheusSettings>,
    #[serde(skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub dispatches: Vec<DispatchSettings>,
    #[serde(alias = "domain_aliases", skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub domain_aliases: Vec<DomainAliasSettings>,
    #[serde(alias = "stable_host", skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub stable_host: Vec<String>,
    #[serde(alias = "enable_short_domain", skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub enable_short_domain: bool,
    #[serde(alias = "passthrough_by_default", skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub passthrough_by_default: bool,
    #[serde(alias = "disable_ipv4_passthrough", skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub disable_ipv4_passthrough: bool,
    #[serde(alias = "support_h2", skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub support_h2: bool,
    #[serde(alias = "add_env_header_via_lua", skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub add_env_header_via_lua: bool,
    #[serde(alias = "management_selectors", skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub management_selectors: Vec<NamespaceSelectorSettings>,
    #[serde(alias = "black_namespace_list", skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub black_namespace_list: String,
    #[serde(alias = "white_namespace_list", skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub white_namespace_list: String,
    #[serde(alias = "proxy_version", skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub proxy_version: String,
    #[serde(skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub render: String,
}

/// A Prometheus that is asked who calls whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PrometheusSettings {
    /// `http://prometheus.monitoring:9090`, with a path where its API is below one.
    #[serde(skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub url: String,
    /// The time between two questions.
    #[serde(skip_serializing_if = "is_default")]
    pub interval: Option<Duration>,
    /// How long an answer may take.
    #[serde(skip_serializing_if = "is_default")]
    pub timeout: Option<Duration>,
    /// An expression that gives the calls of the last `$range`, by caller and callee.
    #[serde(skip_serializing_if = "is_default")]
    pub query: Option<String>,
    /// A file with a token that is shown to Prometheus.
    #[serde(alias = "bearer_token_file", skip_serializing_if = "is_default")]
    pub bearer_token_file: Option<String>,
}

/// The Service of the gateway that has the whole mesh.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LazyGatewaySettings {
    /// In full: `lazy-gateway.mesh.svc.cluster.local`.
    #[serde(skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub host: String,
    /// Of the Service and of the gateway itself; 15080 unless set.
    #[serde(skip_serializing_if = "is_default")]
    pub port: Option<u16>,
    /// Of the gateway's pods; the name of the Service unless set.
    #[serde(alias = "service_account", skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub service_account: String,
}

/// Where calls of some unknown hosts go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DispatchSettings {
    #[serde(skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub name: String,
    #[serde(skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub domains: Vec<String>,
    /// A cluster of Envoy, `PassthroughCluster`, or `_GLOBAL_SIDECAR`.
    #[serde(skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub cluster: String,
    #[serde(alias = "domain_regex", skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub domain_regex: String,
}

/// Further names of hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DomainAliasSettings {
    #[serde(skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub pattern: String,
    /// Slime's own examples write `template`.
    #[serde(alias = "template", skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub templates: Vec<String>,
}

/// Kubernetes' selector over the labels of Namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NamespaceSelectorSettings {
    #[serde(alias = "match_labels", skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub match_labels: BTreeMap<String, String>,
    #[serde(alias = "match_expressions", skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub match_expressions: Vec<LabelExpressionSettings>,
}

/// What must hold for one label.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LabelExpressionSettings {
    #[serde(skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    #[serde(skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub operator: String,
    #[serde(skip_serializing_if = "is_default")]
    #[serde(deserialize_with = "null_is_absent")]
    pub values: Vec<String>,
}

#[cfg(test)]
mod tests;
