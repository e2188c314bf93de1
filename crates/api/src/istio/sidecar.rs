//! Sidecar: what a workload may see of the mesh, and how it is reached.

use serde::{Deserialize, Serialize};

use crate::{
    is_default, istio::WorkloadSelector, istio::gateway::ServerTlsSettings,
    istio::traffic_policy::ConnectionPoolSettings, istio::virtual_service::Destination,
};

/// Listeners and visibility of the selected workloads.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Sidecar {
    #[serde(alias = "workload_selector", skip_serializing_if = "is_default")]
    pub workload_selector: Option<WorkloadSelector>,
    #[serde(skip_serializing_if = "is_default")]
    pub ingress: Vec<IstioIngressListener>,
    #[serde(skip_serializing_if = "is_default")]
    pub egress: Vec<IstioEgressListener>,
    #[serde(alias = "inbound_connection_pool", skip_serializing_if = "is_default")]
    pub inbound_connection_pool: Option<ConnectionPoolSettings>,
    #[serde(alias = "outbound_traffic_policy", skip_serializing_if = "is_default")]
    pub outbound_traffic_policy: Option<OutboundTrafficPolicy>,
}

/// A port that the workload accepts traffic on.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IstioIngressListener {
    #[serde(skip_serializing_if = "is_default")]
    pub port: Option<SidecarPort>,
    #[serde(skip_serializing_if = "is_default")]
    pub bind: String,
    #[serde(alias = "capture_mode", skip_serializing_if = "is_default")]
    pub capture_mode: CaptureMode,
    #[serde(alias = "default_endpoint", skip_serializing_if = "is_default")]
    pub default_endpoint: String,
    #[serde(skip_serializing_if = "is_default")]
    pub tls: Option<ServerTlsSettings>,
    #[serde(alias = "connection_pool", skip_serializing_if = "is_default")]
    pub connection_pool: Option<ConnectionPoolSettings>,
}

/// Services that the workload may call, maybe through one listener only.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IstioEgressListener {
    #[serde(skip_serializing_if = "is_default")]
    pub port: Option<SidecarPort>,
    #[serde(skip_serializing_if = "is_default")]
    pub bind: String,
    #[serde(alias = "capture_mode", skip_serializing_if = "is_default")]
    pub capture_mode: CaptureMode,
    #[serde(skip_serializing_if = "is_default")]
    pub hosts: Vec<String>,
}

/// A port of a listener.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SidecarPort {
    #[serde(skip_serializing_if = "is_default")]
    pub number: u32,
    #[serde(skip_serializing_if = "is_default")]
    pub protocol: String,
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    #[serde(alias = "target_port", skip_serializing_if = "is_default")]
    pub target_port: u32,
}

/// How traffic gets to the listener.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum CaptureMode {
    #[default]
    #[serde(rename = "DEFAULT")]
    Default,
    #[serde(rename = "IPTABLES")]
    Iptables,
    #[serde(rename = "NONE")]
    None,
}

/// What happens to calls of unknown services.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OutboundTrafficPolicy {
    #[serde(skip_serializing_if = "is_default")]
    pub mode: OutboundTrafficPolicyMode,
    #[serde(alias = "egress_proxy", skip_serializing_if = "is_default")]
    pub egress_proxy: Option<Destination>,
}

/// Refuse unknown destinations or let them pass.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum OutboundTrafficPolicyMode {
    #[default]
    #[serde(rename = "REGISTRY_ONLY")]
    RegistryOnly,
    #[serde(rename = "ALLOW_ANY")]
    AllowAny,
}
