//! The JSON of call graphs.

use std::collections::BTreeMap;

use model::{Hostname, Name, Namespace, WorkloadKey};
use serde_json::Value;

use super::{Import, ImportInput, is_name, whole_number};

/// `[{"workload": "shop/web", "host": "cart.shop", "count": 3}]`.
pub(super) fn list(items: &[Value], input: ImportInput<'_>) -> Import {
    pairs("json", "", ["workload", "host", "count"], items, input)
}

/// `{"data": [{"parent": "web.shop", "child": "cart.shop", "callCount": 3}]}`.
pub(super) fn jaeger(items: &[Value], input: ImportInput<'_>) -> Import {
    pairs("jaeger", "data", ["parent", "child", "callCount"], items, input)
}

fn pairs(
    form: &'static str,
    at: &str,
    [caller, callee, count]: [&str; 3],
    items: &[Value],
    input: ImportInput<'_>,
) -> Import {
    let mut import = Import { form, ..Import::default() };
    for (index, item) in items.iter().enumerate() {
        let place = format!("{at}[{index}]");
        let (from, to) = (text(&item[caller]), text(&item[callee]));
        let missing = [(caller, &from), (callee, &to)].into_iter().find(|(_, it)| it.is_none());
        if let Some((field, _)) = missing {
            import.leave_out(format!("{place}.{field}"), "it must be a name");
            continue;
        }
        let workload = input.workload(from.unwrap_or_default());
        let namespace = workload.as_ref().ok().map(|it| it.namespace.clone());
        let host = input.host(to.unwrap_or_default(), namespace.as_ref());
        let field = wrong_one([caller, callee, count], workload.is_err(), host.is_err());
        import.add(&format!("{place}.{field}"), workload, host, number(&item[count]));
    }
    import
}

/// Where it is said what is wrong with a call.
fn wrong_one([caller, callee, count]: [&str; 3], by_caller: bool, by_callee: bool) -> &str {
    match (by_caller, by_callee) {
        (true, _) => caller,
        (false, true) => callee,
        (false, false) => count,
    }
}

/// A service of SkyWalking.
struct Service<'a> {
    name: &'a str,
    /// Whether an agent reports it; a database or a user is only seen by others.
    is_real: bool,
}

/// `{"data": {"getServiceTopology": {"nodes": [{"id", "name"}], "calls": [{"source", "target"}]}}}`,
/// under whatever name the query gave it. `None` when it has no calls anywhere.
pub(super) fn skywalking(value: &Value, input: ImportInput<'_>) -> Option<Import> {
    let inner = value["data"].as_object().into_iter().flat_map(|data| data.values());
    let topology = [value, &value["data"]]
        .into_iter()
        .chain(inner)
        .find(|it| it["nodes"].is_array() && it["calls"].is_array())?;
    let mut import = Import { form: "skywalking", ..Import::default() };
    let nodes: BTreeMap<&str, Service<'_>> = items(&topology["nodes"])
        .iter()
        .filter_map(|node| {
            let is_real = node["isReal"].as_bool().unwrap_or(true);
            Some((text(&node["id"])?, Service { name: text(&node["name"])?, is_real }))
        })
        .collect();
    for (index, call) in items(&topology["calls"]).iter().enumerate() {
        let place = format!("calls[{index}]");
        let end = |field: &str| text(&call[field]).and_then(|id| nodes.get(id));
        let (Some(source), Some(target)) = (end("source"), end("target")) else {
            let field = if end("source").is_none() { "source" } else { "target" };
            import.leave_out(format!("{place}.{field}"), "it names no node");
            continue;
        };
        // Nobody's proxy needs to know whom a user calls.
        if !source.is_real {
            continue;
        }
        let workload = input.workload(source.name);
        let namespace = workload.as_ref().ok().map(|it| it.namespace.clone());
        let host = input.host(target.name, namespace.as_ref());
        let fields = ["source", "target", "count"];
        let field = wrong_one(fields, workload.is_err(), host.is_err());
        import.add(&format!("{place}.{field}"), workload, host, number(&call["count"]));
    }
    Some(import)
}

/// Kiali's `/api/namespaces/graph`: nodes and edges as Cytoscape has them, of any of its kinds.
pub(super) fn kiali(elements: &Value, input: ImportInput<'_>) -> Import {
    let mut import = Import { form: "kiali", ..Import::default() };
    let nodes: BTreeMap<&str, &Value> = items(&elements["nodes"])
        .iter()
        .filter_map(|node| Some((text(&node["data"]["id"])?, &node["data"])))
        .collect();
    for (index, edge) in items(&elements["edges"]).iter().enumerate() {
        let place = format!("elements.edges[{index}].data");
        let edge = &edge["data"];
        let end = |field: &str| text(&edge[field]).and_then(|id| nodes.get(id).copied());
        let (Some(source), Some(target)) = (end("source"), end("target")) else {
            let field = if end("source").is_none() { "source" } else { "target" };
            import.leave_out(format!("{place}.{field}"), "it names no node");
            continue;
        };
        // A service calls nobody: the line from it leads to the workloads behind it.
        if source["nodeType"] == "service" {
            continue;
        }
        let Some(workload) = kiali_workload(source) else {
            import.leave_out(format!("{place}.source"), "its node is no workload of the mesh");
            continue;
        };
        let hosts = kiali_hosts(target, input);
        if hosts.is_empty() {
            import.leave_out(format!("{place}.target"), "its node names no service");
        }
        for host in hosts {
            let workload = Ok(workload.clone());
            import.add(&format!("{place}.target"), workload, host, Ok(1));
        }
    }
    let is_empty = import.calls.is_empty() && import.findings.is_empty();
    if is_empty && !items(&elements["edges"]).is_empty() {
        let what_to_do = "no workload is in it: ask for the graph with graphType=workload";
        import.leave_out("elements.edges", what_to_do);
    }
    import
}

fn kiali_workload(node: &Value) -> Option<WorkloadKey> {
    let known = |value: &Value| {
        let text = text(value).filter(|it| is_name(it) && *it != "unknown")?;
        Some(text.to_owned())
    };
    let name = known(&node["workload"]).or_else(|| known(&node["app"]))?;
    let namespace = known(&node["namespace"])?;
    Some(WorkloadKey { namespace: Namespace::from(namespace), name: Name::from(name) })
}

/// The services by which a node is called.
fn kiali_hosts(node: &Value, input: ImportInput<'_>) -> Vec<Result<Hostname, String>> {
    let behind = items(&node["destServices"]).iter();
    let named = behind.filter_map(|it| Some((text(&it["name"])?, text(&it["namespace"])?)));
    let own = text(&node["service"]).zip(text(&node["namespace"]));
    let mut hosts: Vec<_> = named
        .chain(own)
        .filter(|(name, namespace)| is_name(name) && is_name(namespace))
        .filter(|(name, _)| !["unknown", "PassthroughCluster", "BlackHoleCluster"].contains(name))
        .map(|(name, namespace)| match name.contains('.') {
            // A host of a ServiceEntry.
            true => input.host(name, Some(&Namespace::from(namespace))),
            false => {
                input.host(&format!("{name}.{namespace}.svc"), Some(&Namespace::from(namespace)))
            }
        })
        .collect();
    hosts.sort_unstable();
    hosts.dedup();
    hosts
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}

/// A count, which is one if it is not said.
fn number(value: &Value) -> Result<u32, String> {
    match value {
        Value::Null => Ok(1),
        Value::String(text) => whole_number(text.trim()),
        Value::Number(_) | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            whole_number(&value.to_string())
        }
    }
}
