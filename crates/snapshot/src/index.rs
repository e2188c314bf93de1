//! The writer's side: objects in, a new [`Snapshot`] and the keys that changed out.
//!
//! A batch is applied in two steps: first every object is filed and what it may affect is marked,
//! then each marked thing is derived once. A thing that comes out equal changes nothing.
//!
//! - Not here: how one object is converted (the modules below), batching and threads (`store`).

mod addresses;
mod apply;
mod behind;
mod delegates;
mod derive;
mod endpoints;
mod fences;
mod policies;
mod records;
mod rules;
mod selectors;
mod services;
mod small_set;
mod texts;
mod workloads;

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use api::istio::mesh_config::MeshConfig;
use model::{Hostname, Locality, Map, ObjectKey, Service, ServiceKey, Set, Shared, Workload};

use self::{fences::FenceIndex, selectors::Selectors, small_set::SmallSet, texts::Texts};
use crate::{Change, ChangeSet, Domains, Features, FencingSettings, Mesh, Objects, Snapshot};

/// The objects, and everything that is kept to derive services and rules from them quickly.
/// Cloning it gives an independent copy: what a dry run works on.
#[derive(Clone, Debug)]
pub struct Index {
    features: Features,
    domain: Arc<str>,
    /// Used when no object gives a `MeshConfig`.
    base_mesh: Arc<MeshConfig>,
    view: Snapshot,
    /// What Services and ServiceEntries define, sorted by origin.
    definitions: Map<ServiceKey, Vec<Arc<Service>>>,
    defined_by: Map<ObjectKey, Vec<ServiceKey>>,
    /// The EndpointSlices and Endpoints of a service, by its Kubernetes name.
    listings: Map<(Arc<str>, Arc<str>), BTreeSet<ObjectKey>>,
    workloads: Map<ObjectKey, Shared<Workload>>,
    workloads_at: Map<IpAddr, SmallSet<ObjectKey>>,
    selectors: Selectors<ServiceKey, ObjectKey>,
    nodes: Map<Arc<str>, Locality>,
    pods_on: Map<Arc<str>, BTreeSet<ObjectKey>>,
    services_at: Map<IpAddr, SmallSet<ServiceKey>>,
    /// The host that each DestinationRule is filed under.
    rule_host: Map<ObjectKey, Hostname>,
    /// Roots by the delegates that they name.
    delegated_by: Map<ObjectKey, BTreeSet<ObjectKey>>,
    fences: FenceIndex,
}

/// What a batch has touched so far.
#[derive(Debug, Default)]
struct Marks {
    mesh: bool,
    services: Set<ServiceKey>,
    endpoints: Set<ServiceKey>,
    addresses: Set<IpAddr>,
    virtual_services: BTreeSet<ObjectKey>,
    destination_rules: BTreeSet<ObjectKey>,
    sidecars: BTreeSet<model::Namespace>,
    gateways: bool,
    policies: BTreeSet<(model::Kind, model::Namespace)>,
    secrets: BTreeSet<ObjectKey>,
    /// Of kind ServiceFence, also where nobody wrote one.
    fences: BTreeSet<ObjectKey>,
    changes: ChangeSet,
    texts: Texts,
}

impl Index {
    /// An empty mesh. `mesh` holds where no object of kind `MeshConfig` does; `domain` is the
    /// suffix of Kubernetes names.
    pub fn new(mesh: Arc<MeshConfig>, features: Features, domain: &str) -> Self {
        let settings = Mesh::new(mesh.clone(), features.clone(), domain);
        Self {
            features,
            domain: domain.into(),
            base_mesh: mesh,
            view: Snapshot::empty(share_mesh(settings)),
            definitions: Map::default(),
            defined_by: Map::default(),
            listings: Map::default(),
            workloads: Map::default(),
            workloads_at: Map::default(),
            selectors: Selectors::default(),
            nodes: Map::default(),
            pods_on: Map::default(),
            services_at: Map::default(),
            rule_host: Map::default(),
            delegated_by: Map::default(),
            fences: FenceIndex::default(),
        }
    }

    /// The same empty mesh with settings of fences.
    #[must_use]
    pub fn with_fencing(mut self, settings: FencingSettings) -> Self {
        self.view.fencing = settings.into();
        self
    }

    /// The same with what waited in fences when somebody wrote that down: it goes on waiting, unless
    /// its fence asks for it again or its time is over.
    #[must_use]
    pub fn with_fence_waits(
        mut self,
        waits: impl IntoIterator<Item = (ObjectKey, Domains)>,
    ) -> Self {
        self.fences.waited = waits.into_iter().collect();
        self
    }

    /// Applies a batch. The revision grows by one if anything that can be read changed.
    pub fn apply(&mut self, changes: impl IntoIterator<Item = Change>) -> ChangeSet {
        let mut marks = Marks::default();
        for change in changes {
            self.file(change, &mut marks);
        }
        self.derive(&mut marks);
        if !marks.changes.is_empty() {
            self.view.revision += 1;
        }
        marks.changes
    }

    /// The mesh as it is now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::new(self.view.clone())
    }

    pub fn objects(&self) -> &Objects {
        &self.view.objects
    }
}

/// `Mesh` has no `Hash`: its text form stands for all of it.
fn share_mesh(mesh: Mesh) -> Shared<Mesh> {
    let hash = xxhash_rust::xxh3::xxh3_128(format!("{mesh:?}").as_bytes());
    Shared::with_hash(mesh, hash)
}
