//! WasmPlugin: WebAssembly in the filter chain.

use serde::{Deserialize, Serialize};

use crate::{
    is_default, istio::LabelSelector, istio::PolicyTargetReference, istio::telemetry::WorkloadMode,
};

/// One plugin for the selected proxies.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WasmPlugin {
    #[serde(skip_serializing_if = "is_default")]
    pub selector: Option<LabelSelector>,
    #[serde(alias = "target_ref", skip_serializing_if = "is_default")]
    pub target_ref: Option<PolicyTargetReference>,
    #[serde(alias = "target_refs", skip_serializing_if = "is_default")]
    pub target_refs: Vec<PolicyTargetReference>,
    #[serde(skip_serializing_if = "is_default")]
    pub url: String,
    #[serde(skip_serializing_if = "is_default")]
    pub sha256: String,
    #[serde(alias = "image_pull_policy", skip_serializing_if = "is_default")]
    pub image_pull_policy: PullPolicy,
    #[serde(alias = "image_pull_secret", skip_serializing_if = "is_default")]
    pub image_pull_secret: Option<String>,
    #[serde(alias = "verification_key", skip_serializing_if = "is_default")]
    pub verification_key: String,
    #[serde(alias = "plugin_config", skip_serializing_if = "is_default")]
    pub plugin_config: Option<serde_json::Value>,
    #[serde(alias = "plugin_name", skip_serializing_if = "is_default")]
    pub plugin_name: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub phase: PluginPhase,
    #[serde(skip_serializing_if = "is_default")]
    pub priority: Option<i32>,
    #[serde(alias = "fail_strategy", skip_serializing_if = "is_default")]
    pub fail_strategy: FailStrategy,
    #[serde(alias = "vm_config", skip_serializing_if = "is_default")]
    pub vm_config: Option<VmConfig>,
    #[serde(skip_serializing_if = "is_default")]
    pub match_: Vec<TrafficSelector>,
    #[serde(skip_serializing_if = "is_default")]
    pub type_: PluginType,
}

/// When the image is fetched.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum PullPolicy {
    #[default]
    #[serde(rename = "UNSPECIFIED_POLICY")]
    UnspecifiedPolicy,
    IfNotPresent,
    Always,
}

/// Where in the chain.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum PluginPhase {
    #[default]
    #[serde(rename = "UNSPECIFIED_PHASE")]
    UnspecifiedPhase,
    #[serde(rename = "AUTHN")]
    Authn,
    #[serde(rename = "AUTHZ")]
    Authz,
    #[serde(rename = "STATS")]
    Stats,
}

/// What happens when the plugin fails.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum FailStrategy {
    #[default]
    #[serde(rename = "FAIL_CLOSE")]
    FailClose,
    #[serde(rename = "FAIL_OPEN")]
    FailOpen,
    #[serde(rename = "FAIL_RELOAD")]
    FailReload,
}

/// HTTP filter or network filter.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum PluginType {
    #[default]
    #[serde(rename = "UNSPECIFIED_PLUGIN_TYPE")]
    UnspecifiedPluginType,
    #[serde(rename = "HTTP")]
    Http,
    #[serde(rename = "NETWORK")]
    Network,
}

/// Environment of the plugin.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VmConfig {
    #[serde(skip_serializing_if = "is_default")]
    pub env: Vec<EnvVar>,
}

/// One environment variable.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvVar {
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    #[serde(alias = "value_from", skip_serializing_if = "is_default")]
    pub value_from: EnvValueSource,
    #[serde(skip_serializing_if = "is_default")]
    pub value: String,
}

/// Where a value comes from.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum EnvValueSource {
    #[default]
    #[serde(rename = "INLINE")]
    Inline,
    #[serde(rename = "HOST")]
    Host,
}

/// Which traffic the plugin sees.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TrafficSelector {
    #[serde(skip_serializing_if = "is_default")]
    pub mode: WorkloadMode,
    #[serde(skip_serializing_if = "is_default")]
    pub ports: Vec<PortSelector>,
}

/// A port by number.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PortSelector {
    #[serde(skip_serializing_if = "is_default")]
    pub number: u32,
}
