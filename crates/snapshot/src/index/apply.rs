//! Filing one object: what it may affect is marked, nothing is derived yet.

use std::{net::IpAddr, sync::Arc};

use api::{Object, Spec, k8s::endpoint_slice::EndpointSlice};
use model::{Kind, Labels, ObjectKey, ServiceKey, Shared, Workload};

use super::{
    Index, Marks,
    records::labels,
    services::{convert_kubernetes_service, convert_service_entry},
    small_set::SmallSet,
    workloads::{convert_pod, convert_workload_entry, entry_labels, node_locality},
};
use crate::{Change, Happening, ReadKey, hosts::resolve_short_name};

impl Index {
    pub(super) fn file(&mut self, change: Change, marks: &mut Marks) {
        let (key, new) = match change {
            Change::Put(object) => (object.key.clone(), Some(object)),
            Change::Delete(key) => (key, None),
            Change::KeySet(source, keys) => return self.set_keys(source, keys, marks),
            Change::Learned(workload, hosts) => return self.learn(workload, hosts, marks),
            Change::FenceSwitched(target, switch) => {
                return self.switch_fence(target, switch, marks);
            }
            Change::Time(now) => return self.set_time(now, marks),
        };
        let old = self.view.objects.get(&key).cloned();
        let old_hash = old.as_ref().map(|object| object.hash);
        if old_hash == new.as_ref().map(|object| object.hash) {
            // Only the place in the file can differ.
            if let Some(object) = new {
                self.view.objects.insert(key, object);
            }
            return;
        }
        let happening = match (old_hash, &new) {
            (None, _) => Happening::Added,
            (Some(_), Some(_)) => Happening::Updated,
            (Some(_), None) => Happening::Deleted,
        };
        marks.changes.causes.insert(key.clone(), happening);
        match &new {
            Some(object) => self.view.objects.insert(key.clone(), object.clone()),
            None => self.view.objects.remove(&key),
        }
        self.mark(&key, old.as_ref(), new.as_ref(), marks);
    }

    fn mark(
        &mut self,
        key: &ObjectKey,
        old: Option<&Object>,
        new: Option<&Object>,
        marks: &mut Marks,
    ) {
        match key.kind {
            Kind::Service => {
                self.define(key, new, marks);
                self.mark_fence(key, marks);
            }
            Kind::ServiceEntry => self.define(key, new, marks),
            Kind::ServiceFence => self.mark_fence(key, marks),
            Kind::EndpointSlice | Kind::Endpoints => self.list(key, old, new, marks),
            Kind::Pod | Kind::WorkloadEntry => self.set_workload(key, new, marks),
            Kind::Node => self.set_node(key, new, marks),
            Kind::VirtualService => {
                marks.virtual_services.insert(key.clone());
                marks
                    .virtual_services
                    .extend(self.delegated_by.get(key).into_iter().flatten().cloned());
            }
            Kind::DestinationRule => {
                marks.destination_rules.insert(key.clone());
            }
            Kind::Sidecar => {
                marks.sidecars.insert(key.namespace.clone());
            }
            Kind::Gateway => marks.gateways = true,
            Kind::MeshConfig => marks.mesh = true,
            Kind::PeerAuthentication
            | Kind::RequestAuthentication
            | Kind::AuthorizationPolicy
            | Kind::Telemetry => {
                marks.policies.insert((key.kind, key.namespace.clone()));
                marks.changes.keys.insert(ReadKey::Policy(key.clone()));
            }
            Kind::Secret => {
                marks.secrets.insert(key.clone());
            }
            // Stored for those who list objects; nothing is derived from them yet.
            Kind::WorkloadGroup
            | Kind::ProxyConfig
            | Kind::EnvoyFilter
            | Kind::WasmPlugin
            | Kind::ConfigMap => {}
            Kind::Namespace => self.mark_namespace(key, old, new, marks),
        }
    }

    /// Replaces what a Service or ServiceEntry defines.
    pub(super) fn define(&mut self, key: &ObjectKey, new: Option<&Object>, marks: &mut Marks) {
        let mesh = self.view.mesh.clone();
        let services = match new.map(|object| (&object.meta, &object.spec)) {
            Some((meta, Spec::Service(service))) => {
                vec![convert_kubernetes_service(key, meta, service, &mesh)]
            }
            Some((meta, Spec::ServiceEntry(entry))) => {
                convert_service_entry(key, meta, entry, &mesh)
            }
            _ => Vec::new(),
        };
        for old in self.defined_by.remove(key).unwrap_or_default() {
            if let Some(definitions) = self.definitions.get_mut(&old) {
                definitions.retain(|service| service.origin != *key);
                if definitions.is_empty() {
                    self.definitions.remove(&old);
                }
            }
            marks.services.insert(old);
        }
        let mut defined = Vec::with_capacity(services.len());
        for service in services {
            let name = service.key.clone();
            marks.services.insert(name.clone());
            defined.push(name.clone());
            let definitions = self.definitions.entry(name).or_default();
            // One entry may name a host twice: the last is taken.
            match definitions.binary_search_by(|known| known.origin.cmp(key)) {
                Ok(at) => definitions[at] = Arc::new(service),
                Err(at) => definitions.insert(at, Arc::new(service)),
            }
        }
        if !defined.is_empty() {
            self.defined_by.insert(key.clone(), defined);
        }
    }

