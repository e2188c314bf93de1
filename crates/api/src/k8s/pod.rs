//! Pod, as far as the mesh reads it.

use serde::{Deserialize, Serialize};

use crate::is_default;

/// A Kubernetes Pod.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Pod {
    #[serde(skip_serializing_if = "is_default")]
    pub spec: PodSpec,
    #[serde(skip_serializing_if = "is_default")]
    pub status: PodStatus,
}

/// What is wanted.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    #[serde(alias = "service_account_name", skip_serializing_if = "is_default")]
    pub service_account_name: String,
    #[serde(alias = "node_name", skip_serializing_if = "is_default")]
    pub node_name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub hostname: String,
    #[serde(skip_serializing_if = "is_default")]
    pub subdomain: String,
    #[serde(alias = "host_network", skip_serializing_if = "is_default")]
    pub host_network: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub containers: Vec<Container>,
    #[serde(alias = "init_containers", skip_serializing_if = "is_default")]
    pub init_containers: Vec<Container>,
}

/// One container.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub ports: Vec<ContainerPort>,
    #[serde(alias = "restart_policy", skip_serializing_if = "is_default")]
    pub restart_policy: String,
}

/// A port that the container names.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerPort {
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    #[serde(alias = "container_port", skip_serializing_if = "is_default")]
    pub container_port: i32,
    #[serde(skip_serializing_if = "is_default")]
    pub protocol: String,
}

/// What is.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    #[serde(skip_serializing_if = "is_default")]
    pub phase: String,
    #[serde(rename = "podIP", alias = "pod_ip", skip_serializing_if = "is_default")]
    pub pod_ip: String,
    #[serde(rename = "podIPs", alias = "pod_ips", skip_serializing_if = "is_default")]
    pub pod_ips: Vec<PodIp>,
    #[serde(rename = "hostIP", alias = "host_ip", skip_serializing_if = "is_default")]
    pub host_ip: String,
    #[serde(skip_serializing_if = "is_default")]
    pub conditions: Vec<PodCondition>,
}

/// One address.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodIp {
    #[serde(skip_serializing_if = "is_default")]
    pub ip: String,
}

/// One condition, such as `Ready`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodCondition {
    #[serde(skip_serializing_if = "is_default")]
    pub type_: String,
    #[serde(skip_serializing_if = "is_default")]
    pub status: String,
}
