//! Telemetry: access logs, metrics and traces.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Duration, is_default, istio::CustomTag, istio::LabelSelector, istio::PolicyTargetReference,
};

/// What the selected workloads report.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Telemetry {
    #[serde(skip_serializing_if = "is_default")]
    pub selector: Option<LabelSelector>,
    #[serde(alias = "target_ref", skip_serializing_if = "is_default")]
    pub target_ref: Option<PolicyTargetReference>,
    #[serde(alias = "target_refs", skip_serializing_if = "is_default")]
    pub target_refs: Vec<PolicyTargetReference>,
    #[serde(skip_serializing_if = "is_default")]
    pub tracing: Vec<Tracing>,
    #[serde(skip_serializing_if = "is_default")]
    pub metrics: Vec<Metrics>,
    #[serde(alias = "access_logging", skip_serializing_if = "is_default")]
    pub access_logging: Vec<AccessLogging>,
}

/// A provider of the mesh configuration.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProviderRef {
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
}

/// One rule for spans.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tracing {
    #[serde(skip_serializing_if = "is_default")]
    pub match_: Option<TracingSelector>,
    #[serde(skip_serializing_if = "is_default")]
    pub providers: Vec<ProviderRef>,
    #[serde(alias = "random_sampling_percentage", skip_serializing_if = "is_default")]
    pub random_sampling_percentage: Option<f64>,
    #[serde(alias = "disable_span_reporting", skip_serializing_if = "is_default")]
    pub disable_span_reporting: Option<bool>,
    #[serde(alias = "custom_tags", skip_serializing_if = "is_default")]
    pub custom_tags: BTreeMap<String, CustomTag>,
    #[serde(alias = "use_request_id_for_trace_sampling", skip_serializing_if = "is_default")]
    pub use_request_id_for_trace_sampling: Option<bool>,
    #[serde(alias = "enable_istio_tags", skip_serializing_if = "is_default")]
    pub enable_istio_tags: Option<bool>,
    #[serde(alias = "disable_context_propagation", skip_serializing_if = "is_default")]
    pub disable_context_propagation: Option<bool>,
}

/// Which side reports.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TracingSelector {
    #[serde(skip_serializing_if = "is_default")]
    pub mode: WorkloadMode,
}

/// Side of a connection.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum WorkloadMode {
    #[default]
    #[serde(rename = "CLIENT_AND_SERVER")]
    ClientAndServer,
    #[serde(rename = "CLIENT")]
    Client,
    #[serde(rename = "SERVER")]
    Server,
}

/// A fixed value.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LiteralTag {
    #[serde(skip_serializing_if = "is_default")]
    pub value: String,
}

/// The value of an environment variable of the proxy.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvironmentTag {
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    #[serde(alias = "default_value", skip_serializing_if = "is_default")]
    pub default_value: String,
}

/// The value of a request header.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HeaderTag {
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    #[serde(alias = "default_value", skip_serializing_if = "is_default")]
    pub default_value: String,
}

/// A value in Envoy's format language.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FormatterTag {
    #[serde(skip_serializing_if = "is_default")]
    pub value: String,
}

/// One rule for metrics.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metrics {
    #[serde(skip_serializing_if = "is_default")]
    pub providers: Vec<ProviderRef>,
    #[serde(skip_serializing_if = "is_default")]
    pub overrides: Vec<MetricsOverrides>,
    #[serde(alias = "reporting_interval", skip_serializing_if = "is_default")]
    pub reporting_interval: Option<Duration>,
}

/// A change to one metric or to all.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MetricsOverrides {
    #[serde(skip_serializing_if = "is_default")]
    pub match_: Option<MetricSelector>,
    #[serde(skip_serializing_if = "is_default")]
    pub disabled: Option<bool>,
    #[serde(alias = "tag_overrides", skip_serializing_if = "is_default")]
    pub tag_overrides: BTreeMap<String, TagOverride>,
}

/// A metric, by one of two kinds of names, and a side.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MetricSelector {
    #[serde(skip_serializing_if = "is_default")]
    pub metric: Option<IstioMetric>,
    #[serde(alias = "custom_metric", skip_serializing_if = "is_default")]
    pub custom_metric: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub mode: WorkloadMode,
}

/// The standard metrics.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum IstioMetric {
    #[default]
    #[serde(rename = "ALL_METRICS")]
    AllMetrics,
    #[serde(rename = "REQUEST_COUNT")]
    RequestCount,
    #[serde(rename = "REQUEST_DURATION")]
    RequestDuration,
    #[serde(rename = "REQUEST_SIZE")]
    RequestSize,
    #[serde(rename = "RESPONSE_SIZE")]
    ResponseSize,
    #[serde(rename = "TCP_OPENED_CONNECTIONS")]
    TcpOpenedConnections,
    #[serde(rename = "TCP_CLOSED_CONNECTIONS")]
    TcpClosedConnections,
    #[serde(rename = "TCP_SENT_BYTES")]
    TcpSentBytes,
    #[serde(rename = "TCP_RECEIVED_BYTES")]
    TcpReceivedBytes,
    #[serde(rename = "GRPC_REQUEST_MESSAGES")]
    GrpcRequestMessages,
    #[serde(rename = "GRPC_RESPONSE_MESSAGES")]
    GrpcResponseMessages,
}

/// A change to one label of a metric.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TagOverride {
    #[serde(skip_serializing_if = "is_default")]
    pub operation: TagOperation,
    #[serde(skip_serializing_if = "is_default")]
    pub value: String,
}

/// What is done to a label.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum TagOperation {
    #[default]
    #[serde(rename = "UPSERT")]
    Upsert,
    #[serde(rename = "REMOVE")]
    Remove,
}

/// One rule for access logs.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AccessLogging {
    #[serde(skip_serializing_if = "is_default")]
    pub match_: Option<LogSelector>,
    #[serde(skip_serializing_if = "is_default")]
    pub providers: Vec<ProviderRef>,
    #[serde(skip_serializing_if = "is_default")]
    pub disabled: Option<bool>,
    #[serde(skip_serializing_if = "is_default")]
    pub filter: Option<LogFilter>,
}

/// Which side logs.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LogSelector {
    #[serde(skip_serializing_if = "is_default")]
    pub mode: WorkloadMode,
}

/// A CEL expression that must hold.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LogFilter {
    #[serde(skip_serializing_if = "is_default")]
    pub expression: String,
}
