//! The workloads of a mesh that is not running: files → a proxy for each that they list, and for each
//! of which they only speak.
//!
//! - Files of configuration seldom list pods. A workload is spoken of by whatever selects it: a
//!   Service, a WorkloadGroup, or a fence.
//! - Not here: the fewest proxies that show everything that may be wrong (`proxies`).

use std::collections::BTreeMap;

use api::{Object, Spec};
use model::{FenceTarget, Labels, Name, Namespace, Proxy, ProxyKind, WorkloadKey};
use serde_json::Value;
use snapshot::{Reader, Snapshot};

use super::proxies::{gateway_selectors, of_workload, stand_in, workload};

/// Proxies as they would be if each workload ran.
pub(crate) struct Workloads {
    /// One for each Pod or WorkloadEntry.
    pub(crate) listed: Vec<Proxy>,
    /// One for each workload that is spoken of, and none of which is listed.
    pub(crate) named: Vec<Proxy>,
}

impl Workloads {
    /// Those of `target`. `callers` are known by their names alone.
    pub(crate) fn find(
        target: &FenceTarget,
        objects: &[Object],
        callers: impl IntoIterator<Item = WorkloadKey>,
        snapshot: &Snapshot,
    ) -> Self {
        let mut search = Search {
            gateways: gateway_selectors(objects),
            snapshot,
            found: Self { listed: Vec::new(), named: Vec::new() },
        };
        let namespace = target.namespace();
        let around = || objects.iter().filter(|object| object.key.namespace == *namespace);
        search.list(around());
        for object in around() {
            if let Some((name, labels)) = spoken_of(object) {
                search.name(&name, namespace, labels);
            }
        }
        for fence in snapshot.fences().iter().filter(|fence| fence.key.namespace == *namespace) {
            if let Some(selector) = &fence.selector {
                search.name(&fence.key.name, namespace, selector.clone());
            }
        }
        for caller in callers.into_iter().filter(|caller| target.concerns(caller)) {
            search.call(&caller);
        }
        let Self { mut listed, mut named } = search.found;
        listed.retain(|proxy| target.concerns(&proxy.workload()));
        named.retain(|proxy| target.concerns(&proxy.workload()));
        Self { listed, named }
    }
}

struct Search<'a> {
    gateways: Vec<(Namespace, Labels)>,
    snapshot: &'a Snapshot,
    found: Workloads,
}

impl Search<'_> {
    fn list<'o>(&mut self, objects: impl Iterator<Item = &'o Object>) {
        let reader = Reader::new(self.snapshot);
        for object in objects {
            let Some(workload) = workload(object, &reader) else { continue };
            let kind = self.kind(&workload.labels);
            let proxy = of_workload(kind, object, workload, self.snapshot);
            // Replicas without an owner are called as their labels say, to be one workload.
            let owner = Some(&*workload.workload_name).filter(|it| *it != object.key.name.as_str());
            let proxy = proxy.map(|proxy| match owner {
                Some(owner) => belonging_to(owner, proxy),
                None => proxy,
            });
            self.found.listed.extend(proxy.map(can_ask));
        }
    }

    /// As files call it: a gateway is what a Gateway selects.
    fn kind(&self, labels: &Labels) -> &'static str {
        let selects =
            |(_, selector): &(Namespace, Labels)| !selector.is_empty() && selector.selects(labels);
        if self.gateways.iter().any(selects) { "router" } else { "sidecar" }
    }

    /// Something selects workloads with these labels.
    fn name(&mut self, name: &Name, namespace: &Namespace, labels: Labels) {
        let Workloads { listed, named } = &self.found;
        let mut known = listed.iter().chain(named);
        if known.any(|it| it.namespace == *namespace && labels.selects(&it.labels)) {
            return;
        }
        let proxy = stand_in(self.kind(&labels), name.as_str(), namespace, &labels, self.snapshot);
        self.found.named.extend(proxy.map(can_ask));
    }

    /// Somebody was seen to call.
    fn call(&mut self, caller: &WorkloadKey) {
        let Workloads { listed, named } = &self.found;
        if listed.iter().chain(named).any(|proxy| proxy.workload() == *caller) {
            return;
        }
        let WorkloadKey { namespace, name } = caller;
        let proxy =
            stand_in("sidecar", name.as_str(), namespace, &Labels::default(), self.snapshot);
        self.found.named.extend(proxy.map(can_ask));
    }
}

/// The name and the labels of workloads that an object is about.
fn spoken_of(object: &Object) -> Option<(Name, Labels)> {
    let labels: BTreeMap<&str, &str> = match &object.spec {
        Spec::Service(service) => pairs(&service.spec.selector).collect(),
        Spec::WorkloadGroup(group) => {
            let outer = group.metadata.iter().flat_map(|it| pairs(&it.labels));
            // Those of the template win.
            outer.chain(group.template.iter().flat_map(|it| it.labels.iter())).collect()
        }
        _ => return None,
    };
    (!labels.is_empty()).then(|| (object.key.name.clone(), labels.into_iter().collect()))
}

fn pairs(labels: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    labels.iter().map(|(key, value)| (key.as_str(), value.as_str()))
}

fn belonging_to(owner: &str, proxy: Proxy) -> Proxy {
    let mut metadata = (*proxy.metadata).clone();
    metadata.insert("WORKLOAD_NAME".to_owned(), Value::from(owner));
    Proxy { metadata: metadata.into(), ..proxy }
}

/// Sidecars are taken for what this project is tested with: Envoys over delta xDS, with the filter
/// that asks and the cluster that tries elsewhere.
fn can_ask(proxy: Proxy) -> Proxy {
    let is_sidecar = proxy.kind == ProxyKind::Sidecar;
    Proxy { loads_on_demand: is_sidecar, retries_elsewhere: is_sidecar, ..proxy }
}
