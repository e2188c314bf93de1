//! ServiceEntry: services that Kubernetes does not know.

use serde::{Deserialize, Serialize};

use crate::{is_default, istio::WorkloadSelector, istio::workload_entry::WorkloadEntry};

/// Hosts added to the mesh, with their ports and endpoints.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceEntry {
    #[serde(skip_serializing_if = "is_default")]
    pub hosts: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub addresses: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub ports: Vec<ServicePort>,
    #[serde(skip_serializing_if = "is_default")]
    pub location: Location,
    #[serde(skip_serializing_if = "is_default")]
    pub resolution: Resolution,
    #[serde(skip_serializing_if = "is_default")]
    pub endpoints: Vec<WorkloadEntry>,
    #[serde(alias = "workload_selector", skip_serializing_if = "is_default")]
    pub workload_selector: Option<WorkloadSelector>,
    #[serde(alias = "export_to", skip_serializing_if = "is_default")]
    pub export_to: Vec<String>,
    #[serde(alias = "subject_alt_names", skip_serializing_if = "is_default")]
    pub subject_alt_names: Vec<String>,
}

/// A port of the service.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServicePort {
    #[serde(skip_serializing_if = "is_default")]
    pub number: u32,
    #[serde(skip_serializing_if = "is_default")]
    pub protocol: String,
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    #[serde(alias = "target_port", skip_serializing_if = "is_default")]
    pub target_port: u32,
}

/// Whether the endpoints are part of the mesh.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum Location {
    #[default]
    #[serde(rename = "MESH_EXTERNAL")]
    MeshExternal,
    #[serde(rename = "MESH_INTERNAL")]
    MeshInternal,
}

/// How the proxies find the endpoints.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum Resolution {
    #[default]
    #[serde(rename = "NONE")]
    None,
    #[serde(rename = "STATIC")]
    Static,
    #[serde(rename = "DNS")]
    Dns,
    #[serde(rename = "DNS_ROUND_ROBIN")]
    DnsRoundRobin,
    #[serde(rename = "DYNAMIC_DNS")]
    DynamicDns,
}
