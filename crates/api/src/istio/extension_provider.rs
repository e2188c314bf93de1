//! Providers of the mesh configuration that policies name: authorization, traces, logs, metrics.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Duration, is_default};

/// A named provider; one of the kinds is set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExtensionProvider {
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    #[serde(alias = "envoy_ext_authz_http", skip_serializing_if = "is_default")]
    pub envoy_ext_authz_http: Option<ExtAuthzHttpProvider>,
    #[serde(alias = "envoy_ext_authz_grpc", skip_serializing_if = "is_default")]
    pub envoy_ext_authz_grpc: Option<ExtAuthzGrpcProvider>,
    #[serde(skip_serializing_if = "is_default")]
    pub zipkin: Option<ZipkinProvider>,
    #[serde(skip_serializing_if = "is_default")]
    pub lightstep: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "is_default")]
    pub datadog: Option<DatadogProvider>,
    #[serde(skip_serializing_if = "is_default")]
    pub stackdriver: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "is_default")]
    pub opencensus: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "is_default")]
    pub skywalking: Option<SkyWalkingProvider>,
    #[serde(skip_serializing_if = "is_default")]
    pub opentelemetry: Option<OpenTelemetryProvider>,
    #[serde(skip_serializing_if = "is_default")]
    pub prometheus: Option<PrometheusProvider>,
    #[serde(alias = "envoy_file_access_log", skip_serializing_if = "is_default")]
    pub envoy_file_access_log: Option<FileAccessLogProvider>,
    #[serde(alias = "envoy_http_als", skip_serializing_if = "is_default")]
    pub envoy_http_als: Option<AlsProvider>,
    #[serde(alias = "envoy_tcp_als", skip_serializing_if = "is_default")]
    pub envoy_tcp_als: Option<AlsProvider>,
    #[serde(alias = "envoy_otel_als", skip_serializing_if = "is_default")]
    pub envoy_otel_als: Option<OtelAlsProvider>,
    #[serde(skip_serializing_if = "is_default")]
    pub sds: Option<SdsProvider>,
}

/// External authorization over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExtAuthzHttpProvider {
    #[serde(skip_serializing_if = "is_default")]
    pub service: String,
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
    #[serde(skip_serializing_if = "is_default")]
    pub timeout: Option<Duration>,
    #[serde(alias = "path_prefix", skip_serializing_if = "is_default")]
    pub path_prefix: String,
    #[serde(alias = "fail_open", skip_serializing_if = "is_default")]
    pub fail_open: bool,
    #[serde(alias = "clear_route_cache", skip_serializing_if = "is_default")]
    pub clear_route_cache: bool,
    #[serde(alias = "status_on_error", skip_serializing_if = "is_default")]
    pub status_on_error: String,
    #[serde(alias = "include_headers_in_check", skip_serializing_if = "is_default")]
    pub include_headers_in_check: Vec<String>,
    #[serde(alias = "include_request_headers_in_check", skip_serializing_if = "is_default")]
    pub include_request_headers_in_check: Vec<String>,
    #[serde(alias = "include_additional_headers_in_check", skip_serializing_if = "is_default")]
    pub include_additional_headers_in_check: BTreeMap<String, String>,
    #[serde(alias = "include_request_body_in_check", skip_serializing_if = "is_default")]
    pub include_request_body_in_check: Option<RequestBodyInCheck>,
    #[serde(alias = "headers_to_upstream_on_allow", skip_serializing_if = "is_default")]
    pub headers_to_upstream_on_allow: Vec<String>,
    #[serde(alias = "headers_to_downstream_on_deny", skip_serializing_if = "is_default")]
    pub headers_to_downstream_on_deny: Vec<String>,
    #[serde(alias = "headers_to_downstream_on_allow", skip_serializing_if = "is_default")]
    pub headers_to_downstream_on_allow: Vec<String>,
}

/// External authorization over gRPC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExtAuthzGrpcProvider {
    #[serde(skip_serializing_if = "is_default")]
    pub service: String,
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
    #[serde(skip_serializing_if = "is_default")]
    pub timeout: Option<Duration>,
    #[serde(alias = "fail_open", skip_serializing_if = "is_default")]
    pub fail_open: bool,
    #[serde(alias = "clear_route_cache", skip_serializing_if = "is_default")]
    pub clear_route_cache: bool,
    #[serde(alias = "status_on_error", skip_serializing_if = "is_default")]
    pub status_on_error: String,
    #[serde(alias = "include_request_body_in_check", skip_serializing_if = "is_default")]
    pub include_request_body_in_check: Option<RequestBodyInCheck>,
}

/// How much of the body the authorizer sees.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestBodyInCheck {
    #[serde(alias = "max_request_bytes", skip_serializing_if = "is_default")]
    pub max_request_bytes: u32,
    #[serde(alias = "allow_partial_message", skip_serializing_if = "is_default")]
    pub allow_partial_message: bool,
    #[serde(alias = "pack_as_bytes", skip_serializing_if = "is_default")]
    pub pack_as_bytes: bool,
}

