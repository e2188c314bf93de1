//! ConfigMap: roots of trust and the mesh configuration.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Bytes, is_default};

/// A Kubernetes ConfigMap.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigMap {
    #[serde(skip_serializing_if = "is_default")]
    pub data: BTreeMap<String, String>,
    #[serde(alias = "binary_data", skip_serializing_if = "is_default")]
    pub binary_data: BTreeMap<String, Bytes>,
    #[serde(skip_serializing_if = "is_default")]
    pub immutable: Option<bool>,
}
