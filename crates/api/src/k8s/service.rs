//! Service, as far as the mesh reads it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{IntOrString, is_default};

/// A Kubernetes Service.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Service {
    #[serde(skip_serializing_if = "is_default")]
    pub spec: ServiceSpec,
    #[serde(skip_serializing_if = "is_default")]
    pub status: ServiceStatus,
}

/// What is wanted.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// `None` for headless services.
    #[serde(rename = "clusterIP", alias = "cluster_ip", skip_serializing_if = "is_default")]
    pub cluster_ip: String,
    #[serde(rename = "clusterIPs", alias = "cluster_ips", skip_serializing_if = "is_default")]
    pub cluster_ips: Vec<String>,
    /// Empty means `ClusterIP`.
    #[serde(skip_serializing_if = "is_default")]
    pub type_: String,
    #[serde(alias = "external_name", skip_serializing_if = "is_default")]
    pub external_name: String,
    #[serde(rename = "externalIPs", alias = "external_ips", skip_serializing_if = "is_default")]
    pub external_ips: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub ports: Vec<ServicePort>,
    #[serde(skip_serializing_if = "is_default")]
    pub selector: BTreeMap<String, String>,
    #[serde(alias = "internal_traffic_policy", skip_serializing_if = "is_default")]
    pub internal_traffic_policy: String,
    #[serde(alias = "external_traffic_policy", skip_serializing_if = "is_default")]
    pub external_traffic_policy: String,
    #[serde(alias = "traffic_distribution", skip_serializing_if = "is_default")]
    pub traffic_distribution: String,
    #[serde(alias = "publish_not_ready_addresses", skip_serializing_if = "is_default")]
    pub publish_not_ready_addresses: bool,
    #[serde(alias = "ip_families", skip_serializing_if = "is_default")]
    pub ip_families: Vec<String>,
    #[serde(alias = "ip_family_policy", skip_serializing_if = "is_default")]
    pub ip_family_policy: String,
    #[serde(alias = "session_affinity", skip_serializing_if = "is_default")]
    pub session_affinity: String,
    #[serde(
        rename = "loadBalancerIP",
        alias = "load_balancer_ip",
        skip_serializing_if = "is_default"
    )]
    pub load_balancer_ip: String,
}

/// A port of the service.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServicePort {
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Empty means `TCP`.
    #[serde(skip_serializing_if = "is_default")]
    pub protocol: String,
    #[serde(alias = "app_protocol", skip_serializing_if = "is_default")]
    pub app_protocol: String,
    #[serde(skip_serializing_if = "is_default")]
    pub port: i32,
    #[serde(alias = "target_port", skip_serializing_if = "is_default")]
    pub target_port: Option<IntOrString>,
    #[serde(alias = "node_port", skip_serializing_if = "is_default")]
    pub node_port: i32,
}

/// What is.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceStatus {
    #[serde(alias = "load_balancer", skip_serializing_if = "is_default")]
    pub load_balancer: LoadBalancerStatus,
}

/// Addresses from outside.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadBalancerStatus {
    #[serde(skip_serializing_if = "is_default")]
    pub ingress: Vec<LoadBalancerIngress>,
}

/// One address from outside.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadBalancerIngress {
    #[serde(skip_serializing_if = "is_default")]
    pub ip: String,
    #[serde(skip_serializing_if = "is_default")]
    pub hostname: String,
}
