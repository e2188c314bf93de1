//! Compiles the route configurations of a proxy's outbound listeners.
//!
//! - `select_route` decides which hosts a configuration has, by which rule, and in which order
//!   they win conflicts; `compile_route` puts the encoded hosts together without copying them.
//! - The safe meaning of two hosts with one domain: the first keeps it.
//! - Not here: gateways, inbound routes (inline in listeners), one host (`virtual_host`).

use std::sync::Arc;

use model::{Diagnostics, Map, Set, Shared};

use crate::{
    Compiled, CompiledVirtualHost, LastHost, RouteParts, VirtualHostInput, codes,
    virtual_host::encode_field,
};

mod catch_all;
mod detour;
mod dispatch;
mod name;
mod on_demand;
mod select;
#[cfg(test)]
mod tests;

pub use catch_all::CatchAll;
pub use detour::{COMPOSITE, DetourInput, compile_detour_cluster};
pub use dispatch::DispatchRoute;
pub use name::RouteName;
pub use on_demand::{
    answer, answer_nothing, answers_nothing, host_resources, is_answered, own_domain, unknown_host,
    with_domains_of,
};
pub use select::select_route;
pub(crate) use select::{OPEN_PORT, find_listener};

/// Everything that one route configuration depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RouteInput {
    pub name: Arc<str>,
    /// In the order in which they win conflicts.
    pub virtual_hosts: Vec<Shared<VirtualHostInput>>,
    pub catch_all: CatchAll,
    /// Before it, in this order.
    pub dispatches: Arc<[DispatchRoute]>,
    /// Hosts that are called through the gateway which has the whole mesh.
    pub detour: Option<DetourInput>,
    /// Whether the catch-all tells upstreams which try it is.
    pub counts_attempts: bool,
    /// Whether the ports that callers write count: only where one listener serves all ports.
    pub matches_ports: bool,
    /// The hosts are no part of it: proxies ask for each.
    pub on_demand: bool,
}

impl RouteInput {
    /// The answer to a name that stands for nothing.
    pub fn empty(name: &str) -> Self {
        Self {
            name: name.into(),
            virtual_hosts: Vec::new(),
            catch_all: CatchAll::None,
            dispatches: Arc::from([]),
            detour: None,
            counts_attempts: false,
            matches_ports: false,
            on_demand: false,
        }
    }
}

/// Compiles one route configuration. `virtual_host` compiles one host and may remember it.
pub fn compile_route(
    input: &RouteInput,
    virtual_host: &mut dyn FnMut(&Shared<VirtualHostInput>) -> Arc<CompiledVirtualHost>,
) -> Compiled {
    let mut diagnostics = Diagnostics::default();
    let mut hosts = distinct_hosts(input, virtual_host, &mut diagnostics);
    let detour = input.detour.as_ref();
    hosts.extend(detour.map(|it| it.compile(&hosts, input.counts_attempts)).unwrap_or_default());
    hosts.sort_by(|a, b| a.name.cmp(&b.name));
    let everything = hosts.iter().any(|host| host.domains.iter().any(|it| &**it == "*"));
    let last = (!everything).then(|| input.last_host("*")).flatten();
    let last =
        last.map(|host| LastHost { bytes: encode_field(&host), clusters: input.last_clusters() });
    let ignores_ports = !input.matches_ports;
    let on_demand = input.on_demand;
    RouteParts { name: input.name.clone(), hosts, last, ignores_ports, on_demand, diagnostics }
        .compile()
}

/// The hosts with a name and domains of their own. Envoy refuses a configuration in which a
/// domain occurs twice.
fn distinct_hosts(
    input: &RouteInput,
    virtual_host: &mut dyn FnMut(&Shared<VirtualHostInput>) -> Arc<CompiledVirtualHost>,
    diagnostics: &mut Diagnostics,
) -> Vec<Arc<CompiledVirtualHost>> {
    let known = input.virtual_hosts.iter().filter(|host| host.service.is_some());
    let services: Set<&str> = known.map(|host| host.hostname.as_str()).collect();
    let mut owners: Map<Arc<str>, Arc<str>> = Map::default();
    let mut names: Set<Arc<str>> = Set::default();
    let mut hosts = Vec::with_capacity(input.virtual_hosts.len());
    for host in &input.virtual_hosts {
        let mut compiled = virtual_host(host);
        if compiled.bytes.is_empty() {
            continue;
        }
        if !names.insert(compiled.name.clone()) {
            report(host, &compiled.domains, &owners, diagnostics);
            continue;
        }
        let taken: Vec<Arc<str>> = compiled
            .domains
            .iter()
            .filter(|domain| {
                let hidden = ***domain != *host.hostname.as_str() && services.contains(&***domain);
                hidden || owners.contains_key(&***domain)
            })
            .cloned()
            .collect();
        if !taken.is_empty() {
            report(host, &taken, &owners, diagnostics);
            let rest = VirtualHostInput { taken: taken.into(), ..(**host).clone() };
            compiled = virtual_host(&Shared::new(rest));
            if compiled.bytes.is_empty() {
                continue;
            }
        }
        for domain in &compiled.domains {
            owners.insert(domain.clone(), compiled.name.clone());
        }
        hosts.push(compiled);
    }
    hosts
}

/// A short form that is another service's full name is left out silently, as nobody asked for it.
fn report(
    host: &VirtualHostInput,
    taken: &[Arc<str>],
    owners: &Map<Arc<str>, Arc<str>>,
    diagnostics: &mut Diagnostics,
) {
    let rule = host.rule.as_ref().map(|rule| &rule.key);
    let origin = rule.or(host.service.as_ref().map(|service| &service.origin));
    for domain in taken {
        let Some(owner) = owners.get(domain) else { continue };
        let message =
            format!("the domain `{domain}` of `{}` is already `{owner}`'s", host.hostname);
        let finding = codes::DUPLICATE_DOMAIN.diagnostic(message);
        diagnostics.push(match origin {
            Some(origin) => finding.object(origin.clone()),
            None => finding,
        });
    }
}
