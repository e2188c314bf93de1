//! Istio's standard metrics from a stock Envoy, by its access logger that counts.
//!
//! - Prometheus reads the names without a prefix where the bootstrap has a Wasm VM, which makes
//!   Envoy know the namespace `wasmcustom`; elsewhere they begin with `envoy_wasmcustom_`.
//! - The number of series of a listener is limited, whatever callers send.
//! - What is not known is `unknown`, as in Istio: a caller's workload, which its certificate does
//!   not name, and the service that a request meant, which the called side does not learn.

use std::collections::BTreeMap;

use api::istio::telemetry::{IstioMetric, MetricsOverrides, TagOperation, Telemetry as Object};
use envoy::{
    Any,
    config::accesslog::v3::{AccessLog, access_log},
};
use model::{Diagnostic, ObjectKey};
use serde_json::{Value, json};
use snapshot::{PolicyRecord, Reader};

use super::{Side, cel::check_expression, provider::Provider};
use crate::codes;

/// Series of one listener, of counters and of histograms each. A limit for the whole process
/// (`sharing_name`) makes Envoy 1.40 crash when it ends.
const MAX_SERIES: u32 = 10_000;
const TYPE: &str = "@type";
const CONFIG: &str = "type.googleapis.com/envoy.extensions.access_loggers.stats.v3.Config";
const TRANSFORM: &str =
    "type.googleapis.com/envoy.extensions.matching.actions.transform_stat.v3.TransformStat";
const TAG_INPUT: &str =
    "type.googleapis.com/envoy.extensions.matching.common_inputs.stats.v3.StatTagValueInput";

/// The loggers that count, written down once for all listeners.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Metrics {
    http: Option<Any>,
    tcp: Option<Any>,
}

/// A metric: what it is called, what it adds, and whether it is a histogram in this unit.
struct Metric {
    kind: IstioMetric,
    name: &'static str,
    value: Option<&'static str>,
    unit: Option<&'static str>,
}

const fn metric(
    kind: IstioMetric,
    name: &'static str,
    value: Option<&'static str>,
    unit: Option<&'static str>,
) -> Metric {
    Metric { kind, name, value, unit }
}

const HTTP: [Metric; 4] = [
    metric(IstioMetric::RequestCount, "istio_requests_total", None, None),
    metric(
        IstioMetric::RequestDuration,
        "istio_request_duration_milliseconds",
        Some("%DURATION%"),
        Some("Milliseconds"),
    ),
    metric(
        IstioMetric::RequestSize,
        "istio_request_bytes",
        Some("%BYTES_RECEIVED%"),
        Some("Bytes"),
    ),
    metric(IstioMetric::ResponseSize, "istio_response_bytes", Some("%BYTES_SENT%"), Some("Bytes")),
];

/// A connection is counted when it ends: an open one has told nothing yet.
const TCP: [Metric; 4] = [
    metric(IstioMetric::TcpOpenedConnections, "istio_tcp_connections_opened_total", None, None),
    metric(IstioMetric::TcpClosedConnections, "istio_tcp_connections_closed_total", None, None),
    metric(IstioMetric::TcpSentBytes, "istio_tcp_sent_bytes_total", Some("%BYTES_SENT%"), None),
    metric(
        IstioMetric::TcpReceivedBytes,
        "istio_tcp_received_bytes_total",
        Some("%BYTES_RECEIVED%"),
        None,
    ),
];

type Objects<'a, 'b> = &'b [&'a PolicyRecord<Object>];
type Override<'a> = (&'a ObjectKey, &'a MetricsOverrides);

/// The metrics of a side; none unless a Prometheus provider is asked for.
pub(super) fn select(
    side: Side,
    objects: Objects<'_, '_>,
    reader: &Reader<'_>,
    findings: &mut Vec<Diagnostic>,
) -> Option<Metrics> {
    let config = &reader.mesh().config;
    let mut providers: Vec<&str> = config
        .default_providers
        .iter()
        .flat_map(|it| it.metrics.iter().map(String::as_str))
        .collect();
    let mut overrides: Vec<Override<'_>> = Vec::new();
    for object in objects {
        for rule in &object.spec.metrics {
            if !rule.providers.is_empty() {
                providers = rule.providers.iter().map(|it| it.name.as_str()).collect();
            }
            let own = rule
                .overrides
                .iter()
                .filter(|change| change.match_.as_ref().is_none_or(|it| side.is_meant_by(it.mode)));
            overrides.extend(own.map(|change| (&object.key, change)));
        }
    }
    let exports = providers.iter().any(|name| match Provider::find(name, config) {
        Some(Provider::Prometheus) => true,
        Some(Provider::Configured(provider)) => provider.prometheus.is_some(),
        Some(Provider::Envoy) | None => false,
    });
    if !exports {
        return None;
    }
    report(&overrides, findings);
    let logger = |metrics: &[Metric], protocol: Value| logger(side, metrics, &protocol, &overrides);
    Some(Metrics { http: logger(&HTTP, http_tags()), tcp: logger(&TCP, tcp_tags()) })
}

