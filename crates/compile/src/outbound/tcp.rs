//! The chains of a port that carries bytes or TLS that ends at the application: the `tcp` and
//! `tls` rules of VirtualServices, else the service itself.

use std::{collections::BTreeMap, sync::Arc};

use api::istio::virtual_service::{L4MatchAttributes, RouteDestination, TlsMatchAttributes};
use model::{Cidr, Hostname, ObjectKey, Protocol, Service};
use snapshot::{Reader, VirtualServiceRecord};

use crate::{
    Client, codes,
    filters::{TcpPolicy, TcpRoute, WeightedDestination},
    names,
    outbound::{
        ChainAction, ChainInput, ChainMatch, ServerNameRoute, plan::Planner, policy::tcp_policy,
    },
    scope::ServerNames,
    virtual_host::short_names,
};

/// A port of a service on a listener.
pub(super) struct TcpTarget<'a> {
    pub service: &'a Service,
    /// Of the listener; 0 for a Unix domain socket.
    pub port: u16,
    pub protocol: Protocol,
    /// The service is reached by these destinations only.
    pub ranges: &'a [Cidr],
    /// The listener is shared with other services, so that only a server name tells them apart.
    pub needs_server_name: bool,
}

impl TcpTarget<'_> {
    /// The service port that is meant where none is named.
    fn service_port(&self) -> u16 {
        match self.service.ports.as_ref() {
            [only] => only.number,
            _ => self.port,
        }
    }
}

