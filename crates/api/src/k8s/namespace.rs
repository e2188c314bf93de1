//! Namespace. What the mesh reads is in its labels.

use serde::{Deserialize, Serialize};

use crate::is_default;

/// A Kubernetes Namespace.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Namespace {
    #[serde(skip_serializing_if = "is_default")]
    pub status: NamespaceStatus,
}

/// What is.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NamespaceStatus {
    #[serde(skip_serializing_if = "is_default")]
    pub phase: String,
}
