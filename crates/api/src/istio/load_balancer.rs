//! Load balancing settings of a DestinationRule or of the whole mesh.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Duration, is_default};

/// How an endpoint is picked. `simple` and `consistent_hash` exclude each other.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadBalancerSettings {
    #[serde(skip_serializing_if = "is_default")]
    pub simple: Option<SimpleLb>,
    #[serde(alias = "consistent_hash", skip_serializing_if = "is_default")]
    pub consistent_hash: Option<ConsistentHashLb>,
    #[serde(alias = "locality_lb_setting", skip_serializing_if = "is_default")]
    pub locality_lb_setting: Option<LocalityLbSetting>,
    #[serde(alias = "warmup_duration_secs", skip_serializing_if = "is_default")]
    pub warmup_duration_secs: Option<Duration>,
    #[serde(skip_serializing_if = "is_default")]
    pub warmup: Option<WarmupConfiguration>,
    #[serde(alias = "zone_aware_lb_setting", skip_serializing_if = "is_default")]
    pub zone_aware_lb_setting: Option<serde_json::Value>,
}

/// Policies without state; `LEAST_CONN` is the old name of `LEAST_REQUEST`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum SimpleLb {
    #[default]
    #[serde(rename = "UNSPECIFIED")]
    Unspecified,
    #[serde(rename = "LEAST_CONN")]
    LeastConn,
    #[serde(rename = "RANDOM")]
    Random,
    #[serde(rename = "PASSTHROUGH")]
    Passthrough,
    #[serde(rename = "ROUND_ROBIN")]
    RoundRobin,
    #[serde(rename = "LEAST_REQUEST")]
    LeastRequest,
}

/// The same key goes to the same endpoint.
/// One key is set, and at most one algorithm.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsistentHashLb {
    #[serde(alias = "http_header_name", skip_serializing_if = "is_default")]
    pub http_header_name: Option<String>,
    #[serde(alias = "http_cookie", skip_serializing_if = "is_default")]
    pub http_cookie: Option<HttpCookie>,
    #[serde(alias = "use_source_ip", skip_serializing_if = "is_default")]
    pub use_source_ip: Option<bool>,
    #[serde(alias = "http_query_parameter_name", skip_serializing_if = "is_default")]
    pub http_query_parameter_name: Option<String>,
    #[serde(alias = "ring_hash", skip_serializing_if = "is_default")]
    pub ring_hash: Option<RingHash>,
    #[serde(skip_serializing_if = "is_default")]
    pub maglev: Option<MagLev>,
    /// Deprecated place of `ring_hash.minimum_ring_size`.
    #[serde(alias = "minimum_ring_size", skip_serializing_if = "is_default")]
    pub minimum_ring_size: i64,
}

/// A cookie that holds the key, made by the proxy when `ttl` is set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpCookie {
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub path: String,
    #[serde(skip_serializing_if = "is_default")]
    pub ttl: Option<Duration>,
    #[serde(skip_serializing_if = "is_default")]
    pub attributes: Vec<CookieAttribute>,
}

/// An attribute of a cookie that the proxy makes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CookieAttribute {
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub value: String,
}

/// Ketama ring.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RingHash {
    #[serde(alias = "minimum_ring_size", skip_serializing_if = "is_default")]
    pub minimum_ring_size: i64,
}

/// Maglev table.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MagLev {
    #[serde(alias = "table_size", skip_serializing_if = "is_default")]
    pub table_size: i64,
}

/// New endpoints get their share little by little.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WarmupConfiguration {
    #[serde(skip_serializing_if = "is_default")]
    pub duration: Option<Duration>,
    #[serde(alias = "minimum_percent", skip_serializing_if = "is_default")]
    pub minimum_percent: Option<f64>,
    #[serde(skip_serializing_if = "is_default")]
    pub aggression: Option<f64>,
}

/// Preferences among localities.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LocalityLbSetting {
    #[serde(skip_serializing_if = "is_default")]
    pub distribute: Vec<LocalityDistribute>,
    #[serde(skip_serializing_if = "is_default")]
    pub failover: Vec<LocalityFailover>,
    #[serde(alias = "failover_priority", skip_serializing_if = "is_default")]
    pub failover_priority: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub enabled: Option<bool>,
}

/// Where the traffic of a locality goes, in percents.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LocalityDistribute {
    #[serde(skip_serializing_if = "is_default")]
    pub from: String,
    #[serde(skip_serializing_if = "is_default")]
    pub to: BTreeMap<String, u32>,
}

/// The region that steps in for a region.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LocalityFailover {
    #[serde(skip_serializing_if = "is_default")]
    pub from: String,
    #[serde(skip_serializing_if = "is_default")]
    pub to: String,
}
