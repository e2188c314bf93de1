//! WorkloadEntry and WorkloadGroup: workloads outside Kubernetes.

use std::collections::BTreeMap;

use model::Labels;
use serde::{Deserialize, Serialize};

use crate::is_default;

/// One workload.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadEntry {
    #[serde(skip_serializing_if = "is_default")]
    pub address: String,
    #[serde(skip_serializing_if = "is_default")]
    pub ports: BTreeMap<String, u32>,
    #[serde(skip_serializing_if = "is_default")]
    pub labels: Labels,
    #[serde(skip_serializing_if = "is_default")]
    pub network: String,
    #[serde(skip_serializing_if = "is_default")]
    pub locality: String,
    #[serde(skip_serializing_if = "is_default")]
    pub weight: u32,
    #[serde(alias = "service_account", skip_serializing_if = "is_default")]
    pub service_account: String,
}

/// A template for workloads that register themselves.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadGroup {
    #[serde(skip_serializing_if = "is_default")]
    pub metadata: Option<WorkloadGroupMeta>,
    #[serde(skip_serializing_if = "is_default")]
    pub template: Option<WorkloadEntry>,
    #[serde(skip_serializing_if = "is_default")]
    pub probe: Option<ReadinessProbe>,
}

/// Metadata of the WorkloadEntries that are made.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadGroupMeta {
    #[serde(skip_serializing_if = "is_default")]
    pub labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "is_default")]
    pub annotations: BTreeMap<String, String>,
}

/// How the agent learns that the workload is ready.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReadinessProbe {
    #[serde(alias = "initial_delay_seconds", skip_serializing_if = "is_default")]
    pub initial_delay_seconds: i32,
    #[serde(alias = "timeout_seconds", skip_serializing_if = "is_default")]
    pub timeout_seconds: i32,
    #[serde(alias = "period_seconds", skip_serializing_if = "is_default")]
    pub period_seconds: i32,
    #[serde(alias = "success_threshold", skip_serializing_if = "is_default")]
    pub success_threshold: i32,
    #[serde(alias = "failure_threshold", skip_serializing_if = "is_default")]
    pub failure_threshold: i32,
    #[serde(alias = "http_get", skip_serializing_if = "is_default")]
    pub http_get: Option<HttpHealthCheck>,
    #[serde(alias = "tcp_socket", skip_serializing_if = "is_default")]
    pub tcp_socket: Option<TcpHealthCheck>,
    #[serde(skip_serializing_if = "is_default")]
    pub exec: Option<ExecHealthCheck>,
    #[serde(skip_serializing_if = "is_default")]
    pub grpc: Option<GrpcHealthCheck>,
}

/// A GET request that must succeed.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpHealthCheck {
    #[serde(skip_serializing_if = "is_default")]
    pub path: String,
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
    #[serde(skip_serializing_if = "is_default")]
    pub host: String,
    #[serde(skip_serializing_if = "is_default")]
    pub scheme: String,
    #[serde(alias = "http_headers", skip_serializing_if = "is_default")]
    pub http_headers: Vec<HttpHeader>,
}

/// A header of a probe.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpHeader {
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub value: String,
}

/// A connection that must open.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpHealthCheck {
    #[serde(skip_serializing_if = "is_default")]
    pub host: String,
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
}

/// A command that must succeed.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExecHealthCheck {
    #[serde(skip_serializing_if = "is_default")]
    pub command: Vec<String>,
}

/// A gRPC health service that must answer.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcHealthCheck {
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
    #[serde(skip_serializing_if = "is_default")]
    pub service: String,
}
