//! What a cluster's addresses are, as far as its resources say.

use std::collections::BTreeMap;

use envoy::config::{
    cluster::v3::{
        Cluster,
        cluster::{ClusterDiscoveryType, DiscoveryType},
    },
    core::v3::{Address, HealthStatus, Locality, address, socket_address::PortSpecifier},
    endpoint::v3::{ClusterLoadAssignment, LbEndpoint, lb_endpoint::HostIdentifier},
};

use crate::{EndpointView, Resources, Upstream};

/// Follows the cluster `name` to its addresses.
pub(super) fn upstream(resources: &Resources, name: &str) -> Upstream {
    let cluster_name = name.to_owned();
    let Some(cluster) = resources.clusters.get(name) else {
        return Upstream::Missing { cluster: cluster_name };
    };
    match &cluster.cluster_discovery_type {
        Some(ClusterDiscoveryType::Type(kind)) if *kind == DiscoveryType::OriginalDst as i32 => {
            Upstream::OriginalDestination { cluster: cluster_name }
        }
        Some(ClusterDiscoveryType::ClusterType(custom)) if cluster.load_assignment.is_none() => {
            match custom.name.as_str() {
                "envoy.cluster.original_dst" => {
                    Upstream::OriginalDestination { cluster: cluster_name }
                }
                _ => Upstream::Dynamic { cluster: cluster_name },
            }
        }
        Some(ClusterDiscoveryType::Type(kind)) if *kind == DiscoveryType::Eds as i32 => {
            let service_name = service_name(cluster).to_owned();
            match resources.assignments.get(&service_name) {
                Some(assignment) => Upstream::Endpoints {
                    cluster: cluster_name,
                    endpoints: list_endpoints(assignment),
                },
                None => Upstream::NoAssignment { cluster: cluster_name, service_name },
            }
        }
        Some(ClusterDiscoveryType::Type(_) | ClusterDiscoveryType::ClusterType(_)) | None => {
            let endpoints =
                cluster.load_assignment.as_ref().map(list_endpoints).unwrap_or_default();
            Upstream::Endpoints { cluster: cluster_name, endpoints }
        }
    }
}

/// The name by which an EDS cluster asks for its assignment.
pub(crate) fn service_name(cluster: &Cluster) -> &str {
    match &cluster.eds_cluster_config {
        Some(config) if !config.service_name.is_empty() => &config.service_name,
        Some(_) | None => &cluster.name,
    }
}

/// All addresses of an assignment, in its order.
pub(crate) fn list_endpoints(assignment: &ClusterLoadAssignment) -> Vec<EndpointView> {
    let mut views = Vec::new();
    for group in &assignment.endpoints {
        let locality = group.locality.as_ref().map(locality_text).unwrap_or_default();
        for endpoint in &group.lb_endpoints {
            views.push(EndpointView {
                address: endpoint_address(endpoint, assignment),
                health: health(endpoint),
                weight: endpoint.load_balancing_weight.unwrap_or(1),
                priority: group.priority,
                locality: locality.clone(),
            });
        }
    }
    views
}

fn endpoint_address(endpoint: &LbEndpoint, assignment: &ClusterLoadAssignment) -> String {
    let own = match &endpoint.host_identifier {
        Some(HostIdentifier::Endpoint(own)) => Some(own),
        Some(HostIdentifier::EndpointName(name)) => assignment.named_endpoints.get(name),
        None => None,
    };
    own.and_then(|own| own.address.as_ref()).map(address_text).unwrap_or_default()
}

fn health(endpoint: &LbEndpoint) -> &'static str {
    HealthStatus::try_from(endpoint.health_status).map_or("?", |status| status.as_str_name())
}

fn locality_text(locality: &Locality) -> String {
    let Locality { region, zone, sub_zone } = locality;
    let parts = [region, zone, sub_zone];
    let known = parts.iter().rposition(|part| !part.is_empty()).map_or(0, |last| last + 1);
    parts[..known].iter().map(|part| part.as_str()).collect::<Vec<_>>().join("/")
}

/// `address:port`, or the path of a socket.
pub(crate) fn address_text(own: &Address) -> String {
    match &own.address {
        Some(address::Address::SocketAddress(socket)) => {
            let port = match &socket.port_specifier {
                Some(PortSpecifier::PortValue(port)) => port.to_string(),
                Some(PortSpecifier::NamedPort(port)) => port.clone(),
                None => "0".to_owned(),
            };
            match socket.address.contains(':') {
                true => format!("[{}]:{port}", socket.address),
                false => format!("{}:{port}", socket.address),
            }
        }
        Some(address::Address::Pipe(pipe)) => pipe.path.clone(),
        Some(address::Address::EnvoyInternalAddress(internal)) => {
            format!("envoy://{}", internal.endpoint_id)
        }
        None => String::new(),
    }
}

/// The upstream, for a person.
pub(super) fn describe(upstream: &Upstream) -> String {
    match upstream {
        Upstream::Missing { cluster } => format!("there is no cluster `{cluster}`"),
        Upstream::OriginalDestination { cluster } => {
            format!("`{cluster}` goes on to the original destination")
        }
        Upstream::Dynamic { cluster } => {
            format!("`{cluster}` finds its addresses while it runs")
        }
        Upstream::NoAssignment { cluster, service_name } => {
            format!("`{cluster}` waits for the endpoints `{service_name}`")
        }
        Upstream::Endpoints { cluster, endpoints } if endpoints.is_empty() => {
            format!("`{cluster}` has no endpoint")
        }
        Upstream::Endpoints { cluster, endpoints } => {
            let mut by_health: BTreeMap<&str, usize> = BTreeMap::new();
            for endpoint in endpoints {
                *by_health.entry(endpoint.health).or_default() += 1;
            }
            let counts = by_health.iter().map(|(health, count)| format!("{count} {health}"));
            let counts = counts.collect::<Vec<_>>().join(", ");
            format!("`{cluster}` has {} endpoints: {counts}", endpoints.len())
        }
    }
}
