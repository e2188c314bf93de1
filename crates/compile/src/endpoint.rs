//! Compiles the endpoints behind one port of a service, or of a subset, into an Envoy
//! `ClusterLoadAssignment`.
//!
//! - Pure: equal inputs give equal bytes. Localities and endpoints are sorted.
//! - The input holds of the client only what this service's rules ask for, so that clients share.
//! - Not here: when endpoints count as healthy (`snapshot`), the cluster around them (`cluster`).

mod assignment;
mod locality;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use envoy::{Resource, type_url};
use model::{Endpoint, Health, Labels, Locality, ProxyKind, Service, Shared};
use snapshot::{EndpointSet, Mesh, Reader};

pub(crate) use assignment::{group_by_locality, load_assignment};

use crate::{
    Client, Compiled, names,
    traffic_policy::{
        CLUSTER_LABEL, HOST_LABEL, LocalitySettings, NETWORK_LABEL, Policy, REGION_LABEL, Rules,
        SUBZONE_LABEL, ZONE_LABEL, select_rules,
    },
};

/// Where a client runs: what a [`Client`] leaves out because only endpoints depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub locality: &'a Locality,
    pub node_name: &'a str,
    pub network: &'a str,
    pub cluster_id: &'a str,
    /// All labels of the client.
    pub labels: &'a Labels,
}

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
    pub client: EndpointClient,
}

/// The part of a client and its place that the endpoints of this one service depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EndpointClient {
    pub kind: ProxyKind,
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
    place: &Place<'_>,
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
            (locality, labels.iter().map(|label| place.preference(label)).collect())
        }
    };
    let client = EndpointClient {
        kind: client.kind,
        cluster_id: place.cluster_id.into(),
        locality,
        node: service.node_local.then(|| place.node_name.into()),
        preferences,
    };
    EndpointInput {
        mesh: mesh.clone(),
        service: service.clone(),
        port,
        subset: subset.into(),
        rules,
        endpoints: reader.endpoints(&service.key).cloned(),
        client,
    }
}

impl Place<'_> {
    /// Reads one entry of `failoverPriority`: a label, whose value is the client's own unless it
    /// says another one by `label=value`.
    fn preference(&self, entry: &str) -> (Arc<str>, Arc<str>) {
        let (label, value) = match entry.split_once('=') {
            Some((label, value)) => (label, value),
            None => (entry, self.label(entry)),
        };
        (label.into(), value.into())
    }

    fn label(&self, label: &str) -> &str {
        let own = self.labels.get(label).unwrap_or_default();
        let known = match label {
            NETWORK_LABEL => self.network,
            CLUSTER_LABEL => self.cluster_id,
            REGION_LABEL => &self.locality.region,
            ZONE_LABEL => &self.locality.zone,
            SUBZONE_LABEL => &self.locality.subzone,
            HOST_LABEL => self.node_name,
            _ => own,
        };
        if known.is_empty() { own } else { known }
    }
}

/// Compiles the load assignment. A port or a subset that does not exist has no endpoints.
pub fn compile_endpoints(input: &EndpointInput) -> Compiled {
    let service = &input.service;
    let name = names::outbound_cluster(input.port, &input.subset, service.hostname());
    let policy = input.rules.policy(input.port, &input.subset);
    let mut groups = group_by_locality(chosen_endpoints(input, &policy));
    let settings = LocalitySettings::new(&policy, service, &input.mesh);
    locality::apply(&mut groups, &settings, &input.client);
    let port = service.port(input.port).map_or("", |port| &port.name);
    let assignment = load_assignment(&name, port, &input.client.cluster_id, groups);
    let mut compiled = Compiled::new(Resource::from_message(name, type_url::ENDPOINT, &assignment));
    compiled.origins.push(service.origin.clone());
    compiled.origins.extend(input.rules.origins());
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
