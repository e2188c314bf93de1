//! Translates the `http` section of a VirtualService into Envoy routes, for sidecars and gateways.
//!
//! - Conditions on the caller (labels, namespace, gateway, port) are decided here; what is left
//!   of a condition becomes the match of a route.
//! - Order is kept, and what follows a route that matches everything is left out.
//! - Not here: which VirtualService serves which host (`route_config`, gateways).

use std::{collections::BTreeSet, sync::Arc};

use api::istio::virtual_service::{self, HttpMatchRequest, HttpRoute, PortSelector};
use envoy::config::{
    core::v3::Metadata,
    route::v3::{
        Decorator, Route, route, route_action::ClusterSpecifier, route_match::PathSpecifier,
    },
};
use model::{Diagnostics, Generator, Hostname, Labels, Namespace, Protocol};
use prost_types::{Struct, Value, value};
use snapshot::{Mesh, VirtualServiceRecord};

use crate::{codes, grpc, telemetry::mark_route};

mod action;
mod destination;
mod filter;
mod hash;
mod header;
mod matches;
mod redirect;
mod retry;
#[cfg(test)]
mod tests;

pub(crate) use action::forward;
pub use destination::{Destination, select_destinations};
pub(crate) use matches::every_path;
pub(crate) use retry::previous_hosts;

/// What a rule is evaluated for.
#[derive(Clone, Copy)]
pub struct RouteContext<'a> {
    pub mesh: &'a Mesh,
    /// Namespace of the proxy.
    pub namespace: &'a Namespace,
    /// Labels of the proxy.
    pub labels: &'a Labels,
    pub generator: Generator,
    /// `mesh` or names of gateways as `namespace/name`.
    pub gateways: &'a [Arc<str>],
    /// Port of the listener.
    pub port: u16,
    pub scheme: Scheme,
    /// What is known of the hosts in the rule, sorted by host.
    pub destinations: &'a [Destination],
}

impl RouteContext<'_> {
    /// Whether requests to a port of this protocol are gRPC calls.
    fn calls_grpc(&self, protocol: Protocol) -> bool {
        matches!(protocol, Protocol::Grpc | Protocol::GrpcWeb) || self.generator == Generator::Grpc
    }

    /// Says in a route who logs the calls to the hosts that it leads to.
    fn mark_logged<'h>(&self, route: &mut Route, hosts: impl Iterator<Item = &'h str>) {
        if self.generator == Generator::Envoy {
            let known = hosts.filter_map(|host| {
                self.destination(Hostname::new(host).as_str())?.service.as_deref()
            });
            mark_route(&mut route.metadata, known, &self.mesh.config);
        }
    }
}

/// What the listener speaks: decides the default port of redirects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    Http,
    Https,
}

/// The routes of one rule in one place.
#[derive(Clone, Debug, Default)]
pub struct TranslatedRoutes {
    pub routes: Vec<Route>,
    /// Clusters that the routes lead to.
    pub clusters: BTreeSet<Arc<str>>,
    pub diagnostics: Diagnostics,
}

/// Translates every `http` rule that may apply. No routes means that the rule does not apply here.
pub fn translate_routes(
    rule: &VirtualServiceRecord,
    context: &RouteContext<'_>,
) -> TranslatedRoutes {
    let mut out = TranslatedRoutes::default();
    for (index, http) in rule.spec.http.iter().enumerate() {
        let translation = Translation { rule, http, index, context };
        if translation.add_routes(&mut out) {
            break;
        }
    }
    if context.generator == Generator::Grpc {
        out.clusters = grpc::clusters_of(&out.routes);
    }
    out
}

/// Whether the rule has any route here.
pub fn rule_applies(rule: &VirtualServiceRecord, context: &RouteContext<'_>) -> bool {
    rule.spec.http.iter().any(|http| {
        http.match_.is_empty() || http.match_.iter().any(|it| condition_applies(it, context))
    })
}

/// The part of a condition that the proxy itself decides, not the request. Named gateways take
/// the place of conditions on the caller.
fn condition_applies(condition: &HttpMatchRequest, context: &RouteContext<'_>) -> bool {
    if condition.port != 0 && condition.port != u32::from(context.port) {
        return false;
    }
    if !condition.gateways.is_empty() {
        let named = |gateway: &String| context.gateways.iter().any(|it| **it == **gateway);
        return condition.gateways.iter().any(named);
    }
    let source = condition.source_namespace.as_str();
    (source.is_empty() || source == context.namespace.as_str())
        && condition.source_labels.iter().all(|(k, v)| context.labels.get(k) == Some(v))
}

/// One `http` rule of a VirtualService.
struct Translation<'a> {
    rule: &'a VirtualServiceRecord,
    http: &'a HttpRoute,
    index: usize,
    context: &'a RouteContext<'a>,
}

