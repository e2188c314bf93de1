//! Meshes and proxies for tests.

use std::sync::Arc;

use api::istio::mesh_config::MeshConfig;
use model::{Locality, Proxy};
use serde_json::{Map, json};
use snapshot::{Change, Features, Index, Reader, Snapshot};

use crate::Client;

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
