//! Which endpoints are behind each service that a batch has marked.
//!
//! - Not here: how one endpoint is converted (`endpoints`).

use std::net::IpAddr;

use api::Spec;
use model::{Endpoint, EndpointAddress, Registry, Service, ServiceKey, Shared};
use rayon::prelude::*;

use super::{
    Index, Marks,
    endpoints::{EntryEndpoints, convert_endpoints, convert_selected_pod, convert_slice},
    texts::Texts,
};
use crate::{EndpointIdentities, EndpointSet, ReadKey};

/// Services whose endpoints are looked at by one thread at a time. They share their texts.
const SERVICES_AT_ONCE: usize = 64;

/// What is behind a service.
struct Behind {
    old: Option<EndpointSet>,
    new: Option<EndpointSet>,
    identities: Option<Shared<EndpointIdentities>>,
}

impl Index {
    pub(super) fn derive_endpoints(&mut self, marks: &mut Marks) {
        let mut marked: Vec<ServiceKey> = marks.endpoints.drain().collect();
        marked.sort_unstable();
        // Where all of a mesh is new, this is what takes longest; services do not depend on each other.
        let found = match marked.len() {
            ..=SERVICES_AT_ONCE => self.look_at_endpoints(&marked),
            _ => {
                let parts = marked.par_chunks(SERVICES_AT_ONCE);
                parts.flat_map_iter(|keys| self.look_at_endpoints(keys)).collect()
            }
        };
        for (key, found) in marked.into_iter().zip(found) {
            let Some(Behind { old, new, identities }) = found else { continue };
            marks.changes.keys.insert(ReadKey::Endpoints(key.clone()));
            self.move_addresses(&key, old.as_deref(), new.as_deref(), marks);
            self.set_identities(&key, identities, marks);
            match new {
                Some(new) => self.view.endpoints.insert_mut(key, new),
                None => {
                    self.view.endpoints.remove_mut(&key);
                }
            }
        }
    }

    /// What is behind each service now, if that is something else than before.
    fn look_at_endpoints(&self, keys: &[ServiceKey]) -> Vec<Option<Behind>> {
        let mut texts = Texts::default();
        let look = |key: &ServiceKey| {
            let mut found = self.find_endpoints(key, &mut texts);
            found.sort_unstable();
            found.dedup();
            let identities =
                (!found.is_empty()).then(|| Shared::new(EndpointIdentities::new(&found)));
            let new = (!found.is_empty()).then(|| Shared::new(found));
            let old = self.view.endpoints.get(key).cloned();
            (old != new).then_some(Behind { old, new, identities })
        };
        keys.iter().map(look).collect()
    }

    fn set_identities(
        &mut self,
        key: &ServiceKey,
        new: Option<Shared<EndpointIdentities>>,
        marks: &mut Marks,
    ) {
        if self.view.identities.get(key) == new.as_ref() {
            return;
        }
        marks.changes.keys.insert(ReadKey::Identities(key.clone()));
        match new {
            Some(new) => self.view.identities.insert_mut(key.clone(), new),
            None => {
                self.view.identities.remove_mut(key);
            }
        }
    }

    fn find_endpoints(&self, key: &ServiceKey, texts: &mut Texts) -> Vec<Endpoint> {
        let Some(service) = self.view.services.get(key) else { return Vec::new() };
        let mut found = Vec::new();
        if service.registry == Registry::Kubernetes {
            self.find_listed(service, &mut found);
        } else {
            for definition in self.definitions.get(key).into_iter().flatten() {
                if let Some(Spec::ServiceEntry(entry)) =
                    self.view.objects.get(&definition.origin).map(|object| &object.spec)
                    && entry.workload_selector.is_none()
                {
                    let mut inline = EntryEndpoints::new(definition, texts);
                    found.extend(inline.convert_inline(&definition.origin, &entry.endpoints));
                }
            }
        }
        let selected = self.selectors.selected(key);
        found.reserve_exact(selected.len());
        let mut entries = EntryEndpoints::new(service, texts);
        for (workload, labels) in selected {
            match self.view.objects.get(workload).map(|object| &object.spec) {
                Some(Spec::WorkloadEntry(entry)) => {
                    found.extend(entries.convert(entry, workload, labels.clone()));
                }
                // Kubernetes itself lists the pods of its Services.
                Some(Spec::Pod(_)) if service.registry == Registry::External => {
                    if let Some(workload) = self.workloads.get(workload) {
                        found.extend(convert_selected_pod(service, workload));
                    }
                }
                _ => {}
            }
        }
        found
    }

