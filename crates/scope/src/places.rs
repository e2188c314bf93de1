//! The hosts of a snapshot, for whoever completes what callers wrote.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use model::{Hostname, Service, Shared};
use snapshot::{Reader, Snapshot};

use crate::Places;

/// The services of a snapshot, and what rules of the mesh are about.
pub struct MeshPlaces {
    /// Where they are from.
    pub snapshot: Arc<Snapshot>,
    /// Made when the first address is asked for.
    addresses: OnceLock<HashMap<IpAddr, Vec<Shared<Service>>>>,
    /// Hosts of VirtualServices, which may be no services. Made when one that is none is asked for.
    ruled: OnceLock<HashSet<Hostname>>,
}

impl MeshPlaces {
    /// Looks nothing up yet.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self { snapshot, addresses: OnceLock::new(), ruled: OnceLock::new() }
    }

    /// Whether a VirtualService of the mesh is for exactly this host.
    fn is_ruled(&self, host: &Hostname) -> bool {
        let ruled = self.ruled.get_or_init(|| {
            let rules = self.snapshot.virtual_services().filter(|it| it.binds_to_mesh());
            rules.flat_map(|rule| rule.hosts.iter().cloned()).collect()
        });
        ruled.contains(host)
    }
}

impl Places for MeshPlaces {
    fn domain(&self) -> &str {
        &self.snapshot.mesh().domain
    }

    fn is_gateway(&self, host: &Hostname) -> bool {
        self.snapshot.fencing().gateway.as_ref().is_some_and(|it| it.host == *host)
    }

    fn has(&self, host: &Hostname) -> bool {
        !Reader::new(&self.snapshot).services_named(host).is_empty() || self.is_ruled(host)
    }

    fn has_pods(&self, host: &Hostname) -> bool {
        let reader = Reader::new(&self.snapshot);
        reader.services_named(host).iter().any(|service| service.is_headless())
    }

    /// The service of a virtual address, else one that has an endpoint there.
    fn at(&self, address: IpAddr, port: Option<u16>) -> Option<Hostname> {
        let addresses = self.addresses.get_or_init(|| {
            let mut addresses = HashMap::<IpAddr, Vec<Shared<Service>>>::new();
            for service in self.snapshot.services() {
                let of_ports = service.ports.iter().filter_map(|port| port.addresses.as_ref());
                let written = of_ports.chain([&service.addresses]).flat_map(|all| all.iter());
                let written = written.filter_map(|address| address.parse().ok());
                for address in written.chain(service.allocated.iter().copied()) {
                    addresses.entry(address).or_default().push(service.clone());
                }
            }
            addresses
        });
        let first = |services: &mut dyn Iterator<Item = &Shared<Service>>| {
            let serving = services.filter(|it| port.is_none_or(|port| it.port(port).is_some()));
            serving.map(|service| service.hostname()).min().cloned()
        };
        let own = addresses.get(&address).and_then(|services| first(&mut services.iter()));
        let reader = Reader::new(&self.snapshot);
        own.or_else(|| first(&mut reader.services_at(address).into_iter()))
    }
}

#[cfg(test)]
mod tests {
    use snapshot::{Change, Features, Index};

    use super::*;
    use crate::complete_host;

    const RULES: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: own, namespace: bank}
spec:
  hosts: [virtual.internal, '*.wild.internal', short]
  http: [{route: [{destination: {host: pay}}]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: outside, namespace: bank}
spec:
  hosts: [outside.internal]
  gateways: [edge]
  http: [{route: [{destination: {host: pay}}]}]
";

    fn places(text: &str) -> MeshPlaces {
        let mut index = Index::new(Arc::default(), Features::default(), "cluster.local");
        let (objects, findings) = api::parse_documents("mesh.yaml", text.as_bytes());
        assert!(findings.is_empty(), "{findings:?}");
        index.apply(objects.into_iter().map(Change::Put));
        MeshPlaces::new(index.snapshot())
    }

    #[track_caller]
    fn check(places: &MeshPlaces, name: &str, expected: Option<&str>) {
        let found = complete_host(name, &"shop".into(), places);
        assert_eq!(found.as_ref().map(Hostname::as_str), expected, "{name}");
    }

    #[test]
    fn a_host_that_only_a_rule_of_the_mesh_is_about_is_one() {
        let places = places(RULES);
        check(&places, "virtual.internal:80", Some("virtual.internal"));
        check(&places, "a.wild.internal", Some("*.wild.internal"));
        check(&places, "short.bank", Some("short.bank.svc.cluster.local"));
        for name in ["wild.internal", "other.internal", "outside.internal", "short"] {
            check(&places, name, None);
        }
    }
}
