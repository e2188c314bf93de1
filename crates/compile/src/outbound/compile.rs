//! Writes one planned listener down.

use std::{collections::BTreeSet, sync::Arc};

use envoy::{
    Resource,
    config::{
        core::v3::TrafficDirection,
        listener::v3::{
            AdditionalAddress, Filter, FilterChain, FilterChainMatch, Listener, ListenerFilter,
        },
        route::v3::{
            Route, RouteAction, RouteConfiguration, VirtualHost, route,
            route_action::ClusterSpecifier,
        },
    },
    type_url,
};

use crate::{
    Compiled, RouteName,
    filters::{
        HcmOptions, HttpRole, HttpSettings, InspectedPorts, RouteSource, address, duration,
        http_connection_manager, http_inspector, seconds, tcp_proxy, tls_inspector,
        wait_for_server_name,
    },
    names,
    outbound::{
        Capture, ChainAction, ChainInput, HttpRouteSource, HttpRoutes, ListenerInput,
        ServerNameRoute,
    },
    route::every_path,
    telemetry::listener_logs,
};

/// How long a TLS handshake with a caller may take.
const TRANSPORT_CONNECT_TIMEOUT: i64 = 15;
const FALLBACK_CHAIN: &str = "PassthroughFilterChain";

impl ChainInput {
    pub(super) fn is_http(&self) -> bool {
        matches!(self.action, ChainAction::Http(_))
    }
}

impl ListenerInput {
    /// The route configurations that it asks for.
    pub fn routes(&self) -> impl Iterator<Item = &Arc<str>> {
        self.chains.iter().filter_map(|chain| match &chain.action {
            ChainAction::Http(HttpRoutes { source: HttpRouteSource::Rds(name), .. }) => Some(name),
            ChainAction::Http(HttpRoutes { source: HttpRouteSource::DynamicDns, .. })
            | ChainAction::Tcp(_)
            | ChainAction::ServerName(_) => None,
        })
    }

    /// The clusters that its connections go to without the help of a route configuration.
    fn clusters(&self) -> BTreeSet<Arc<str>> {
        let mut clusters = self.telemetry.clusters();
        clusters
            .extend(self.fallback_used().into_iter().flat_map(|route| route.clusters().cloned()));
        for chain in &self.chains {
            match &chain.action {
                ChainAction::Tcp(route)
                | ChainAction::ServerName(ServerNameRoute { unnamed: route, .. }) => {
                    clusters.extend(route.clusters().cloned());
                }
                ChainAction::Http(HttpRoutes { source: HttpRouteSource::DynamicDns, .. }) => {
                    clusters.insert(names::DYNAMIC_DNS_CLUSTER.into());
                }
                ChainAction::Http(HttpRoutes { source: HttpRouteSource::Rds(_), .. }) => {}
            }
        }
        clusters
    }

    fn fallback_used(&self) -> Option<&crate::filters::TcpRoute> {
        let complete = self.chains.iter().any(|chain| chain.matches.is_everything());
        self.fallback.as_ref().filter(|_| !complete)
    }
}

/// Compiles one listener of [`OutboundPlan`](crate::outbound::OutboundPlan).
pub fn compile_listener(input: &ListenerInput) -> Compiled {
    let mut listener = Listener {
        name: input.name.to_string(),
        address: Some(address(&input.bind, input.port)),
        traffic_direction: TrafficDirection::Outbound.into(),
        access_log: listener_logs(&input.telemetry),
        ..Listener::default()
    };
    listener.additional_addresses = input
        .further_binds
        .iter()
        .map(|bind| AdditionalAddress {
            address: Some(address(bind, input.port)),
            ..AdditionalAddress::default()
        })
        .collect();
    match input.capture {
        Capture::Redirected => listener.bind_to_port = Some(false),
        Capture::Bound => listener.max_connections_to_accept_per_socket_event = Some(1),
        Capture::Virtual { transparent } => {
            listener.max_connections_to_accept_per_socket_event = Some(1);
            listener.use_original_dst = Some(true);
            listener.transparent = transparent.then_some(true);
        }
    }
    add_inspectors(&mut listener, input);
    add_chains(&mut listener, input);
    let resource = Resource::from_message(input.name.clone(), type_url::LISTENER, &listener);
    let origins = input.chains.iter().flat_map(|chain| &chain.origins);
    let compiled = Compiled::new(resource).naming(input.clusters(), input.routes(), origins);
    Compiled { pod: input.pod, ..compiled }
}

