//! Deriving what a batch has marked: services, and what is at an address.
//!
//! - Not here: which endpoints are behind a service (`behind`).

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use api::{Spec, istio::mesh_config::MeshConfig};
use model::{Kind, Namespace, ObjectKey, Registry, Service, ServiceKey, Shared, Visibility};
use rpds::RedBlackTreeSetSync;

use super::{
    Index, Marks,
    addresses::{allocate, wants_address},
    services::merge_definitions,
    share_mesh,
    small_set::SmallSet,
};
use crate::{
    Mesh, ReadKey,
    view::{AddressRecord, ServiceOrder},
};

impl Index {
    pub(super) fn derive(&mut self, marks: &mut Marks) {
        if marks.mesh {
            self.derive_mesh(marks);
        }
        self.derive_services(marks);
        self.derive_endpoints(marks);
        self.derive_addresses(marks);
        self.derive_virtual_services(marks);
        self.derive_destination_rules(marks);
        self.derive_sidecars(marks);
        self.derive_gateways(marks);
        self.derive_fences(marks);
        self.derive_policies(marks);
        self.derive_secrets(marks);
        self.derive_rule_labels(marks);
    }

    /// Mesh settings decide defaults of every object, so all are filed again.
    fn derive_mesh(&mut self, marks: &mut Marks) {
        let config = self.view.objects.values().find_map(|object| match &object.spec {
            Spec::MeshConfig(config) => Some(config.clone()),
            _ => None,
        });
        let config: Arc<MeshConfig> = config.unwrap_or_else(|| self.base_mesh.clone());
        let mesh = share_mesh(Mesh::new(config, self.features.clone(), &self.domain));
        if mesh == self.view.mesh {
            return;
        }
        self.view.mesh = mesh;
        marks.changes.keys.insert(ReadKey::Mesh);
        let keys: Vec<ObjectKey> = self.view.objects.keys().cloned().collect();
        for key in keys {
            match key.kind {
                Kind::Service | Kind::ServiceEntry => {
                    let object = self.view.objects.get(&key).cloned();
                    self.define(&key, object.as_ref(), marks);
                }
                Kind::VirtualService => {
                    marks.virtual_services.insert(key);
                }
                Kind::DestinationRule => {
                    marks.destination_rules.insert(key);
                }
                _ => {}
            }
        }
    }

    fn derive_services(&mut self, marks: &mut Marks) {
        let mut marked: BTreeSet<ServiceKey> = marks.services.drain().collect();
        let allocated = self.reallocate(&mut marked);
        for (key, addresses) in marked.into_iter().zip(allocated) {
            let definitions = self.definitions.get(&key);
            let merged = definitions
                .and_then(|all| merge_definitions(all.iter().map(Arc::as_ref)))
                .map(|service| Service { allocated: addresses, ..service })
                .map(Shared::new);
            let old = self.view.services.get(&key).cloned();
            marks.endpoints.insert(key.clone());
            if old == merged {
                continue;
            }
            let selector = merged.as_ref().map(|it| (it.namespace().clone(), it.selector.clone()));
            let is_of_kubernetes = |it: &Shared<Service>| it.registry == Registry::Kubernetes;
            if old.as_ref().is_some_and(is_of_kubernetes) {
                self.mark_selected(&key, marks);
            }
            self.selectors.set_selector(&key, selector);
            if merged.as_ref().is_some_and(is_of_kubernetes) {
                self.mark_selected(&key, marks);
            }
            self.mark_fences_of_service(&key, old.as_deref(), merged.as_deref(), marks);
            self.replace_service(&key, old, merged, marks);
        }
    }

    /// What is at the addresses of the pods that a Service selects is to be derived again.
    fn mark_selected(&self, key: &ServiceKey, marks: &mut Marks) {
        let selected = self.selectors.selected(key).into_iter().map(|(workload, _)| workload);
        let pods = selected.filter(|workload| workload.kind == Kind::Pod);
        let workloads = pods.filter_map(|workload| self.workloads.get(workload));
        marks.addresses.extend(workloads.flat_map(|workload| workload.addresses.iter().copied()));
    }

    fn wants_address_now_or_before(&self, key: &ServiceKey) -> bool {
        let now = self.definitions.get(key).into_iter().flatten();
        now.map(Arc::as_ref).any(wants_address)
            || self.view.services.get(key).is_some_and(|service| wants_address(service))
    }

