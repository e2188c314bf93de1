//! EndpointSlice: the endpoints of a Service.

use serde::{Deserialize, Serialize};

use crate::{is_default, k8s::ObjectReference};

/// A part of the endpoints; the label `kubernetes.io/service-name` names the Service.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointSlice {
    #[serde(alias = "address_type", skip_serializing_if = "is_default")]
    pub address_type: String,
    #[serde(skip_serializing_if = "is_default")]
    pub endpoints: Vec<Endpoint>,
    #[serde(skip_serializing_if = "is_default")]
    pub ports: Vec<EndpointPort>,
}

/// One endpoint.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Endpoint {
    #[serde(skip_serializing_if = "is_default")]
    pub addresses: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub conditions: EndpointConditions,
    #[serde(skip_serializing_if = "is_default")]
    pub hostname: String,
    #[serde(alias = "target_ref", skip_serializing_if = "is_default")]
    pub target_ref: Option<ObjectReference>,
    #[serde(alias = "node_name", skip_serializing_if = "is_default")]
    pub node_name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub zone: String,
    #[serde(skip_serializing_if = "is_default")]
    pub hints: Option<EndpointHints>,
}

/// State of an endpoint; absent means unknown.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointConditions {
    #[serde(skip_serializing_if = "is_default")]
    pub ready: Option<bool>,
    #[serde(skip_serializing_if = "is_default")]
    pub serving: Option<bool>,
    #[serde(skip_serializing_if = "is_default")]
    pub terminating: Option<bool>,
}

/// Who should use the endpoint.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointHints {
    #[serde(alias = "for_zones", skip_serializing_if = "is_default")]
    pub for_zones: Vec<NamedHint>,
    #[serde(alias = "for_nodes", skip_serializing_if = "is_default")]
    pub for_nodes: Vec<NamedHint>,
}

/// A zone or a node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NamedHint {
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
}

/// A port of all endpoints of the slice.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointPort {
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub port: Option<i32>,
    #[serde(skip_serializing_if = "is_default")]
    pub protocol: String,
    #[serde(alias = "app_protocol", skip_serializing_if = "is_default")]
    pub app_protocol: String,
}
