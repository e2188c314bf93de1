//! The way to hosts that a class is not told of, through the gateway that has them.
//!
//! - The caller says by which of the gateway's route configurations a request goes, as its Host alone does
//!   not say for which port it is, nor a short name of which namespace. All else goes as it is.
//! - A gateway that cannot be reached, or that knows no such host, is bypassed within the same
//!   request: the second try goes to another of its pods, the third past it. So is one that has not heard
//!   of a new port yet: no proxy waits for another one.

use std::{collections::BTreeSet, sync::Arc};

use envoy::{
    Any, Resource,
    config::{
        cluster::v3::{
            CircuitBreakers, Cluster,
            circuit_breakers::Thresholds,
            cluster::{ClusterDiscoveryType, CustomClusterType, LbPolicy},
        },
        route::v3::{
            HeaderMatcher, RetryPolicy, Route, RouteMatch, VirtualHost,
            header_matcher::HeaderMatchSpecifier, retry_policy::RetryBackOff, route::Action,
            route_action::ClusterSpecifier, route_match::PathSpecifier,
        },
    },
    extensions::clusters::{
        aggregate::v3::ClusterConfig as Aggregate,
        composite::v3::{ClusterConfig as Composite, cluster_config::ClusterEntry},
    },
    type_url,
    types::matcher::v3::{StringMatcher, string_matcher::MatchPattern},
};
use model::{Diagnostics, Namespace};
use snapshot::Mesh;

use crate::{
    Compiled, CompiledVirtualHost, Detour, DetourDomains, DetourTarget, RouteName,
    cluster::default_connect_timeout,
    lazy_gateway::{ANSWER_HEADER, NO_ROUTE, ROUTE_HEADER, UNKNOWN_ROUTE, set_header},
    names,
    route::{forward, previous_hosts},
    virtual_host::encode_field,
};

/// The extension by which each try of a request has a cluster of its own.
pub const COMPOSITE: &str = "envoy.clusters.composite";
const AGGREGATE: &str = "envoy.clusters.aggregate";
const HOST: &str = "lazy_gateway";
const SHORT_HOST: &str = "lazy_gateway_short";
/// Nothing of the request has been worked on after any of these.
const RETRY_ON: &str = "connect-failure,refused-stream,reset-before-request";
const RETRY_ON_ANSWER: &str = "retriable-headers";
/// How often a second try looks for another pod than the first one had. Of two pods, each look finds the
/// other one half of the time; where there is one pod, it is taken in the end.
const CHOICES: i64 = 16;

/// The hosts of one route configuration that are called on the detour.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DetourInput {
    pub target: DetourTarget,
    pub port: u16,
    pub domains: Arc<DetourDomains>,
    /// The caller's.
    pub namespace: Namespace,
}

impl DetourTarget {
    fn clusters(&self) -> BTreeSet<Arc<str>> {
        let own = [names::DETOUR_CLUSTER.into(), self.gateway.clone()];
        own.into_iter().chain(self.bypass().cloned()).collect()
    }

    fn bypass(&self) -> Option<&Arc<str>> {
        self.bypass.as_ref().filter(|_| self.means == Detour::Bypassed)
    }
}

impl DetourInput {
    /// The virtual hosts for all of them, beside `others` that win domains.
    pub(super) fn compile(
        &self,
        others: &[Arc<CompiledVirtualHost>],
        counts_attempts: bool,
    ) -> Vec<Arc<CompiledVirtualHost>> {
        let taken: BTreeSet<&Arc<str>> = others.iter().flat_map(|it| &it.domains).collect();
        // Who is told of a wildcard is told of all that is below it.
        let suffixes: Vec<&str> = taken.iter().filter_map(|it| it.strip_prefix('*')).collect();
        let is_free = |domain: &&Arc<str>| {
            let below = domain.trim_start_matches('*');
            !taken.contains(domain)
                && !suffixes.iter().any(|it| below.len() > it.len() && below.ends_with(it))
        };
        let rest = |domains: &[Arc<str>]| -> Vec<Arc<str>> {
            domains.iter().filter(is_free).cloned().collect()
        };
        let short = RouteName::Namespace(self.namespace.clone(), self.port);
        let hosts = [
            (HOST, rest(&self.domains.full), RouteName::Port(self.port)),
            (SHORT_HOST, rest(&self.domains.short), short),
        ];
        let hosts = hosts.into_iter().filter(|(_, domains, _)| !domains.is_empty());
        let compile = |(name, domains, route): (&str, _, RouteName)| {
            Arc::new(self.host(name, domains, &route.to_string(), counts_attempts))
        };
        hosts.map(compile).collect()
    }

