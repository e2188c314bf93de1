//! The services of a snapshot, for whoever completes what callers wrote.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use model::{Hostname, Service, Shared};
use snapshot::{Reader, Snapshot};

use crate::Places;

/// The services of a snapshot.
pub struct MeshPlaces {
    /// Where they are from.
    pub snapshot: Arc<Snapshot>,
    /// Made when the first address is asked for.
    addresses: OnceLock<HashMap<IpAddr, Vec<Shared<Service>>>>,
}

impl MeshPlaces {
    /// Looks nothing up yet.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self { snapshot, addresses: OnceLock::new() }
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
        !Reader::new(&self.snapshot).services_named(host).is_empty()
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
