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
    extensions::{
        access_loggers::stats::v3::config::Tag,
        filters::{
            common::set_filter_state::v3::FilterStateValue,
            network::set_filter_state::v3::Config as SetFilterState,
        },
    },
};
use model::{ObjectKey, Proxy};

use super::{
    Side,
    client::canonical,
    label_rules::{Is, dropped, replaced, rules},
};
use crate::{
    Client,
    filters::filter_state::{SET_FILTER_STATE, formatted},
    inbound::InboundPort,
};

/// The namespace of metadata that labels are read from.
const METADATA: &str = "istio";
const PEER_NAMESPACE: &str = "source_workload_namespace";
/// What stands for a name that is not known.
pub(crate) const UNKNOWN: &str = "unknown";

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

/// How the values of labels are found. The names stand in the keys alone.
pub(super) type Tags = BTreeMap<String, Tag>;

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
    let workload = proxy.metadata.get("WORKLOAD_NAME").and_then(|it| it.as_str());
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
pub(super) fn on_connection(side: Side) -> Any {
    Any::pack(&match side {
        Side::Client => SetFilterState {
            on_new_connection: OWN
                .iter()
                .map(|(name, expression)| state(&format!("source_{name}"), expression))
                .collect(),
            ..SetFilterState::default()
        },
        Side::Server => {
            let peer = "connection.uri_san_peer_certificate";
            let namespace = format!("re.extract({peer}, '.*/ns/([^/]+)/sa/.*', r'\\1')");
            SetFilterState {
                on_downstream_tls_handshake: vec![state(PEER_NAMESPACE, &namespace)],
                ..SetFilterState::default()
            }
        }
    })
}

/// What is kept of a connection for a label.
fn state(label: &str, expression: &str) -> FilterStateValue {
    formatted(&state_key(label), "envoy.string", &format!("%CEL({expression})%"))
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

fn from_connection(label: &str) -> Tag {
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
    let mut set = |name: &str, tag: Tag| tags.insert(name.to_owned(), tag);
    set("response_flags", format("%RESPONSE_FLAGS%"));
    match side {
        Side::Client => {
            set("reporter", constant("source"));
            for (name, _) in OWN {
                let label = format!("source_{name}");
                set(&label, from_connection(&label));
            }
            // Endpoints name their cluster only if it is another, and say nothing twice.
            let cluster_id = known.get("source_cluster").map_or(UNKNOWN, String::as_str);
            let host = |key: &str| format!("%METADATA(UPSTREAM_HOST:{METADATA}:{key})%");
            let host_or = |keys: [&str; 2]| {
                let [first, second] = keys.map(|key| {
                    format!(r#"{{"command":"METADATA","param":"UPSTREAM_HOST:{METADATA}:{key}"}}"#)
                });
                format!(r#"%COALESCE({{"operators":[{first},{second}]}})%"#)
            };
            let cluster = |key: &str| format!("%METADATA(CLUSTER:{METADATA}:{key})%");
            for (label, text, otherwise) in [
                ("destination_app", host_or(["app", "service"]), UNKNOWN),
                ("destination_version", host_or(["version", "revision"]), UNKNOWN),
                ("destination_workload", host_or(["name", "service"]), UNKNOWN),
                ("destination_canonical_service", host("service"), UNKNOWN),
                ("destination_canonical_revision", host("revision"), "latest"),
                ("destination_cluster", host("cluster"), cluster_id),
                ("destination_workload_namespace", cluster("namespace"), UNKNOWN),
                ("destination_service", cluster("host"), UNKNOWN),
                ("destination_service_name", cluster("name"), UNKNOWN),
                ("destination_service_namespace", cluster("namespace"), UNKNOWN),
            ] {
                set(label, or_else(&text, otherwise));
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
            let mutual = [(Is::Prefix("spiffe://"), replaced("mutual_tls"))];
            let policy = Tag {
                rules: Some(rules(mutual, Some("none"))),
                ..format("%DOWNSTREAM_PEER_URI_SAN%")
            };
            set("connection_security_policy", policy);
        }
    }
    tags.extend(known.iter().map(|(name, value)| (name.clone(), constant(value))));
    tags
}

pub(super) fn http_tags() -> [(&'static str, Tag); 3] {
    let grpc = [(Is::Prefix("application/grpc"), replaced("grpc"))];
    let none = [(Is::Exact("-"), dropped()), (Is::Exact(""), dropped())];
    [
        (
            "request_protocol",
            Tag { rules: Some(rules(grpc, Some("http"))), ..format("%REQ(CONTENT-TYPE)%") },
        ),
        ("response_code", format("%RESPONSE_CODE%")),
        (
            "grpc_response_status",
            Tag { rules: Some(rules(none, None)), ..format("%GRPC_STATUS_NUMBER%") },
        ),
    ]
}

pub(super) fn tcp_tags() -> [(&'static str, Tag); 1] {
    [("request_protocol", constant("tcp"))]
}

/// A label with an expression that a user wrote.
pub(super) fn expression(text: &str) -> Tag {
    or_unknown(&format!("%CEL({text})%"))
}

fn format(text: &str) -> Tag {
    Tag { value_format: text.to_owned(), ..Tag::default() }
}

/// Envoy takes exactly one text or operator for a label, and an empty text is none.
fn constant(value: &str) -> Tag {
    let value = if value.is_empty() { UNKNOWN } else { value };
    format(&value.replace('%', "%%"))
}

fn or_unknown(text: &str) -> Tag {
    or_else(text, UNKNOWN)
}

/// Envoy writes what is absent as nothing, or as a dash.
fn or_else(text: &str, otherwise: &str) -> Tag {
    let absent = ["", "-"].map(|absent| (Is::Exact(absent), replaced(otherwise)));
    Tag { rules: Some(rules(absent, None)), ..format(text) }
}
