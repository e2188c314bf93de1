//! The part of a proxy's class that its telemetry depends on.

use std::{collections::BTreeSet, sync::Arc};

use api::istio::telemetry::Telemetry;
use model::{Namespace, ObjectKey, Proxy};
use serde_json::Value;
use snapshot::{PolicyRecord, Reader};

use super::tracing;

/// In node metadata: the bootstrap has the runtime layer that switches are sent to.
const RUNTIME: &str = "MELTEMI_RUNTIME";
/// In node metadata: ports of the agent on the proxy's machine that the bootstrap has clusters for.
const NODE_AGENT: &str = "MELTEMI_NODE_AGENT";

/// What is kept of a proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TelemetryClient {
    /// The Telemetry objects in force: of the mesh, of the namespace, of the workload.
    pub objects: Arc<[ObjectKey]>,
    /// The proxy looks switches up at run time.
    pub runtime: bool,
    /// Ports of the agent on its own machine.
    pub node_agent: BTreeSet<u16>,
    /// `service.namespace` as spans name it, where the tracer wants it in the listener.
    pub service_name: Option<Arc<str>>,
}

impl TelemetryClient {
    /// Reduces a proxy. What is read is what the reduction depends on.
    pub(crate) fn reduce(proxy: &Proxy, reader: &Reader<'_>) -> Self {
        let text = |key: &str| proxy.metadata.get(key).and_then(Value::as_str).unwrap_or_default();
        let keys = objects(proxy, reader);
        let records = keys.iter().filter_map(|key| reader.policy::<Telemetry>(key));
        let records: Vec<&PolicyRecord<Telemetry>> = records.map(|record| &**record).collect();
        let named = tracing::names_service(&records, reader);
        let ports = text(NODE_AGENT).split(',').filter_map(|it| it.trim().parse().ok());
        Self {
            objects: keys.into(),
            runtime: text(RUNTIME) == "true",
            node_agent: ports.collect(),
            service_name: named.then(|| service_name(proxy)),
        }
    }
}

/// As Istio names the cluster of a node: by the application, not by the instance.
fn service_name(proxy: &Proxy) -> Arc<str> {
    format!("{}.{}", canonical(proxy).0, proxy.namespace).into()
}

/// The application and its revision.
pub(super) fn canonical(proxy: &Proxy) -> (&str, &str) {
    let find = |keys: [&str; 3]| keys.into_iter().find_map(|key| proxy.labels.get(key));
    let name = find(["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"]);
    let workload = proxy.metadata.get("WORKLOAD_NAME").and_then(Value::as_str);
    let revision =
        find(["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"]);
    (name.or(workload).unwrap_or(proxy.name.as_str()), revision.unwrap_or("latest"))
}

/// One without a selector of the root namespace and of the proxy's own, the oldest of each, and all
/// that select the proxy. What comes later overrides.
fn objects(proxy: &Proxy, reader: &Reader<'_>) -> Vec<ObjectKey> {
    let root = &reader.mesh().root_namespace;
    let general = |namespace: &Namespace| {
        reader.policies::<Telemetry>(namespace).iter().find(|record| is_general(record))
    };
    let own = &proxy.namespace;
    let mut objects: Vec<ObjectKey> = Vec::new();
    objects.extend(general(root).map(|record| record.key.clone()));
    if own != root {
        objects.extend(general(own).map(|record| record.key.clone()));
    }
    let chosen = reader.policies::<Telemetry>(own).iter();
    let chosen = chosen.filter(|it| !is_general(it) && it.selects(&proxy.labels));
    objects.extend(chosen.map(|record| record.key.clone()));
    objects
}

fn is_general(record: &PolicyRecord<Telemetry>) -> bool {
    let spec = &record.spec;
    record.selector.is_none() && spec.target_ref.is_none() && spec.target_refs.is_empty()
}