fn add_inspectors(listener: &mut Listener, input: &ListenerInput) {
    let http = input.chains.iter().any(|chain| chain.matches.needs_http());
    let tls = input.inspects_tls || input.chains.iter().any(|chain| chain.matches.needs_tls());
    let mut filters: Vec<ListenerFilter> = Vec::new();
    // The HTTP inspector leaves TLS alone only if it is told that it is TLS.
    if tls || http {
        filters.extend(tls_inspector(&InspectedPorts::all()));
    }
    if http {
        filters.extend(http_inspector(&InspectedPorts::all()));
    }
    let timeout = input.inspection_timeout.filter(|_| http).map_or(seconds(0), duration);
    if !matches!(input.capture, Capture::Virtual { .. }) || !filters.is_empty() {
        listener.continue_on_listener_filters_timeout = true;
        listener.listener_filters_timeout = Some(timeout);
    }
    listener.listener_filters = filters;
}

/// A connection that starts to match a chain and then fails a later condition is dropped, unless
/// there is a default chain: so there always is one beside other chains.
fn add_chains(listener: &mut Listener, input: &ListenerInput) {
    let virtual_outbound = matches!(input.capture, Capture::Virtual { .. });
    // Beside a chain that looks at the transport, one that does not is no wildcard.
    let inspected = !listener.listener_filters.is_empty();
    for chain in &input.chains {
        let compiled = FilterChain {
            name: chain.name.to_string(),
            filters: with_telemetry(chain_filters(chain, input), input),
            transport_socket_connect_timeout: Some(seconds(TRANSPORT_CONNECT_TIMEOUT)),
            ..FilterChain::default()
        };
        if !chain.matches.is_everything() {
            let filter_chain_match = Some(chain.matches.compile());
            listener.filter_chains.push(FilterChain { filter_chain_match, ..compiled });
        } else if virtual_outbound && !inspected {
            listener.filter_chains.push(compiled);
        } else {
            listener.default_filter_chain = Some(compiled);
        }
    }
    // With no chain at all, the way out is the same that it is beside chains that come later.
    if listener.filter_chains.is_empty() && !input.chains.is_empty() {
        listener.filter_chains.extend(listener.default_filter_chain.take());
    } else if let Some(fallback) = input.fallback_used() {
        listener.default_filter_chain = Some(FilterChain {
            name: FALLBACK_CHAIN.to_owned(),
            filter_chain_match: Some(FilterChainMatch::default()),
            filters: with_telemetry(vec![tcp_proxy(fallback, &input.telemetry)], input),
            transport_socket_connect_timeout: Some(seconds(TRANSPORT_CONNECT_TIMEOUT)),
            ..FilterChain::default()
        });
    }
}

fn with_telemetry(filters: Vec<Filter>, input: &ListenerInput) -> Vec<Filter> {
    input.telemetry.connection_filter().into_iter().chain(filters).collect()
}

fn chain_filters(chain: &ChainInput, input: &ListenerInput) -> Vec<Filter> {
    match &chain.action {
        ChainAction::Tcp(route) => vec![tcp_proxy(route, &input.telemetry)],
        ChainAction::ServerName(ServerNameRoute { port, unnamed }) => {
            wait_for_server_name(*port, unnamed, &input.telemetry).into()
        }
        ChainAction::Http(http) => vec![http_connection_manager(&HcmOptions {
            stat_prefix: format!("outbound_{};", input.name),
            role: HttpRole::Outbound,
            routes: match &http.source {
                HttpRouteSource::Rds(name) => RouteSource::Rds(name.clone()),
                HttpRouteSource::DynamicDns => RouteSource::Inline(Box::new(dynamic_routes())),
            },
            protocol: http.protocol,
            absolute_url: http.absolute_url,
            security: Vec::new(),
            // Other route configurations are complete, and nothing lifts the limit of a wait there.
            settings: HttpSettings { on_demand: asks_for_hosts(http), ..input.http.clone() },
            telemetry: input.telemetry.clone(),
        })],
    }
}

/// Whether the hosts of its route configuration are asked for one by one.
fn asks_for_hosts(http: &HttpRoutes) -> bool {
    match &http.source {
        HttpRouteSource::Rds(name) => {
            matches!(RouteName::parse(name), Some(RouteName::OnDemand(_)))
        }
        HttpRouteSource::DynamicDns => false,
    }
}

/// Everything to where its Host header says.
fn dynamic_routes() -> RouteConfiguration {
    let action = RouteAction {
        timeout: Some(seconds(0)),
        cluster_specifier: Some(ClusterSpecifier::Cluster(names::DYNAMIC_DNS_CLUSTER.to_owned())),
        ..RouteAction::default()
    };
    let route = Route {
        name: "allow_any".to_owned(),
        r#match: Some(every_path()),
        action: Some(route::Action::Route(action)),
        ..Route::default()
    };
    RouteConfiguration {
        name: "allow_any".to_owned(),
        virtual_hosts: vec![VirtualHost {
            name: "allow_any".to_owned(),
            domains: vec!["*".to_owned()],
            routes: vec![route],
            include_request_attempt_count: true,
            ..VirtualHost::default()
        }],
        validate_clusters: Some(false),
        ..RouteConfiguration::default()
    }
}
