//! What the labels of Istio's standard metrics are written from.
//!
//! A label is made anew for each metric of each request, and a CEL expression costs more than a
//! microsecond (one with `re.extract` twenty), so that none is evaluated per request:
//! - the called side's own names, and the service of a port, are constants;
//! - the caller's own names are shared by no two workloads, but its listeners are, so they are
//!   looked up when a connection begins ([`on_connection`]) and kept in its filter state;
//! - those of the other end are flat strings in the metadata of clusters and endpoints.

use std::collections::BTreeMap;

use envoy::{
    Any,
    config::listener::v3::{Filter, filter},
};
use model::{ObjectKey, Proxy};
use serde_json::{Value as Json, json};

use super::{Side, client::canonical};
use crate::{Client, inbound::InboundPort};

/// The namespace of metadata that labels are read from.
const METADATA: &str = "istio";
const TYPE: &str = "@type";
const TRANSFORM: &str =
    "type.googleapis.com/envoy.extensions.matching.actions.transform_stat.v3.TransformStat";
const TAG_INPUT: &str =
    "type.googleapis.com/envoy.extensions.matching.common_inputs.stats.v3.StatTagValueInput";
const SET_FILTER_STATE: &str = "envoy.filters.network.set_filter_state";
const SET_FILTER_STATE_CONFIG: &str =
    "type.googleapis.com/envoy.extensions.filters.network.set_filter_state.v3.Config";
const PEER_NAMESPACE: &str = "source_workload_namespace";
const UNKNOWN: &str = "unknown";

/// The names that both ends of a call have.
const NAMES: [&str; 7] = [
    "app",
    "canonical_revision",
    "canonical_service",
    "cluster",
    "version",
    "workload",
    "workload_namespace",
];

/// What a caller does not share with others that have its listeners: part of the label, and the
/// expression that finds it.
const OWN: [(&str, &str); 5] = [
    ("app", "xds.node.metadata['LABELS']['app']"),
    ("canonical_revision", "xds.node.metadata['MELTEMI_CANONICAL_REVISION']"),
    ("canonical_service", "xds.node.metadata['MELTEMI_CANONICAL_SERVICE']"),
    ("version", "xds.node.metadata['LABELS']['version']"),
    ("workload", "xds.node.metadata['WORKLOAD_NAME']"),
];

/// Labels of which the plane knows the value.
pub(super) type Known = BTreeMap<String, String>;

/// How the values of labels are found.
pub(super) type Tags = BTreeMap<String, Json>;

