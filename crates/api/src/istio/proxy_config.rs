//! ProxyConfig: settings of the selected proxies that take effect when they start.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{is_default, istio::LabelSelector};

/// Start settings of proxies.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyConfig {
    #[serde(skip_serializing_if = "is_default")]
    pub selector: Option<LabelSelector>,
    #[serde(skip_serializing_if = "is_default")]
    pub concurrency: Option<i32>,
    #[serde(alias = "environment_variables", skip_serializing_if = "is_default")]
    pub environment_variables: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "is_default")]
    pub image: Option<ProxyImage>,
}

/// The kind of image.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyImage {
    #[serde(alias = "image_type", skip_serializing_if = "is_default")]
    pub image_type: String,
}
