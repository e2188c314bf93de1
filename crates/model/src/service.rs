//! Services and their endpoints, whatever registry they come from.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use crate::{Hostname, Labels, Locality, Name, Namespace, ObjectKey, Protocol, ServiceKey};

/// Where a service was defined; Istio treats the two apart in names and defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Registry {
    Kubernetes,
    External,
}

/// How a service's endpoints are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resolution {
    /// Endpoints are known (Kubernetes ClusterIP, ServiceEntry `STATIC`): EDS.
    ClientSide,
    /// Resolved by the proxy, all addresses used (`DNS`).
    Dns,
    /// Resolved by the proxy, one address at a time (`DNS_ROUND_ROBIN`).
    DnsRoundRobin,
    /// The caller's own destination address is used (`NONE`, headless services).
    Passthrough,
    /// The name is resolved per request (`DYNAMIC_DNS`).
    DynamicDns,
    /// Another name for another service (Kubernetes `ExternalName`).
    Alias,
}

/// Who may see a service or a rule (`exportTo`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Visibility {
    Public,
    /// Only these namespaces; `.` is already replaced by the object's own. Empty means nobody (`~`).
    Namespaces(Arc<[Namespace]>),
}

impl Visibility {
    pub fn includes(&self, namespace: &Namespace) -> bool {
        match self {
            Self::Public => true,
            Self::Namespaces(namespaces) => namespaces.contains(namespace),
        }
    }
}

/// The port of a workload that serves a service port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TargetPort {
    Number(u16),
    /// Name of a container port; each pod may map it differently.
    Named(Arc<str>),
}

/// One port of a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServicePort {
    pub name: Arc<str>,
    pub number: u16,
    pub protocol: Protocol,
    pub target: TargetPort,
    /// Where callers reach this port, if not where they reach the service: several ServiceEntries
    /// may define one host. `0.0.0.0` is everywhere.
    pub addresses: Option<Arc<[Arc<str>]>>,
}

/// Kubernetes `trafficDistribution`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrafficDistribution {
    Any,
    PreferSameZone,
    PreferSameNode,
    /// Istio's `PreferSameNetwork`-style label order is not modelled; close means same zone first.
    PreferClose,
}

/// A service: what callers name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Service {
    pub key: ServiceKey,
    pub registry: Registry,
    /// The object that defines it.
    pub origin: ObjectKey,
    /// Name for people and metadata: the object's name for Kubernetes, the hostname otherwise.
    pub name: Name,
    /// Creation time in seconds since the epoch; 0 when the object has none. Older wins conflicts.
    pub created: i64,
    pub ports: Arc<[ServicePort]>,
    pub resolution: Resolution,
    /// Outside the mesh (`location: MESH_EXTERNAL`): never mTLS.
    pub mesh_external: bool,
    /// Virtual addresses or CIDRs on which callers reach it; empty for headless services.
    pub addresses: Arc<[Arc<str>]>,
    /// The address that was allocated because none was written (ServiceEntry).
    pub allocated: Arc<[IpAddr]>,
    pub visibility: Visibility,
    /// Labels that its workloads must have; empty when it has no selector.
    pub selector: Labels,
    pub labels: Labels,
    /// SANs that callers must find in the server's certificate.
    pub subject_alt_names: Arc<[Arc<str>]>,
    /// `internalTrafficPolicy: Local`.
    pub node_local: bool,
    pub traffic_distribution: TrafficDistribution,
    /// For `Alias`: the name it stands for.
    pub alias_of: Option<Hostname>,
    /// Pods take part before they are ready (`publishNotReadyAddresses`).
    pub publish_not_ready: bool,
    /// Who takes an access log of every call to it (`meltemi.io/access-log`): names of providers, or
    /// `true` for those of the mesh. Sorted.
    pub access_log: Arc<[Arc<str>]>,
}

impl Service {
    /// The virtual addresses or CIDRs on which callers reach a port.
    pub fn addresses_of(&self, port: u16) -> &[Arc<str>] {
        let own = self.port(port).and_then(|port| port.addresses.as_deref());
        own.unwrap_or(&self.addresses)
    }

    pub fn hostname(&self) -> &Hostname {
        &self.key.hostname
    }

    pub fn namespace(&self) -> &Namespace {
        &self.key.namespace
    }

    pub fn port(&self, number: u16) -> Option<&ServicePort> {
        self.ports.iter().find(|port| port.number == number)
    }

    /// Kubernetes headless: no address of its own.
    pub fn is_headless(&self) -> bool {
        self.registry == Registry::Kubernetes && self.resolution == Resolution::Passthrough
    }
}

/// How an endpoint answers health questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    Healthy,
    Unhealthy,
    Draining,
}

/// Where an endpoint listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndpointAddress {
    Ip(IpAddr),
    /// Only for services that the proxy resolves.
    Dns(Hostname),
    /// Path of a Unix domain socket.
    Unix(Arc<str>),
}

/// One instance behind a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    pub address: EndpointAddress,
    /// Service port name → port of the instance. A port that is absent is not served.
    pub ports: Arc<BTreeMap<Arc<str>, u16>>,
    pub labels: Labels,
    pub locality: Locality,
    /// Load balancing weight, at least 1.
    pub weight: u32,
    pub service_account: Arc<str>,
    pub workload_name: Arc<str>,
    pub namespace: Namespace,
    pub network: Arc<str>,
    pub node: Arc<str>,
    pub health: Health,
    /// The instance has a sidecar that ends mTLS.
    pub mtls: bool,
    /// Name in DNS below a headless service (`pod-0`), if any.
    pub hostname: Arc<str>,
}
