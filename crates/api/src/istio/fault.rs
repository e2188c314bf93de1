//! Failures that a VirtualService makes on purpose, and shares of requests.

use serde::{Deserialize, Serialize};

use crate::{Duration, is_default};

/// Failures made on purpose.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpFaultInjection {
    #[serde(skip_serializing_if = "is_default")]
    pub delay: Option<FaultDelay>,
    #[serde(skip_serializing_if = "is_default")]
    pub abort: Option<FaultAbort>,
}

/// Time added before forwarding.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FaultDelay {
    /// Deprecated whole percents.
    #[serde(skip_serializing_if = "is_default")]
    pub percent: i32,
    #[serde(alias = "fixed_delay", skip_serializing_if = "is_default")]
    pub fixed_delay: Option<Duration>,
    #[serde(alias = "exponential_delay", skip_serializing_if = "is_default")]
    pub exponential_delay: Option<Duration>,
    #[serde(skip_serializing_if = "is_default")]
    pub percentage: Option<Percent>,
}

/// An error in place of forwarding. One of the three codes is set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FaultAbort {
    #[serde(alias = "http_status", skip_serializing_if = "is_default")]
    pub http_status: Option<i32>,
    #[serde(alias = "grpc_status", skip_serializing_if = "is_default")]
    pub grpc_status: Option<String>,
    #[serde(alias = "http2_error", alias = "http2_error", skip_serializing_if = "is_default")]
    pub http2_error: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub percentage: Option<Percent>,
}

/// A share from 0.0 to 100.0.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Percent {
    #[serde(skip_serializing_if = "is_default")]
    pub value: f64,
}
