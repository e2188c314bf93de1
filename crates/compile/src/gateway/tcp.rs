//! Rules for opaque connections at a server: the `tcp` and `tls` sections of VirtualServices.

use std::{collections::BTreeSet, sync::Arc};

use api::{
    Duration,
    istio::virtual_service::{L4MatchAttributes, RouteDestination, TlsMatchAttributes},
};
use model::{Diagnostic, Diagnostics, Hostname, ObjectKey, Service};
use snapshot::{Reader, VirtualServiceRecord};

use super::{
    GatewayAction, GatewayChain, GatewayScope, GatewayServer, SniMatch, hosts::shared_hosts,
    rules::find_service,
};
use crate::{
    Client, codes,
    filters::{TcpPolicy, TcpRoute, WeightedDestination},
    names,
    traffic_policy::select_rules,
};

/// What all servers of a plan have in common.
pub(super) struct Routing<'a> {
    pub scope: &'a GatewayScope,
    pub client: &'a Client,
    pub reader: &'a Reader<'a>,
    pub idle_timeout: Option<Duration>,
}

/// A route and the objects that it was made from.
pub(super) type RouteFrom = (TcpRoute, Vec<ObjectKey>);

impl<'a> Routing<'a> {
    /// The rules that have a host in common with the server.
    fn rules(&self, server: &'a GatewayServer) -> impl Iterator<Item = &'a VirtualServiceRecord> {
        let reader = self.reader;
        let bound = self.scope.rules_of(&server.gateway).iter().filter(|rule| {
            !shared_hosts(&server.hosts, &rule.hosts, &rule.key.namespace).is_empty()
        });
        bound.filter_map(move |rule| reader.virtual_service(&rule.key)).map(|record| &**record)
    }

    /// Where a server sends the bytes of all its connections: the first rule that applies.
    pub(super) fn tcp_route(
        &self,
        server: &'a GatewayServer,
        findings: &mut Diagnostics,
    ) -> Option<RouteFrom> {
        for rule in self.rules(server) {
            for (index, tcp) in rule.spec.tcp.iter().enumerate() {
                let applies =
                    tcp.match_.is_empty() || tcp.match_.iter().any(|it| tcp_applies(it, server));
                if !applies || tcp.route.is_empty() {
                    continue;
                }
                if let Some(route) = self.route(rule, &tcp.route, server) {
                    return Some((route, origins(server, rule)));
                }
                findings.push(no_destination(rule, &format!("spec.tcp[{index}].route")));
            }
        }
        None
    }

    /// A chain for each rule about the server names of connections that stay encrypted. `taken` are
    /// the names that earlier rules have on the port: one of them is enough to leave a match out.
    pub(super) fn tls_chains(
        &self,
        server: &'a GatewayServer,
        taken: &mut BTreeSet<String>,
        findings: &mut Diagnostics,
    ) -> Vec<GatewayChain> {
        let mut chains = Vec::new();
        for rule in self.rules(server) {
            for (index, tls) in rule.spec.tls.iter().enumerate() {
                let applying: Vec<&TlsMatchAttributes> =
                    tls.match_.iter().filter(|it| tls_applies(it, server)).collect();
                if applying.is_empty() || tls.route.is_empty() {
                    continue;
                }
                let Some(route) = self.route(rule, &tls.route, server) else {
                    findings.push(no_destination(rule, &format!("spec.tls[{index}].route")));
                    continue;
                };
                for found in applying {
                    if let Some(name) = found.sni_hosts.iter().find(|name| taken.contains(*name)) {
                        let message = format!("an older rule has the server name `{name}`");
                        let field = format!("spec.tls[{index}].match");
                        let finding = codes::SERVER_NAME.diagnostic(message);
                        findings.push(finding.object(rule.key.clone()).field(field));
                        continue;
                    }
                    taken.extend(found.sni_hosts.iter().cloned());
                    let names = found.sni_hosts.iter().map(String::as_str);
                    let Some(names) = server_names(names, &rule.key, findings) else { continue };
                    chains.push(GatewayChain {
                        matches: SniMatch::ServerNames(names),
                        tls: None,
                        action: GatewayAction::Tcp(route.clone()),
                        origins: origins(server, rule),
                    });
                }
            }
        }
        chains
    }

    /// The destinations with a share; `None` if there is none.
    fn route(
        &self,
        rule: &VirtualServiceRecord,
        routes: &[RouteDestination],
        server: &GatewayServer,
    ) -> Option<TcpRoute> {
        let single = routes.len() == 1;
        let mut destinations = Vec::with_capacity(routes.len());
        let mut first: Option<TcpRoute> = None;
        for share in routes.iter().filter(|share| single || share.weight > 0) {
            let Some(route) = self.destination(rule, share, server) else { continue };
            let weight = u32::try_from(share.weight).unwrap_or(1).max(1);
            let clusters = route.destinations.iter();
            destinations.extend(
                clusters.map(|it| WeightedDestination { cluster: it.cluster.clone(), weight }),
            );
            first.get_or_insert(route);
        }
        let first = first?;
        Some(TcpRoute {
            stat_prefix: match destinations.len() {
                1 => first.stat_prefix,
                _ => format!("{}.{}", rule.key.name, rule.key.namespace).into(),
            },
            destinations,
            ..first
        })
    }

    fn destination(
        &self,
        rule: &VirtualServiceRecord,
        share: &RouteDestination,
        server: &GatewayServer,
    ) -> Option<TcpRoute> {
        let destination = share.destination.as_ref()?;
        let host = Hostname::new(&destination.host);
        let service = find_service(&host, Some(rule.namespace()), self.client, self.reader);
        let written = destination.port.as_ref().and_then(|port| u16::try_from(port.number).ok());
        let port = written.filter(|port| *port != 0).unwrap_or_else(|| {
            match service.map(|service| service.ports.as_ref()) {
                Some([only]) => only.number,
                _ => server.port,
            }
        });
        let host = service.and_then(|service| service.alias_of.as_ref()).unwrap_or(&host);
        let cluster = names::outbound_cluster(port, &destination.subset, host);
        Some(match service {
            Some(service) => self.to_service(service, port, &destination.subset, cluster),
            None => TcpRoute::to_cluster(cluster, self.idle_timeout),
        })
    }

    /// To one cluster of a service, as its DestinationRules have it.
    pub(super) fn to_service(
        &self,
        service: &Service,
        port: u16,
        subset: &str,
        cluster: impl Into<Arc<str>>,
    ) -> TcpRoute {
        let rules = select_rules(service, self.client, self.reader);
        let policy = rules.policy(port, subset);
        TcpRoute::to_cluster(cluster, self.idle_timeout).under(TcpPolicy::new(&policy))
    }
}

fn tcp_applies(found: &L4MatchAttributes, server: &GatewayServer) -> bool {
    place_applies(found.port, &found.gateways, server)
}

fn tls_applies(found: &TlsMatchAttributes, server: &GatewayServer) -> bool {
    place_applies(found.port, &found.gateways, server)
}

/// Conditions on the caller are about sidecars: a gateway does not know its callers.
fn place_applies(port: u32, gateways: &[String], server: &GatewayServer) -> bool {
    (port == 0 || port == u32::from(server.port))
        && (gateways.is_empty() || gateways.iter().any(|gateway| **gateway == *server.gateway))
}

fn origins(server: &GatewayServer, rule: &VirtualServiceRecord) -> Vec<ObjectKey> {
    let mut origins = vec![server.origin.clone(), rule.key.clone()];
    origins.extend(rule.delegates.iter().cloned());
    origins
}

fn no_destination(rule: &VirtualServiceRecord, field: &str) -> Diagnostic {
    let finding = codes::GATEWAY_DESTINATION.diagnostic("the rule has no usable destination");
    finding.object(rule.key.clone()).field(field)
}

/// Server names as Envoy takes them: exact, or `*.` and a suffix. Sorted, each once; an empty list
/// is every name, `None` is none.
pub(super) fn server_names<'n>(
    hosts: impl Iterator<Item = &'n str>,
    origin: &ObjectKey,
    findings: &mut Diagnostics,
) -> Option<Vec<Arc<str>>> {
    let mut names: Vec<Arc<str>> = Vec::new();
    for host in hosts {
        if host == "*" {
            return Some(Vec::new());
        }
        let suffix = host.strip_prefix("*.").unwrap_or(host);
        if suffix.is_empty() || suffix.contains('*') {
            let message = format!("`{host}` cannot be matched as a server name");
            findings.push(codes::SERVER_NAME.diagnostic(message).object(origin.clone()));
            continue;
        }
        names.push(host.to_ascii_lowercase().into());
    }
    names.sort_unstable();
    names.dedup();
    (!names.is_empty()).then_some(names)
}