impl Translation<'_> {
    /// Adds the routes of the rule. Says whether no request gets past them.
    fn add_routes(&self, out: &mut TranslatedRoutes) -> bool {
        let conditions = &self.http.match_;
        let mut applying = conditions.iter().filter(|it| condition_applies(it, self.context));
        if self.context.generator == Generator::Grpc {
            grpc::report_rule(&self.rule.key, self.index, self.http, &mut out.diagnostics);
        }
        if conditions.is_empty() {
            let route = self.translate(None, out);
            self.push(route, out);
            return true;
        }
        applying.any(|condition| {
            let route = self.translate(Some(condition), out);
            let last = is_catch_all(&route);
            self.push(route, out);
            last
        })
    }

    fn push(&self, route: Route, out: &mut TranslatedRoutes) {
        match self.context.generator {
            Generator::Envoy => out.routes.push(route),
            Generator::Grpc => out.routes.extend(grpc::fit_route(route)),
        }
    }

    fn translate(&self, condition: Option<&HttpMatchRequest>, out: &mut TranslatedRoutes) -> Route {
        let mut route = Route {
            name: self.name(condition),
            r#match: Some(matches::translate_match(condition)),
            metadata: Some(config_metadata(self.rule)),
            stat_prefix: condition.map(|it| it.stat_prefix.clone()).unwrap_or_default(),
            typed_per_filter_config: filter::translate_filters(self.http),
            ..Route::default()
        };
        let authority = header::apply_to_route(self.http.headers.as_ref(), &mut route);
        if let Some(redirect) = &self.http.redirect {
            redirect::apply_redirect(redirect, self.context, &mut route);
        } else if let Some(response) = &self.http.direct_response {
            redirect::apply_direct_response(response, &mut route);
        } else {
            self.apply_destinations(authority, &mut route, out);
        }
        if route.action.is_none() {
            self.refuse(&mut route, out);
        }
        let destinations = self.http.route.iter().filter_map(|it| it.destination.as_ref());
        self.context.mark_logged(&mut route, destinations.map(|it| it.host.as_str()));
        route.decorator = Some(Decorator { operation: self.operation(&route), propagate: None });
        route
    }

    fn name(&self, condition: Option<&HttpMatchRequest>) -> String {
        match condition.map(|it| it.name.as_str()) {
            None | Some("") => self.http.name.clone(),
            Some(name) => format!("{}.{name}", self.http.name),
        }
    }

    /// A rule without a usable action answers itself: falling through to the next rule would send
    /// the requests where nobody wanted them.
    fn refuse(&self, route: &mut Route, out: &mut TranslatedRoutes) {
        route.action = Some(redirect::refusal());
        let finding = codes::ROUTE_UNUSABLE
            .diagnostic("the rule leads nowhere")
            .object(self.rule.key.clone())
            .field(format!("spec.http[{}]", self.index))
            .hint("set a destination with a weight, a redirect with a known code or a response");
        if !out.diagnostics.iter().any(|it| *it == finding) {
            out.diagnostics.push(finding);
        }
    }

    /// What traces call the route: `host:port/path`, or the rule's name where hosts are several.
    fn operation(&self, route: &Route) -> String {
        let path = match route.r#match.as_ref().and_then(|it| it.path_specifier.as_ref()) {
            Some(PathSpecifier::Prefix(prefix)) => format!("{prefix}*"),
            Some(PathSpecifier::Path(path)) => path.clone(),
            Some(PathSpecifier::SafeRegex(regex)) => regex.regex.clone(),
            _ => "/*".to_owned(),
        };
        if let Some(route::Action::Route(_)) = route.action
            && let [only] = self.http.route.as_slice()
            && let Some(destination) = &only.destination
        {
            let target = self.context.resolve(destination);
            return format!("{}:{}{path}", target.hostname, target.port);
        }
        format!("{}:{}{path}", self.rule.key.name, self.context.port)
    }
}

/// The route to a service that no rule is about. `context.destinations` may hold the service.
pub fn default_route(hostname: &Hostname, context: &RouteContext<'_>) -> Route {
    let destination = virtual_service::Destination {
        host: hostname.as_str().to_owned(),
        port: Some(PortSelector { number: context.port.into() }),
        ..virtual_service::Destination::default()
    };
    let target = context.resolve(&destination);
    let upstream = retry::Upstream {
        grpc: context.calls_grpc(target.protocol),
        hashed: target.consistent_hash.is_some(),
    };
    let mut action = action::forward(None);
    action.hash_policy.extend(target.consistent_hash.and_then(hash::hash_policy));
    action.retry_policy = retry::retry_policy(None, context.mesh, upstream);
    action.cluster_specifier = Some(ClusterSpecifier::Cluster(target.cluster()));
    let mut route = Route {
        name: "default".to_owned(),
        r#match: Some(matches::translate_match(None)),
        decorator: Some(Decorator {
            operation: format!("{hostname}:{}/*", context.port),
            propagate: None,
        }),
        action: Some(route::Action::Route(action)),
        ..Route::default()
    };
    context.mark_logged(&mut route, std::iter::once(hostname.as_str()));
    route
}

/// Whether no request gets past the route.
pub fn is_catch_all(route: &Route) -> bool {
    let Some(matched) = &route.r#match else { return false };
    let any_path = match &matched.path_specifier {
        Some(PathSpecifier::Prefix(prefix)) => prefix == "/" || prefix.is_empty(),
        Some(PathSpecifier::SafeRegex(regex)) => regex.regex == ".*",
        _ => false,
    };
    any_path
        && matched.headers.is_empty()
        && matched.query_parameters.is_empty()
        && matched.dynamic_metadata.is_empty()
}

/// `metadata.filter_metadata.istio.config`: the path of the object behind a route.
fn config_metadata(rule: &VirtualServiceRecord) -> Metadata {
    let path = format!(
        "/apis/networking.istio.io/v1/namespaces/{}/virtual-service/{}",
        rule.key.namespace, rule.key.name
    );
    let value = Value { kind: Some(value::Kind::StringValue(path)) };
    let fields = Struct { fields: [("config".to_owned(), value)].into() };
    Metadata { filter_metadata: [("istio".to_owned(), fields)].into(), ..Metadata::default() }
}

fn duration(value: api::Duration) -> prost_types::Duration {
    let (seconds, nanos) = value.split();
    prost_types::Duration { seconds, nanos }
}
