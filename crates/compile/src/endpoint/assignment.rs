//! Endpoints → the groups and messages that Envoy balances over.

use std::collections::BTreeMap;

use envoy::config::{
    core::v3::{self as core, Address, HealthStatus, Metadata, Pipe, address},
    endpoint::v3::{
        ClusterLoadAssignment, Endpoint as XdsEndpoint, LbEndpoint, LocalityLbEndpoints,
        lb_endpoint::HostIdentifier,
    },
};
use model::{Endpoint, EndpointAddress, Health, Locality};
use prost_types::{Struct, Value, value};

use crate::{
    filters::socket_address, peer::PlainPeers, telemetry::UNKNOWN, traffic_policy::CLUSTER_LABEL,
};

/// Endpoints of one locality with one priority.
#[derive(Clone, Debug)]
pub(crate) struct Group<'a> {
    pub locality: &'a Locality,
    /// 0 is the first.
    pub priority: u32,
    pub weight: u64,
    pub endpoints: Vec<&'a Endpoint>,
}

impl<'a> Group<'a> {
    /// A group that weighs as much as its endpoints.
    pub(super) fn new(locality: &'a Locality, priority: u32, endpoints: Vec<&'a Endpoint>) -> Self {
        let weight = endpoints.iter().map(|endpoint| u64::from(endpoint.weight)).sum();
        Self { locality, priority, weight, endpoints }
    }
}

/// One group for each locality, sorted, all of the first priority.
pub(crate) fn group_by_locality<'a>(
    endpoints: impl Iterator<Item = &'a Endpoint>,
) -> Vec<Group<'a>> {
    let mut groups: BTreeMap<&Locality, Vec<&Endpoint>> = BTreeMap::new();
    for endpoint in endpoints {
        groups.entry(&endpoint.locality).or_default().push(endpoint);
    }
    groups.into_iter().map(|(locality, endpoints)| Group::new(locality, 0, endpoints)).collect()
}

/// What an endpoint says of itself, and the value by which it ends mTLS.
pub(crate) const TLS_MODE: &str = "tlsMode";
pub(crate) const MUTUAL: &str = "istio";

/// What is said of the endpoints beside their addresses.
pub(crate) struct Described<'a> {
    /// Name of the service's port.
    pub port: &'a str,
    pub cluster_id: &'a str,
    /// Those that take plain text only.
    pub plain: &'a PlainPeers,
    /// Whether it is said at all which ones end mTLS.
    pub mutual: bool,
}

/// Groups by priority, with weights that Envoy takes.
pub(super) struct Weighed<'a> {
    pub groups: Vec<Group<'a>>,
    divisor: u64,
}

impl<'a> Weighed<'a> {
    pub(super) fn new(mut groups: Vec<Group<'a>>) -> Self {
        groups.sort_by_key(|group| group.priority);
        // Envoy refuses an assignment whose weights add up to more than 32 bits; one bit is left for
        // weights that are rounded up to 1.
        let limit = u64::from(u32::MAX / 2);
        let heaviest: u64 = groups.iter().map(|group| group.weight).sum();
        let own = groups.iter().flat_map(|group| &group.endpoints);
        let endpoints: u64 = own.map(|endpoint| u64::from(endpoint.weight)).sum();
        Self { groups, divisor: heaviest.max(endpoints) / limit + 1 }
    }

    pub(super) fn scale(&self, weight: u64) -> u32 {
        u32::try_from((weight / self.divisor).max(1)).unwrap_or(u32::MAX)
    }
}

/// The message for these groups. `wire` encodes the same.
pub(crate) fn load_assignment(
    cluster: &str,
    described: &Described<'_>,
    groups: Vec<Group<'_>>,
) -> ClusterLoadAssignment {
    let weighed = Weighed::new(groups);
    let localities = weighed.groups.iter().map(|group| LocalityLbEndpoints {
        // gRPC refuses groups without one, so it is there even when it says nothing.
        locality: Some(convert_locality(group.locality)),
        lb_endpoints: group
            .endpoints
            .iter()
            .filter_map(|endpoint| {
                let weight = weighed.scale(endpoint.weight.into());
                lb_endpoint(endpoint, described, weight)
            })
            .collect(),
        load_balancing_weight: Some(weighed.scale(group.weight)),
        priority: group.priority,
        ..LocalityLbEndpoints::default()
    });
    ClusterLoadAssignment {
        cluster_name: cluster.to_owned(),
        endpoints: localities.collect(),
        ..ClusterLoadAssignment::default()
    }
}

pub(super) fn convert_locality(locality: &Locality) -> core::Locality {
    core::Locality {
        region: locality.region.to_string(),
        zone: locality.zone.to_string(),
        sub_zone: locality.subzone.to_string(),
    }
}

