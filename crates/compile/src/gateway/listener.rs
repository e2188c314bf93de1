//! Writes one planned listener of a gateway down.

use std::{collections::BTreeSet, sync::Arc};

use envoy::{
    Any, Resource,
    config::{
        core::v3::TrafficDirection,
        listener::v3::{
            AdditionalAddress, Filter, FilterChain, FilterChainMatch, Listener, ListenerFilter,
            listener_filter,
        },
    },
    extensions::filters::listener::proxy_protocol::v3::ProxyProtocol,
    type_url,
};

use super::{GatewayAction, GatewayChain, GatewayListenerInput, SniMatch};
use crate::{
    Compiled,
    filters::{
        HcmOptions, HttpRole, InspectedPorts, RouteSource, address, http_connection_manager,
        seconds, tcp_proxy, tls_inspector,
    },
    security::{SecurityFilters, compile_security},
    telemetry::listener_logs,
    tls::MESH_PROTOCOLS,
};

/// How long a TLS handshake with a caller may take.
const TRANSPORT_CONNECT_TIMEOUT: i64 = 15;
const PROXY_PROTOCOL: &str = "envoy.filters.listener.proxy_protocol";

impl GatewayListenerInput {
    /// The route configurations that it asks for.
    pub fn routes(&self) -> impl Iterator<Item = &Arc<str>> {
        self.chains.iter().filter_map(|chain| match &chain.action {
            GatewayAction::Http { route, .. } => Some(route),
            GatewayAction::Tcp(_) => None,
        })
    }

    fn clusters(&self) -> BTreeSet<Arc<str>> {
        let routes = self.chains.iter().filter_map(|chain| match &chain.action {
            GatewayAction::Http { .. } => None,
            GatewayAction::Tcp(route) => Some(route),
        });
        let mut clusters = self.telemetry.clusters();
        clusters.extend(routes.flat_map(|route| route.clusters().cloned()));
        clusters
    }
}

/// Compiles one listener of a [`GatewayPlan`](super::GatewayPlan).
pub fn compile_gateway_listener(input: &GatewayListenerInput) -> Compiled {
    let further = input.further_binds.iter().map(|bind| AdditionalAddress {
        address: Some(address(bind, input.port)),
        ..AdditionalAddress::default()
    });
    let security = compile_security(&input.security);
    let chains = input.chains.iter().map(|chain| filter_chain(chain, input, &security));
    let listener = Listener {
        name: input.name.to_string(),
        address: Some(address(&input.bind, input.port)),
        additional_addresses: further.collect(),
        traffic_direction: TrafficDirection::Outbound.into(),
        access_log: listener_logs(&input.telemetry),
        listener_filters: listener_filters(input),
        filter_chains: chains.collect(),
        max_connections_to_accept_per_socket_event: Some(1),
        ..Listener::default()
    };
    let resource = Resource::from_message(input.name.clone(), type_url::LISTENER, &listener);
    let origins = input.chains.iter().flat_map(|chain| &chain.origins);
    let compiled = Compiled::new(resource).naming(input.clusters(), input.routes(), origins);
    Compiled { diagnostics: security.diagnostics.clone(), ..security.name_in(compiled) }
}

/// A caller that says nothing is not waited for longer than Envoy does by itself (15 s).
fn listener_filters(input: &GatewayListenerInput) -> Vec<ListenerFilter> {
    let proxy_protocol = input.proxy_protocol.then(|| ListenerFilter {
        name: PROXY_PROTOCOL.to_owned(),
        config_type: Some(listener_filter::ConfigType::TypedConfig(Any::pack(
            &ProxyProtocol::default(),
        ))),
        ..ListenerFilter::default()
    });
    let inspected = input.chains.iter().any(|chain| chain.matches != SniMatch::Any);
    let inspector = inspected.then(|| tls_inspector(&InspectedPorts::all())).flatten();
    proxy_protocol.into_iter().chain(inspector).collect()
}

fn filter_chain(
    chain: &GatewayChain,
    input: &GatewayListenerInput,
    security: &SecurityFilters,
) -> FilterChain {
    FilterChain {
        filter_chain_match: filter_chain_match(&chain.matches),
        filters: filters(chain, input, security),
        transport_socket: chain.tls.as_ref().map(|settings| settings.compile()),
        transport_socket_connect_timeout: Some(seconds(TRANSPORT_CONNECT_TIMEOUT)),
        ..FilterChain::default()
    }
}

fn filter_chain_match(matches: &SniMatch) -> Option<FilterChainMatch> {
    let (names, protocols): (&[Arc<str>], &[&str]) = match matches {
        SniMatch::Any => return None,
        SniMatch::ServerNames(names) if names.is_empty() => return None,
        SniMatch::ServerNames(names) => (names, &[]),
        SniMatch::MeshCluster(name) => (std::slice::from_ref(name), &MESH_PROTOCOLS),
    };
    Some(FilterChainMatch {
        server_names: names.iter().map(ToString::to_string).collect(),
        application_protocols: protocols.iter().map(|protocol| (*protocol).to_owned()).collect(),
        ..FilterChainMatch::default()
    })
}

fn filters(
    chain: &GatewayChain,
    input: &GatewayListenerInput,
    security: &SecurityFilters,
) -> Vec<Filter> {
    let mut filters: Vec<Filter> = input.telemetry.connection_filter().into_iter().collect();
    match &chain.action {
        GatewayAction::Tcp(route) => {
            filters.extend(security.network.iter().cloned());
            filters.push(tcp_proxy(route, &input.telemetry));
        }
        GatewayAction::Http { route, protocol, stat_prefix } => {
            let of_listener = || format!("outbound_{};", input.name);
            filters.push(http_connection_manager(&HcmOptions {
                stat_prefix: stat_prefix.as_ref().map_or_else(of_listener, ToString::to_string),
                role: HttpRole::Gateway { trusted_hops: input.trusted_hops },
                routes: RouteSource::Rds(route.clone()),
                protocol: *protocol,
                absolute_url: false,
                security: security.http.clone(),
                settings: input.http.clone(),
                telemetry: input.telemetry.clone(),
            }));
        }
    }
    filters
}
