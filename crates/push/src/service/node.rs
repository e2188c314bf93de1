//! Who a proxy says it is: Envoy's node → a proxy.

use envoy::config::core::v3::Node;
use model::{Locality, Proxy};
use prost_types::{Struct, Value, value::Kind as ValueKind};
use serde_json::Map;
use xds::{Protocol, Request};

use super::ability;

/// The proxy that begins a stream.
pub(super) fn parse_node(request: &Request, protocol: Protocol) -> Result<Proxy, String> {
    let node: Option<&Node> = match request {
        Request::Delta(request) => request.node.as_ref(),
        Request::Sotw(request) => request.node.as_ref(),
    };
    let node = node.ok_or("the first request of a stream must carry its node")?;
    let loads_on_demand = ability::loads_on_demand(node, protocol);
    let retries_elsewhere = ability::retries_elsewhere(node);
    Ok(Proxy { loads_on_demand, retries_elsewhere, ..proxy_of(node)? })
}

/// The proxy that introduces itself so.
pub fn proxy_of(node: &Node) -> Result<Proxy, String> {
    let locality = node.locality.as_ref().map(|it| Locality {
        region: it.region.as_str().into(),
        zone: it.zone.as_str().into(),
        subzone: it.sub_zone.as_str().into(),
    });
    let metadata = node.metadata.as_ref().map(json_map).unwrap_or_default();
    Proxy::parse(&node.id, metadata, locality.unwrap_or_default()).map_err(|it| it.to_string())
}

fn json_map(fields: &Struct) -> Map<String, serde_json::Value> {
    fields.fields.iter().map(|(key, value)| (key.clone(), json_value(value))).collect()
}

fn json_value(value: &Value) -> serde_json::Value {
    match &value.kind {
        None | Some(ValueKind::NullValue(_)) => serde_json::Value::Null,
        Some(ValueKind::NumberValue(number)) => (*number).into(),
        Some(ValueKind::StringValue(text)) => text.as_str().into(),
        Some(ValueKind::BoolValue(flag)) => (*flag).into(),
        Some(ValueKind::StructValue(fields)) => json_map(fields).into(),
        Some(ValueKind::ListValue(list)) => list.values.iter().map(json_value).collect(),
    }
}
