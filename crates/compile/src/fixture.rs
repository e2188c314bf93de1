//! Meshes and proxies for tests.

use std::sync::Arc;

use api::istio::mesh_config::MeshConfig;
use envoy::{
    Resource,
    json::{FieldNames, bytes_to_json},
};
use model::{Hostname, Locality, Proxy, Shared};
use serde_json::{Map, Value, json};
use snapshot::{Change, Features, FencingSettings, Index, LazyGateway, Reader, Snapshot};

use crate::{Client, Scope, Visible};

/// The mesh of some YAML documents. Panics on any that cannot be read.
pub(crate) fn snapshot(yaml: &str) -> Arc<Snapshot> {
    snapshot_with(yaml, Features::default())
}

/// The same with switches.
pub(crate) fn snapshot_with(yaml: &str, features: Features) -> Arc<Snapshot> {
    let (objects, findings) = api::parse_documents("mesh.yaml", yaml.as_bytes());
    let errors: Vec<String> = findings
        .iter()
        .filter(|finding| finding.severity == model::Severity::Error)
        .map(ToString::to_string)
        .collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    let mut index = Index::new(Arc::new(MeshConfig::default()), features, "cluster.local");
    index.apply(objects.into_iter().map(Change::Put));
    index.snapshot()
}

/// The mesh of some YAML documents, in which the workload of a proxy was seen to call these hosts.
pub(crate) fn learned_snapshot(yaml: &str, proxy: &Proxy, hosts: &[&str]) -> Arc<Snapshot> {
    let (objects, _) = api::parse_documents("mesh.yaml", yaml.as_bytes());
    let mut index = Index::new(Arc::default(), Features::default(), "cluster.local");
    let hosts = hosts.iter().map(|host| Hostname::new(host)).collect();
    let learned = Change::Learned(proxy.workload(), Some(Shared::new(hosts)));
    index.apply(objects.into_iter().map(Change::Put).chain([learned]));
    index.snapshot()
}

/// The mesh of some YAML documents, with the lazy gateway `lazy-gateway.mesh` on port 15080.
pub(crate) fn lazy_snapshot(yaml: &str) -> Arc<Snapshot> {
    let gateway = LazyGateway {
        host: "lazy-gateway.mesh.svc.cluster.local".into(),
        port: LazyGateway::PORT,
        namespace: "mesh".into(),
        service_account: "lazy-gateway".into(),
    };
    fencing_snapshot(yaml, FencingSettings { gateway: Some(gateway), ..FencingSettings::default() })
}

/// The mesh of some YAML documents, fenced by these settings.
pub(crate) fn fencing_snapshot(yaml: &str, fencing: FencingSettings) -> Arc<Snapshot> {
    let (objects, _) = api::parse_documents("mesh.yaml", yaml.as_bytes());
    let index = Index::new(Arc::default(), Features::default(), "cluster.local");
    let mut index = index.with_fencing(fencing);
    index.apply(objects.into_iter().map(Change::Put));
    index.snapshot()
}

/// A sidecar at 10.9.9.9 without labels.
pub(crate) fn proxy(namespace: &str) -> Proxy {
    let mut metadata = Map::new();
    metadata.insert("CLUSTER_ID".to_owned(), json!("Kubernetes"));
    let id = format!("sidecar~10.9.9.9~app.{namespace}~{namespace}.svc.cluster.local");
    Proxy::parse(&id, metadata, Locality::default()).expect("the id is valid")
}

/// The class of [`proxy`] in an empty mesh.
pub(crate) fn client(namespace: &str) -> Client {
    let empty = snapshot("");
    Client::reduce(&proxy(namespace), &Reader::new(&empty))
}

/// The class of a proxy, and all that it may see.
pub(crate) fn visible(proxy: &Proxy, snapshot: &Snapshot) -> (Client, Visible) {
    let reader = Reader::new(snapshot);
    let client = Client::reduce(proxy, &reader);
    let scope = Scope::of(&client.scope_key(), &reader);
    let visible = Visible::new(scope, &client.namespace, &reader);
    (client, visible)
}

/// The class of a proxy, and what it is told of: all that it sees, or what its fence leaves of that
/// once it has asked for these hosts.
pub(crate) fn told(proxy: &Proxy, snapshot: &Snapshot, asked: &[&str]) -> (Client, Arc<Scope>) {
    let (client, visible) = visible(proxy, snapshot);
    let reader = Reader::new(snapshot);
    let scope = match &client.fence {
        Some(fence) => {
            let asked = asked.iter().map(|host| Hostname::new(host)).collect();
            visible.fenced(fence, &asked, &reader).scope
        }
        None => Arc::new(Scope::select(&client, &reader)),
    };
    (client, scope)
}

/// A resource as YAML, in Envoy's own words.
pub(crate) fn render(resource: &Resource) -> String {
    let json = bytes_to_json(resource.type_url(), resource.decode_bytes(), FieldNames::Proto);
    let mut out = String::new();
    write_yaml(&json, 0, &mut out);
    out
}

/// Enough YAML to read messages: maps, lists and scalars; a list's first field follows its dash.
fn write_yaml(value: &Value, depth: usize, out: &mut String) {
    let pad = |depth: usize| "  ".repeat(depth);
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                let nested = matches!(field, Value::Object(it) if !it.is_empty())
                    || matches!(field, Value::Array(it) if !it.is_empty());
                if nested {
                    out.push_str(&format!("{}{key}:\n", pad(depth)));
                    write_yaml(field, depth + 1, out);
                } else {
                    out.push_str(&format!("{}{key}: {}\n", pad(depth), scalar(field)));
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                let mut text = String::new();
                write_yaml(item, depth + 1, &mut text);
                out.push_str(&format!("{}- {}", pad(depth), text.trim_start()));
            }
        }
        other => out.push_str(&format!("{}{}\n", pad(depth), scalar(other))),
    }
}

fn scalar(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
