//! PeerAuthentication: whether workloads accept plain text.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{is_default, istio::LabelSelector};

/// Mutual TLS of inbound connections.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PeerAuthentication {
    #[serde(skip_serializing_if = "is_default")]
    pub selector: Option<LabelSelector>,
    #[serde(skip_serializing_if = "is_default")]
    pub mtls: Option<MutualTls>,
    /// Keys are ports of the workload.
    #[serde(alias = "port_level_mtls", skip_serializing_if = "is_default")]
    pub port_level_mtls: Option<BTreeMap<String, MutualTls>>,
}

/// One setting.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MutualTls {
    #[serde(skip_serializing_if = "is_default")]
    pub mode: MutualTlsMode,
}

/// What is accepted.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum MutualTlsMode {
    #[default]
    #[serde(rename = "UNSET")]
    Unset,
    #[serde(rename = "DISABLE")]
    Disable,
    #[serde(rename = "PERMISSIVE")]
    Permissive,
    #[serde(rename = "STRICT")]
    Strict,
}
