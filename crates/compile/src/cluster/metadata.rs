//! What telemetry and tools read of a cluster's origin.

use std::collections::BTreeMap;

use envoy::config::core::v3::Metadata;
use prost_types::{ListValue, Struct, Value, value::Kind};

use super::{ClusterInput, Mutual};
use crate::filters::{ALPN_FIELD, ALPN_NAMESPACE};

/// HTTP towards workloads of the mesh. Without the names of HTTP's versions none is agreed on, and
/// the server finds the version in the bytes: one list serves both.
const HTTP_OFFER: &str = "istio-http/1.1,istio";

/// What is offered where the connection manager knows that it speaks HTTP.
fn http_offer(input: &ClusterInput) -> Option<&'static str> {
    let port = input.service.port(input.port)?;
    match input.mutual {
        Mutual::No => None,
        Mutual::Detected(_) | Mutual::Always(_) => (!port.protocol.is_tcp()).then_some(HTTP_OFFER),
    }
}

fn text(text: impl Into<String>) -> Value {
    Value { kind: Some(Kind::StringValue(text.into())) }
}

/// The `istio` metadata of an outbound cluster.
pub(super) fn metadata(input: &ClusterInput) -> Metadata {
    let service = &input.service;
    let mut fields: BTreeMap<String, Value> = BTreeMap::new();
    let described = BTreeMap::from([
        ("host".to_owned(), text(service.hostname().as_str())),
        ("name".to_owned(), text(service.name.as_str())),
        ("namespace".to_owned(), text(service.namespace().as_str())),
    ]);
    // Once more where labels of metrics find them in one step.
    fields.extend(described.clone());
    let described = Value { kind: Some(Kind::StructValue(Struct { fields: described })) };
    let services = Kind::ListValue(ListValue { values: vec![described] });
    fields.insert("services".to_owned(), Value { kind: Some(services) });
    let port = Kind::NumberValue(input.port.into());
    fields.insert("default_original_port".to_owned(), Value { kind: Some(port) });
    if let Some(rule) = input.rules.records.first() {
        let path = format!(
            "/apis/networking.istio.io/v1/namespaces/{}/destination-rule/{}",
            rule.key.namespace, rule.key.name
        );
        fields.insert("config".to_owned(), text(path));
    }
    if !input.subset.is_empty() {
        fields.insert("subset".to_owned(), text(&*input.subset));
    }
    if service.mesh_external {
        fields.insert("external".to_owned(), Value { kind: Some(Kind::BoolValue(true)) });
    }
    let mut filters: BTreeMap<String, Struct> = BTreeMap::new();
    filters.insert("istio".to_owned(), Struct { fields });
    if let Some(offered) = http_offer(input) {
        let fields = BTreeMap::from([(ALPN_FIELD.to_owned(), text(offered))]);
        filters.insert(ALPN_NAMESPACE.to_owned(), Struct { fields });
    }
    Metadata { filter_metadata: filters.into_iter().collect(), ..Metadata::default() }
}
