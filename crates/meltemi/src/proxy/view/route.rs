//! Routes: one row for each route of a virtual host.

use std::{collections::BTreeSet, slice};

use admin::ResourceStatus;
use serde_json::Value;

use super::{at, list, or_dash, text};
use crate::{
    output::Table,
    proxy::config::{state_cell, view_table},
};

/// The type of virtual hosts that were loaded one by one.
pub(super) const ON_DEMAND: &str = "virtualhost";

pub(super) fn table(resources: &[&ResourceStatus]) -> Table {
    let columns = ["NAME", "VHOST NAME", "DOMAINS", "MATCH", "DESTINATION", "VIRTUAL SERVICE"];
    let mut table = view_table(&columns);
    let loaded: BTreeSet<&str> =
        resources.iter().filter(|it| it.kind == ON_DEMAND).map(|it| configuration(it)).collect();
    for resource in resources {
        let name = configuration(resource);
        let hosts = match resource.kind.as_str() {
            ON_DEMAND => slice::from_ref(&resource.resource),
            _ => list(&resource.resource, "virtual_hosts"),
        };
        let routes = |host| list(host, "routes").iter().map(move |route| (host, route));
        for (host, route) in hosts.iter().flat_map(routes) {
            table.row([
                name.into(),
                host_name(host, name).into(),
                domains(host).into(),
                condition(&route["match"]).into(),
                destination(route).into(),
                rule(route).into(),
                state_cell(resource),
            ]);
        }
        if hosts.is_empty() && !loaded.contains(name) {
            let dash = || "-".into();
            table.row([name.into(), dash(), dash(), dash(), dash(), dash(), state_cell(resource)]);
        }
    }
    table
}

/// The name of the route configuration, also of a virtual host that was loaded into it.
pub(super) fn configuration(resource: &ResourceStatus) -> &str {
    match (resource.kind.as_str(), resource.name.rsplit_once('/')) {
        (ON_DEMAND, Some((configuration, _))) => configuration,
        (_, _) => &resource.name,
    }
}

fn host_name<'v>(host: &'v Value, configuration: &str) -> &'v str {
    let name = text(host, "name");
    let own = name.strip_prefix(configuration).and_then(|it| it.strip_prefix('/'));
    own.unwrap_or(name)
}

/// The first domain, and how many more there are.
fn domains(host: &Value) -> String {
    let all = list(host, "domains");
    let first = all.first().and_then(Value::as_str).unwrap_or("-");
    match all.len() {
        0 | 1 => first.to_owned(),
        count => format!("{first} + {}", count - 1),
    }
}

fn condition(condition: &Value) -> String {
    let regex = text(condition, "safe_regex/regex");
    let separated = text(condition, "path_separated_prefix");
    let path = match (text(condition, "prefix"), text(condition, "path")) {
        ("", "") if !regex.is_empty() => format!("regex {regex}"),
        ("", "") if !separated.is_empty() => format!("{separated}/*"),
        ("", path) => or_dash(path),
        (prefix, _) => format!("{}*", prefix),
    };
    let further = list(condition, "headers").len() + list(condition, "query_parameters").len();
    match further {
        0 => path,
        count => format!("{path} + {count} conditions"),
    }
}

fn destination(route: &Value) -> String {
    let action = &route["route"];
    let weighted: Vec<String> = list(action, "weighted_clusters/clusters")
        .iter()
        .map(|it| format!("{} {}", it["weight"].as_u64().unwrap_or_default(), text(it, "name")))
        .collect();
    if !weighted.is_empty() {
        return weighted.join(", ");
    }
    if let Some(status) = at(route, "direct_response/status").as_u64() {
        return format!("answer {status}");
    }
    if !route["redirect"].is_null() {
        return "redirect".to_owned();
    }
    or_dash(text(action, "cluster"))
}

/// The VirtualService behind a route, from the metadata that Istio's tools read as well.
fn rule(route: &Value) -> String {
    let path = text(route, "metadata/filter_metadata/istio/config");
    let mut parts = path.rsplit('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(name), Some("virtual-service"), Some(namespace)) => format!("{name}.{namespace}"),
        _ => "-".to_owned(),
    }
}
