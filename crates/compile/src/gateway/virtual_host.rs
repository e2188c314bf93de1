//! Compiles one virtual host of a gateway: all the rules that are bound to its hosts.
//!
//! - Rules follow each other as they win, and what matches everything goes last: a rule that is
//!   about some paths is never hidden by an older one about all.
//! - The unit of caching below a route configuration.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use envoy::config::route::v3::{
    Route, VirtualHost, route::Action, route_action::ClusterSpecifier,
    virtual_host::TlsRequirementType,
};
use model::{Diagnostics, Generator, Labels, Namespace, ObjectKey, Shared};
use snapshot::{Mesh, VirtualServiceRecord};

use crate::{
    CompiledVirtualHost, Destination, RouteContext, Scheme, is_catch_all, translate_routes,
    virtual_host::{counts_attempts, encode_field},
};

/// Everything that one virtual host depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GatewayHostInput {
    pub mesh: Shared<Mesh>,
    /// `host:port` of the first domain.
    pub name: Arc<str>,
    /// Not empty.
    pub domains: Vec<Arc<str>>,
    /// In the order in which they win.
    pub rules: Vec<Shared<GatewayRule>>,
    /// Plain requests are sent on to HTTPS.
    pub requires_tls: bool,
    /// Namespace and labels of the gateway.
    pub namespace: Namespace,
    pub labels: Labels,
}

/// A rule at one gateway.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GatewayRule {
    pub rule: Shared<VirtualServiceRecord>,
    /// `namespace/name`.
    pub gateway: Arc<str>,
    /// Of the server, as written.
    pub port: u16,
    pub scheme: Scheme,
    /// What is known of the hosts in the rule, sorted.
    pub destinations: Arc<[Destination]>,
}

/// Compiles one virtual host.
pub fn compile_gateway_host(input: &GatewayHostInput) -> CompiledVirtualHost {
    let mut routes = Vec::new();
    let mut last = None;
    let mut origins: BTreeSet<&ObjectKey> = BTreeSet::new();
    let mut diagnostics = Diagnostics::default();
    for rule in &input.rules {
        let gateways = std::slice::from_ref(&rule.gateway);
        let translated = translate_routes(
            &rule.rule,
            &RouteContext {
                mesh: &input.mesh,
                namespace: &input.namespace,
                labels: &input.labels,
                generator: Generator::Envoy,
                gateways,
                port: rule.port,
                scheme: rule.scheme,
                destinations: &rule.destinations,
            },
        );
        for route in translated.routes {
            match is_catch_all(&route) {
                // The first one takes all that is left: no request gets to another.
                true => last = last.or(Some(route)),
                false => routes.push(route),
            }
        }
        diagnostics.extend(translated.diagnostics);
        origins.insert(&rule.rule.key);
        origins.extend(&rule.rule.delegates);
        let policies = rule.destinations.iter().flat_map(|it| &it.policies.records);
        origins.extend(policies.map(|policy| &policy.key));
    }
    routes.extend(last);
    // Not those of hidden routes: a gateway has no cluster that it does not use.
    let clusters: BTreeSet<Arc<str>> = routes.iter().flat_map(clusters_of).collect();
    let requirement = match input.requires_tls {
        true => TlsRequirementType::All,
        false => TlsRequirementType::None,
    };
    let message = VirtualHost {
        name: input.name.to_string(),
        domains: input.domains.iter().map(ToString::to_string).collect(),
        routes,
        require_tls: requirement.into(),
        include_request_attempt_count: counts_attempts(&input.mesh),
        ..VirtualHost::default()
    };
    CompiledVirtualHost {
        name: input.name.clone(),
        domains: input.domains.clone(),
        bytes: encode_field(&message),
        clusters: clusters.into_iter().collect(),
        origins: origins.into_iter().cloned().collect(),
        diagnostics,
    }
}

/// The clusters that a route leads to, those that get copies included.
fn clusters_of(route: &Route) -> Vec<Arc<str>> {
    let Some(Action::Route(action)) = &route.action else { return Vec::new() };
    let mut clusters: Vec<Arc<str>> = match &action.cluster_specifier {
        Some(ClusterSpecifier::Cluster(name)) => vec![name.as_str().into()],
        Some(ClusterSpecifier::WeightedClusters(weighted)) => {
            weighted.clusters.iter().map(|share| share.name.as_str().into()).collect()
        }
        _ => Vec::new(),
    };
    let mirrors = &action.request_mirror_policies;
    clusters.extend(mirrors.iter().map(|mirror| Arc::from(mirror.cluster.as_str())));
    clusters
}

/// The host that answers 404 where nothing is bound: without it Envoy would answer the same, but
/// people could not tell why.
pub(super) fn black_hole(port: u16) -> Bytes {
    encode_field(&VirtualHost {
        name: format!("blackhole:{port}"),
        domains: vec!["*".to_owned()],
        ..VirtualHost::default()
    })
}