/// Traces to Zipkin.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ZipkinProvider {
    #[serde(skip_serializing_if = "is_default")]
    pub service: String,
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
    #[serde(alias = "max_tag_length", skip_serializing_if = "is_default")]
    pub max_tag_length: u32,
    #[serde(
        alias = "enable64bit_trace_id",
        alias = "enable_64bit_trace_id",
        skip_serializing_if = "is_default"
    )]
    pub enable64bit_trace_id: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub path: String,
    #[serde(alias = "trace_context_option", skip_serializing_if = "is_default")]
    pub trace_context_option: String,
    #[serde(skip_serializing_if = "is_default")]
    pub timeout: Option<Duration>,
    #[serde(skip_serializing_if = "is_default")]
    pub headers: Vec<ProviderHeader>,
}

/// Traces to Datadog.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DatadogProvider {
    #[serde(skip_serializing_if = "is_default")]
    pub service: String,
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
    #[serde(alias = "max_tag_length", skip_serializing_if = "is_default")]
    pub max_tag_length: u32,
}

/// Traces to SkyWalking.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SkyWalkingProvider {
    #[serde(skip_serializing_if = "is_default")]
    pub service: String,
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
    #[serde(alias = "access_token", skip_serializing_if = "is_default")]
    pub access_token: String,
}

/// Traces to an OpenTelemetry collector.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OpenTelemetryProvider {
    #[serde(skip_serializing_if = "is_default")]
    pub service: String,
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
    #[serde(alias = "max_tag_length", skip_serializing_if = "is_default")]
    pub max_tag_length: u32,
    #[serde(skip_serializing_if = "is_default")]
    pub http: Option<OpenTelemetryHttp>,
    #[serde(skip_serializing_if = "is_default")]
    pub grpc: Option<OpenTelemetryGrpc>,
    #[serde(alias = "resource_detectors", skip_serializing_if = "is_default")]
    pub resource_detectors: Option<ResourceDetectors>,
    #[serde(alias = "dynatrace_sampler", skip_serializing_if = "is_default")]
    pub dynatrace_sampler: Option<serde_json::Value>,
}

/// Export over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OpenTelemetryHttp {
    #[serde(skip_serializing_if = "is_default")]
    pub path: String,
    #[serde(skip_serializing_if = "is_default")]
    pub timeout: Option<Duration>,
    #[serde(skip_serializing_if = "is_default")]
    pub headers: Vec<ProviderHeader>,
}

/// Export over gRPC.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OpenTelemetryGrpc {
    #[serde(skip_serializing_if = "is_default")]
    pub timeout: Option<Duration>,
    #[serde(alias = "initial_metadata", skip_serializing_if = "is_default")]
    pub initial_metadata: Vec<ProviderHeader>,
}

/// A header of the export.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProviderHeader {
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub value: Option<String>,
    #[serde(alias = "env_name", skip_serializing_if = "is_default")]
    pub env_name: Option<String>,
}

/// Where resource attributes come from.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceDetectors {
    #[serde(skip_serializing_if = "is_default")]
    pub environment: Option<PrometheusProvider>,
    #[serde(skip_serializing_if = "is_default")]
    pub dynatrace: Option<PrometheusProvider>,
}

/// A choice without settings.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PrometheusProvider {}

/// Access logs to a file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FileAccessLogProvider {
    #[serde(skip_serializing_if = "is_default")]
    pub path: String,
    #[serde(alias = "log_format", skip_serializing_if = "is_default")]
    pub log_format: Option<LogFormat>,
    #[serde(alias = "omit_empty_values", skip_serializing_if = "is_default")]
    pub omit_empty_values: Option<bool>,
}

/// Lines of text or objects of labels.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LogFormat {
    #[serde(skip_serializing_if = "is_default")]
    pub text: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub labels: Option<serde_json::Value>,
}

/// Access logs to a gRPC service.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AlsProvider {
    #[serde(skip_serializing_if = "is_default")]
    pub service: String,
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
    #[serde(alias = "log_name", skip_serializing_if = "is_default")]
    pub log_name: String,
    #[serde(alias = "filter_state_objects_to_log", skip_serializing_if = "is_default")]
    pub filter_state_objects_to_log: Vec<String>,
    #[serde(alias = "additional_request_headers_to_log", skip_serializing_if = "is_default")]
    pub additional_request_headers_to_log: Vec<String>,
    #[serde(alias = "additional_response_headers_to_log", skip_serializing_if = "is_default")]
    pub additional_response_headers_to_log: Vec<String>,
    #[serde(alias = "additional_response_trailers_to_log", skip_serializing_if = "is_default")]
    pub additional_response_trailers_to_log: Vec<String>,
}

/// Access logs to an OpenTelemetry collector.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OtelAlsProvider {
    #[serde(skip_serializing_if = "is_default")]
    pub service: String,
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
    #[serde(alias = "log_name", skip_serializing_if = "is_default")]
    pub log_name: String,
    #[serde(alias = "log_format", skip_serializing_if = "is_default")]
    pub log_format: Option<LogFormat>,
    #[serde(alias = "filter_state_objects_to_log", skip_serializing_if = "is_default")]
    pub filter_state_objects_to_log: Vec<String>,
}

/// Certificates from a secret discovery service.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SdsProvider {
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub service: String,
    #[serde(skip_serializing_if = "is_default")]
    pub port: u32,
}