/// What callers with the same listeners share.
pub(super) fn shared(client: &Client) -> Known {
    let values = [
        ("source_cluster", &*client.cluster_id),
        ("source_workload_namespace", client.namespace.as_str()),
    ];
    let values = values.into_iter().filter(|(_, value)| !value.is_empty());
    values.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The names of the called side's own workload.
pub(super) fn own(proxy: &Proxy) -> Known {
    let workload = proxy.metadata.get("WORKLOAD_NAME").and_then(Json::as_str);
    let (service, revision) = canonical(proxy);
    let label = |key: &str| proxy.labels.get(key).unwrap_or(UNKNOWN);
    let values = [
        ("app", label("app")),
        ("canonical_revision", revision),
        ("canonical_service", service),
        ("cluster", &proxy.cluster_id),
        ("version", label("version")),
        ("workload", workload.unwrap_or(UNKNOWN)),
        ("workload_namespace", proxy.namespace.as_str()),
    ];
    values.into_iter().map(|(name, value)| (format!("destination_{name}"), value.into())).collect()
}

/// The service that a port of the called side belongs to.
pub(super) fn service(port: &InboundPort) -> Known {
    let origin: &ObjectKey = &port.origin;
    let name = match origin.kind {
        model::Kind::Service => origin.name.as_str(),
        _ => &port.hostname,
    };
    let values = [
        ("destination_service", &*port.hostname),
        ("destination_service_name", name),
        ("destination_service_namespace", origin.namespace.as_str()),
    ];
    values.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
}

/// Finds, once for a connection, what costs too much to find for each request.
pub(super) fn on_connection(side: Side) -> Option<Any> {
    let value = |name: &str, expression: &str| {
        json!({
            "object_key": state_key(name),
            "factory_key": "envoy.string",
            "format_string": {
                "text_format_source": {"inline_string": format!("%CEL({expression})%")},
                "omit_empty_values": true,
            },
            "skip_if_empty": true,
        })
    };
    let config = match side {
        Side::Client => {
            let values: Vec<Json> = OWN
                .iter()
                .map(|(name, expression)| value(&format!("source_{name}"), expression))
                .collect();
            json!({TYPE: SET_FILTER_STATE_CONFIG, "on_new_connection": values})
        }
        Side::Server => {
            let peer = "connection.uri_san_peer_certificate";
            let namespace = format!("re.extract({peer}, '.*/ns/([^/]+)/sa/.*', r'\\1')");
            let values = [value(PEER_NAMESPACE, &namespace)];
            json!({TYPE: SET_FILTER_STATE_CONFIG, "on_downstream_tls_handshake": values})
        }
    };
    envoy::json::typed_to_any(&config).ok()
}

/// The filter with the configuration of [`on_connection`].
pub(super) fn connection_filter(config: Any) -> Filter {
    Filter {
        name: SET_FILTER_STATE.to_owned(),
        config_type: Some(filter::ConfigType::TypedConfig(config)),
    }
}

fn state_key(label: &str) -> String {
    format!("meltemi.{label}")
}

fn from_connection(label: &str) -> Json {
    or_unknown(&format!("%FILTER_STATE({}:PLAIN)%", state_key(label)))
}

/// The labels that HTTP and TCP have in common.
pub(super) fn tags(side: Side, known: &Known) -> Tags {
    let unknown = || constant(UNKNOWN);
    let mut tags: Tags = NAMES
        .into_iter()
        .flat_map(|name| [format!("source_{name}"), format!("destination_{name}")])
        .map(|name| (name, unknown()))
        .collect();
    let mut set = |name: &str, tag: Json| tags.insert(name.to_owned(), tag);
    set("response_flags", json!({"value_format": "%RESPONSE_FLAGS%"}));
    match side {
        Side::Client => {
            set("reporter", constant("source"));
            for (name, _) in OWN {
                let label = format!("source_{name}");
                set(&label, from_connection(&label));
            }
            // Endpoints name their cluster only if it is another.
            let cluster_id = known.get("source_cluster").map_or(UNKNOWN, String::as_str);
            let host = |key: &str| format!("%METADATA(UPSTREAM_HOST:{METADATA}:{key})%");
            let cluster = |key: &str| format!("%METADATA(CLUSTER:{METADATA}:{key})%");
            for (label, format, otherwise) in [
                ("destination_app", host("app"), UNKNOWN),
                ("destination_version", host("version"), UNKNOWN),
                ("destination_workload", host("name"), UNKNOWN),
                ("destination_canonical_service", host("service"), UNKNOWN),
                ("destination_canonical_revision", host("revision"), "latest"),
                ("destination_cluster", host("cluster"), cluster_id),
                ("destination_workload_namespace", cluster("namespace"), UNKNOWN),
                ("destination_service", cluster("host"), UNKNOWN),
                ("destination_service_name", cluster("name"), UNKNOWN),
                ("destination_service_namespace", cluster("namespace"), UNKNOWN),
            ] {
                set(label, or_else(&format, otherwise));
            }
            set("source_principal", or_unknown("%UPSTREAM_LOCAL_URI_SAN%"));
            set("destination_principal", or_unknown("%UPSTREAM_PEER_URI_SAN%"));
            set("connection_security_policy", unknown());
        }
        Side::Server => {
            set("reporter", constant("destination"));
            for name in ["service", "service_name", "service_namespace"] {
                set(&format!("destination_{name}"), unknown());
            }
            set(PEER_NAMESPACE, from_connection(PEER_NAMESPACE));
            set("source_principal", or_unknown("%DOWNSTREAM_PEER_URI_SAN%"));
            set("destination_principal", or_unknown("%DOWNSTREAM_LOCAL_URI_SAN%"));
            let mutual = rules(&[("prefix", "spiffe://", update("mutual_tls"))], Some("none"));
            let policy = json!({"value_format": "%DOWNSTREAM_PEER_URI_SAN%", "rules": mutual});
            set("connection_security_policy", policy);
        }
    }
    tags.extend(known.iter().map(|(name, value)| (name.clone(), constant(value))));
    tags
}

pub(super) fn http_tags() -> [(&'static str, Json); 3] {
    let grpc = rules(&[("prefix", "application/grpc", update("grpc"))], Some("http"));
    let status = rules(
        &[("exact", "-", json!({"drop_tag": {}})), ("exact", "", json!({"drop_tag": {}}))],
        None,
    );
    [
        ("request_protocol", json!({"value_format": "%REQ(CONTENT-TYPE)%", "rules": grpc})),
        ("response_code", json!({"value_format": "%RESPONSE_CODE%"})),
        ("grpc_response_status", json!({"value_format": "%GRPC_STATUS_NUMBER%", "rules": status})),
    ]
}

pub(super) fn tcp_tags() -> [(&'static str, Json); 1] {
    [("request_protocol", constant("tcp"))]
}

/// A label with an expression that a user wrote.
pub(super) fn expression(text: &str) -> Json {
    or_unknown(&format!("%CEL({text})%"))
}

/// Envoy takes exactly one text or operator for a label, and an empty text is none.
fn constant(value: &str) -> Json {
    let value = if value.is_empty() { UNKNOWN } else { value };
    json!({"value_format": value.replace('%', "%%")})
}

fn or_unknown(format: &str) -> Json {
    or_else(format, UNKNOWN)
}

/// Envoy writes what is absent as nothing, or as a dash.
fn or_else(format: &str, otherwise: &str) -> Json {
    let absent = ["", "-"].map(|text| ("exact", text, update(otherwise)));
    json!({"value_format": format, "rules": rules(&absent, None)})
}

fn update(value: &str) -> Json {
    json!({"update_tag": {"new_tag_value": value}})
}

/// What happens to a value that matches, and which one stands in place of all others.
fn rules(matching: &[(&str, &str, Json)], otherwise: Option<&str>) -> Json {
    let input = json!({"name": "value", "typed_config": {TYPE: TAG_INPUT}});
    let action = |fields: &Json| {
        let mut config = fields.clone();
        config[TYPE] = TRANSFORM.into();
        json!({"action": {"name": "transform", "typed_config": config}})
    };
    let matchers: Vec<Json> = matching
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