    /// Notes which service an EndpointSlice or Endpoints object belongs to.
    fn list(
        &mut self,
        key: &ObjectKey,
        old: Option<&Object>,
        new: Option<&Object>,
        marks: &mut Marks,
    ) {
        let namespace: Arc<str> = key.namespace.as_str().into();
        for (object, put) in [(old, false), (new, true)] {
            let Some(name) = object.and_then(listed_service) else { continue };
            let place = (namespace.clone(), Arc::from(name));
            if put {
                self.listings.entry(place).or_default().insert(key.clone());
            } else if let Some(keys) = self.listings.get_mut(&place) {
                keys.remove(key);
                if keys.is_empty() {
                    self.listings.remove(&place);
                }
            }
            let hostname = resolve_short_name(name, &key.namespace, &self.domain);
            marks.endpoints.insert(ServiceKey { hostname, namespace: key.namespace.clone() });
        }
    }

    pub(super) fn set_workload(
        &mut self,
        key: &ObjectKey,
        new: Option<&Object>,
        marks: &mut Marks,
    ) {
        marks.endpoints.extend(self.selectors.selecting(key));
        let labels: Option<Labels> = new.map(|object| match &object.spec {
            Spec::WorkloadEntry(entry) => entry_labels(&object.meta, entry),
            _ => labels(&object.meta.labels),
        });
        let workload = match (new.map(|object| (&object.meta, &object.spec)), labels.clone()) {
            (Some((meta, Spec::Pod(pod))), Some(labels)) => {
                convert_pod(key, meta, pod, labels, &self.nodes)
            }
            (Some((_, Spec::WorkloadEntry(entry))), Some(labels)) => {
                convert_workload_entry(key, entry, labels, &mut marks.texts)
            }
            _ => None,
        };
        self.selectors.set_workload(key, labels.map(|labels| (key.namespace.clone(), labels)));
        marks.endpoints.extend(self.selectors.selecting(key));
        if key.kind == Kind::Pod {
            self.set_pod_node(key, new);
        }
        let old = self.workloads.remove(key);
        for address in old.iter().flat_map(|it| it.addresses.iter()) {
            if let Some(keys) = self.workloads_at.get_mut(address) {
                keys.remove(key);
                if keys.is_empty() {
                    self.workloads_at.remove(address);
                }
            }
            self.mark_address(*address, marks);
        }
        if let Some(workload) = workload.map(Shared::new) {
            for address in workload.addresses.iter() {
                self.workloads_at.entry(*address).or_default().insert(key.clone());
                self.mark_address(*address, marks);
            }
            self.workloads.insert(key.clone(), workload);
        }
    }

    /// Everything that shows the workload at this address is to be derived again.
    fn mark_address(&self, address: IpAddr, marks: &mut Marks) {
        marks.addresses.insert(address);
        marks
            .endpoints
            .extend(self.services_at.get(&address).into_iter().flat_map(SmallSet::iter).cloned());
    }

    fn set_pod_node(&mut self, key: &ObjectKey, new: Option<&Object>) {
        for pods in self.objects_on_nodes(key) {
            pods.remove(key);
        }
        if let Some(Spec::Pod(pod)) = new.map(|object| &object.spec) {
            let node: Arc<str> = pod.spec.node_name.as_str().into();
            self.pods_on.entry(node).or_default().insert(key.clone());
        }
    }

    fn objects_on_nodes(
        &mut self,
        key: &ObjectKey,
    ) -> impl Iterator<Item = &mut std::collections::BTreeSet<ObjectKey>> {
        let node = self.workloads.get(key).map(|workload| workload.node.clone());
        node.and_then(|node| self.pods_on.get_mut(&node)).into_iter()
    }

    fn set_node(&mut self, key: &ObjectKey, new: Option<&Object>, marks: &mut Marks) {
        let name: Arc<str> = key.name.as_str().into();
        match new.map(|object| (&object.meta, &object.spec)) {
            Some((meta, Spec::Node(node))) => {
                self.nodes.insert(name.clone(), node_locality(meta, node));
            }
            _ => {
                self.nodes.remove(&name);
            }
        }
        let pods: Vec<ObjectKey> = self.pods_on.get(&name).into_iter().flatten().cloned().collect();
        for pod in pods {
            let object = self.view.objects.get(&pod).cloned();
            self.set_workload(&pod, object.as_ref(), marks);
        }
    }

    pub(super) fn workload_at(&self, address: IpAddr) -> Option<&Shared<Workload>> {
        // A pod says more than a WorkloadEntry at the same address.
        let keys = self.workloads_at.get(&address)?;
        let best = keys.iter().max_by_key(|key| key.kind == Kind::Pod)?;
        self.workloads.get(best)
    }
}

/// The Kubernetes service that a listing of endpoints is about.
fn listed_service(object: &Object) -> Option<&str> {
    match &object.spec {
        Spec::EndpointSlice(slice) => slice_service(object, slice),
        Spec::Endpoints(_) => Some(object.key.name.as_str()),
        _ => None,
    }
}

fn slice_service<'a>(object: &'a Object, _: &EndpointSlice) -> Option<&'a str> {
    object.meta.labels.get("kubernetes.io/service-name").map(String::as_str)
}
