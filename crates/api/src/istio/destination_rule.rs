//! DestinationRule: how clients talk to a service once a route has chosen it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{is_default, istio::LabelSelector, istio::traffic_policy::TrafficPolicy};

/// Policies for the traffic to a host, and its subsets.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DestinationRule {
    #[serde(skip_serializing_if = "is_default")]
    pub host: String,
    #[serde(alias = "traffic_policy", skip_serializing_if = "is_default")]
    pub traffic_policy: Option<TrafficPolicy>,
    #[serde(skip_serializing_if = "is_default")]
    pub subsets: Vec<Subset>,
    #[serde(alias = "export_to", skip_serializing_if = "is_default")]
    pub export_to: Vec<String>,
    /// Clients that the rule applies to.
    #[serde(alias = "workload_selector", skip_serializing_if = "is_default")]
    pub workload_selector: Option<LabelSelector>,
}

/// A named part of the endpoints.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Subset {
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub labels: BTreeMap<String, String>,
    #[serde(alias = "traffic_policy", skip_serializing_if = "is_default")]
    pub traffic_policy: Option<TrafficPolicy>,
}