impl Planner<'_> {
    pub(super) fn tcp_chains(
        &mut self,
        target: &TcpTarget<'_>,
        rules: &[&VirtualServiceRecord],
    ) -> Vec<ChainInput> {
        match target.protocol.is_tls() {
            true => self.tls_rules(target, rules),
            false => self.tcp_rules(target, rules),
        }
    }

    fn tls_rules(
        &mut self,
        target: &TcpTarget<'_>,
        rules: &[&VirtualServiceRecord],
    ) -> Vec<ChainInput> {
        let mut chains = Vec::new();
        for rule in rules {
            for (index, tls) in rule.spec.tls.iter().enumerate() {
                for found in tls.match_.iter().filter(|it| tls_applies(it, target, self.client)) {
                    let Some(route) = self.route(rule, &tls.route, target, index) else { break };
                    let ranges = self.ranges(rule, &found.destination_subnets, target);
                    let Some(server_names) = self.server_names(rule, &found.sni_hosts) else {
                        continue;
                    };
                    let matches =
                        ChainMatch { prefix_ranges: ranges, server_names, ..ChainMatch::default() };
                    chains.push(chain(matches, route, vec![rule.key.clone()]));
                }
            }
        }
        if !chains.is_empty() {
            return chains;
        }
        let mut matches =
            ChainMatch { prefix_ranges: target.ranges.to_vec(), ..ChainMatch::default() };
        if target.needs_server_name || !target.ranges.is_empty() {
            let hostname = target.service.hostname();
            let mut hosts = vec![hostname.to_string()];
            for alias in self.aliases.get(hostname).into_iter().flatten() {
                hosts.push(alias.to_string());
                hosts.extend(short_names(alias.as_str(), &self.client.dns_domain));
            }
            matches.server_names = hosts.iter().filter_map(|host| server_name(host)).collect();
        }
        vec![self.own_chain(matches, target)]
    }

    fn tcp_rules(
        &mut self,
        target: &TcpTarget<'_>,
        rules: &[&VirtualServiceRecord],
    ) -> Vec<ChainInput> {
        let mut chains = Vec::new();
        let own = ChainMatch { prefix_ranges: target.ranges.to_vec(), ..ChainMatch::default() };
        for rule in rules {
            for (index, tcp) in rule.spec.tcp.iter().enumerate() {
                let applying: Vec<&L4MatchAttributes> =
                    tcp.match_.iter().filter(|it| tcp_applies(it, target, self.client)).collect();
                if applying.is_empty() && !tcp.match_.is_empty() {
                    continue;
                }
                let Some(route) = self.route(rule, &tcp.route, target, index) else { continue };
                let origins = vec![rule.key.clone()];
                let open =
                    |it: &&L4MatchAttributes| target.port == 0 || it.destination_subnets.is_empty();
                // Without subnets the rule takes everything that is left.
                if applying.is_empty() || applying.iter().any(open) {
                    chains.push(chain(own, route, origins));
                    return chains;
                }
                let subnets: Vec<String> =
                    applying.iter().flat_map(|it| it.destination_subnets.iter().cloned()).collect();
                let prefix_ranges = self.ranges(rule, &subnets, target);
                let matches = ChainMatch { prefix_ranges, ..ChainMatch::default() };
                chains.push(chain(matches, route, origins));
            }
        }
        chains.push(self.own_chain(own, target));
        chains
    }

    /// To the service itself.
    fn own_chain(&self, matches: ChainMatch, target: &TcpTarget<'_>) -> ChainInput {
        let (service, port) = (target.service, target.service_port());
        let policy = tcp_policy(service, port, "", self.client, self.reader);
        let cluster = names::outbound_cluster(port, "", service.hostname());
        let route = TcpRoute::to_cluster(cluster, self.http.idle_timeout).under(policy);
        chain(matches, route, vec![service.origin.clone()])
    }

    /// The destinations of a rule; `None`, with a diagnostic, if no one has a share.
    fn route(
        &mut self,
        rule: &VirtualServiceRecord,
        routes: &[RouteDestination],
        target: &TcpTarget<'_>,
        index: usize,
    ) -> Option<TcpRoute> {
        let single = routes.len() == 1;
        let shares = routes.iter().filter(|route| single || route.weight > 0);
        let found: Vec<(WeightedDestination, TcpPolicy)> = shares
            .filter_map(|route| {
                let (cluster, policy) = self.destination(route, target)?;
                let weight = u32::try_from(route.weight).unwrap_or(1).max(1);
                Some((WeightedDestination { cluster, weight }, policy))
            })
            .collect();
        let Some((first, policy)) = found.first() else {
            let finding =
                codes::OUTBOUND_DESTINATION.diagnostic("a rule has no usable destination");
            let section = if target.protocol.is_tls() { "tls" } else { "tcp" };
            let field = format!("spec.{section}[{index}].route");
            self.entries.diagnostics.push(finding.object(rule.key.clone()).field(field));
            return None;
        };
        // There is one proxy for all shares: the first one's policy is in force.
        let policy = policy.clone();
        let route = TcpRoute {
            stat_prefix: match found.len() {
                1 => first.cluster.clone(),
                _ => format!("{}.{}", rule.key.name, rule.key.namespace).into(),
            },
            destinations: found.into_iter().map(|(destination, _)| destination).collect(),
            policy: TcpPolicy { idle_timeout: self.http.idle_timeout, ..TcpPolicy::default() },
        };
        Some(route.under(policy))
    }

    fn destination(
        &self,
        route: &RouteDestination,
        target: &TcpTarget<'_>,
    ) -> Option<(Arc<str>, TcpPolicy)> {
        let destination = route.destination.as_ref()?;
        let host = Hostname::new(&destination.host);
        let service = self.scope.service(&host);
        let named = destination.port.as_ref().and_then(|port| u16::try_from(port.number).ok());
        let port = named.unwrap_or_else(|| match service.map(|it| it.ports.as_ref()) {
            Some([only]) => only.number,
            _ => target.port,
        });
        let policy = service.map(|service| {
            tcp_policy(service, port, &destination.subset, self.client, self.reader)
        });
        let host = service.and_then(|service| service.alias_of.as_ref()).unwrap_or(&host);
        let cluster = names::outbound_cluster(port, &destination.subset, host);
        Some((cluster.into(), policy.unwrap_or_default()))
    }

    /// The rule's own subnets, else the service's. A Unix domain socket has neither.
    fn ranges(
        &mut self,
        rule: &VirtualServiceRecord,
        subnets: &[String],
        target: &TcpTarget<'_>,
    ) -> Vec<Cidr> {
        if subnets.is_empty() || target.port == 0 {
            return target.ranges.to_vec();
        }
        let mut ranges = Vec::with_capacity(subnets.len());
        for subnet in subnets {
            match Cidr::parse(subnet) {
                Some(range) => ranges.push(range),
                None => self.unusable(rule, &format!("`{subnet}` is not a subnet")),
            }
        }
        ranges.sort_unstable();
        ranges.dedup();
        ranges
    }

    /// Empty is every name; `None` is none.
    fn server_names(
        &mut self,
        rule: &VirtualServiceRecord,
        hosts: &[String],
    ) -> Option<Vec<Arc<str>>> {
        if hosts.iter().any(|host| host == "*") {
            return Some(Vec::new());
        }
        let mut server_names: Vec<Arc<str>> = Vec::with_capacity(hosts.len());
        for host in hosts {
            match server_name(host) {
                Some(name) if server_names.contains(&name) => {}
                Some(name) => server_names.push(name),
                None => self.unusable(rule, &format!("`{host}` cannot be matched")),
            }
        }
        (!server_names.is_empty()).then_some(server_names)
    }

    fn unusable(&mut self, rule: &VirtualServiceRecord, message: &str) {
        let finding = codes::UNUSABLE_MATCH.diagnostic(message).object(rule.key.clone());
        self.entries.diagnostics.push(finding);
    }
}

