//! The route configurations of gateways: which hosts they have, and which rules serve these.
//!
//! - A host is what a server and a rule that is bound to its Gateway have in common.
//! - Hosts that the same rules serve are one virtual host, so that its routes are sent once.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use envoy::{Resource, Rope, config::route::v3::RouteConfiguration, type_url};
use model::{Diagnostics, Hostname, ObjectKey, Shared};
use prost::Message;
use snapshot::Reader;

use super::{
    GatewayHostInput, GatewayPort, GatewayRule, GatewayScope, GatewayServer, PortKind,
    hosts::{by_specificity, shared_hosts},
    rules::find_service,
    virtual_host::black_hole,
};
use crate::{
    Client, Compiled, CompiledVirtualHost, RouteContext, RuleRef, Scheme, rule_applies,
    select_destinations,
};

const COLLAPSE_SWITCH: &str = "PILOT_ENABLE_ROUTE_COLLAPSE_OPTIMIZATION";
const MAX_DIRECT_RESPONSE: u32 = 1024 * 1024;

/// Everything that one route configuration of a gateway depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GatewayRouteInput {
    pub name: Arc<str>,
    /// Sorted by name. No two have a name or a domain in common.
    pub hosts: Vec<Shared<GatewayHostInput>>,
    /// The port that nothing is bound to, if so.
    pub black_hole: Option<u16>,
}

/// A host of a configuration on the way.
struct Host {
    /// Of the server that is first for it.
    port: u16,
    rules: Vec<Shared<GatewayRule>>,
    requires_tls: bool,
}

/// Selects what a route configuration is made from. It is empty for a name that no listener of the
/// scope asks for: Envoy asks on while it drains a listener.
pub fn select_gateway_route(
    name: &str,
    scope: &GatewayScope,
    client: &Client,
    reader: &Reader<'_>,
) -> GatewayRouteInput {
    let servers = servers(name, scope);
    let mut selection =
        Selection { scope, client, reader, rules: HashMap::new(), hosts: BTreeMap::new() };
    for server in &servers {
        selection.add_server(server);
    }
    let port = servers.first().map(|server| server.port);
    GatewayRouteInput {
        name: name.into(),
        black_hole: port.filter(|_| selection.hosts.is_empty()),
        hosts: selection.finish(),
    }
}

/// The servers that share a route configuration, oldest first.
fn servers<'a>(name: &str, scope: &'a GatewayScope) -> Vec<&'a GatewayServer> {
    let of_port = |port: &'a GatewayPort| {
        port.servers.iter().filter(move |server| match &port.kind {
            PortKind::Http { route } => **route == *name,
            PortKind::Tcp => false,
            PortKind::Tls => server.route().is_some_and(|route| **route == *name),
        })
    };
    scope.ports.iter().flat_map(of_port).collect()
}

struct Selection<'a> {
    scope: &'a GatewayScope,
    client: &'a Client,
    reader: &'a Reader<'a>,
    /// By gateway and rule; `None` where the rule has no route here.
    rules: HashMap<(&'a str, &'a ObjectKey), Option<Shared<GatewayRule>>>,
    hosts: BTreeMap<Hostname, Host>,
}

impl<'a> Selection<'a> {
    fn add_server(&mut self, server: &'a GatewayServer) {
        for bound in self.scope.rules_of(&server.gateway) {
            let hosts = shared_hosts(&server.hosts, &bound.hosts, &bound.key.namespace);
            if hosts.is_empty() {
                continue;
            }
            let Some(rule) = self.rule(server, bound) else { continue };
            for hostname in hosts {
                let host = self.host(hostname, server);
                if !host.rules.contains(&rule) {
                    host.rules.push(rule.clone());
                }
            }
        }
        if server.https_redirect {
            for own in &server.hosts {
                self.host(own.host.clone(), server);
            }
        }
    }

    fn host(&mut self, hostname: Hostname, server: &GatewayServer) -> &mut Host {
        let new = || Host { port: server.port, rules: Vec::new(), requires_tls: false };
        let host = self.hosts.entry(hostname).or_insert_with(new);
        // Envoy cannot tell apart the servers of a port: one that redirects does so for all.
        host.requires_tls |= server.https_redirect;
        host
    }

