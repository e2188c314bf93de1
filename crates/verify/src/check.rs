//! What Envoy would refuse in a set of resources, and which names in it lead nowhere.
//!
//! - [`Severity::Refused`]: Envoy, or a rule of the corpus, does not accept the resource.
//! - [`Severity::Dangling`]: Envoy accepts it, and what needs the missing object fails.
//! - Sorted by severity (refused last), resource and path.

mod listener;
mod reference;
mod route;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use prost::{Message, Name, bytes::Bytes};

use crate::{
    Constraints, ResourceId, ResourceKind, Resources, Rule, Severity, Violation, names::Named,
};

/// What a check takes as given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckSettings {
    /// Clusters that are not sent, because they are part of the bootstrap.
    pub bootstrap_clusters: BTreeSet<String>,
    /// Types that the proxy has beyond stock Envoy's, as full message names.
    pub further_types: BTreeSet<String>,
    /// Whether names that lead nowhere are reported.
    pub dangling: Dangling,
}

/// Whether a check reports names that lead nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dangling {
    Reported,
    /// Istio lets users name what does not exist: such a route answers 503.
    Allowed,
}

impl Default for CheckSettings {
    fn default() -> Self {
        let bootstrap = ["sds-grpc", "xds-grpc", "prometheus_stats", "agent"];
        Self {
            bootstrap_clusters: bootstrap.into_iter().map(str::to_owned).collect(),
            further_types: BTreeSet::new(),
            dangling: Dangling::Reported,
        }
    }
}

/// Everything that is wrong with the resources of a stock Envoy.
pub fn check_references(resources: &Resources) -> Vec<Violation> {
    check_references_with(resources, &CheckSettings::default())
}

/// Everything that is wrong with the resources of a proxy as `settings` describes it.
pub fn check_references_with(resources: &Resources, settings: &CheckSettings) -> Vec<Violation> {
    check_references_by(&mut Constraints::default(), resources, settings, &|_| false)
}

/// As [`check_references_with`], by constraints that many calls read once: reading them costs more
/// than judging a proxy's resources by them. `beside` tells of clusters that the proxy has and that
/// are not among the resources.
pub fn check_references_by(
    constraints: &mut Constraints,
    resources: &Resources,
    settings: &CheckSettings,
    beside: &dyn Fn(&str) -> bool,
) -> Vec<Violation> {
    let mut judge = Judge {
        constraints,
        resources,
        settings,
        beside,
        report: Report { violations: resources.violations.clone() },
    };
    judge.check();
    judge.report.finish(settings)
}

struct Judge<'a> {
    constraints: &'a mut Constraints,
    resources: &'a Resources,
    settings: &'a CheckSettings,
    beside: &'a dyn Fn(&str) -> bool,
    report: Report,
}

impl Judge<'_> {
    fn check(&mut self) {
        let Self { resources, .. } = *self;
        listener::check_together(resources, &mut self.report);
        for (name, listener) in &resources.listeners {
            let id = ResourceId::new(ResourceKind::Listener, name);
            listener::check(&id, listener, &mut self.report);
            self.check_message(listener, &id);
        }
        for (name, routes) in &resources.routes {
            let id = ResourceId::new(ResourceKind::Route, name);
            route::check(&id, routes, "", &mut self.report);
            self.check_message(routes, &id);
        }
        for (name, cluster) in &resources.clusters {
            let id = ResourceId::new(ResourceKind::Cluster, name);
            reference::check_assignment(&id, cluster, resources, &mut self.report);
            self.check_message(cluster, &id);
        }
        for (name, assignment) in &resources.assignments {
            self.check_message(assignment, &ResourceId::new(ResourceKind::Endpoint, name));
        }
    }

    fn check_message<M: Message + Name>(&mut self, message: &M, id: &ResourceId) {
        let Self { constraints, resources, settings, beside, report } = self;
        let (name, bytes) = (M::full_name(), Bytes::from(message.encode_to_vec()));
        let known = |name: &str| {
            resources.clusters.contains_key(name)
                || settings.bootstrap_clusters.contains(name)
                || beside(name)
        };
        let reported = settings.dangling == Dangling::Reported;
        let leads = |named: Named, name: &str| match named {
            // Of the clusters, Envoy looks up those of the routes inside a listener.
            Named::Cluster if reported || id.kind == ResourceKind::Listener => known(name),
            Named::RouteConfiguration if reported => resources.routes.contains_key(name),
            Named::Cluster | Named::RouteConfiguration => true,
        };
        if constraints.pass(&name, &bytes, &leads) {
            return;
        }
        let decoded = match envoy::json::decode(&name, bytes) {
            Ok(decoded) => decoded,
            Err(error) => return report.refuse(id, "", Rule::Decode, error.to_string()),
        };
        reference::check(&decoded, id, &known, &resources.routes, report);
        report.violations.extend(constraints.check(id, &decoded));
    }
}
/// The faults found so far.
struct Report {
    violations: Vec<Violation>,
}

impl Report {
    fn refuse(&mut self, id: &ResourceId, path: &str, rule: Rule, message: impl Into<String>) {
        self.add(Severity::Refused, id, path, rule, message.into());
    }

    fn dangle(&mut self, id: &ResourceId, path: &str, rule: Rule, message: impl Into<String>) {
        self.add(Severity::Dangling, id, path, rule, message.into());
    }

    fn add(
        &mut self,
        severity: Severity,
        id: &ResourceId,
        path: &str,
        rule: Rule,
        message: String,
    ) {
        let (resource, path) = (id.clone(), path.to_owned());
        self.violations.push(Violation { severity, resource, path, rule, message });
    }

    fn finish(mut self, settings: &CheckSettings) -> Vec<Violation> {
        self.violations.retain(|violation| match (violation.severity, violation.rule) {
            (Severity::Dangling, _) => settings.dangling == Dangling::Reported,
            (Severity::Refused, Rule::UnknownType) => !settings
                .further_types
                .iter()
                .any(|name| violation.message.ends_with(&format!("/{name}`"))),
            (Severity::Refused, _) => true,
        });
        self.violations.sort();
        self.violations.dedup();
        self.violations
    }
}
