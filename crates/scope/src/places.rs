//! The hosts of a snapshot, for whoever completes what callers wrote.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use model::{Cidr, Hostname, Kind, Service, Shared};
use snapshot::{Reader, Snapshot};

use crate::Places;

/// The services of a snapshot, and what rules of the mesh are about.
pub struct MeshPlaces {
    /// Where they are from.
    pub snapshot: Arc<Snapshot>,
    /// Made when the first address is asked for.
    addresses: OnceLock<Addresses>,
    /// Hosts of VirtualServices, which may be no services. Made when one that is none is asked for.
    ruled: OnceLock<HashSet<Hostname>>,
}

/// The services of virtual addresses.
#[derive(Default)]
struct Addresses {
    single: HashMap<IpAddr, Vec<Shared<Service>>>,
    /// The narrowest first.
    ranges: Vec<(Cidr, Shared<Service>)>,
}

impl Addresses {
    fn of<'a>(services: impl Iterator<Item = &'a Shared<Service>>) -> Self {
        let mut addresses = Self::default();
        for service in services {
            let of_ports = service.ports.iter().filter_map(|port| port.addresses.as_ref());
            let written = of_ports.chain([&service.addresses]).flat_map(|all| all.iter());
            let written = written.filter_map(|address| Cidr::parse(address));
            for range in written.chain(service.allocated.iter().copied().map(Cidr::single)) {
                if range.is_single() {
                    addresses.single.entry(range.address).or_default().push(service.clone());
                } else if !range.address.is_unspecified() {
                    addresses.ranges.push((range, service.clone()));
                }
            }
        }
        addresses.ranges.sort_by_key(|(range, it)| (Reverse(range.length), it.hostname().clone()));
        addresses
    }
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

    fn has_namespace(&self, name: &str) -> bool {
        self.snapshot.objects().keys().any(|key| {
            let is_itself = key.kind == Kind::Namespace && key.name.as_str() == name;
            is_itself || key.namespace.as_str() == name
        })
    }

    /// The service of a virtual address, else one that has an endpoint there, else that of the
    /// narrowest range.
    fn at(&self, address: IpAddr, port: Option<u16>) -> Option<Hostname> {
        let addresses = self.addresses.get_or_init(|| Addresses::of(self.snapshot.services()));
        let serves = |it: &Service| port.is_none_or(|port| it.port(port).is_some());
        let first = |services: &mut dyn Iterator<Item = &Shared<Service>>| {
            services.filter(|it| serves(it)).map(|service| service.hostname()).min().cloned()
        };
        let own = addresses.single.get(&address).and_then(|services| first(&mut services.iter()));
        let reader = Reader::new(&self.snapshot);
        let of_range = || {
            let mut ranges = addresses.ranges.iter();
            let found = ranges.find(|(range, it)| range.contains(address) && serves(it));
            found.map(|(_, service)| service.hostname().clone())
        };
        own.or_else(|| first(&mut reader.services_at(address).into_iter())).or_else(of_range)
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

    #[test]
    fn an_address_is_that_of_the_narrowest_range_that_serves_its_port() {
        let entry = |name: &str, addresses: &str, port: u16| {
            format!(
                "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: shop}}
spec:
  hosts: [{name}.test]
  addresses: {addresses}
  resolution: NONE
  ports: [{{number: {port}, name: tcp, protocol: TCP}}]
"
            )
        };
        let entries = [
            entry("wide", "[10.200.0.0/16, 'fd00:1::/48']", 3306),
            entry("narrow", "[10.200.5.0/24]", 3306),
            entry("single", "[10.200.5.6]", 3306),
            entry("narrowest", "[10.200.5.0/28]", 80),
            entry("anywhere", "[0.0.0.0/0]", 3306),
        ];
        let places = places(&entries.concat());
        for (dialled, expected) in [
            ("10.200.1.1:3306", Some("wide.test")),
            ("10.200.1.1", Some("wide.test")),
            ("[fd00:1::5]:3306", Some("wide.test")),
            ("10.200.5.5:3306", Some("narrow.test")),
            ("10.200.5.6:3306", Some("single.test")),
            ("10.200.5.5:80", Some("narrowest.test")),
            ("10.200.5.5:81", None),
            ("10.201.0.1:3306", None),
            ("[fd00:2::5]:3306", None),
        ] {
            check(&places, dialled, expected);
        }
    }
}
