//! Metadata that every object has.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Timestamp, is_default};

/// Name, labels and age of an object.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectMeta {
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    #[serde(alias = "generate_name", skip_serializing_if = "is_default")]
    pub generate_name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub namespace: String,
    #[serde(skip_serializing_if = "is_default")]
    pub labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "is_default")]
    pub annotations: BTreeMap<String, String>,
    #[serde(alias = "creation_timestamp", skip_serializing_if = "is_default")]
    pub creation_timestamp: Option<Timestamp>,
    #[serde(alias = "deletion_timestamp", skip_serializing_if = "is_default")]
    pub deletion_timestamp: Option<Timestamp>,
    #[serde(alias = "owner_references", skip_serializing_if = "is_default")]
    pub owner_references: Vec<OwnerReference>,
}

/// What an object was made by.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    #[serde(alias = "api_version", skip_serializing_if = "is_default")]
    pub api_version: String,
    #[serde(skip_serializing_if = "is_default")]
    pub kind: String,
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub controller: Option<bool>,
}

impl ObjectMeta {
    /// Creation time in seconds since 1970; 0 when the object has none.
    pub fn created(&self) -> i64 {
        self.creation_timestamp.map_or(0, |time| time.0)
    }
}
