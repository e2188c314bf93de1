//! Merged servers → the filter chains of each port.

use std::{collections::BTreeSet, sync::Arc};

use model::{Diagnostics, Shared};
use snapshot::Reader;

use super::{
    GatewayAction, GatewayChain, GatewayListenerInput, GatewayPlan, GatewayPort, GatewayScope,
    GatewayServer, PortKind, ServerTls, SniMatch, sni,
    tcp::{Routing, server_names},
};
use crate::{
    Client, codes,
    filters::HttpSettings,
    names,
    security::select_security,
    telemetry::{Side, select_telemetry},
};

/// Plans the listeners of a class of gateways.
pub fn plan_gateway(scope: &GatewayScope, client: &Client, reader: &Reader<'_>) -> GatewayPlan {
    let mesh = reader.mesh();
    let http = HttpSettings::new(client, mesh);
    // A gateway's class has all of its labels.
    let security = Shared::new(select_security(&client.labels, client, reader));
    let routing = Routing { scope, client, reader, idle_timeout: http.idle_timeout };
    let config = mesh.config.default_config.as_ref();
    let topology = config.and_then(|config| config.gateway_topology.as_ref());
    let (telemetry, found) = select_telemetry(Side::Client, client, reader);
    let mut plan = GatewayPlan { diagnostics: scope.diagnostics.clone(), ..GatewayPlan::default() };
    found.into_iter().for_each(|finding| plan.diagnostics.push(finding));
    for ports in scope.ports.chunk_by(|a, b| (&a.bind, a.number) == (&b.bind, b.number)) {
        let port = &ports[0];
        let mut taken = BTreeSet::new();
        let mut chains: Vec<GatewayChain> = ports
            .iter()
            .flat_map(|port| chains(port, &routing, &mut taken, &mut plan.diagnostics))
            .collect();
        tell_apart(&mut chains, &mut plan.diagnostics);
        if chains.is_empty() {
            continue;
        }
        plan.listeners.push(GatewayListenerInput {
            name: names::listener(&port.bind, port.number).into(),
            bind: port.bind.clone(),
            further_binds: port.further_binds.clone(),
            port: port.number,
            chains,
            http: http.clone(),
            security: security.clone(),
            telemetry: telemetry.clone(),
            trusted_hops: topology.map_or(0, |topology| topology.num_trusted_proxies),
            proxy_protocol: topology.is_some_and(|topology| topology.proxy_protocol.is_some()),
        });
    }
    let routes: BTreeSet<Arc<str>> =
        plan.listeners.iter().flat_map(GatewayListenerInput::routes).cloned().collect();
    plan.routes = routes.into_iter().collect();
    plan
}

fn chains<'a>(
    port: &'a GatewayPort,
    routing: &Routing<'a>,
    taken: &mut BTreeSet<String>,
    findings: &mut Diagnostics,
) -> Vec<GatewayChain> {
    match &port.kind {
        PortKind::Http { route } => vec![GatewayChain {
            matches: SniMatch::Any,
            tls: None,
            action: GatewayAction::Http {
                route: route.clone(),
                protocol: port.servers[0].protocol,
                stat_prefix: None,
            },
            origins: port.servers.iter().map(|server| server.origin.clone()).collect(),
        }],
        PortKind::Tcp | PortKind::Tls => {
            let mut chains = Vec::new();
            for server in &port.servers {
                let before = findings.iter().count();
                let own = server_chains(server, routing, taken, findings);
                // Another finding says more.
                if own.is_empty() && findings.iter().count() == before {
                    let message = format!("nothing is bound to port {}", server.port);
                    let hint = "bind a VirtualService with a `tcp` or `tls` route";
                    let finding = codes::GATEWAY_DESTINATION.diagnostic(message).hint(hint);
                    findings.push(finding.object(server.origin.clone()));
                }
                chains.extend(own);
            }
            chains
        }
    }
}

fn server_chains<'a>(
    server: &'a GatewayServer,
    routing: &Routing<'a>,
    taken: &mut BTreeSet<String>,
    findings: &mut Diagnostics,
) -> Vec<GatewayChain> {
    let tcp = |matches, tls, findings: &mut Diagnostics| {
        let route = routing.tcp_route(server, findings);
        let chain = route.map(|(route, origins)| GatewayChain {
            matches,
            tls,
            action: GatewayAction::Tcp(route),
            origins,
        });
        chain.into_iter().collect()
    };
    let (settings, route) = match &server.tls {
        ServerTls::None => return tcp(SniMatch::Any, None, findings),
        ServerTls::Passthrough => return routing.tls_chains(server, taken, findings),
        ServerTls::AutoPassthrough => return sni::chains(server, routing),
        ServerTls::Terminate { settings, route } => (settings, route),
    };
    let hosts = server.hosts.iter().map(|host| host.host.as_str());
    let Some(names) = server_names(hosts, &server.origin, findings) else { return Vec::new() };
    let matches = SniMatch::ServerNames(names);
    let Some(route) = route else { return tcp(matches, Some(settings.clone()), findings) };
    vec![GatewayChain {
        matches,
        tls: Some(settings.clone()),
        action: GatewayAction::Http {
            route: route.clone(),
            protocol: server.protocol,
            stat_prefix: (!server.name.is_empty()).then(|| server.name.clone()),
        },
        origins: vec![server.origin.clone()],
    }]
}

/// Takes from each chain the server names that an earlier one has: Envoy refuses a whole listener
/// where two chains match the same.
fn tell_apart(chains: &mut Vec<GatewayChain>, findings: &mut Diagnostics) {
    let mut everything = false;
    let mut taken: BTreeSet<Arc<str>> = BTreeSet::new();
    let mut clusters: BTreeSet<Arc<str>> = BTreeSet::new();
    chains.retain_mut(|chain| match &mut chain.matches {
        SniMatch::Any => {
            let first = !std::mem::replace(&mut everything, true);
            if !first {
                report_taken(chain, "*", findings);
            }
            first
        }
        SniMatch::MeshCluster(name) => clusters.insert(name.clone()),
        SniMatch::ServerNames(names) if names.is_empty() => {
            let first = !std::mem::replace(&mut everything, true);
            if !first {
                report_taken(chain, "*", findings);
            }
            first
        }
        SniMatch::ServerNames(names) => {
            let (lost, kept) = std::mem::take(names).into_iter().partition(|it| taken.contains(it));
            *names = kept;
            taken.extend(names.iter().cloned());
            let left = !names.is_empty();
            let lost: Vec<Arc<str>> = lost;
            lost.iter().for_each(|name| report_taken(chain, name, findings));
            left
        }
    });
}

fn report_taken(chain: &GatewayChain, name: &str, findings: &mut Diagnostics) {
    let message = format!("connections to the server name `{name}` already go elsewhere");
    let finding = codes::SERVER_NAME.diagnostic(message);
    // The last origin is the rule, if there is one.
    findings.push(match chain.origins.last() {
        Some(origin) => finding.object(origin.clone()),
        None => finding,
    });
}
