//! Writes down the inbound listeners.

use std::{collections::BTreeSet, sync::Arc};

use envoy::{
    Resource,
    config::{
        core::v3::{TrafficDirection, TransportSocket},
        listener::v3::{AdditionalAddress, Filter, FilterChain, Listener, ListenerFilter},
    },
    extensions::transport_sockets::tls::v3::DownstreamTlsContext,
    type_url,
};
use model::{Interception, ObjectKey, Protocol, Shared};

use crate::{
    Compiled,
    filters::{
        HcmOptions, HttpRole, InspectedPorts, RouteSource, TcpRoute, address, duration,
        http_connection_manager, http_inspector, original_dst, original_src, seconds, tcp_proxy,
        tls_inspector,
    },
    inbound::{
        InboundInput, InboundPort,
        chains::{PortTls, Speaks, rows},
        routes::{RouteParts, route_configuration},
    },
    names,
    outbound::ChainMatch,
    security::{SecurityFilters, compile_security},
    telemetry::{Telemetry, listener_logs},
    tls::{TLS_SOCKET, transport_socket},
};

const BLACK_HOLE_CHAIN: &str = "virtualInbound-blackhole";
const PASSTHROUGH_HTTP_CHAIN: &str = "virtualInbound-catchall-http";
/// How long a TLS handshake with a caller may take.
const TRANSPORT_CONNECT_TIMEOUT: i64 = 15;

/// Compiles `virtualInbound`, and a listener for each port that is really bound.
pub fn compile_inbound_listeners(input: &InboundInput) -> Vec<Compiled> {
    let (bound, captured): (Vec<&InboundPort>, Vec<&InboundPort>) =
        input.ports.iter().partition(|port| port.bound);
    let security = compile_security(&input.security);
    let mut compiled = Vec::with_capacity(1 + bound.len());
    if input.interception != Interception::None {
        compiled.push(virtual_inbound(input, &captured, &security));
    }
    compiled.extend(bound.into_iter().map(|port| bound_listener(input, port, &security)));
    let mut compiled: Vec<Compiled> = compiled.into_iter().map(|it| security.name_in(it)).collect();
    if let Some(first) = compiled.first_mut() {
        first.diagnostics = input.findings.iter().cloned().collect();
        first.diagnostics.extend(security.diagnostics);
    }
    compiled
}

fn virtual_inbound(
    input: &InboundInput,
    ports: &[&InboundPort],
    security: &SecurityFilters,
) -> Compiled {
    let mut chains = vec![black_hole(names::INBOUND_PORT, input)];
    chains.extend(input.closed.iter().map(|port| black_hole(*port, input)));
    chains.extend(ChainSet::passthrough(None, input, security).chains());
    let own_mode = input.peers.ports.iter().filter(|(port, mode)| {
        let served = ports.iter().any(|it| it.port == **port);
        let closed = **port == names::INBOUND_PORT || input.closed.contains(port);
        !served && !closed && **mode != input.peers.workload
    });
    for (port, _) in own_mode {
        chains.extend(ChainSet::passthrough(Some(*port), input, security).chains());
    }
    for port in ports {
        chains.extend(ChainSet::of_port(port, input, security).chains());
    }
    let mut listener_filters = vec![original_dst()];
    let mut listener = Listener {
        name: names::VIRTUAL_INBOUND.to_owned(),
        address: input.wildcards.first().map(|bind| address(bind, names::INBOUND_PORT)),
        ..Listener::default()
    };
    listener.additional_addresses = input
        .wildcards
        .iter()
        .skip(1)
        .map(|bind| AdditionalAddress {
            address: Some(address(bind, names::INBOUND_PORT)),
            ..AdditionalAddress::default()
        })
        .collect();
    if input.interception == Interception::Tproxy {
        listener.transparent = Some(true);
        listener_filters.push(original_src());
    }
    let clusters = ports.iter().map(|port| names::inbound_cluster(port.port).into());
    let fixed = [names::BLACK_HOLE_CLUSTER, names::INBOUND_PASSTHROUGH_CLUSTER];
    let clusters = clusters.chain(fixed.into_iter().map(Arc::from));
    let clusters = clusters.chain(input.telemetry.clusters());
    Compiled {
        clusters: clusters.collect::<BTreeSet<Arc<str>>>().into_iter().collect(),
        origins: origins(ports),
        ..finish(listener, listener_filters, chains, input)
    }
}

