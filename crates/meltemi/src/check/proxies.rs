//! Which proxies the files ask for: one for each workload, and stand-ins where no workload is
//! listed.

use std::collections::BTreeSet;

use api::{Object, Spec};
use model::{Kind, Labels, Locality, Namespace, Proxy, Workload};
use serde_json::{Map, Value, json};
use snapshot::{Reader, Snapshot};

/// The address of a stand-in: of a range that is reserved for documentation.
const NOBODY: &str = "192.0.2.1";
/// What a proxy is called of which nothing is known.
const STRANGER: &str = "check";

/// The proxies to compile for. Most of them are alike; the compiler puts those together.
pub(super) fn representatives(objects: &[Object], snapshot: &Snapshot) -> Vec<Proxy> {
    let reader = Reader::new(snapshot);
    let gateways = gateway_selectors(objects);
    let (mut proxies, mut served) = (Vec::new(), BTreeSet::new());
    let mut met = vec![false; gateways.len()];
    for object in objects {
        let Some(workload) = workload(object, &reader) else { continue };
        let mut is_gateway = false;
        for (index, (_, selector)) in gateways.iter().enumerate() {
            if !selector.is_empty() && selector.selects(&workload.labels) {
                (is_gateway, met[index]) = (true, true);
            }
        }
        let kind = if is_gateway { "router" } else { "sidecar" };
        if !is_gateway {
            served.insert(workload.namespace.clone());
        }
        proxies.extend(of_workload(kind, object, workload, snapshot));
    }
    let unmet = gateways.iter().zip(met).filter(|(_, met)| !met);
    proxies.extend(unmet.filter_map(|((namespace, selector), _)| {
        stand_in("router", STRANGER, namespace, selector, snapshot)
    }));
    let empty = Labels::default();
    let rest = namespaces(objects).into_iter().filter(|namespace| !served.contains(namespace));
    let stranger = |it: Namespace| stand_in("sidecar", STRANGER, &it, &empty, snapshot);
    proxies.extend(rest.filter_map(stranger));
    proxies
}

/// The distinct selectors of Gateways, with the namespace of the first Gateway that has each. An
/// empty selector means every proxy: it is represented by one without labels.
pub(super) fn gateway_selectors(objects: &[Object]) -> Vec<(Namespace, Labels)> {
    let mut known = BTreeSet::new();
    let mut selectors = Vec::new();
    for object in objects {
        let Spec::Gateway(gateway) = &object.spec else { continue };
        if known.insert(&gateway.selector) {
            let pairs = gateway.selector.iter().map(|(key, value)| (key.as_str(), value.as_str()));
            selectors.push((object.key.namespace.clone(), pairs.collect()));
        }
    }
    selectors
}

/// The namespaces in which a proxy may see the mesh in its own way, and one more for all others.
fn namespaces(objects: &[Object]) -> BTreeSet<Namespace> {
    let matters = |kind: Kind| {
        matches!(
            kind,
            Kind::Sidecar | Kind::DestinationRule | Kind::VirtualService | Kind::ServiceEntry
        )
    };
    let own = objects.iter().filter(|object| matters(object.key.kind));
    let mut namespaces: BTreeSet<Namespace> = own.map(|it| it.key.namespace.clone()).collect();
    namespaces.extend(
        objects
            .iter()
            .find(|object| object.key.kind == Kind::Service)
            .map(|object| object.key.namespace.clone()),
    );
    namespaces
}

/// The workload that a Pod or WorkloadEntry stands for, if it has an address of its own.
pub(crate) fn workload<'a>(object: &Object, reader: &Reader<'a>) -> Option<&'a Workload> {
    let addresses: Vec<&str> = match &object.spec {
        Spec::Pod(pod) => {
            let all = pod.status.pod_ips.iter().map(|it| it.ip.as_str());
            all.chain([pod.status.pod_ip.as_str()]).collect()
        }
        Spec::WorkloadEntry(entry) => vec![entry.address.as_str()],
        _ => return None,
    };
    let address = addresses.into_iter().find_map(|text| text.parse().ok())?;
    let workload: &Workload = reader.workload_at(address)?;
    (workload.origin == object.key).then_some(workload)
}

pub(super) fn of_workload(
    kind: &str,
    object: &Object,
    workload: &Workload,
    snapshot: &Snapshot,
) -> Option<Proxy> {
    let addresses: Vec<String> = workload.addresses.iter().map(ToString::to_string).collect();
    let mut metadata = labels(&workload.labels);
    metadata.insert("INSTANCE_IPS".to_owned(), addresses.join(",").into());
    metadata.insert("NODE_NAME".to_owned(), (*workload.node).into());
    metadata.insert("NETWORK".to_owned(), (*workload.network).into());
    let name = object.key.name.as_str();
    let id = node_id(kind, addresses.first()?, name, &workload.namespace, snapshot);
    // The id is put together right here, so that it always has its form.
    Proxy::parse(&id, metadata, workload.locality.clone()).ok()
}

/// The proxy of a workload of which only the labels are known.
pub(super) fn stand_in(
    kind: &str,
    name: &str,
    namespace: &Namespace,
    selector: &Labels,
    snapshot: &Snapshot,
) -> Option<Proxy> {
    let id = node_id(kind, NOBODY, name, namespace, snapshot);
    Proxy::parse(&id, labels(selector), Locality::default()).ok()
}

fn node_id(
    kind: &str,
    address: &str,
    name: &str,
    namespace: &Namespace,
    snapshot: &Snapshot,
) -> String {
    let domain = &snapshot.mesh().domain;
    format!("{kind}~{address}~{name}.{namespace}~{namespace}.svc.{domain}")
}

fn labels(labels: &Labels) -> Map<String, Value> {
    let own: Map<String, Value> =
        labels.iter().map(|(key, value)| (key.to_string(), json!(value))).collect();
    let mut metadata = Map::new();
    metadata.insert("LABELS".to_owned(), own.into());
    metadata.insert("CLUSTER_ID".to_owned(), "Kubernetes".into());
    metadata
}