    fn find_listed(&self, service: &Service, found: &mut Vec<Endpoint>) {
        let place = (service.namespace().as_str().into(), service.name.as_str().into());
        let listings = self.listings.get(&place).into_iter().flatten();
        let workload = |ip: IpAddr| self.workload_at(ip).map(|shared| &**shared);
        let (mut slices, mut objects) = (Vec::new(), Vec::new());
        for object in listings.filter_map(|key| self.view.objects.get(key)) {
            match &object.spec {
                Spec::EndpointSlice(slice) => slices.push(slice),
                Spec::Endpoints(endpoints) => objects.push(endpoints),
                _ => {}
            }
        }
        // Kubernetes mirrors Endpoints into slices; both would say everything twice.
        if slices.is_empty() {
            found.extend(objects.iter().flat_map(|it| convert_endpoints(service, it, workload)));
        }
        found.extend(slices.iter().flat_map(|slice| convert_slice(service, slice, workload)));
    }

    fn move_addresses(
        &mut self,
        key: &ServiceKey,
        old: Option<&Vec<Endpoint>>,
        new: Option<&Vec<Endpoint>>,
        marks: &mut Marks,
    ) {
        let (old, new) = (ips(old), ips(new));
        let is_in = |ips: &[IpAddr], ip| ips.binary_search(ip).is_ok();
        for gone in old.iter().filter(|ip| !is_in(&new, ip)) {
            if let Some(keys) = self.services_at.get_mut(gone) {
                keys.remove(key);
                if keys.is_empty() {
                    self.services_at.remove(gone);
                }
            }
            marks.addresses.insert(*gone);
        }
        for come in new.iter().filter(|ip| !is_in(&old, ip)) {
            self.services_at.entry(*come).or_default().insert(key.clone());
            marks.addresses.insert(*come);
        }
    }
}

/// Sorted, each once.
fn ips(endpoints: Option<&Vec<Endpoint>>) -> Vec<IpAddr> {
    let endpoints = endpoints.into_iter().flatten();
    let ips = endpoints.filter_map(|endpoint| match &endpoint.address {
        EndpointAddress::Ip(ip) => Some(*ip),
        EndpointAddress::Dns(_) | EndpointAddress::Unix(_) => None,
    });
    let mut ips: Vec<IpAddr> = ips.collect();
    ips.sort_unstable();
    ips.dedup();
    ips
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use api::istio::mesh_config::MeshConfig;

    use super::*;
    use crate::{Change, Features};

    fn index() -> Index {
        Index::new(Arc::new(MeshConfig::default()), Features::default(), "cluster.local")
    }

    fn entry(number: usize) -> Change {
        let text = format!(
            "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: s{number}, namespace: shop}}
spec:
  hosts: [s{number}.example.com]
  resolution: STATIC
  ports: [{{name: http, number: 80, protocol: HTTP}}]
  endpoints: [{{address: 10.0.1.{number}}}, {{address: 10.0.2.{number}}}]"
        );
        let (objects, findings) = api::parse_documents("mesh.yaml", text.as_bytes());
        assert!(findings.is_empty(), "{findings:?}");
        Change::Put(objects.into_iter().next().expect("an object"))
    }

    #[test]
    fn many_services_at_once_have_the_endpoints_that_they_have_one_by_one() {
        let entries: Vec<Change> = (0..3 * SERVICES_AT_ONCE).map(entry).collect();
        let (mut at_once, mut one_by_one) = (index(), index());
        at_once.apply(entries.clone());
        for change in entries {
            one_by_one.apply([change]);
        }
        let (at_once, one_by_one) = (at_once.snapshot(), one_by_one.snapshot());
        assert_eq!(at_once.service_count(), 3 * SERVICES_AT_ONCE);
        for service in at_once.services() {
            let endpoints = at_once.endpoints(&service.key).expect("endpoints");
            assert_eq!(endpoints.len(), 2);
            assert_eq!(Some(endpoints), one_by_one.endpoints(&service.key));
        }
    }
}
