//! Compares the resources made for a case with what the case expects.

use envoy::config::route::v3::route_action::ClusterSpecifier;
use envoy::config::route::v3::{Route, RouteConfiguration, route::Action};

use crate::{
    CheckSettings, Dangling, Outcome, Resources, Severity, Violation, WalkOptions,
    check_references_with, walk, walk::list_endpoints,
};

use super::{Case, CaseCall, ClusterExpectation, Expectation, VirtualHostExpectation};

/// What became of one call.
#[derive(Clone, Debug)]
pub struct CallVerdict {
    pub name: String,
    /// All of the expectation holds, names included.
    pub strict: bool,
    /// The same cluster, or an error of the same class.
    pub lenient: bool,
    /// What differs, for people: `cluster is `a` instead of `b``.
    pub differences: Vec<String>,
    pub outcome: Outcome,
}

/// What became of a case.
#[derive(Clone, Debug)]
pub struct CaseVerdict {
    pub name: String,
    /// The case passes: everything is strict and the resources are valid.
    pub strict: bool,
    /// All calls are lenient, and the resources are as for `strict`.
    pub lenient: bool,
    pub calls: Vec<CallVerdict>,
    /// What differs from `virtualHosts` and `clusters`.
    pub differences: Vec<String>,
    /// What Envoy would refuse; judged unless the case says `skipValidation`.
    pub violations: Vec<Violation>,
    /// Why the data cannot tell whether the case passes.
    pub custom: Option<String>,
    /// The case need not pass.
    pub internal: bool,
}

/// Judges `resources`, which were made for the proxy of `case`.
pub fn judge(case: &Case, resources: &Resources) -> CaseVerdict {
    let calls: Vec<CallVerdict> =
        case.calls.iter().map(|call| judge_call(call, resources)).collect();
    let mut differences = Vec::new();
    for expected in &case.virtual_hosts {
        differences.extend(compare_virtual_hosts(expected, resources));
    }
    differences.extend(case.clusters.iter().flat_map(|it| compare_clusters(it, resources)));
    let settings = CheckSettings { dangling: Dangling::Allowed, ..CheckSettings::default() };
    let mut violations = check_references_with(resources, &settings);
    violations.retain(|violation| violation.severity == Severity::Refused);
    let valid = differences.is_empty() && (case.skip_validation || violations.is_empty());
    CaseVerdict {
        name: case.name.clone(),
        strict: valid && calls.iter().all(|call| call.strict),
        lenient: valid && calls.iter().all(|call| call.lenient),
        calls,
        differences,
        violations,
        custom: case.custom.clone(),
        internal: case.internal,
    }
}

fn judge_call(call: &CaseCall, resources: &Resources) -> CallVerdict {
    let outcome = walk(resources, &call.call(), &WalkOptions::SIMULATION);
    let differences = compare(&call.expect, &outcome);
    CallVerdict {
        name: call.name.clone(),
        strict: differences.is_empty(),
        lenient: is_lenient(&call.expect, &outcome),
        differences,
        outcome,
    }
}

fn compare(expected: &Expectation, outcome: &Outcome) -> Vec<String> {
    let Outcome { listener, filter_chain, route_config, virtual_host, route, .. } = outcome;
    let fields = [
        ("listener", &expected.listener, listener.as_str()),
        ("filterChain", &expected.filter_chain, filter_chain),
        ("routeConfig", &expected.route_config, route_config),
        ("virtualHost", &expected.virtual_host, virtual_host),
        ("route", &expected.route, route),
        ("cluster", &expected.cluster, outcome.cluster.single()),
    ];
    let mut differences = Vec::new();
    if expected.error != outcome.error {
        let name = |error: Option<crate::WalkError>| error.map_or("none", crate::WalkError::name);
        let (found, wanted) = (name(outcome.error), name(expected.error));
        differences.push(format!("error is {found} instead of {wanted}"));
    }
    for (name, wanted, found) in fields {
        let wanted = match wanted {
            Some(wanted) => wanted.as_str(),
            None if expected.strict => "",
            None => continue,
        };
        if wanted != found {
            differences.push(format!("{name} is `{found}` instead of `{wanted}`"));
        }
    }
    differences
}

fn is_lenient(expected: &Expectation, outcome: &Outcome) -> bool {
    match (expected.error, outcome.error) {
        (Some(wanted), Some(found)) => wanted.class() == found.class(),
        (Some(_), None) | (None, Some(_)) => false,
        (None, None) => match &expected.cluster {
            Some(wanted) => wanted == outcome.cluster.single(),
            None => !expected.strict || outcome.cluster.single().is_empty(),
        },
    }
}

fn compare_virtual_hosts(expected: &VirtualHostExpectation, resources: &Resources) -> Vec<String> {
    let name = &expected.route_config;
    let Some(domains) = &expected.domains else { return Vec::new() };
    let Some(routes) = resources.routes.get(name) else {
        return vec![format!("there is no route configuration `{name}`")];
    };
    let mut differences = Vec::new();
    for (domain, wanted) in domains {
        let found = clusters_of_domain(routes, domain);
        if found != *wanted {
            let (found, wanted) = (render(found.as_deref()), render(wanted.as_deref()));
            let text = format!("domain `{domain}` of `{name}`: {found} instead of {wanted}");
            differences.push(text);
        }
    }
    differences
}

/// The clusters that the routes of the domain's virtual host name, sorted; `None`: no virtual host
/// with routes has the domain.
fn clusters_of_domain(routes: &RouteConfiguration, domain: &str) -> Option<Vec<String>> {
    let has_domain = |list: &[String]| list.iter().any(|own| own == domain);
    let virtual_host = routes
        .virtual_hosts
        .iter()
        .find(|host| has_domain(&host.domains) && !host.routes.is_empty())?;
    let mut clusters: Vec<String> =
        virtual_host.routes.iter().filter_map(single_cluster).map(str::to_owned).collect();
    clusters.sort();
    Some(clusters)
}

fn single_cluster(route: &Route) -> Option<&str> {
    let Some(Action::Route(action)) = &route.action else { return None };
    match &action.cluster_specifier {
        Some(ClusterSpecifier::Cluster(name)) => Some(name),
        Some(
            ClusterSpecifier::ClusterHeader(_)
            | ClusterSpecifier::WeightedClusters(_)
            | ClusterSpecifier::ClusterSpecifierPlugin(_)
            | ClusterSpecifier::InlineClusterSpecifierPlugin(_),
        )
        | None => None,
    }
}

fn compare_clusters(expected: &ClusterExpectation, resources: &Resources) -> Vec<String> {
    let mut differences = Vec::new();
    for (name, cluster) in &resources.clusters {
        if !name.starts_with(&expected.prefix) {
            continue;
        }
        let Some(wanted) = expected.exact.get(name) else {
            differences.push(format!("cluster `{name}` is not expected"));
            continue;
        };
        let found = cluster.load_assignment.as_ref().map(|assignment| {
            let addresses = list_endpoints(assignment).into_iter().map(|it| it.address);
            sorted(addresses.collect())
        });
        let wanted = wanted.clone().map(sorted);
        if found != wanted {
            let (found, wanted) = (render(found.as_deref()), render(wanted.as_deref()));
            differences.push(format!("cluster `{name}`: {found} instead of {wanted}"));
        }
    }
    for name in expected.exact.keys().filter(|name| !resources.clusters.contains_key(*name)) {
        differences.push(format!("there is no cluster `{name}`"));
    }
    differences
}

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list
}

fn render(list: Option<&[String]>) -> String {
    match list {
        Some(list) => format!("[{}]", list.join(", ")),
        None => "nothing".to_owned(),
    }
}
