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

use crate::{filters::socket_address, peer::PlainPeers, traffic_policy::CLUSTER_LABEL};

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

/// The message for these groups.
pub(crate) fn load_assignment(
    cluster: &str,
    described: &Described<'_>,
    mut groups: Vec<Group<'_>>,
) -> ClusterLoadAssignment {
    groups.sort_by_key(|group| group.priority);
    // Envoy refuses an assignment whose weights add up to more than 32 bits; one bit is left for
    // weights that are rounded up to 1.
    let limit = u64::from(u32::MAX / 2);
    let heaviest: u64 = groups.iter().map(|group| group.weight).sum();
    let own = groups.iter().flat_map(|group| &group.endpoints);
    let endpoints: u64 = own.map(|endpoint| u64::from(endpoint.weight)).sum();
    let divisor = heaviest.max(endpoints) / limit + 1;
    let scale = |weight: u64| u32::try_from((weight / divisor).max(1)).unwrap_or(u32::MAX);
    let localities = groups.iter().map(|group| LocalityLbEndpoints {
        // gRPC refuses groups without one, so it is there even when it says nothing.
        locality: Some(convert_locality(group.locality)),
        lb_endpoints: group
            .endpoints
            .iter()
            .filter_map(|endpoint| {
                let weight = scale(endpoint.weight.into());
                lb_endpoint(endpoint, described, weight)
            })
            .collect(),
        load_balancing_weight: Some(scale(group.weight)),
        priority: group.priority,
        ..LocalityLbEndpoints::default()
    });
    ClusterLoadAssignment {
        cluster_name: cluster.to_owned(),
        endpoints: localities.collect(),
        ..ClusterLoadAssignment::default()
    }
}

fn convert_locality(locality: &Locality) -> core::Locality {
    core::Locality {
        region: locality.region.to_string(),
        zone: locality.zone.to_string(),
        sub_zone: locality.subzone.to_string(),
    }
}

fn lb_endpoint(endpoint: &Endpoint, described: &Described<'_>, weight: u32) -> Option<LbEndpoint> {
    let number = *endpoint.ports.get(described.port)?;
    let address = match &endpoint.address {
        EndpointAddress::Ip(ip) => {
            address::Address::SocketAddress(socket_address(&ip.to_string(), number))
        }
        EndpointAddress::Dns(host) => {
            address::Address::SocketAddress(socket_address(host.as_str(), number))
        }
        EndpointAddress::Unix(path) => {
            address::Address::Pipe(Pipe { path: path.to_string(), mode: 0 })
        }
    };
    let health = match endpoint.health {
        Health::Healthy => HealthStatus::Unknown,
        Health::Unhealthy => HealthStatus::Unhealthy,
        Health::Draining => HealthStatus::Draining,
    };
    Some(LbEndpoint {
        health_status: health.into(),
        metadata: Some(metadata(endpoint, number, described)),
        load_balancing_weight: Some(weight),
        host_identifier: Some(HostIdentifier::Endpoint(XdsEndpoint {
            address: Some(Address { address: Some(address) }),
            ..XdsEndpoint::default()
        })),
    })
}

fn metadata(endpoint: &Endpoint, port: u16, described: &Described<'_>) -> Metadata {
    let mut metadata = workload_metadata(endpoint, described.cluster_id);
    if described.mutual && endpoint.mtls && !described.plain.contains(&endpoint.labels, port) {
        let mode = Value { kind: Some(value::Kind::StringValue(MUTUAL.to_owned())) };
        let fields = Struct { fields: [(TLS_MODE.to_owned(), mode)].into() };
        metadata.filter_metadata.insert("envoy.transport_socket_match".to_owned(), fields);
    }
    metadata
}

/// `istio.workload: workload;namespace;canonical name;canonical revision;cluster`, and what labels
/// of metrics are made of, as far as it is not what they say by themselves.
fn workload_metadata(endpoint: &Endpoint, cluster_id: &str) -> Metadata {
    let label = |names: &[&str]| names.iter().find_map(|name| endpoint.labels.get(name));
    let canonical = ["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"];
    let revision = ["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"];
    let workload = &*endpoint.workload_name;
    let service = label(&canonical).unwrap_or(workload);
    let revision = label(&revision);
    let cluster = endpoint.labels.get(CLUSTER_LABEL).unwrap_or(cluster_id);
    let joined = format!(
        "{workload};{};{service};{};{cluster}",
        endpoint.namespace,
        revision.unwrap_or("latest"),
    );
    let flat = [
        ("app", endpoint.labels.get("app")),
        ("cluster", (cluster != cluster_id).then_some(cluster)),
        ("name", Some(workload)),
        ("revision", revision),
        ("service", Some(service)),
        ("version", endpoint.labels.get("version")),
        ("workload", Some(&joined)),
    ];
    let fields = flat.into_iter().filter_map(|(key, text)| {
        let text = text.filter(|text| !text.is_empty())?.to_owned();
        Some((key.to_owned(), Value { kind: Some(value::Kind::StringValue(text)) }))
    });
    let fields = Struct { fields: fields.collect() };
    Metadata { filter_metadata: [("istio".to_owned(), fields)].into(), ..Metadata::default() }
}
