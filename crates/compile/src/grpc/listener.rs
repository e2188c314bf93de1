//! The listeners that gRPC's client asks for: one for each name that may be dialled.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use envoy::{
    Any, Resource,
    config::{
        core::v3::{
            AggregatedConfigSource, ApiVersion, ConfigSource, config_source::ConfigSourceSpecifier,
        },
        listener::v3::{ApiListener, Listener},
    },
    extensions::filters::{
        http::{fault::v3::HttpFault, router::v3::Router},
        network::http_connection_manager::v3::{
            HttpConnectionManager, HttpFilter, Rds, http_connection_manager::RouteSpecifier,
            http_filter,
        },
    },
    type_url,
};
use model::{Hostname, ObjectKey, Resolution, Service};
use prost::{Message, Name};

use crate::{
    Client, Compiled, RouteName, Scope,
    route_config::find_listener,
    virtual_host::{host_with_port, short_names},
};

/// Everything that one listener depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GrpcListenerInput {
    /// As dialled: `cart:80`, `cart.shop.svc.cluster.local:80`.
    pub name: Arc<str>,
    /// The service that the name stands for.
    pub hostname: Hostname,
    pub port: u16,
    /// The object that defines the service.
    pub origin: ObjectKey,
}

impl GrpcListenerInput {
    /// The route configuration that the listener asks for.
    pub fn route_name(&self) -> String {
        RouteName::Service(self.hostname.clone(), self.port).to_string()
    }
}

/// Plans a listener for every name that a client of the class may dial, sorted by name. A full
/// name beats another service's short one; then the oldest service wins.
pub fn plan_listeners(scope: &Scope, client: &Client) -> Vec<GrpcListenerInput> {
    let mut planned: BTreeMap<Arc<str>, GrpcListenerInput> = BTreeMap::new();
    let services: Vec<(&Service, u16, Target<'_>)> = reachable(scope).collect();
    let mut add = |host: &str, port: u16, target: Target<'_>| {
        let name: Arc<str> = host_with_port(host, port).into();
        planned.entry(name.clone()).or_insert_with(|| target.input(name, port));
    };
    for (service, port, target) in &services {
        add(service.hostname().as_str(), *port, *target);
    }
    for (service, port, target) in &services {
        for short in short_names(service.hostname().as_str(), &client.dns_domain) {
            add(&short, *port, *target);
        }
    }
    planned.into_values().collect()
}

/// Selects the listener of one name; `None` when the name stands for nothing that speaks HTTP/2.
pub fn select_listener(name: &str, scope: &Scope, client: &Client) -> Option<GrpcListenerInput> {
    let (host, port) = name.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    let on_port = || reachable(scope).filter(|(_, number, _)| *number == port);
    let exact = on_port().find(|(service, ..)| service.hostname().as_str() == host);
    let found = exact.or_else(|| {
        on_port().find(|(service, ..)| {
            let known = short_names(service.hostname().as_str(), &client.dns_domain);
            known.iter().any(|it| it == host)
        })
    });
    found.map(|(_, port, target)| target.input(name.into(), port))
}

/// The service that carries the traffic of a name.
#[derive(Clone, Copy)]
struct Target<'a> {
    service: &'a Service,
    origin: &'a ObjectKey,
}

impl Target<'_> {
    fn input(self, name: Arc<str>, port: u16) -> GrpcListenerInput {
        let hostname = self.service.hostname().clone();
        GrpcListenerInput { name, hostname, port, origin: self.origin.clone() }
    }
}

/// Services and ports that a route can be made for, oldest service first.
fn reachable(scope: &Scope) -> impl Iterator<Item = (&Service, u16, Target<'_>)> {
    let hosts: Vec<BTreeSet<&Hostname>> = scope
        .listeners
        .iter()
        .map(|listener| listener.services.iter().map(|it| it.hostname()).collect())
        .collect();
    let served = move |hostname: &Hostname, port: u16| {
        let listener = find_listener(scope, port, "");
        let index = listener.and_then(|found| {
            scope.listeners.iter().position(|listener| std::ptr::eq(listener, found))
        });
        index.is_some_and(|index| hosts[index].contains(hostname))
    };
    let named = scope.services.iter().filter(|service| !service.hostname().is_wildcard());
    let targets = named.filter_map(|service| {
        let target = match &service.alias_of {
            Some(hostname) => scope.service(hostname)?,
            None => service,
        };
        let usable = !matches!(target.resolution, Resolution::Alias | Resolution::DynamicDns);
        usable.then_some((&**service, Target { service: target, origin: &service.origin }))
    });
    targets
        .flat_map(|(service, target)| {
            let http = |port: &&model::ServicePort| {
                port.protocol.is_http() || port.protocol.is_unsupported()
            };
            let ports = target.service.ports.iter().filter(http);
            ports.map(move |port| (service, port.number, target))
        })
        .filter(move |(_, port, target)| served(target.service.hostname(), *port))
}

/// Compiles one listener. It opens no socket: gRPC reads from it where the routes are.
pub fn compile_listener(input: &GrpcListenerInput) -> Compiled {
    let route_name = input.route_name();
    let manager = HttpConnectionManager {
        stat_prefix: route_name.clone(),
        // The last filter must be the router; faults of rules are injected by the one before.
        http_filters: vec![
            http_filter("envoy.filters.http.fault", &HttpFault::default()),
            http_filter("envoy.filters.http.router", &Router::default()),
        ],
        route_specifier: Some(RouteSpecifier::Rds(Rds {
            config_source: Some(ConfigSource {
                resource_api_version: ApiVersion::V3.into(),
                config_source_specifier: Some(ConfigSourceSpecifier::Ads(
                    AggregatedConfigSource {},
                )),
                ..ConfigSource::default()
            }),
            route_config_name: route_name.clone(),
        })),
        ..HttpConnectionManager::default()
    };
    let listener = Listener {
        name: input.name.to_string(),
        api_listener: Some(ApiListener { api_listener: Some(Any::pack(&manager)) }),
        ..Listener::default()
    };
    Compiled {
        routes: vec![route_name.into()],
        origins: vec![input.origin.clone()],
        ..Compiled::new(Resource::from_message(input.name.clone(), type_url::LISTENER, &listener))
    }
}

fn http_filter<M: Message + Name>(name: &str, config: &M) -> HttpFilter {
    HttpFilter {
        name: name.to_owned(),
        config_type: Some(http_filter::ConfigType::TypedConfig(Any::pack(config))),
        ..HttpFilter::default()
    }
}