    /// `route` is the name of the gateway's configuration.
    fn host(
        &self,
        name: &str,
        domains: Vec<Arc<str>>,
        route: &str,
        counts_attempts: bool,
    ) -> CompiledVirtualHost {
        let message = VirtualHost {
            name: name.to_owned(),
            domains: domains.iter().map(|it| it.to_string()).collect(),
            routes: vec![self.route(route)],
            include_request_attempt_count: counts_attempts,
            response_headers_to_remove: vec![ANSWER_HEADER.to_owned()],
            ..VirtualHost::default()
        };
        CompiledVirtualHost {
            name: name.into(),
            domains,
            bytes: encode_field(&message),
            clusters: self.target.clusters().into_iter().collect(),
            origins: Vec::new(),
            diagnostics: Diagnostics::default(),
        }
    }

    fn route(&self, name: &str) -> Route {
        let mut action = forward(None);
        action.cluster_specifier =
            Some(ClusterSpecifier::Cluster(names::DETOUR_CLUSTER.to_owned()));
        action.retry_policy = Some(self.retry_policy());
        Route {
            name: HOST.to_owned(),
            r#match: Some(RouteMatch {
                path_specifier: Some(PathSpecifier::Prefix("/".to_owned())),
                ..RouteMatch::default()
            }),
            action: Some(Action::Route(action)),
            request_headers_to_add: vec![set_header(ROUTE_HEADER, name)],
            ..Route::default()
        }
    }

    fn retry_policy(&self) -> RetryPolicy {
        let back_off = RetryBackOff {
            base_interval: Some(milliseconds(1)),
            max_interval: Some(milliseconds(10)),
        };
        let again = RetryPolicy {
            retry_on: RETRY_ON.to_owned(),
            num_retries: Some(1),
            retry_back_off: Some(back_off),
            retry_host_predicate: vec![previous_hosts()],
            host_selection_retry_max_attempts: CHOICES,
            ..RetryPolicy::default()
        };
        if self.target.bypass().is_none() {
            return again;
        }
        let answers = [
            MatchPattern::Suffix(format!(";{UNKNOWN_ROUTE}")),
            MatchPattern::Prefix(NO_ROUTE.to_owned()),
        ];
        RetryPolicy {
            retry_on: format!("{RETRY_ON},{RETRY_ON_ANSWER}"),
            num_retries: Some(2),
            retriable_headers: answers.map(is_answered_by).into(),
            ..again
        }
    }
}

/// The gateway has said this.
fn is_answered_by(pattern: MatchPattern) -> HeaderMatcher {
    let matcher = StringMatcher { match_pattern: Some(pattern), ..StringMatcher::default() };
    HeaderMatcher {
        name: ANSWER_HEADER.to_owned(),
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(matcher)),
        ..HeaderMatcher::default()
    }
}

const fn milliseconds(milliseconds: i32) -> prost_types::Duration {
    prost_types::Duration { seconds: 0, nanos: milliseconds * 1_000_000 }
}

/// The cluster of the detour: the gateway twice, then whatever takes its place. If all of the
/// gateway's pods are known to be down, the first try goes past it.
pub fn compile_detour_cluster(target: &DetourTarget, mesh: &Mesh) -> Compiled {
    let (name, config) = match target.means {
        Detour::Fixed => {
            (AGGREGATE, Any::pack(&Aggregate { clusters: vec![target.gateway.to_string()] }))
        }
        Detour::Bypassed => {
            let tries = [&target.gateway, &target.gateway].into_iter().chain(&target.bypass);
            let clusters = tries.map(|name| ClusterEntry { name: name.to_string() });
            (COMPOSITE, Any::pack(&Composite { clusters: clusters.collect() }))
        }
    };
    // Its limits are those of the clusters behind it.
    let limits = Thresholds {
        max_connections: Some(u32::MAX),
        max_pending_requests: Some(u32::MAX),
        max_requests: Some(u32::MAX),
        max_retries: Some(u32::MAX),
        ..Thresholds::default()
    };
    let cluster = Cluster {
        name: names::DETOUR_CLUSTER.to_owned(),
        alt_stat_name: format!("{};", names::DETOUR_CLUSTER),
        connect_timeout: Some(default_connect_timeout(mesh)),
        lb_policy: LbPolicy::ClusterProvided.into(),
        circuit_breakers: Some(CircuitBreakers {
            thresholds: vec![limits],
            ..CircuitBreakers::default()
        }),
        cluster_discovery_type: Some(ClusterDiscoveryType::ClusterType(CustomClusterType {
            name: name.to_owned(),
            typed_config: Some(config),
        })),
        ..Cluster::default()
    };
    Compiled::new(Resource::from_message(names::DETOUR_CLUSTER, type_url::CLUSTER, &cluster))
}