/// Takes nothing. A connection to the listener's own port was not redirected, and would come back for
/// ever.
fn black_hole(port: u16, input: &InboundInput) -> Chain {
    let matches = ChainMatch { destination_port: Some(port), ..ChainMatch::default() };
    let filter =
        tcp_proxy(&TcpRoute::to_cluster(names::BLACK_HOLE_CLUSTER, None), &input.telemetry);
    Chain::new(BLACK_HOLE_CHAIN, matches, vec![filter])
}

fn bound_listener(
    input: &InboundInput,
    port: &InboundPort,
    security: &SecurityFilters,
) -> Compiled {
    let listener = Listener {
        name: names::listener(&port.bind, port.port),
        address: Some(address(&port.bind, port.port)),
        ..Listener::default()
    };
    let chains = ChainSet::of_port(port, input, security).chains().collect();
    Compiled {
        clusters: std::iter::once(names::inbound_cluster(port.port).into())
            .chain(input.telemetry.clusters())
            .collect(),
        origins: vec![port.origin.clone()],
        ..finish(listener, Vec::new(), chains, input)
    }
}

fn origins(ports: &[&InboundPort]) -> Vec<ObjectKey> {
    let origins: BTreeSet<&ObjectKey> = ports.iter().map(|port| &port.origin).collect();
    origins.into_iter().cloned().collect()
}

/// Adds what all inbound listeners have in common.
fn finish(
    listener: Listener,
    mut filters: Vec<ListenerFilter>,
    chains: Vec<Chain>,
    input: &InboundInput,
) -> Compiled {
    let needs = |needed: fn(&ChainMatch) -> bool| {
        let ports =
            chains.iter().map(|chain| (chain.matches.destination_port, needed(&chain.matches)));
        InspectedPorts::of_chains(ports)
    };
    filters.extend(tls_inspector(&needs(ChainMatch::needs_tls)));
    filters.extend(http_inspector(&needs(ChainMatch::needs_http)));
    let listener = Listener {
        traffic_direction: TrafficDirection::Inbound.into(),
        access_log: listener_logs(&input.telemetry),
        max_connections_to_accept_per_socket_event: Some(1),
        continue_on_listener_filters_timeout: true,
        listener_filters_timeout: Some(input.inspection_timeout.map_or(seconds(0), duration)),
        listener_filters: filters,
        filter_chains: chains.into_iter().map(|chain| chain.compiled).collect(),
        ..listener
    };
    Compiled::new(Resource::from_message(&*listener.name, type_url::LISTENER, &listener))
}

/// A chain beside the match that it was made from.
struct Chain {
    matches: ChainMatch,
    compiled: FilterChain,
}

impl Chain {
    fn new(name: &str, matches: ChainMatch, filters: Vec<Filter>) -> Self {
        let compiled = FilterChain {
            name: name.to_owned(),
            filter_chain_match: Some(matches.compile()),
            filters,
            transport_socket_connect_timeout: Some(seconds(TRANSPORT_CONNECT_TIMEOUT)),
            ..FilterChain::default()
        };
        Self { matches, compiled }
    }
}

/// The chains for one destination port, or for all that have none of their own.
struct ChainSet<'a> {
    port: Option<u16>,
    tls: PortTls,
    /// Ends TLS with a certificate of the port's own.
    own_socket: Option<TransportSocket>,
    http_name: String,
    tcp_name: String,
    stat_prefix: String,
    route: RouteParts<'a>,
    cluster: String,
    input: &'a InboundInput,
    telemetry: &'a Shared<Telemetry>,
    security: &'a SecurityFilters,
}

