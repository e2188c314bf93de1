//! An Envoy route → the routes that gRPC's client takes it for.
//!
//! A condition that gRPC does not evaluate would let every call in, so such a route is left out:
//! it never matches. What a matching call cannot be given (a redirect, an answer) fails it.

use std::{collections::BTreeSet, sync::Arc};

use envoy::config::route::v3::{
    HeaderMatcher, NonForwardingAction, RetryPolicy, Route, RouteAction, RouteMatch,
    WeightedCluster,
    header_matcher::HeaderMatchSpecifier,
    route::Action,
    route_action::{
        ClusterSpecifier, HashPolicy, MaxStreamDuration,
        hash_policy::{FilterState, PolicySpecifier},
    },
    weighted_cluster::ClusterWeight,
};
use envoy::types::matcher::v3::string_matcher::MatchPattern;

/// The only filter besides the router that gRPC's client shares with the rules.
const FAULT: &str = "envoy.filters.http.fault";
/// What a gRPC call always uses.
const METHOD: &str = "POST";
/// Hashes everything of one client alike, as the address of an Envoy's caller would.
const CHANNEL: &str = "io.grpc.channel_id";
/// Each condition on an absent header doubles the routes.
pub(super) const MAX_WITHOUT_HEADERS: usize = 4;

/// Fits a route; none are left when it can never match.
pub(crate) fn fit_route(route: Route) -> Vec<Route> {
    let Some(condition) = route.r#match else { return Vec::new() };
    let action = match route.action {
        Some(Action::Route(action)) => Action::Route(fit_action(action)),
        _ => Action::NonForwardingAction(NonForwardingAction {}),
    };
    let mut filters = route.typed_per_filter_config;
    filters.retain(|name, _| name == FAULT);
    let fitted = Route {
        name: route.name,
        action: Some(action),
        typed_per_filter_config: filters,
        ..Route::default()
    };
    let conditions = fit_match(condition);
    conditions.into_iter().map(|it| Route { r#match: Some(it), ..fitted.clone() }).collect()
}

/// The clusters that routes lead to.
pub(crate) fn clusters_of(routes: &[Route]) -> BTreeSet<Arc<str>> {
    let mut found = BTreeSet::new();
    for route in routes {
        let Some(Action::Route(action)) = &route.action else { continue };
        match &action.cluster_specifier {
            Some(ClusterSpecifier::Cluster(name)) => {
                found.insert(name.as_str().into());
            }
            Some(ClusterSpecifier::WeightedClusters(list)) => {
                found.extend(list.clusters.iter().map(|it| Arc::from(it.name.as_str())));
            }
            _ => {}
        }
    }
    found
}

/// The conditions that together mean the same to gRPC.
fn fit_match(condition: RouteMatch) -> Vec<RouteMatch> {
    if !condition.query_parameters.is_empty() || !condition.dynamic_metadata.is_empty() {
        return Vec::new();
    }
    let headers = condition.headers;
    let base = RouteMatch { headers: Vec::new(), ..condition };
    let absent_ones = headers.iter().filter(|header| may_be_absent(header)).count();
    if absent_ones > MAX_WITHOUT_HEADERS {
        return Vec::new();
    }
    let mut variants = vec![base];
    for header in headers {
        match header.name.as_str() {
            ":method" if accepts_method(&header) => {}
            name if name.starts_with(':') => return Vec::new(),
            _ => variants = add_header(variants, header),
        }
    }
    variants
}

/// To Envoy this holds as well for a call without the header, to gRPC it does not.
fn may_be_absent(header: &HeaderMatcher) -> bool {
    header.invert_match && header.treat_missing_header_as_empty
}

fn add_header(variants: Vec<RouteMatch>, header: HeaderMatcher) -> Vec<RouteMatch> {
    let with = |condition: &RouteMatch, header: &HeaderMatcher| {
        let mut condition = condition.clone();
        condition.headers.push(header.clone());
        condition
    };
    let absent = may_be_absent(&header).then(|| HeaderMatcher {
        name: header.name.clone(),
        header_match_specifier: Some(HeaderMatchSpecifier::PresentMatch(true)),
        invert_match: true,
        ..HeaderMatcher::default()
    });
    let present = HeaderMatcher { treat_missing_header_as_empty: false, ..header };
    let each = variants.iter().flat_map(|condition| {
        absent.iter().chain(std::iter::once(&present)).map(|header| with(condition, header))
    });
    each.collect()
}

fn accepts_method(header: &HeaderMatcher) -> bool {
    match &header.header_match_specifier {
        Some(HeaderMatchSpecifier::PresentMatch(present)) => *present,
        Some(HeaderMatchSpecifier::StringMatch(matcher)) => match &matcher.match_pattern {
            Some(MatchPattern::Exact(method)) => method == METHOD,
            Some(MatchPattern::Prefix(prefix)) => METHOD.starts_with(prefix.as_str()),
            _ => false,
        },
        _ => false,
    }
}

fn fit_action(action: RouteAction) -> RouteAction {
    let timeout = action.timeout.filter(|it| it.seconds != 0 || it.nanos != 0);
    RouteAction {
        cluster_specifier: action.cluster_specifier.map(fit_clusters),
        hash_policy: action.hash_policy.into_iter().filter_map(fit_hash).collect(),
        // The longest deadline of a call, whatever its caller asks for.
        max_stream_duration: timeout.map(|timeout| MaxStreamDuration {
            max_stream_duration: Some(timeout),
            ..MaxStreamDuration::default()
        }),
        retry_policy: action.retry_policy.and_then(fit_retries),
        ..RouteAction::default()
    }
}

fn fit_clusters(specifier: ClusterSpecifier) -> ClusterSpecifier {
    let ClusterSpecifier::WeightedClusters(list) = specifier else { return specifier };
    let clusters = list.clusters.into_iter().map(|it| ClusterWeight {
        name: it.name,
        weight: it.weight,
        ..ClusterWeight::default()
    });
    ClusterSpecifier::WeightedClusters(WeightedCluster {
        clusters: clusters.collect(),
        ..WeightedCluster::default()
    })
}

fn fit_hash(policy: HashPolicy) -> Option<HashPolicy> {
    let specifier = match policy.policy_specifier? {
        PolicySpecifier::Header(header) => PolicySpecifier::Header(header),
        PolicySpecifier::ConnectionProperties(it) if it.source_ip => {
            PolicySpecifier::FilterState(FilterState { key: CHANNEL.to_owned() })
        }
        _ => return None,
    };
    Some(HashPolicy { policy_specifier: Some(specifier), terminal: policy.terminal })
}

/// Whether gRPC's client knows a condition of `retry_on`.
pub(super) fn is_retry_condition(condition: &str) -> bool {
    let known = ["cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"];
    known.contains(&condition)
}

/// Calls that never reached a server are sent again without being asked to.
fn fit_retries(policy: RetryPolicy) -> Option<RetryPolicy> {
    let known: Vec<&str> =
        policy.retry_on.split(',').filter(|condition| is_retry_condition(condition)).collect();
    (!known.is_empty()).then(|| RetryPolicy {
        retry_on: known.join(","),
        num_retries: policy.num_retries,
        retry_back_off: policy.retry_back_off,
        ..RetryPolicy::default()
    })
}
