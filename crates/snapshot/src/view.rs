//! The immutable view. Its parts are private: a [`Reader`](crate::Reader) is the only way in.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use api::k8s::secret::Secret;
use model::{
    Endpoint, FenceTarget, Hostname, Name, Namespace, ObjectKey, Service, ServiceKey, Shared,
    Workload, WorkloadKey,
};
use rpds::{RedBlackTreeMapSync, RedBlackTreeSetSync};

use crate::{
    DestinationRuleRecord, EndpointIdentities, FenceWaits, FencingSettings, GatewayRecord,
    KeySource, Learned, Mesh, Objects, SidecarRecord, VirtualServiceRecord, fence::FenceTable,
    hash::SharedMap, policy::Policies,
};

/// All endpoints of a service, sorted.
pub type EndpointSet = Shared<Vec<Endpoint>>;

/// Older first, then by name: the order in which conflicts are decided.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ServiceOrder {
    pub created: i64,
    pub name: Name,
    pub key: ServiceKey,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RuleOrder {
    pub created: i64,
    pub name: Name,
    pub namespace: Namespace,
    pub key: ObjectKey,
}

/// What is found at one address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AddressRecord {
    pub services: Vec<ServiceKey>,
    pub workload: Option<Shared<Workload>>,
}

/// One revision of the mesh.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub revision: u64,
    pub(crate) mesh: Shared<Mesh>,
    pub(crate) objects: Objects,
    pub(crate) services: RedBlackTreeMapSync<ServiceKey, Shared<Service>>,
    pub(crate) public_services: RedBlackTreeSetSync<ServiceOrder>,
    pub(crate) services_for: SharedMap<Namespace, RedBlackTreeSetSync<ServiceOrder>>,
    pub(crate) hostnames: RedBlackTreeMapSync<Hostname, Arc<[ServiceKey]>>,
    pub(crate) endpoints: SharedMap<ServiceKey, EndpointSet>,
    /// Of the services that have endpoints.
    pub(crate) identities: SharedMap<ServiceKey, Shared<EndpointIdentities>>,
    pub(crate) addresses: SharedMap<IpAddr, Arc<AddressRecord>>,
    pub(crate) virtual_services: SharedMap<ObjectKey, Shared<VirtualServiceRecord>>,
    pub(crate) public_virtual_services: RedBlackTreeSetSync<RuleOrder>,
    pub(crate) virtual_services_for: SharedMap<Namespace, RedBlackTreeSetSync<RuleOrder>>,
    pub(crate) destination_rules: SharedMap<Hostname, Arc<[Shared<DestinationRuleRecord>]>>,
    /// The wildcard hosts of `destination_rules`, most specific first.
    pub(crate) wildcard_rules: Arc<[Hostname]>,
    pub(crate) sidecars: SharedMap<Namespace, Arc<[Shared<SidecarRecord>]>>,
    pub(crate) gateways: Arc<[Shared<GatewayRecord>]>,
    pub(crate) policies: Policies,
    pub(crate) secrets: SharedMap<ObjectKey, Shared<Arc<Secret>>>,
    pub(crate) key_sets: SharedMap<KeySource, Shared<String>>,
    /// Keys of labels by which rules choose clients.
    pub(crate) rule_labels: Arc<BTreeSet<Arc<str>>>,
    pub(crate) learned: SharedMap<WorkloadKey, Learned>,
    pub(crate) fences: SharedMap<Namespace, Arc<FenceTable>>,
    pub(crate) fence_waits: FenceWaits,
    pub(crate) fencing: Arc<FencingSettings>,
    /// The workloads whose fences somebody switched off.
    pub(crate) fences_off: RedBlackTreeSetSync<FenceTarget>,
}

impl Snapshot {
    pub(crate) fn empty(mesh: Shared<Mesh>) -> Self {
        Self {
            revision: 0,
            mesh,
            objects: Objects::new(),
            services: RedBlackTreeMapSync::new_sync(),
            public_services: RedBlackTreeSetSync::new_sync(),
            services_for: SharedMap::default(),
            hostnames: RedBlackTreeMapSync::new_sync(),
            endpoints: SharedMap::default(),
            identities: SharedMap::default(),
            addresses: SharedMap::default(),
            virtual_services: SharedMap::default(),
            public_virtual_services: RedBlackTreeSetSync::new_sync(),
            virtual_services_for: SharedMap::default(),
            destination_rules: SharedMap::default(),
            wildcard_rules: Arc::from([]),
            sidecars: SharedMap::default(),
            gateways: Arc::from([]),
            policies: Policies::default(),
            secrets: SharedMap::default(),
            key_sets: SharedMap::default(),
            rule_labels: Arc::default(),
            learned: SharedMap::default(),
            fences: SharedMap::default(),
            fence_waits: FenceWaits::default(),
            fencing: Arc::default(),
            fences_off: RedBlackTreeSetSync::new_sync(),
        }
    }

    /// Number of services, for status.
    pub fn service_count(&self) -> usize {
        self.services.size()
    }

    /// All services, for status: what is compiled reads them one by one through a `Reader`.
    pub fn services(&self) -> impl Iterator<Item = &Shared<Service>> {
        self.services.iter().map(|(_, service)| service)
    }

    /// All VirtualServices that can be bound to something, for status.
    pub fn virtual_services(&self) -> impl Iterator<Item = &Shared<VirtualServiceRecord>> {
        self.virtual_services.iter().map(|(_, record)| record)
    }

    /// The endpoints of a service, for status.
    pub fn endpoints(&self, service: &ServiceKey) -> Option<&EndpointSet> {
        self.endpoints.get(service)
    }

    pub fn mesh(&self) -> &Shared<Mesh> {
        &self.mesh
    }

    /// How fences are made and what all of them hold. It never changes.
    pub fn fencing(&self) -> &FencingSettings {
        &self.fencing
    }

    /// What people wrote, for those who judge or show it.
    pub fn objects(&self) -> &Objects {
        &self.objects
    }
}
