//! The gateway that has the whole mesh, for workloads that are told less of it.
//!
//! - One listener. A request says in a header by which route configuration it goes: they are those of
//!   sidecars of the gateway's namespace, and for short names one for each other namespace.
//! - It lends nobody its identity. It takes mTLS alone and says in a header whom the caller has proven to
//!   be; policies of destinations judge by that (`security`). Where a PeerAuthentication makes it take
//!   plain text, it calls in plain text too. Policies for all hold behind it, and not at it.
//! - No request comes back to it: it has no route to itself, and refuses other lazy gateways.
//! - Not here: the way to it (`route_config::detour`), and which hosts it has (`scope::detour`).

use std::{collections::BTreeSet, sync::Arc};

use envoy::{
    Resource,
    config::{
        common::mutation_rules::v3::{HeaderMutation, header_mutation::Action},
        core::v3::{
            HeaderValue, HeaderValueOption, TrafficDirection,
            header_value_option::HeaderAppendAction,
        },
        listener::v3::{AdditionalAddress, Filter, FilterChain, Listener},
        route::v3::{
            ScopedRouteConfiguration,
            scoped_route_configuration::{
                Key,
                key::{Fragment, fragment::Type},
            },
        },
    },
    extensions::{
        filters::{
            http::header_mutation::v3::{HeaderMutation as HeaderMutations, Mutations},
            network::http_connection_manager::v3::HttpFilter,
        },
        transport_sockets::tls::v3::DownstreamTlsContext,
    },
    type_url,
};
use model::{Diagnostic, Protocol, Service, Shared};
use snapshot::{LazyGateway, Mesh, Reader};

use crate::{
    Client, Compiled, Relay, RouteName, Scope,
    filters::{
        HcmOptions, HttpRole, HttpSettings, RouteSource, address, http_connection_manager,
        http_filter, seconds,
    },
    names,
    route_config::OPEN_PORT,
    security::{
        SecurityFilters, SecurityInput, compile_security, refuse_ambiguous, select_security,
    },
    telemetry::{Side, Telemetry, listener_logs, select_telemetry},
    tls::{MeshTls, TLS_SOCKET, transport_socket, trust_domains},
};

/// The route configuration of a request to the gateway. It goes no further.
pub(crate) const ROUTE_HEADER: &str = "x-meltemi-route";
/// Whom the caller of a request from the gateway has proven to be. Applications never see it.
pub(crate) const CALLER_HEADER: &str = "x-meltemi-caller";
/// What requests from the gateway say of their callers.
pub(crate) const CALLER_HEADERS: [&str; 2] = [CALLER_HEADER, "x-forwarded-client-cert"];
/// Of an answer of the gateway, whatever that says: what became of the request there, in Envoy's flags, and
/// the name of the route that it had.
pub(crate) const ANSWER_HEADER: &str = "x-meltemi-relayed-by";
const ANSWER: &str = "%RESPONSE_FLAGS%;%ROUTE_NAME%";
/// How it begins where the gateway lacks the route configuration that the request names: that of a port
/// which its callers have heard of before it. Its virtual hosts have a route for every request.
pub(crate) const NO_ROUTE: &str = "NR;";
/// The gateway's route for hosts that it does not know.
pub(crate) const UNKNOWN_ROUTE: &str = "meltemi.unknown-host";
const HEADER_MUTATION: &str = "envoy.filters.http.header_mutation";
/// How long a TLS handshake with a caller may take.
const TRANSPORT_CONNECT_TIMEOUT: i64 = 15;

/// All that the gateway's listener depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LazyGatewayInput {
    pub bind: Arc<str>,
    pub further_binds: Vec<Arc<str>>,
    pub port: u16,
    /// Without it, plain text is taken.
    pub tls: Option<MeshTls>,
    /// By which lazy gateways are known.
    pub identities: Identities,
    pub security: Shared<SecurityInput>,
    pub http: HttpSettings,
    pub telemetry: Shared<Telemetry>,
}

