//! Endpoints: the old form of EndpointSlice.

use serde::{Deserialize, Serialize};

use crate::{is_default, k8s::ObjectReference};

/// All endpoints of the Service with the same name.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Endpoints {
    #[serde(skip_serializing_if = "is_default")]
    pub subsets: Vec<EndpointSubset>,
}

/// Addresses that have the same ports.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointSubset {
    #[serde(skip_serializing_if = "is_default")]
    pub addresses: Vec<EndpointAddress>,
    #[serde(alias = "not_ready_addresses", skip_serializing_if = "is_default")]
    pub not_ready_addresses: Vec<EndpointAddress>,
    #[serde(skip_serializing_if = "is_default")]
    pub ports: Vec<EndpointPort>,
}

/// One endpoint.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointAddress {
    #[serde(skip_serializing_if = "is_default")]
    pub ip: String,
    #[serde(skip_serializing_if = "is_default")]
    pub hostname: String,
    #[serde(alias = "node_name", skip_serializing_if = "is_default")]
    pub node_name: String,
    #[serde(alias = "target_ref", skip_serializing_if = "is_default")]
    pub target_ref: Option<ObjectReference>,
}

/// A port of the subset.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointPort {
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub port: i32,
    #[serde(skip_serializing_if = "is_default")]
    pub protocol: String,
    #[serde(alias = "app_protocol", skip_serializing_if = "is_default")]
    pub app_protocol: String,
}