impl<'a> ChainSet<'a> {
    fn of_port(
        port: &'a InboundPort,
        input: &'a InboundInput,
        security: &'a SecurityFilters,
    ) -> Self {
        let name = names::listener(&port.bind, port.port);
        Self {
            port: Some(port.port),
            tls: match port.tls {
                Some(_) => PortTls::Own,
                None => PortTls::Mesh(input.peers.of_port(port.port)),
            },
            own_socket: port.tls.as_ref().map(|tls| tls.compile()),
            stat_prefix: format!("inbound_{name};"),
            http_name: name.clone(),
            tcp_name: name,
            cluster: names::inbound_cluster(port.port),
            route: RouteParts {
                service_port: port.service_port,
                hostname: &port.hostname,
                protocol: port.protocol,
                retry: input.retry.as_ref(),
                relayed: input.relayed,
            },
            input,
            telemetry: input.port_telemetry.get(&port.port).unwrap_or(&input.telemetry),
            security,
        }
    }

    /// For a port that no service has, or for all that are not named.
    fn passthrough(
        port: Option<u16>,
        input: &'a InboundInput,
        security: &'a SecurityFilters,
    ) -> Self {
        let mode = port.map_or(input.peers.workload, |port| input.peers.of_port(port));
        Self {
            port,
            tls: PortTls::Mesh(mode),
            own_socket: None,
            http_name: PASSTHROUGH_HTTP_CHAIN.to_owned(),
            tcp_name: names::VIRTUAL_INBOUND.to_owned(),
            stat_prefix: format!("{};", names::INBOUND_PASSTHROUGH_CLUSTER),
            cluster: names::INBOUND_PASSTHROUGH_CLUSTER.to_owned(),
            route: RouteParts {
                service_port: 0,
                hostname: "",
                protocol: Protocol::Unsupported,
                retry: input.retry.as_ref(),
                relayed: input.relayed,
            },
            input,
            telemetry: &input.telemetry,
            security,
        }
    }

    fn chains(self) -> impl Iterator<Item = Chain> {
        rows(self.route.protocol, self.tls).iter().map(move |row| {
            let matches = row.matches(self.port, self.input.http.http10);
            let mut chain = match row.speaks {
                Speaks::Http => Chain::new(&self.http_name, matches, vec![self.http_filter()]),
                Speaks::Tcp => {
                    let idle_timeout = self.input.http.idle_timeout;
                    let route = TcpRoute::to_cluster(self.cluster.as_str(), idle_timeout);
                    let mut filters = self.security.network.clone();
                    filters.push(tcp_proxy(&route, self.telemetry));
                    Chain::new(&self.tcp_name, matches, filters)
                }
            };
            if row.ends_tls() {
                chain.compiled.transport_socket = Some(self.socket());
                // Only there a caller has a certificate to find something in.
                chain.compiled.filters.splice(0..0, self.telemetry.connection_filter());
            }
            chain
        })
    }

    /// Ends TLS, for callers of the mesh alone unless the port has a certificate of its own.
    ///
    /// The protocols that it speaks inside are those of HTTP, and never the callers' names for
    /// them: what Istio's proxies agree on as `istio-peer-exchange` begins with bytes of their own,
    /// which a stock Envoy would hand to the application.
    fn socket(&self) -> TransportSocket {
        self.own_socket.clone().unwrap_or_else(|| {
            let mesh = &self.input.tls;
            let context = DownstreamTlsContext {
                common_tls_context: Some(mesh.common(mesh.any_workload(), &["h2", "http/1.1"])),
                require_client_certificate: Some(true),
                ..DownstreamTlsContext::default()
            };
            transport_socket(TLS_SOCKET, &context)
        })
    }

    fn http_filter(&self) -> Filter {
        let routes = route_configuration(&self.cluster, &self.route);
        http_connection_manager(&HcmOptions {
            stat_prefix: self.stat_prefix.clone(),
            role: HttpRole::Inbound,
            routes: RouteSource::Inline(Box::new(routes)),
            protocol: self.route.protocol,
            absolute_url: false,
            security: self.security.http.clone(),
            settings: self.input.http.clone(),
            telemetry: self.telemetry.clone(),
        })
    }
}
