//! Node: where pods run. Its place is in its labels.

use serde::{Deserialize, Serialize};

use crate::is_default;

/// A Kubernetes Node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Node {
    #[serde(skip_serializing_if = "is_default")]
    pub spec: NodeSpec,
    #[serde(skip_serializing_if = "is_default")]
    pub status: NodeStatus,
}

/// What is wanted.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSpec {
    #[serde(rename = "providerID", alias = "provider_id", skip_serializing_if = "is_default")]
    pub provider_id: String,
    #[serde(skip_serializing_if = "is_default")]
    pub unschedulable: bool,
}

/// What is.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeStatus {
    #[serde(skip_serializing_if = "is_default")]
    pub addresses: Vec<NodeAddress>,
}

/// One address.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeAddress {
    #[serde(skip_serializing_if = "is_default")]
    pub type_: String,
    #[serde(skip_serializing_if = "is_default")]
    pub address: String,
}
