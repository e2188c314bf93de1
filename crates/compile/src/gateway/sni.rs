//! `AUTO_PASSTHROUGH`: traffic between sidecars of two networks, led by the server name alone.
//!
//! - The connection stays encrypted from sidecar to sidecar: the clusters here add no TLS, and have
//!   only endpoints that end mTLS, so that nobody reaches one without it.
//! - Not here: which sidecars use a gateway for whom (other networks, a later release).

use std::sync::Arc;

use envoy::{
    Resource,
    config::{cluster::v3::Cluster, endpoint::v3::ClusterLoadAssignment},
    type_url,
};
use model::{Endpoint, Protocol, Resolution, Shared};
use prost::Message;

use super::{GatewayAction, GatewayChain, GatewayServer, SniMatch, tcp::Routing};
use crate::{
    Compiled,
    cluster::{ClusterInput, compile_cluster},
    endpoint::{EndpointInput, compile_endpoints},
    names,
    traffic_policy::select_rules,
};

/// A chain for each port and subset of each service in the mesh that the server is for.
pub(super) fn chains(server: &GatewayServer, routing: &Routing<'_>) -> Vec<GatewayChain> {
    let reader = routing.reader;
    let visible = reader.visible_services(&routing.client.namespace).into_iter();
    let wanted = visible.filter(|service| {
        let covered = |name| server.hosts.iter().any(|host| host.host.covers(name));
        !service.mesh_external
            && service.resolution != Resolution::Alias
            && covered(service.hostname())
    });
    let mut chains = Vec::new();
    for service in wanted.filter_map(|service| reader.service(&service.key)) {
        let rules = select_rules(service, routing.client, reader);
        let subsets = rules.subsets().into_iter().map(|(name, _)| name);
        let subsets: Vec<Arc<str>> = std::iter::once("".into()).chain(subsets).collect();
        for port in service.ports.iter().filter(|port| port.protocol != Protocol::Udp) {
            for subset in &subsets {
                let name = names::sni_cluster(port.number, subset, service.hostname());
                let route = routing.to_service(service, port.number, subset, name.as_str());
                let mut origins = vec![server.origin.clone(), service.origin.clone()];
                origins.extend(rules.origins());
                chains.push(GatewayChain {
                    matches: SniMatch::MeshCluster(name.into()),
                    tls: None,
                    action: GatewayAction::Tcp(route),
                    origins,
                });
            }
        }
    }
    chains
}

/// Compiles the cluster that a server name stands for: the service's, without encryption.
pub(crate) fn compile_sni_cluster(input: &ClusterInput) -> Option<Compiled> {
    let plain = compile_cluster(input)?;
    let name = names::sni_cluster(input.port, &input.subset, input.service.hostname());
    let mut cluster = Cluster::decode(plain.resource.decode_bytes()).ok()?;
    cluster.alt_stat_name = format!("{name};");
    cluster.transport_socket = None;
    cluster.transport_socket_matches.clear();
    // Bytes are forwarded: there is no HTTP for which the protocol would matter.
    cluster.typed_extension_protocol_options.clear();
    if let Some(eds) = &mut cluster.eds_cluster_config {
        eds.service_name.clear();
    }
    if let Some(assignment) = &mut cluster.load_assignment {
        assignment.cluster_name.clone_from(&name);
    }
    cluster.name.clone_from(&name);
    let resource = Resource::from_message(name, type_url::CLUSTER, &cluster);
    Some(Compiled { resource, ..plain })
}

/// Compiles the endpoints of such a cluster: those that end mTLS themselves.
pub(crate) fn compile_sni_endpoints(input: &EndpointInput) -> Compiled {
    let ending = |endpoints: &Vec<Endpoint>| -> Vec<Endpoint> {
        endpoints.iter().filter(|endpoint| endpoint.mtls).cloned().collect()
    };
    let endpoints = input.endpoints.as_ref().map(|all| Shared::new(ending(all)));
    let plain = compile_endpoints(&EndpointInput { endpoints, ..input.clone() });
    let name = names::sni_cluster(input.port, &input.subset, input.service.hostname());
    let Ok(assignment) = ClusterLoadAssignment::decode(plain.resource.decode_bytes()) else {
        return plain;
    };
    let assignment = ClusterLoadAssignment { cluster_name: name.clone(), ..assignment };
    let resource = Resource::from_message(name, type_url::ENDPOINT, &assignment);
    Compiled { resource, ..plain }
}