    /// The allocated addresses of each marked service. Those whose address is not what it was are
    /// marked too.
    fn reallocate(&self, marked: &mut BTreeSet<ServiceKey>) -> Vec<Arc<[IpAddr]>> {
        if !marked.iter().any(|key| self.wants_address_now_or_before(key)) {
            return vec![Arc::from([]); marked.len()];
        }
        let all = self.definitions.iter();
        let mut wanting: Vec<&ServiceKey> = all
            .flat_map(|(key, all)| all.iter().filter(|it| wants_address(it)).map(move |_| key))
            .collect();
        wanting.sort_unstable();
        let allocated = allocate(wanting.into_iter());
        let differs = |(key, addresses): (&&ServiceKey, &[IpAddr; 2])| {
            let old = self.view.services.get(*key);
            old.is_some_and(|service| *service.allocated != addresses[..]).then(|| (*key).clone())
        };
        marked.extend(allocated.iter().filter_map(differs));
        marked
            .iter()
            .map(|key| allocated.get(key).map_or_else(|| Arc::from([]), |it| Arc::from(&it[..])))
            .collect()
    }

    fn replace_service(
        &mut self,
        key: &ServiceKey,
        old: Option<Shared<Service>>,
        new: Option<Shared<Service>>,
        marks: &mut Marks,
    ) {
        let keys = &mut marks.changes.keys;
        keys.insert(ReadKey::Service(key.clone()));
        if old.is_none() || new.is_none() {
            keys.insert(ReadKey::Hostname(key.hostname.clone()));
        }
        if let Some(old) = &old {
            self.set_visible(old, false);
            keys.extend(visibility_keys(old));
        }
        match new {
            Some(new) => {
                self.set_visible(&new, true);
                keys.extend(visibility_keys(&new));
                self.view.services.insert_mut(key.clone(), new);
            }
            None => {
                self.view.services.remove_mut(key);
            }
        }
        let named = self.view.hostnames.get(&key.hostname);
        let mut named: BTreeSet<ServiceKey> =
            named.into_iter().flat_map(|keys| keys.iter().cloned()).collect();
        match self.view.services.contains_key(key) {
            true => named.insert(key.clone()),
            false => named.remove(key),
        };
        match named.is_empty() {
            true => self.view.hostnames.remove_mut(&key.hostname),
            false => {
                self.view.hostnames.insert_mut(key.hostname.clone(), named.into_iter().collect());
                true
            }
        };
    }

    fn set_visible(&mut self, service: &Service, present: bool) {
        let order = ServiceOrder {
            created: service.created,
            name: service.name.clone(),
            key: service.key.clone(),
        };
        match &service.visibility {
            Visibility::Public => toggle(&mut self.view.public_services, order, present),
            Visibility::Namespaces(namespaces) => {
                for namespace in namespaces.iter() {
                    let set = self.view.services_for.get(namespace);
                    let mut set = set.cloned().unwrap_or_else(RedBlackTreeSetSync::new_sync);
                    toggle(&mut set, order.clone(), present);
                    self.view.services_for.insert_mut(namespace.clone(), set);
                }
            }
        }
    }

    fn is_of_kubernetes(&self, key: &ServiceKey) -> bool {
        let service = self.view.services.get(key);
        service.is_some_and(|service| service.registry == Registry::Kubernetes)
    }

    fn derive_addresses(&mut self, marks: &mut Marks) {
        let mut marked: Vec<IpAddr> = marks.addresses.drain().collect();
        // Neighbours are often endpoints of one service: what is known of them is shared.
        marked.sort_unstable();
        let mut last = Arc::new(AddressRecord::default());
        let mut changed = BTreeSet::new();
        for address in marked {
            let record = self.record_at(address);
            let old = self.view.addresses.get(&address);
            if old.map_or(record == AddressRecord::default(), |old| **old == record) {
                continue;
            }
            changed.insert(ReadKey::Address(address));
            if record == AddressRecord::default() {
                self.view.addresses.remove_mut(&address);
                continue;
            }
            if *last != record {
                last = Arc::new(record);
            }
            self.view.addresses.insert_mut(address, last.clone());
        }
        marks.changes.keys.append(&mut changed);
    }

    fn record_at(&self, address: IpAddr) -> AddressRecord {
        let services = self.services_at.get(&address).into_iter().flat_map(SmallSet::iter);
        let mut services: Vec<ServiceKey> = services.cloned().collect();
        let workload = self.workload_at(address).cloned();
        // Kubernetes lists a pod late, and forgets it early.
        if let Some(pod) = workload.as_ref().filter(|it| it.origin.kind == Kind::Pod) {
            let selecting = self.selectors.selecting(&pod.origin).into_iter();
            services.extend(selecting.filter(|key| self.is_of_kubernetes(key)));
            services.sort_unstable();
            services.dedup();
        }
        AddressRecord { services, workload }
    }
}

fn visibility_keys(service: &Service) -> Vec<ReadKey> {
    match &service.visibility {
        Visibility::Public => vec![ReadKey::PublicServices],
        Visibility::Namespaces(namespaces) => {
            namespaces.iter().map(|it: &Namespace| ReadKey::ServicesFor(it.clone())).collect()
        }
    }
}

pub(super) fn toggle<T: Ord>(set: &mut RedBlackTreeSetSync<T>, item: T, present: bool) {
    match present {
        true => set.insert_mut(item),
        false => {
            set.remove_mut(&item);
        }
    }
}