fn report(overrides: &[Override<'_>], findings: &mut Vec<Diagnostic>) {
    for (key, change) in overrides {
        for (name, tag) in &change.tag_overrides {
            if tag.operation == TagOperation::Upsert
                && let Err(why) = check_expression(&tag.value)
            {
                let message = format!("the label `{name}` is left out, as {why}");
                let finding = codes::EXPRESSION.diagnostic(message).object((*key).clone());
                findings.push(finding.field("spec.metrics.overrides.tagOverrides"));
            }
        }
    }
}

impl Metrics {
    pub(super) fn http(&self) -> Option<AccessLog> {
        self.http.clone().map(stats_log)
    }

    pub(super) fn tcp(&self) -> Option<AccessLog> {
        self.tcp.clone().map(stats_log)
    }
}

fn stats_log(config: Any) -> AccessLog {
    AccessLog {
        name: "envoy.access_loggers.stats".to_owned(),
        filter: None,
        config_type: Some(access_log::ConfigType::TypedConfig(config)),
    }
}

fn logger(
    side: Side,
    metrics: &[Metric],
    protocol: &Value,
    overrides: &[Override<'_>],
) -> Option<Any> {
    let (mut counters, mut histograms) = (Vec::new(), Vec::new());
    for metric in metrics {
        let mut tags = tags(side);
        let fields = protocol.as_object().into_iter().flatten();
        tags.extend(fields.map(|(name, tag)| (name.clone(), tag.clone())));
        if !change(metric.kind, &mut tags, overrides) {
            continue;
        }
        let tags: Vec<Value> = tags
            .into_iter()
            .map(|(name, mut tag)| {
                tag["name"] = name.into();
                tag
            })
            .collect();
        let stat = json!({"name": metric.name, "tags": tags});
        match (metric.unit, metric.value) {
            (Some(unit), value) => {
                histograms.push(json!({"stat": stat, "unit": unit, "value_format": value}));
            }
            (None, Some(value)) => counters.push(json!({"stat": stat, "value_format": value})),
            (None, None) => counters.push(json!({"stat": stat, "value_fixed": 1})),
        }
    }
    if counters.is_empty() && histograms.is_empty() {
        return None;
    }
    let config = json!({
        TYPE: CONFIG,
        "stats_scope": {
            "prefix": "wasmcustom",
            "max_counters": MAX_SERIES,
            "max_histograms": MAX_SERIES,
            "enable_eviction": true,
        },
        "counters": counters,
        "histograms": histograms,
    });
    envoy::json::typed_to_any(&config).ok()
}

/// Applies what objects say of a metric. Whether it is still wanted.
fn change(
    kind: IstioMetric,
    tags: &mut BTreeMap<String, Value>,
    overrides: &[Override<'_>],
) -> bool {
    let mut wanted = true;
    for (_, change) in overrides {
        let selector = change.match_.as_ref();
        let about = match selector {
            Some(it) if it.custom_metric.is_some() => false,
            Some(it) => it.metric.is_none_or(|it| it == IstioMetric::AllMetrics || it == kind),
            None => true,
        };
        if !about {
            continue;
        }
        if let Some(disabled) = change.disabled {
            wanted = !disabled;
        }
        for (name, tag) in &change.tag_overrides {
            match tag.operation {
                TagOperation::Remove => {
                    tags.remove(name);
                }
                TagOperation::Upsert if check_expression(&tag.value).is_ok() => {
                    tags.insert(name.clone(), expression(&tag.value));
                }
                TagOperation::Upsert => {}
            }
        }
    }
    wanted
}

/// The labels that HTTP and TCP have in common.
fn tags(side: Side) -> BTreeMap<String, Value> {
    let own = [
        ("workload", "xds.node.metadata['WORKLOAD_NAME']"),
        ("workload_namespace", "xds.node.metadata['NAMESPACE']"),
        ("canonical_service", "xds.node.metadata['MELTEMI_CANONICAL_SERVICE']"),
        ("canonical_revision", "xds.node.metadata['MELTEMI_CANONICAL_REVISION']"),
        ("app", "xds.node.metadata['LABELS']['app']"),
        ("version", "xds.node.metadata['LABELS']['version']"),
        ("cluster", "xds.node.metadata['CLUSTER_ID']"),
    ];
    let (own_side, peer_side) = match side {
        Side::Client => ("source", "destination"),
        Side::Server => ("destination", "source"),
    };
    let mut tags: BTreeMap<String, Value> = own
        .into_iter()
        .map(|(name, text)| (format!("{own_side}_{name}"), expression(text)))
        .collect();
    let unknown = || json!({"value_format": "unknown"});
    tags.extend(own.into_iter().map(|(name, _)| (format!("{peer_side}_{name}"), unknown())));
    let service = ["service", "service_name", "service_namespace"];
    tags.extend(service.into_iter().map(|name| (format!("destination_{name}"), unknown())));
    let mut set = |name: &str, tag: Value| tags.insert(name.to_owned(), tag);
    set("reporter", json!({"value_format": own_side}));
    set("response_flags", json!({"value_format": "%RESPONSE_FLAGS%"}));
    match side {
        Side::Client => {
            for (index, name) in ["workload", "workload_namespace", "canonical_service"]
                .into_iter()
                .chain(["canonical_revision", "cluster"])
                .enumerate()
            {
                set(&format!("destination_{name}"), expression(&endpoint_part(index)));
            }
            for (name, field) in
                [("service", "host"), ("service_name", "name"), ("service_namespace", "namespace")]
            {
                let text = format!(
                    "xds.cluster_metadata.filter_metadata['istio']['services'][0]['{field}']"
                );
                set(&format!("destination_{name}"), expression(&text));
            }
            set("source_principal", or_unknown("%UPSTREAM_LOCAL_URI_SAN%"));
            set("destination_principal", or_unknown("%UPSTREAM_PEER_URI_SAN%"));
            set("connection_security_policy", unknown());
        }
        Side::Server => {
            let peer = "connection.uri_san_peer_certificate";
            let namespace = format!("re.extract({peer}, '.*/ns/([^/]+)/sa/.*', r'\\1')");
            set("source_workload_namespace", expression(&namespace));
            set("source_principal", or_unknown("%DOWNSTREAM_PEER_URI_SAN%"));
            set("destination_principal", or_unknown("%DOWNSTREAM_LOCAL_URI_SAN%"));
            let mutual = rules(&[("prefix", "spiffe://", update("mutual_tls"))], Some("none"));
            let policy = json!({"value_format": "%DOWNSTREAM_PEER_URI_SAN%", "rules": mutual});
            set("connection_security_policy", policy);
        }
    }
    tags
}

/// A part of an endpoint's `workload;namespace;name;revision;cluster`.
fn endpoint_part(index: usize) -> String {
    let before = "[^;]*;".repeat(index);
    let workload = "xds.upstream_host_metadata.filter_metadata['istio']['workload']";
    format!("re.extract({workload}, '^{before}([^;]*).*$', r'\\1')")
}

fn http_tags() -> Value {
    let grpc = rules(&[("prefix", "application/grpc", update("grpc"))], Some("http"));
    let status = rules(
        &[("exact", "-", json!({"drop_tag": {}})), ("exact", "", json!({"drop_tag": {}}))],
        None,
    );
    json!({
        "request_protocol": {"value_format": "%REQ(CONTENT-TYPE)%", "rules": grpc},
        "response_code": {"value_format": "%RESPONSE_CODE%"},
        "grpc_response_status": {"value_format": "%GRPC_STATUS_NUMBER%", "rules": status},
    })
}

fn tcp_tags() -> Value {
    json!({"request_protocol": {"value_format": "tcp"}})
}

fn expression(text: &str) -> Value {
    or_unknown(&format!("%CEL({text})%"))
}

/// Envoy writes what is absent as nothing, or as a dash.
fn or_unknown(format: &str) -> Value {
    let rules = rules(&[("exact", "", update("unknown")), ("exact", "-", update("unknown"))], None);
    json!({"value_format": format, "rules": rules})
}

fn update(value: &str) -> Value {
    json!({"update_tag": {"new_tag_value": value}})
}

/// What happens to a value that matches, and which one stands in place of all others.
fn rules(matching: &[(&str, &str, Value)], otherwise: Option<&str>) -> Value {
    let input = json!({"name": "value", "typed_config": {TYPE: TAG_INPUT}});
    let action = |fields: &Value| {
        let mut config = fields.clone();
        config[TYPE] = TRANSFORM.into();
        json!({"action": {"name": "transform", "typed_config": config}})
    };
    let matchers: Vec<Value> = matching
        .iter()
        .map(|(how, text, fields)| {
            json!({
                "predicate": {"single_predicate": {"input": input, "value_match": {*how: text}}},
                "on_match": action(fields),
            })
        })
        .collect();
    let mut rules = json!({"matcher_list": {"matchers": matchers}});
    if let Some(value) = otherwise {
        rules["on_no_match"] = action(&update(value));
    }
    rules
}
