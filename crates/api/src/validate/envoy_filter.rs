//! EnvoyFilter: whether a patch can apply at all. What it changes is Envoy's to judge.

use super::{Check, Path};
use crate::{
    codes,
    istio::envoy_filter::{
        ApplyTo, EnvoyConfigObjectMatch, EnvoyConfigObjectPatch, EnvoyFilter, Operation,
        PatchContext,
    },
};

pub(super) fn check(check: &mut Check<'_>, path: &Path<'_>, filter: &EnvoyFilter) {
    check.later();
    check.workload_selector(&path.field("workloadSelector"), filter.workload_selector.as_ref());
    if filter.workload_selector.is_some() && !filter.target_refs.is_empty() {
        let message = "only one of `workloadSelector` and `targetRefs` may be set";
        check.report(&codes::EXCLUSIVE, path, message, "");
    }
    check.targets(path, None, None, &filter.target_refs);
    let list = path.field("configPatches");
    for (index, patch) in filter.config_patches.iter().enumerate() {
        let at = list.index(index);
        self::patch(check, &at, patch);
        if let Some(selector) = &patch.match_ {
            object_match(check, &at.field("match"), selector, patch.apply_to);
        }
    }
}

fn patch(check: &mut Check<'_>, path: &Path<'_>, patch: &EnvoyConfigObjectPatch) {
    if patch.apply_to == ApplyTo::Invalid {
        let message = "`applyTo` must be set";
        check.report(&codes::EF_PATCH, &path.field("applyTo"), message, "");
    }
    let at = path.field("patch");
    let Some(change) = &patch.patch else {
        return check.report(&codes::EF_PATCH, &at, "the patch must be set", "");
    };
    if change.operation == Operation::Invalid {
        check.report(&codes::EF_PATCH, &at.field("operation"), "`operation` must be set", "");
    }
    let removes = change.operation == Operation::Remove;
    match &change.value {
        None if !removes => {
            check.report(&codes::EF_PATCH, &at.field("value"), "`value` must be set", "");
        }
        Some(_) if removes => {
            let message = "the operation REMOVE has no use for `value`";
            check.report(&codes::EF_WARNING, &at.field("value"), message, "leave it out");
        }
        Some(value) if !value.is_object() => {
            check.report(&codes::EF_PATCH, &at.field("value"), "`value` must be an object", "");
        }
        Some(_) | None => (),
    }
}

fn object_match(
    check: &mut Check<'_>,
    path: &Path<'_>,
    selector: &EnvoyConfigObjectMatch,
    apply_to: ApplyTo,
) {
    let objects = [
        ("listener", selector.listener.is_some()),
        ("routeConfiguration", selector.route_configuration.is_some()),
        ("cluster", selector.cluster.is_some()),
        ("waypoint", selector.waypoint.is_some()),
    ];
    let given: Vec<&str> = objects.iter().filter(|(_, set)| *set).map(|(name, _)| *name).collect();
    if given.len() > 1 {
        let message = format!("only one of `{}` may be set", given.join("` and `"));
        check.report(&codes::EXCLUSIVE, path, message, "");
    }
    let on_waypoint = selector.context == PatchContext::Waypoint;
    if given.iter().any(|name| (*name == "waypoint") != on_waypoint) {
        let message = "`waypoint` goes with `context: WAYPOINT`, and nothing else does";
        check.report(&codes::EF_MATCH, path, message, "");
    } else if let (Some(expected), Some(found)) = (object_of(apply_to), given.first())
        && *found != "waypoint"
        && *found != expected
    {
        let message = format!("`{found}` does not go with this `applyTo`");
        check.report(&codes::EF_MATCH, path, message, format!("use `{expected}`"));
    }
    if let Some(waypoint) = &selector.waypoint
        && waypoint.port_number != 0
    {
        let path = path.field("waypoint");
        check.port(&path.field("portNumber"), waypoint.port_number);
    }
    if let Some(proxy) = &selector.proxy
        && !proxy.proxy_version.is_empty()
    {
        let path = path.field("proxy");
        check.regex(&path.field("proxyVersion"), &proxy.proxy_version);
    }
}

/// The match that finds the objects of a kind.
fn object_of(apply_to: ApplyTo) -> Option<&'static str> {
    match apply_to {
        ApplyTo::Listener
        | ApplyTo::FilterChain
        | ApplyTo::NetworkFilter
        | ApplyTo::HttpFilter
        | ApplyTo::ListenerFilter => Some("listener"),
        ApplyTo::RouteConfiguration | ApplyTo::VirtualHost | ApplyTo::HttpRoute => {
            Some("routeConfiguration")
        }
        ApplyTo::Cluster => Some("cluster"),
        ApplyTo::Invalid | ApplyTo::ExtensionConfig | ApplyTo::Bootstrap => None,
    }
}