    /// A rule at a gateway, read once: further servers of the gateway on the port share it.
    fn rule(
        &mut self,
        server: &'a GatewayServer,
        bound: &'a RuleRef,
    ) -> Option<Shared<GatewayRule>> {
        let key = (&*server.gateway, &bound.key);
        if let Some(known) = self.rules.get(&key) {
            return known.clone();
        }
        let rule = self.read_rule(server, bound);
        self.rules.insert(key, rule.clone());
        rule
    }

    fn read_rule(&self, server: &GatewayServer, bound: &RuleRef) -> Option<Shared<GatewayRule>> {
        let (client, reader) = (self.client, self.reader);
        let rule = reader.virtual_service(&bound.key)?;
        let scheme = if server.route().is_some() { Scheme::Https } else { Scheme::Http };
        let context = RouteContext {
            mesh: reader.mesh(),
            namespace: &client.namespace,
            labels: &client.labels,
            gateways: std::slice::from_ref(&server.gateway),
            port: server.port,
            scheme,
            destinations: &[],
        };
        if !rule_applies(rule, &context) {
            return None;
        }
        let near = Some(rule.namespace());
        let find = |host: &Hostname| find_service(host, near, client, reader);
        Some(Shared::new(GatewayRule {
            destinations: select_destinations(rule, client, reader, find),
            rule: rule.clone(),
            gateway: server.gateway.clone(),
            port: server.port,
            scheme,
        }))
    }

    /// Puts hosts with the same rules together.
    fn finish(self) -> Vec<Shared<GatewayHostInput>> {
        let mesh = self.reader.mesh();
        let collapse = mesh.features.flag(COLLAPSE_SWITCH, true);
        let mut hosts: Vec<(Hostname, Host)> = self.hosts.into_iter().collect();
        hosts.sort_by(|(one, _), (other, _)| by_specificity(one, other));
        let mut inputs: Vec<GatewayHostInput> = Vec::new();
        let mut known: HashMap<(Vec<Shared<GatewayRule>>, bool), usize> = HashMap::new();
        for (hostname, host) in hosts {
            let domain: Arc<str> = hostname.as_str().into();
            let same = (host.rules, host.requires_tls);
            if let Some(index) = known.get(&same).filter(|_| collapse) {
                inputs[*index].domains.push(domain);
                continue;
            }
            known.insert(same.clone(), inputs.len());
            inputs.push(GatewayHostInput {
                mesh: mesh.clone(),
                name: format!("{hostname}:{}", host.port).into(),
                domains: vec![domain],
                rules: same.0,
                requires_tls: same.1,
                namespace: self.client.namespace.clone(),
                labels: self.client.labels.clone(),
            });
        }
        inputs.sort_by(|one, other| one.name.cmp(&other.name));
        inputs.into_iter().map(Shared::new).collect()
    }
}

/// Compiles one route configuration. `virtual_host` compiles one host and may remember it.
pub fn compile_gateway_route(
    input: &GatewayRouteInput,
    virtual_host: &mut dyn FnMut(&Shared<GatewayHostInput>) -> Arc<CompiledVirtualHost>,
) -> Compiled {
    let hosts: Vec<Arc<CompiledVirtualHost>> = input.hosts.iter().map(virtual_host).collect();
    let head = RouteConfiguration { name: input.name.to_string(), ..RouteConfiguration::default() };
    let tail = RouteConfiguration {
        validate_clusters: Some(false),
        max_direct_response_body_size_bytes: Some(MAX_DIRECT_RESPONSE),
        ignore_port_in_host_matching: true,
        ..RouteConfiguration::default()
    };
    let body: Rope = std::iter::once(Bytes::from(head.encode_to_vec()))
        .chain(hosts.iter().map(|host| host.bytes.clone()))
        .chain(input.black_hole.map(black_hole))
        .chain(std::iter::once(Bytes::from(tail.encode_to_vec())))
        .collect();
    let resource = Resource::new(input.name.clone(), type_url::ROUTE, body);
    let clusters: BTreeSet<&Arc<str>> = hosts.iter().flat_map(|host| &host.clusters).collect();
    let origins: BTreeSet<&ObjectKey> = hosts.iter().flat_map(|host| &host.origins).collect();
    let mut diagnostics = Diagnostics::default();
    for host in &hosts {
        diagnostics.extend(host.diagnostics.clone());
    }
    Compiled {
        clusters: clusters.into_iter().cloned().collect(),
        origins: origins.into_iter().cloned().collect(),
        diagnostics,
        ..Compiled::new(resource)
    }
}
