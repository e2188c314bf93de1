//! Compiles the endpoints behind one port of a service, or of a subset, into an Envoy
//! `ClusterLoadAssignment`.
//!
//! - Pure: equal inputs give equal bytes. Localities and endpoints are sorted.
//! - The input holds of the client only what this service's rules ask for, so that clients share.
//! - Endpoints have addresses: those with names are left out and reported.
//! - Not here: when endpoints count as healthy (`snapshot`), the cluster around them (`cluster`).

mod assignment;
mod locality;
mod place;
mod prune;
#[cfg(test)]
mod tests;
mod wire;

use std::{collections::BTreeSet, sync::Arc};

use envoy::{Resource, type_url};
use model::{
    Endpoint, EndpointAddress, Generator, Health, Locality, ProxyKind, Registry, Service, Shared,
};
use snapshot::{EndpointSet, Mesh, Reader};

pub(crate) use assignment::{
    Described, Group, MUTUAL, TLS_MODE, group_by_locality, load_assignment,
};
pub(crate) use locality::compact;
pub use place::{Place, PlaceNeeds, place_needs};
pub use prune::prune_endpoints;

use crate::{
    Client, Compiled, codes, grpc, names,
    peer::{PlainPeers, select_plain_peers},
    traffic_policy::{LocalitySettings, Policy, Rules, select_rules},
};

/// Everything that a load assignment depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EndpointInput {
    pub mesh: Shared<Mesh>,
    pub service: Shared<Service>,
    pub port: u16,
    /// Empty for the whole service.
    pub subset: Arc<str>,
    pub rules: Rules,
    /// `None` when the service has no endpoints.
    pub endpoints: Option<EndpointSet>,
    /// Which of them take plain text only, whatever they say of themselves.
    pub plain: PlainPeers,
    pub client: EndpointClient,
}

/// The part of a client and its place that the endpoints of this one service depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EndpointClient {
    pub kind: ProxyKind,
    pub generator: Generator,
    pub cluster_id: Arc<str>,
    /// Only when localities matter.
    pub locality: Option<Locality>,
    /// Only when the service is local to each node.
    pub node: Option<Arc<str>>,
    /// The labels that endpoints should have, most important first, when `failoverPriority` or a
    /// traffic distribution asks for them.
    pub preferences: Vec<(Arc<str>, Arc<str>)>,
}

/// Selects what the endpoints of a cluster depend on.
pub fn select_endpoints(
    service: &Shared<Service>,
    port: u16,
    subset: &str,
    client: &Client,
    place: &Place,
    reader: &Reader<'_>,
) -> EndpointInput {
    let rules = select_rules(service, client, reader);
    let mesh = reader.mesh();
    let settings = LocalitySettings::new(&rules.policy(port, subset), service, mesh);
    let (locality, preferences) = match &settings {
        LocalitySettings::Off => (None, Vec::new()),
        LocalitySettings::Distribute(_) | LocalitySettings::Failover(_) => {
            (Some(place.locality.clone()), Vec::new())
        }
        LocalitySettings::Priority { labels, failover } => {
            let locality = (!failover.is_empty()).then(|| place.locality.clone());
            (locality, labels.iter().map(|label| place.preference(label, client)).collect())
        }
    };
    let client = EndpointClient {
        kind: client.kind,
        generator: client.generator,
        cluster_id: client.cluster_id.clone(),
        locality,
        node: service.node_local.then(|| place.node_name.clone()),
        preferences,
    };
    EndpointInput {
        mesh: mesh.clone(),
        service: service.clone(),
        port,
        subset: subset.into(),
        rules,
        endpoints: reader.endpoints(&service.key).cloned(),
        plain: match client.generator {
            Generator::Envoy => select_plain_peers(service.namespace(), reader),
            Generator::Grpc => PlainPeers::default(),
        },
        client,
    }
}

/// Compiles the load assignment. A port or a subset that does not exist has no endpoints.
pub fn compile_endpoints(input: &EndpointInput) -> Compiled {
    let service = &input.service;
    let name = names::outbound_cluster(input.port, &input.subset, service.hostname());
    let policy = input.rules.policy(input.port, &input.subset);
    let port = service.port(input.port).map_or("", |port| &port.name);
    let mut named = BTreeSet::new();
    // Envoy looks no name up in what it is sent, and refuses the whole answer, with other services'
    // assignments, for one.
    let chosen = chosen_endpoints(input, &policy).filter(|endpoint| match &endpoint.address {
        EndpointAddress::Ip(_) | EndpointAddress::Unix(_) => true,
        EndpointAddress::Dns(name) => {
            named.insert(name);
            false
        }
    });
    let mut groups = group_by_locality(chosen);
    let settings = LocalitySettings::new(&policy, service, &input.mesh);
    locality::apply(&mut groups, &settings, &input.client);
    if input.client.generator == Generator::Grpc {
        grpc::fit_groups(&mut groups, port, &policy);
    }
    let described = Described {
        port,
        cluster_id: &input.client.cluster_id,
        plain: &input.plain,
        mutual: !service.mesh_external && input.client.generator == Generator::Envoy,
    };
    let bytes = wire::encode_assignment(&name, &described, groups);
    let mut compiled = Compiled::new(Resource::new(name, type_url::ENDPOINT, bytes.into()));
    compiled.origins.push(service.origin.clone());
    compiled.origins.extend(input.rules.origins());
    let hint = match service.registry {
        Registry::Kubernetes => "list addresses in its EndpointSlices",
        Registry::External => "give all ServiceEntries of the host the same resolution",
    };
    for name in named {
        let message = format!("the endpoint `{name}` of `{}` is left out", service.hostname());
        let finding = codes::NAMED_ENDPOINT.diagnostic(message).object(service.origin.clone());
        compiled.diagnostics.push(finding.hint(hint));
    }
    compiled
}

/// The endpoints that serve the port, belong to the subset and may be used by the client.
fn chosen_endpoints<'a>(
    input: &'a EndpointInput,
    policy: &Policy<'_>,
) -> impl Iterator<Item = &'a Endpoint> {
    let port = input.service.port(input.port);
    let labels = input.rules.subset_labels(&input.subset);
    let found = port.zip(labels).zip(input.endpoints.as_ref());
    let unhealthy = policy.sends_unhealthy(&input.mesh);
    let node = input.client.node.as_deref();
    found.into_iter().flat_map(move |((port, labels), endpoints)| {
        endpoints.iter().filter(move |endpoint| {
            let healthy = match endpoint.health {
                Health::Healthy => true,
                Health::Unhealthy => unhealthy,
                Health::Draining => false,
            };
            healthy
                && endpoint.ports.contains_key(&port.name)
                && labels.selects(&endpoint.labels)
                && node.is_none_or(|node| *endpoint.node == *node)
        })
    })
}
