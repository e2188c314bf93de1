//! Writes access logs down, for the three places of a listener that have some.

use std::collections::BTreeMap;

use envoy::{
    Any,
    config::{
        accesslog::v3::{
            AccessLog, AccessLogFilter, AndFilter, ExtensionFilter, OrFilter, ResponseFlagFilter,
            RuntimeFilter, access_log, access_log_filter::FilterSpecifier, extension_filter,
        },
        core::v3::{
            ApiVersion, DataSource, SubstitutionFormatString, TypedExtensionConfig, data_source,
            substitution_format_string::Format,
        },
    },
    extensions::access_loggers::{
        file::v3::{FileAccessLog, file_access_log::AccessLogFormat},
        filters::cel::v3::ExpressionFilter,
        grpc::v3::{CommonGrpcAccessLogConfig, HttpGrpcAccessLogConfig, TcpGrpcAccessLogConfig},
        open_telemetry::v3::OpenTelemetryAccessLogConfig,
    },
    opentelemetry::proto::common::v1::{AnyValue, KeyValue, KeyValueList, any_value},
    types::v3::{FractionalPercent, fractional_percent::DenominatorType},
};
use prost::{Message, Name};
use prost_types::{ListValue, Struct, Value, value::Kind};

use super::{
    Telemetry,
    format::LogFormat,
    logs::{Condition, Logger, Subject},
    metrics::{Metrics, without_connects},
    reports::Reports,
    sink::{AlsSink, FileSink, OtelSink, Sink},
};

/// The flag of a connection that no filter chain matches.
const NO_ROUTE: &str = "NR";
const WITHOUT_QUERY: &str = "envoy.formatter.req_without_query";
const WITHOUT_QUERY_TYPE: &str =
    "type.googleapis.com/envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery";

/// The logs of an HTTP connection manager, `reports` among them.
pub(crate) fn http_logs(telemetry: &Telemetry, reports: Option<&Reports>) -> Vec<AccessLog> {
    let logs = telemetry.logs.iter().filter_map(|logger| access_log(logger, Place::Http));
    let logs = logs.chain(telemetry.metrics.iter().filter_map(Metrics::http));
    logs.chain(reports.map(Reports::http)).collect()
}

/// The logs of a TCP proxy, `reports` among them.
pub(crate) fn tcp_logs(telemetry: &Telemetry, reports: Option<&Reports>) -> Vec<AccessLog> {
    let logs = telemetry.logs.iter().filter_map(|logger| access_log(logger, Place::Tcp));
    let connects = telemetry.logs_connects() || reports.is_some();
    let logs = logs.map(|log| if connects { without_connects(log) } else { log });
    let untold = connects && !telemetry.logs_connects();
    let counted = telemetry.metrics.iter().flat_map(Metrics::tcp);
    let counted = counted.map(|log| if untold { without_connects(log) } else { log });
    logs.chain(counted).chain(reports.map(Reports::tcp)).collect()
}

/// The logs of a listener: only of what no filter chain takes, since all else logs by itself.
pub(crate) fn listener_logs(telemetry: &Telemetry) -> Vec<AccessLog> {
    let logs = telemetry.logs.iter().filter(|_| telemetry.listener_log);
    logs.filter_map(|logger| access_log(logger, Place::Listener)).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Http,
    Tcp,
    Listener,
}

/// `None` where the log has nothing to say.
fn access_log(logger: &Logger, place: Place) -> Option<AccessLog> {
    let (name, config) = match (&logger.sink, place) {
        (Sink::File(file), _) => ("envoy.access_loggers.file", Any::pack(&file_log(file))),
        (Sink::Otel(otel), _) => {
            ("envoy.access_loggers.open_telemetry", Any::pack(&otel_log(otel)))
        }
        (Sink::HttpAls(als), Place::Http) => {
            ("envoy.access_loggers.http_grpc", Any::pack(&http_als(als)))
        }
        (Sink::TcpAls(als), Place::Tcp | Place::Listener) => {
            let config = TcpGrpcAccessLogConfig { common_config: Some(common(als)) };
            ("envoy.access_loggers.tcp_grpc", Any::pack(&config))
        }
        (Sink::HttpAls(_), Place::Tcp | Place::Listener) | (Sink::TcpAls(_), Place::Http) => {
            return None;
        }
    };
    Some(AccessLog {
        name: name.to_owned(),
        filter: filter(logger, place),
        config_type: Some(access_log::ConfigType::TypedConfig(config)),
    })
}

/// Any of the conditions, and for a listener the flag.
fn filter(logger: &Logger, place: Place) -> Option<AccessLogFilter> {
    let flag = (place == Place::Listener).then(|| {
        let flags = vec![NO_ROUTE.to_owned()];
        one(FilterSpecifier::ResponseFlagFilter(ResponseFlagFilter { flags }))
    });
    let has_place = |it: &&Condition| match it.subject {
        Subject::Connection => true,
        Subject::Route => place == Place::Http,
    };
    let conditions = logger.conditions.iter().filter(has_place).map(condition);
    // One without a filter is always met.
    let any = conditions.collect::<Option<Vec<_>>>().and_then(|mut filters| match filters.len() {
        0 | 1 => filters.pop(),
        _ => Some(one(FilterSpecifier::OrFilter(OrFilter { filters }))),
    });
    all(flag.into_iter().chain(any).collect())
}

