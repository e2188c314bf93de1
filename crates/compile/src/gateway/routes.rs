//! The route configurations of gateways: which hosts they have, and which rules serve these.
//!
//! - A host is what a server and a rule that is bound to its Gateway have in common.
//! - Hosts that the same rules serve are one virtual host, so that its routes are sent once.

use std::{collections::BTreeMap, sync::Arc};

use model::{Diagnostics, Generator, Hostname, Map, ObjectKey, Shared};
use snapshot::Reader;

use super::{
    GatewayHostInput, GatewayPort, GatewayRule, GatewayScope, GatewayServer, PortKind,
    hosts::{by_specificity, shared_hosts},
    rules::find_service,
    virtual_host::black_hole,
};
use crate::{
    Client, Compiled, CompiledVirtualHost, LastHost, RouteContext, RouteParts, RuleRef, Scheme,
    rule_applies, select_destinations,
};

const COLLAPSE_SWITCH: &str = "PILOT_ENABLE_ROUTE_COLLAPSE_OPTIMIZATION";

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
    /// One may occur again, for each server of its gateway that has the host.
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
        Selection { scope, client, reader, rules: Map::default(), hosts: BTreeMap::new() };
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
    rules: Map<(&'a str, &'a ObjectKey), Option<Shared<GatewayRule>>>,
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
                self.host(hostname, server).rules.push(rule.clone());
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
            generator: Generator::Envoy,
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
        let mut known: Map<(Vec<Shared<GatewayRule>>, bool), usize> = Map::default();
        for (hostname, host) in hosts {
            let domain: Arc<str> = hostname.as_str().into();
            let same = (host.rules, host.requires_tls);
            if let Some(index) = known.get(&same).filter(|_| collapse) {
                inputs[*index].domains.push(domain);
                continue;
            }
            let mut rules: Vec<Shared<GatewayRule>> = Vec::with_capacity(same.0.len());
            for rule in &same.0 {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
            let requires_tls = same.1;
            known.insert(same, inputs.len());
            inputs.push(GatewayHostInput {
                mesh: mesh.clone(),
                name: format!("{hostname}:{}", host.port).into(),
                domains: vec![domain],
                rules,
                requires_tls,
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
    RouteParts {
        name: input.name.clone(),
        hosts: input.hosts.iter().map(virtual_host).collect(),
        last: input
            .black_hole
            .map(|port| LastHost { bytes: black_hole(port), clusters: Vec::new() }),
        ignores_ports: true,
        on_demand: false,
        diagnostics: Diagnostics::default(),
    }
    .compile()
}
