//! The services of the newest snapshot, for sensors that complete what callers wrote.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use model::{Hostname, Service, Shared};
use scope::Places;
use snapshot::{Reader, Snapshot};
use tokio::sync::watch;

/// The newest snapshot.
pub(super) type Snapshots = watch::Receiver<Option<Arc<Snapshot>>>;

/// Finds services in the newest snapshot. Clones share what was looked up.
#[derive(Clone)]
pub(super) struct NewestPlaces {
    snapshots: Snapshots,
    /// Of the snapshot that was last looked at.
    known: Arc<Mutex<Option<Arc<MeshPlaces>>>>,
}

/// The services of a snapshot.
pub(super) struct MeshPlaces {
    pub(super) snapshot: Arc<Snapshot>,
    /// Made when the first address is asked for.
    addresses: OnceLock<HashMap<IpAddr, Vec<Shared<Service>>>>,
}

impl NewestPlaces {
    pub(super) fn new(snapshots: Snapshots) -> Self {
        Self { snapshots, known: Arc::default() }
    }

    /// Each snapshot as it comes.
    pub(super) fn snapshots(&self) -> Snapshots {
        self.snapshots.clone()
    }

    /// `None` before the first snapshot.
    pub(super) fn get(&self) -> Option<Arc<MeshPlaces>> {
        let snapshot = self.snapshots.borrow().clone()?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some(places) if places.snapshot.revision == snapshot.revision => Some(places.clone()),
            Some(_) | None => {
                let places = Arc::new(MeshPlaces { snapshot, addresses: OnceLock::new() });
                Some(known.insert(places).clone())
            }
        }
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
