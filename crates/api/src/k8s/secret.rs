//! Secret: certificates and keys of gateways.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Bytes, is_default};

/// A Kubernetes Secret. Its values must not be printed.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Secret {
    #[serde(skip_serializing_if = "is_default")]
    pub type_: String,
    #[serde(skip_serializing_if = "is_default")]
    pub data: BTreeMap<String, Bytes>,
    #[serde(alias = "string_data", skip_serializing_if = "is_default")]
    pub string_data: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "is_default")]
    pub immutable: Option<bool>,
}