pub(super) fn convert_address(address: &EndpointAddress, port: u16) -> Address {
    let address = match address {
        EndpointAddress::Ip(ip) => {
            address::Address::SocketAddress(socket_address(&ip.to_string(), port))
        }
        EndpointAddress::Dns(host) => {
            address::Address::SocketAddress(socket_address(host.as_str(), port))
        }
        EndpointAddress::Unix(path) => {
            address::Address::Pipe(Pipe { path: path.to_string(), mode: 0 })
        }
    };
    Address { address: Some(address) }
}

pub(super) fn convert_health(health: Health) -> HealthStatus {
    match health {
        Health::Healthy => HealthStatus::Unknown,
        Health::Unhealthy => HealthStatus::Unhealthy,
        Health::Draining => HealthStatus::Draining,
    }
}

fn lb_endpoint(endpoint: &Endpoint, described: &Described<'_>, weight: u32) -> Option<LbEndpoint> {
    let port = *endpoint.ports.get(described.port)?;
    let said = Said::of(endpoint, port, described);
    let value = |text: &str| Value { kind: Some(value::Kind::StringValue(text.to_owned())) };
    let istio = said.istio().map(|(key, text)| (key.to_owned(), value(text)));
    let mut filter_metadata =
        BTreeMap::from([(ISTIO.to_owned(), Struct { fields: istio.collect() })]);
    if said.is_mutual {
        let fields = [(TLS_MODE.to_owned(), value(MUTUAL))].into();
        filter_metadata.insert(SOCKET_MATCH.to_owned(), Struct { fields });
    }
    Some(LbEndpoint {
        health_status: convert_health(endpoint.health).into(),
        metadata: Some(Metadata { filter_metadata, ..Metadata::default() }),
        load_balancing_weight: Some(weight),
        host_identifier: Some(HostIdentifier::Endpoint(XdsEndpoint {
            address: Some(convert_address(&endpoint.address, port)),
            ..XdsEndpoint::default()
        })),
    })
}

/// Keys of what is said of an endpoint: how it is connected to, and what labels of metrics are made
/// of.
pub(super) const SOCKET_MATCH: &str = "envoy.transport_socket_match";
pub(super) const ISTIO: &str = "istio";

/// What is said of an endpoint. Envoy makes much of each text, for each endpoint: what most have twice,
/// as `app` and `service`, is said once. `telemetry::labels` reads it.
pub(super) struct Said<'a> {
    /// It ends mTLS, and this is said.
    pub is_mutual: bool,
    /// As `service` if it is empty.
    app: &'a str,
    /// The mesh's own if it is empty.
    cluster: &'a str,
    /// As `service` if it is empty.
    name: &'a str,
    revision: &'a str,
    service: &'a str,
    /// As `revision` if it is empty.
    version: &'a str,
    /// `workload;namespace;canonical name;canonical revision;cluster`.
    workload: String,
}

impl<'a> Said<'a> {
    pub(super) fn of(endpoint: &'a Endpoint, port: u16, described: &Described<'a>) -> Self {
        let label = |names: &[&str]| names.iter().find_map(|name| endpoint.labels.get(name));
        let canonical = ["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"];
        let revisions =
            ["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"];
        let name = &*endpoint.workload_name;
        let service = label(&canonical).unwrap_or(name);
        let revision = label(&revisions);
        let cluster = endpoint.labels.get(CLUSTER_LABEL).unwrap_or(described.cluster_id);
        let namespace = endpoint.namespace.as_str();
        let parts = [name, namespace, service, revision.unwrap_or("latest"), cluster];
        let workload = parts.join(";");
        let revision = revision.unwrap_or_default();
        Self {
            is_mutual: described.mutual
                && endpoint.mtls
                && !described.plain.contains(&endpoint.labels, port),
            app: unless(service, label(&["app"]).unwrap_or_default()),
            // It says no more than `workload` does by itself.
            cluster: if cluster == described.cluster_id { "" } else { cluster },
            name: unless(service, name),
            revision,
            service,
            version: unless(revision, label(&["version"]).unwrap_or_default()),
            workload,
        }
    }

    /// Sorted by key.
    pub(super) fn istio(&self) -> impl Iterator<Item = (&'static str, &str)> + Clone {
        let all = [
            ("app", self.app),
            ("cluster", self.cluster),
            ("name", self.name),
            ("revision", self.revision),
            ("service", self.service),
            ("version", self.version),
            ("workload", &self.workload),
        ];
        all.into_iter().filter(|(_, text)| !text.is_empty())
    }
}

/// What is to be said beside the usual text.
fn unless<'a>(usual: &str, text: &'a str) -> &'a str {
    match text {
        _ if text == usual => "",
        "" => UNKNOWN,
        _ => text,
    }
}