/// The switch comes first: it costs nothing, and while it is off nothing else is looked at.
fn condition(condition: &Condition) -> Option<AccessLogFilter> {
    let switch = condition.switch.as_ref().map(|key| {
        one(FilterSpecifier::RuntimeFilter(RuntimeFilter {
            runtime_key: key.to_string(),
            percent_sampled: Some(FractionalPercent {
                numerator: 0,
                denominator: DenominatorType::TenThousand.into(),
            }),
            use_independent_randomness: true,
        }))
    });
    let expression = condition.expression.as_ref().map(|expression| expression_filter(expression));
    all(switch.into_iter().chain(expression).collect())
}

/// Met when an expression is true.
pub(crate) fn expression_filter(expression: &str) -> AccessLogFilter {
    let config =
        ExpressionFilter { expression: expression.to_owned(), ..ExpressionFilter::default() };
    let name = "envoy.access_loggers.extension_filters.cel";
    one(FilterSpecifier::ExtensionFilter(extension_filter(name, &config)))
}

fn one(filter: FilterSpecifier) -> AccessLogFilter {
    AccessLogFilter { filter_specifier: Some(filter) }
}

fn all(mut filters: Vec<AccessLogFilter>) -> Option<AccessLogFilter> {
    match filters.len() {
        0 | 1 => filters.pop(),
        _ => Some(one(FilterSpecifier::AndFilter(AndFilter { filters }))),
    }
}

pub(super) fn extension_filter<M: Message + Name>(name: &str, config: &M) -> ExtensionFilter {
    ExtensionFilter {
        name: name.to_owned(),
        config_type: Some(extension_filter::ConfigType::TypedConfig(Any::pack(config))),
    }
}

fn file_log(file: &FileSink) -> FileAccessLog {
    let format = match &file.format {
        LogFormat::Text(text) => Format::TextFormatSource(DataSource {
            specifier: Some(data_source::Specifier::InlineString(text.to_string())),
            ..DataSource::default()
        }),
        LogFormat::Json(text) => Format::JsonFormat(json_format(text)),
    };
    let format = SubstitutionFormatString {
        omit_empty_values: file.omit_empty,
        formatters: formatters(file.format.needs_extension()),
        format: Some(format),
        ..SubstitutionFormatString::default()
    };
    FileAccessLog {
        path: file.path.to_string(),
        access_log_format: Some(AccessLogFormat::LogFormat(format)),
    }
}

fn formatters(needed: bool) -> Vec<TypedExtensionConfig> {
    let extension = needed.then(|| TypedExtensionConfig {
        name: WITHOUT_QUERY.to_owned(),
        typed_config: Some(Any {
            type_url: WITHOUT_QUERY_TYPE.to_owned(),
            value: bytes::Bytes::new(),
        }),
    });
    extension.into_iter().collect()
}

/// The text was written by us from JSON.
fn json_format(text: &str) -> Struct {
    match serde_json::from_str(text) {
        Ok(serde_json::Value::Object(fields)) => Struct { fields: struct_fields(&fields) },
        _ => Struct::default(),
    }
}

fn struct_fields(fields: &serde_json::Map<String, serde_json::Value>) -> BTreeMap<String, Value> {
    fields.iter().map(|(name, value)| (name.clone(), struct_value(value))).collect()
}

fn struct_value(value: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    let kind = match value {
        Json::Null => Kind::NullValue(0),
        Json::Bool(flag) => Kind::BoolValue(*flag),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(items) => {
            Kind::ListValue(ListValue { values: items.iter().map(struct_value).collect() })
        }
        Json::Object(fields) => Kind::StructValue(Struct { fields: struct_fields(fields) }),
    };
    Value { kind: Some(kind) }
}

fn common(als: &AlsSink) -> CommonGrpcAccessLogConfig {
    CommonGrpcAccessLogConfig {
        log_name: als.log_name.to_string(),
        grpc_service: Some(als.collector.grpc_service()),
        transport_api_version: ApiVersion::V3.into(),
        filter_state_objects_to_log: als.filter_states.clone(),
        ..CommonGrpcAccessLogConfig::default()
    }
}

fn http_als(als: &AlsSink) -> HttpGrpcAccessLogConfig {
    HttpGrpcAccessLogConfig {
        common_config: Some(common(als)),
        additional_request_headers_to_log: als.request_headers.clone(),
        additional_response_headers_to_log: als.response_headers.clone(),
        additional_response_trailers_to_log: als.response_trailers.clone(),
    }
}

fn otel_log(otel: &OtelSink) -> OpenTelemetryAccessLogConfig {
    let attributes = otel
        .attributes
        .iter()
        .map(|(name, format)| KeyValue { key: name.to_string(), value: Some(text(format)) });
    let attributes = KeyValueList { values: attributes.collect() };
    let formats = std::iter::once(&otel.text).chain(otel.attributes.iter().map(|it| &it.1));
    let needed = formats.cloned().any(|format| LogFormat::Text(format).needs_extension());
    OpenTelemetryAccessLogConfig {
        grpc_service: Some(otel.collector.grpc_service()),
        log_name: otel.log_name.to_string(),
        filter_state_objects_to_log: otel.filter_states.clone(),
        body: Some(text(&otel.text)),
        attributes: (!attributes.values.is_empty()).then_some(attributes),
        formatters: formatters(needed),
        ..OpenTelemetryAccessLogConfig::default()
    }
}

fn text(text: &str) -> AnyValue {
    AnyValue { value: Some(any_value::Value::StringValue(text.to_owned())) }
}
