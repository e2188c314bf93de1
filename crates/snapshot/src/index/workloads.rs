//! Pods and WorkloadEntries → workloads.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use api::{
    istio::workload_entry::WorkloadEntry,
    k8s::{node::Node, pod::Pod},
    meta::ObjectMeta,
};
use model::{Labels, Locality, Map, ObjectKey, Workload};

use super::texts::Texts;

/// Label that puts a workload somewhere else than its node.
const LOCALITY_LABEL: &str = "istio-locality";

/// Converts a pod; `None` while it has no address, or when it has ended.
pub(super) fn convert_pod(
    key: &ObjectKey,
    meta: &ObjectMeta,
    pod: &Pod,
    labels: Labels,
    nodes: &Map<Arc<str>, Locality>,
) -> Option<Workload> {
    if matches!(pod.status.phase.as_str(), "Succeeded" | "Failed") {
        return None;
    }
    let mut addresses: Vec<IpAddr> =
        pod.status.pod_ips.iter().filter_map(|ip| ip.ip.parse().ok()).collect();
    if addresses.is_empty() {
        addresses.extend(pod.status.pod_ip.parse::<IpAddr>());
    }
    if addresses.is_empty() {
        return None;
    }
    let node: Arc<str> = pod.spec.node_name.as_str().into();
    let locality = match meta.labels.get(LOCALITY_LABEL) {
        Some(text) if text.contains('/') => Locality::parse(text),
        Some(text) => Locality::parse(&text.replace('.', "/")),
        None => nodes.get(&node).cloned().unwrap_or_default(),
    };
    let ports = pod.spec.containers.iter().flat_map(|container| &container.ports);
    Some(Workload {
        origin: key.clone(),
        namespace: key.namespace.clone(),
        workload_name: workload_name(key, meta),
        addresses: addresses.into(),
        labels,
        service_account: match pod.spec.service_account_name.as_str() {
            "" => "default".into(),
            name => name.into(),
        },
        locality,
        network: meta.labels.get("topology.istio.io/network").map_or("", String::as_str).into(),
        node,
        named_ports: ports
            .filter(|port| !port.name.is_empty())
            .filter_map(|port| {
                Some((port.name.as_str().into(), u16::try_from(port.container_port).ok()?))
            })
            .collect(),
        ready: pod.status.conditions.iter().any(|it| it.type_ == "Ready" && it.status == "True")
            || pod.status.conditions.is_empty(),
    })
}

/// The name of the Deployment, Job … that a pod belongs to.
fn workload_name(key: &ObjectKey, meta: &ObjectMeta) -> Arc<str> {
    let owner = meta.owner_references.iter().find(|owner| owner.controller.unwrap_or(true));
    let Some(owner) = owner else { return key.name.as_str().into() };
    let hash = meta.labels.get("pod-template-hash").map_or("", String::as_str);
    match owner.name.strip_suffix(hash).and_then(|name| name.strip_suffix('-')) {
        Some(name) if !hash.is_empty() => name.into(),
        _ => owner.name.as_str().into(),
    }
}

/// The labels of a WorkloadEntry: those of its content win.
pub(super) fn entry_labels(meta: &ObjectMeta, entry: &WorkloadEntry) -> Labels {
    if meta.labels.is_empty() {
        return entry.labels.clone();
    }
    let outer = meta.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let merged: BTreeMap<&str, &str> = outer.chain(entry.labels.iter()).collect();
    merged.into_iter().collect()
}

/// Converts a WorkloadEntry with an IP address; others (DNS names, sockets) are endpoints only.
pub(super) fn convert_workload_entry(
    key: &ObjectKey,
    entry: &WorkloadEntry,
    labels: Labels,
    texts: &mut Texts,
) -> Option<Workload> {
    let address: IpAddr = entry.address.parse().ok()?;
    Some(Workload {
        origin: key.clone(),
        namespace: key.namespace.clone(),
        workload_name: key.name.to_shared(),
        addresses: [address].into(),
        labels,
        service_account: match entry.service_account.as_str() {
            "" => texts.share("default"),
            name => texts.share(name),
        },
        locality: texts.locality(&entry.locality),
        network: texts.share(&entry.network),
        node: texts.share(""),
        named_ports: Arc::from([]),
        ready: true,
    })
}

/// Where a node is.
pub(super) fn node_locality(meta: &ObjectMeta, _node: &Node) -> Locality {
    let label = |names: [&str; 2]| -> Arc<str> {
        names.iter().find_map(|name| meta.labels.get(*name)).map_or("", String::as_str).into()
    };
    Locality {
        region: label([
            "topology.kubernetes.io/region",
            "failure-domain.beta.kubernetes.io/region",
        ]),
        zone: label(["topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"]),
        subzone: label(["topology.istio.io/subzone", "topology.istio.io/subzone"]),
    }
}