/// A server name as Envoy takes it: exact, or `*.` and a suffix.
fn server_name(host: &str) -> Option<Arc<str>> {
    let suffix = host.strip_prefix("*.").unwrap_or(host);
    (!suffix.is_empty() && !suffix.contains('*')).then(|| host.to_ascii_lowercase().into())
}

fn chain(matches: ChainMatch, route: TcpRoute, origins: Vec<ObjectKey>) -> ChainInput {
    ChainInput { name: "".into(), matches, action: ChainAction::Tcp(route), origins }
}

/// The chain of server names whose services may be asked for; none where there are no names.
pub(super) fn waiting_chain(
    port: u16,
    names: &ServerNames,
    unnamed: &TcpRoute,
) -> Option<ChainInput> {
    let server_names: Vec<Arc<str>> = names.iter().cloned().collect();
    (!server_names.is_empty()).then(|| ChainInput {
        name: "".into(),
        matches: ChainMatch { server_names, ..ChainMatch::default() },
        action: ChainAction::ServerName(ServerNameRoute { port, unnamed: unnamed.clone() }),
        // It does not change with each of the services.
        origins: Vec::new(),
    })
}

fn tls_applies(found: &TlsMatchAttributes, target: &TcpTarget<'_>, client: &Client) -> bool {
    caller_applies(&found.gateways, &found.source_labels, &found.source_namespace, client)
        && (found.port == 0 || found.port == u32::from(target.port))
}

fn tcp_applies(found: &L4MatchAttributes, target: &TcpTarget<'_>, client: &Client) -> bool {
    caller_applies(&found.gateways, &found.source_labels, &found.source_namespace, client)
        && (found.port == 0 || found.port == u32::from(target.port))
}

fn caller_applies(
    gateways: &[String],
    labels: &BTreeMap<String, String>,
    namespace: &str,
    client: &Client,
) -> bool {
    (gateways.is_empty() || gateways.iter().any(|gateway| gateway == "mesh"))
        && labels.iter().all(|(key, value)| client.labels.get(key) == Some(value.as_str()))
        && (namespace.is_empty() || namespace == client.namespace.as_str())
}

/// The content of the rules of an egress listener that have `tcp` or `tls` in them.
pub(super) fn read_rules<'a>(
    keys: impl Iterator<Item = &'a ObjectKey>,
    reader: &Reader<'a>,
) -> Vec<&'a VirtualServiceRecord> {
    let records = keys.filter_map(|key| reader.virtual_service(key));
    records
        .map(|record| &**record)
        .filter(|it| !(it.spec.tcp.is_empty() && it.spec.tls.is_empty()))
        .collect()
}