/// The names in certificates of lazy gateways: one for each trust domain, sorted.
pub type Identities = Arc<[Arc<str>]>;

/// What a class of lazy gateways has, beside its clusters.
#[derive(Clone, Debug)]
pub struct LazyGatewayPlan {
    pub listener: LazyGatewayInput,
    /// The route configurations that requests may name.
    pub routes: BTreeSet<RouteName>,
    pub findings: Vec<Diagnostic>,
}

/// The names by which the lazy gateway is known.
pub(crate) fn identities(gateway: &LazyGateway, mesh: &Mesh) -> Identities {
    let LazyGateway { namespace, service_account, .. } = gateway;
    let names: BTreeSet<Arc<str>> = trust_domains(mesh)
        .map(|domain| format!("spiffe://{domain}/ns/{namespace}/sa/{service_account}").into())
        .collect();
    names.into_iter().collect()
}

/// Plans a class of lazy gateways; `None` for any other.
pub fn plan_lazy_gateway(
    scope: &Scope,
    client: &Client,
    reader: &Reader<'_>,
) -> Option<LazyGatewayPlan> {
    let relay = client.relay()?;
    let gateway = reader.fencing().gateway.as_ref()?;
    let mesh = reader.mesh();
    let (telemetry, findings) = select_telemetry(Side::Client, client, reader);
    let dual = client.ipv4 && client.ipv6 && mesh.features.flag("ISTIO_DUAL_STACK", false);
    let listener = LazyGatewayInput {
        bind: client.wildcard().into(),
        further_binds: dual.then(|| "::".into()).into_iter().collect(),
        port: gateway.port,
        tls: match relay {
            Relay::Mutual => Some(MeshTls::new(mesh, client.sds)),
            Relay::Plain => None,
        },
        identities: identities(gateway, mesh),
        // A gateway's class has all of its labels.
        security: Shared::new(select_security(&client.labels, client, reader)),
        http: HttpSettings::new(client, mesh),
        telemetry,
    };
    let has_rules = scope.listeners.iter().any(|it| !it.rules.is_empty());
    // Rules may be about hosts that are no services.
    let open = has_rules.then_some(RouteName::Port(OPEN_PORT));
    let routes = scope.services.iter().flat_map(|service| routes_of(service, mesh));
    let routes = routes.chain(open).collect();
    Some(LazyGatewayPlan { listener, routes, findings })
}

/// By port, and for callers of its own namespace by the name within that.
fn routes_of(service: &Service, mesh: &Mesh) -> impl Iterator<Item = RouteName> {
    let own = service.hostname().as_str().ends_with(&*format!(".svc.{}", mesh.domain));
    let ports = service.ports.iter();
    let http = ports.filter(|it| it.protocol.is_http() || it.protocol.is_unsupported());
    http.flat_map(move |port| {
        let short = own.then(|| RouteName::Namespace(service.namespace().clone(), port.number));
        [RouteName::Port(port.number)].into_iter().chain(short)
    })
}

impl LazyGatewayPlan {
    /// The route configurations by name.
    pub fn routes(&self) -> impl Iterator<Item = Arc<str>> {
        self.routes.iter().map(|name| name.to_string().into())
    }

    /// By which of them requests are routed that name it.
    pub fn scopes(&self) -> impl Iterator<Item = Compiled> {
        self.routes.iter().map(scope_of)
    }
}

