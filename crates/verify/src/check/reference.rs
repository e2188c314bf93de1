//! Names in a resource that must lead to another one.

use std::collections::BTreeMap;

use envoy::config::{
    cluster::v3::{
        Cluster,
        cluster::{ClusterDiscoveryType, DiscoveryType},
    },
    route::v3::RouteConfiguration,
};
use prost_reflect::{DynamicMessage, FieldDescriptor, ReflectMessage, Value};

use crate::{
    ResourceId, ResourceKind, Resources, Rule,
    names::{ROUTE_NAME, cluster_fields},
    pgv::visit::{Visitor, join, visit},
    walk::service_name,
};

use super::Report;

const ROUTES: &str = "envoy.config.route.v3.RouteConfiguration";

/// Reports the names in `message` that lead nowhere. `known` tells the clusters.
pub(super) fn check(
    message: &DynamicMessage,
    id: &ResourceId,
    known: &dyn Fn(&str) -> bool,
    routes: &BTreeMap<String, RouteConfiguration>,
    report: &mut Report,
) {
    let mut finder = Finder { id, known, routes, report, validated: Vec::new() };
    visit(message, "", &mut finder);
}

/// An EDS cluster waits for its assignment. Where no assignment was given at all, none was asked.
pub(super) fn check_assignment(
    id: &ResourceId,
    cluster: &Cluster,
    resources: &Resources,
    report: &mut Report,
) {
    let eds = match &cluster.cluster_discovery_type {
        Some(ClusterDiscoveryType::Type(kind)) => *kind == DiscoveryType::Eds as i32,
        Some(ClusterDiscoveryType::ClusterType(_)) | None => false,
    };
    let name = service_name(cluster);
    if eds && !resources.assignments.is_empty() && !resources.assignments.contains_key(name) {
        report.dangle(id, "", Rule::MissingAssignment, format!("there are no endpoints `{name}`"));
    }
}

struct Finder<'a> {
    id: &'a ResourceId,
    known: &'a dyn Fn(&str) -> bool,
    routes: &'a BTreeMap<String, RouteConfiguration>,
    report: &'a mut Report,
    /// Paths of route configurations whose clusters Envoy looks up at once.
    validated: Vec<String>,
}

impl Finder<'_> {
    fn check_cluster(&mut self, path: &str, name: &str) {
        if name.is_empty() || (self.known)(name) {
            return;
        }
        let message = format!("there is no cluster `{name}`");
        let below = |root: &String| path.strip_prefix(root).is_some_and(|it| it.starts_with('.'));
        match self.validated.iter().any(below) {
            true => self.report.refuse(self.id, path, Rule::MissingCluster, message),
            false => self.report.dangle(self.id, path, Rule::MissingCluster, message),
        }
    }
}

impl Visitor for Finder<'_> {
    fn message(&mut self, message: &DynamicMessage, path: &str) {
        let descriptor = message.descriptor();
        let name = descriptor.full_name();
        if name == ROUTES && self.id.kind == ResourceKind::Listener && validates(message) {
            self.validated.push(path.to_owned());
        }
        if name == ROUTE_NAME.0
            && let Some(wanted) = message.get_field_by_name(ROUTE_NAME.1)
            && let Some(wanted) = wanted.as_str()
            && !wanted.is_empty()
            && !self.routes.contains_key(wanted)
        {
            let text = format!("there is no route configuration `{wanted}`");
            self.report.dangle(self.id, path, Rule::MissingRoute, text);
        }
        for field in cluster_fields(name) {
            let Some(value) = message.get_field_by_name(field) else { continue };
            let path = join(path, field);
            match &*value {
                Value::String(name) => self.check_cluster(&path, name),
                Value::List(names) => {
                    for name in names.iter().filter_map(Value::as_str) {
                        self.check_cluster(&path, name);
                    }
                }
                _ => (),
            }
        }
    }

    fn unreadable(&mut self, _: Rule, _: &str, _: String) {
        // The check of constraints reports it.
    }

    fn skips(&mut self, _: &FieldDescriptor) -> bool {
        false
    }
}

/// Inline route configurations are validated unless they say otherwise; by RDS it is the reverse.
fn validates(routes: &DynamicMessage) -> bool {
    let own = routes.get_field_by_name("validate_clusters");
    let set = routes.has_field_by_name("validate_clusters");
    let own = own.as_deref().and_then(Value::as_message).and_then(|it| it.get_field_by_number(1));
    !set || own.and_then(|it| it.as_bool()).unwrap_or(false)
}
