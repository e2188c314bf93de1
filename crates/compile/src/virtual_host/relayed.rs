//! What hosts are like at the lazy gateway alone.
//!
//! - Servers outside of the mesh are not told who calls: nobody there takes the headers out.
//! - What no route of a rule is for is answered under a name, by which callers tell it from what the gateway
//!   does not have.

use std::collections::BTreeSet;

use envoy::config::route::v3::{
    DirectResponseAction, Route, RouteAction, route::Action, route_action::ClusterSpecifier,
};
use model::{Hostname, Resolution};

use super::{NO_MATCH, VirtualHostInput};
use crate::{
    lazy_gateway::{CALLER_HEADERS, remove},
    names,
    route::every_path,
};

/// Makes the routes of a host those of the gateway.
pub(super) fn relay(input: &VirtualHostInput, routes: &mut Vec<Route>) {
    let services = input.destinations.iter().filter_map(|it| it.service.as_ref());
    // Another name leads to a service that may be in the mesh.
    let outside = services.filter(|it| it.mesh_external && it.resolution != Resolution::Alias);
    let outside: BTreeSet<&Hostname> = outside.map(|it| it.hostname()).collect();
    if !outside.is_empty() {
        routes.iter_mut().for_each(|route| hide_caller(route, &outside));
    }
    if input.rule.is_some() {
        routes.push(refusal());
    }
}

fn hide_caller(route: &mut Route, outside: &BTreeSet<&Hostname>) {
    let Some(Action::Route(action)) = &mut route.action else { return };
    let is_outside =
        |cluster: &str| names::service_of(cluster).is_some_and(|host| outside.contains(&host));
    let RouteAction { cluster_specifier, request_mirror_policies, .. } = action;
    let headers = CALLER_HEADERS.map(str::to_owned);
    match cluster_specifier {
        Some(ClusterSpecifier::Cluster(name)) if is_outside(name) => {
            route.request_headers_to_remove.extend(headers);
        }
        Some(ClusterSpecifier::WeightedClusters(list)) => {
            for share in list.clusters.iter_mut().filter(|it| is_outside(&it.name)) {
                share.request_headers_to_remove.extend(headers.clone());
            }
        }
        Some(_) | None => {}
    }
    for mirror in request_mirror_policies.iter_mut().filter(|it| is_outside(&it.cluster)) {
        mirror.request_headers_mutations.extend(CALLER_HEADERS.map(remove));
    }
}

/// What Envoy says without it, under a name.
fn refusal() -> Route {
    let action = DirectResponseAction { status: 404, ..DirectResponseAction::default() };
    Route {
        name: NO_MATCH.to_owned(),
        r#match: Some(every_path()),
        action: Some(Action::DirectResponse(action)),
        ..Route::default()
    }
}
