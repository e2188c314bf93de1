//! The immutable view. Its parts are private: a [`Reader`](crate::Reader) is the only way in.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use api::k8s::secret::Secret;
use model::{
    Endpoint, Hostname, Name, Namespace, ObjectKey, Service, ServiceKey, Shared, Workload,
};
use rpds::{HashTrieMapSync, RedBlackTreeMapSync, RedBlackTreeSetSync};

use crate::{
    DestinationRuleRecord, EndpointIdentities, GatewayRecord, KeySource, Mesh, Objects,
    SidecarRecord, VirtualServiceRecord, policy::Policies,
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
    pub(crate) services_for: HashTrieMapSync<Namespace, RedBlackTreeSetSync<ServiceOrder>>,
    pub(crate) hostnames: RedBlackTreeMapSync<Hostname, Arc<[ServiceKey]>>,
    pub(crate) endpoints: HashTrieMapSync<ServiceKey, EndpointSet>,
    /// Of the services that have endpoints.
    pub(crate) identities: HashTrieMapSync<ServiceKey, Shared<EndpointIdentities>>,
    pub(crate) addresses: HashTrieMapSync<IpAddr, Arc<AddressRecord>>,
    pub(crate) virtual_services: HashTrieMapSync<ObjectKey, Shared<VirtualServiceRecord>>,
    pub(crate) public_virtual_services: RedBlackTreeSetSync<RuleOrder>,
    pub(crate) virtual_services_for: HashTrieMapSync<Namespace, RedBlackTreeSetSync<RuleOrder>>,
    pub(crate) destination_rules: HashTrieMapSync<Hostname, Arc<[Shared<DestinationRuleRecord>]>>,
    /// The wildcard hosts of `destination_rules`, most specific first.
    pub(crate) wildcard_rules: Arc<[Hostname]>,
    pub(crate) sidecars: HashTrieMapSync<Namespace, Arc<[Shared<SidecarRecord>]>>,
    pub(crate) gateways: Arc<[Shared<GatewayRecord>]>,
    pub(crate) policies: Policies,
    pub(crate) secrets: HashTrieMapSync<ObjectKey, Shared<Arc<Secret>>>,
    pub(crate) key_sets: HashTrieMapSync<KeySource, Shared<String>>,
    /// Keys of labels by which rules choose clients.
    pub(crate) rule_labels: Arc<BTreeSet<Arc<str>>>,
}

impl Snapshot {
    pub(crate) fn empty(mesh: Shared<Mesh>) -> Self {
        Self {
            revision: 0,
            mesh,
            objects: Objects::new(),
            services: RedBlackTreeMapSync::new_sync(),
            public_services: RedBlackTreeSetSync::new_sync(),
            services_for: HashTrieMapSync::new_sync(),
            hostnames: RedBlackTreeMapSync::new_sync(),
            endpoints: HashTrieMapSync::new_sync(),
            identities: HashTrieMapSync::new_sync(),
            addresses: HashTrieMapSync::new_sync(),
            virtual_services: HashTrieMapSync::new_sync(),
            public_virtual_services: RedBlackTreeSetSync::new_sync(),
            virtual_services_for: HashTrieMapSync::new_sync(),
            destination_rules: HashTrieMapSync::new_sync(),
            wildcard_rules: Arc::from([]),
            sidecars: HashTrieMapSync::new_sync(),
            gateways: Arc::from([]),
            policies: Policies::default(),
            secrets: HashTrieMapSync::new_sync(),
            key_sets: HashTrieMapSync::new_sync(),
            rule_labels: Arc::default(),
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

    /// The endpoints of a service, for status.
    pub fn endpoints(&self, service: &ServiceKey) -> Option<&EndpointSet> {
        self.endpoints.get(service)
    }

    pub fn mesh(&self) -> &Shared<Mesh> {
        &self.mesh
    }

    /// What people wrote, for those who judge or show it.
    pub fn objects(&self) -> &Objects {
        &self.objects
    }
}