fn scope_of(route: &RouteName) -> Compiled {
    let name = route.to_string();
    let key = Fragment { r#type: Some(Type::StringKey(name.clone())) };
    let message = ScopedRouteConfiguration {
        name: name.clone(),
        route_configuration_name: name.clone(),
        key: Some(Key { fragments: vec![key] }),
        ..ScopedRouteConfiguration::default()
    };
    Compiled::new(Resource::from_message(name, type_url::SCOPED_ROUTE, &message))
}

/// Compiles the gateway's listener.
pub fn compile_lazy_gateway(input: &LazyGatewayInput) -> Compiled {
    let security = compile_security(&input.security);
    let socket = input.tls.as_ref().map(|mesh| {
        let context = DownstreamTlsContext {
            common_tls_context: Some(mesh.common(mesh.any_workload(), &["h2", "http/1.1"])),
            require_client_certificate: Some(true),
            ..DownstreamTlsContext::default()
        };
        transport_socket(TLS_SOCKET, &context)
    });
    let further = input.further_binds.iter().map(|bind| AdditionalAddress {
        address: Some(address(bind, input.port)),
        ..AdditionalAddress::default()
    });
    let name = names::listener(&input.bind, input.port);
    let manager = manager(&name, input, &security);
    let chain = FilterChain {
        filters: input.telemetry.connection_filter().into_iter().chain([manager]).collect(),
        transport_socket: socket,
        transport_socket_connect_timeout: Some(seconds(TRANSPORT_CONNECT_TIMEOUT)),
        ..FilterChain::default()
    };
    let listener = Listener {
        name: name.clone(),
        address: Some(address(&input.bind, input.port)),
        additional_addresses: further.collect(),
        traffic_direction: TrafficDirection::Outbound.into(),
        access_log: listener_logs(&input.telemetry),
        filter_chains: vec![chain],
        max_connections_to_accept_per_socket_event: Some(1),
        ..Listener::default()
    };
    let resource = Resource::from_message(name, type_url::LISTENER, &listener);
    let clusters = input.telemetry.clusters();
    let compiled = Compiled::new(resource).naming(clusters, [].iter(), [].iter());
    Compiled { diagnostics: security.diagnostics.clone(), ..security.name_in(compiled) }
}

fn manager(name: &str, input: &LazyGatewayInput, security: &SecurityFilters) -> Filter {
    // A token has the route found anew, by the next filter that asks for it: the refusal does.
    let policies = security.http.iter().cloned();
    let refusal = refuse_ambiguous("lazy-gateway", &input.identities);
    let own = [say_caller_and_route(), refusal, forget_route()];
    http_connection_manager(&HcmOptions {
        stat_prefix: format!("lazy_gateway_{name};"),
        role: HttpRole::Relay,
        routes: RouteSource::Scoped { header: ROUTE_HEADER },
        protocol: Protocol::Unsupported,
        absolute_url: false,
        security: policies.chain(own).collect(),
        settings: input.http.clone(),
        telemetry: input.telemetry.clone(),
    })
}

/// The caller is who its certificate says, whatever the request says; of one without a certificate nothing
/// is said. An answer says which route it took, whatever the service says: callers try elsewhere by that.
fn say_caller_and_route() -> HttpFilter {
    let [caller, route] = [(CALLER_HEADER, "%DOWNSTREAM_PEER_URI_SAN%"), (ANSWER_HEADER, ANSWER)]
        .map(|(name, value)| HeaderMutation {
            action: Some(Action::Append(set_header(name, value))),
        });
    let mutations = Mutations {
        request_mutations: vec![remove(CALLER_HEADER), caller],
        response_mutations: vec![remove(ANSWER_HEADER), route],
        ..Mutations::default()
    };
    mutate_headers(mutations)
}

/// Once the route is found, its name has done its work.
fn forget_route() -> HttpFilter {
    let request_mutations = vec![remove(ROUTE_HEADER)];
    mutate_headers(Mutations { request_mutations, ..Mutations::default() })
}

pub(crate) fn remove(name: &str) -> HeaderMutation {
    HeaderMutation { action: Some(Action::Remove(name.to_owned())) }
}

fn mutate_headers(mutations: Mutations) -> HttpFilter {
    http_filter(
        HEADER_MUTATION,
        &HeaderMutations { mutations: Some(mutations), ..Default::default() },
    )
}

/// In place of whatever is there.
pub(crate) fn set_header(name: &str, value: &str) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue {
            key: name.to_owned(),
            value: value.to_owned(),
            ..HeaderValue::default()
        }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..HeaderValueOption::default()
    }
}

#[cfg(test)]
mod tests;
