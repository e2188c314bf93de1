//! Rules as written → records with complete names.

use std::{collections::BTreeSet, sync::Arc};

use api::istio::{
    destination_rule::DestinationRule,
    gateway::Gateway,
    sidecar::Sidecar,
    virtual_service::{Destination, HttpRoute, VirtualService},
};
use model::{Hostname, Labels, Namespace, ObjectKey};

use crate::{
    DestinationRuleRecord, GatewayRecord, Mesh, SidecarRecord, VirtualServiceRecord,
    hosts::resolve_short_name,
};

/// Completes the host of one destination with the rule's namespace.
fn complete(destination: &mut Destination, namespace: &Namespace, domain: &str) {
    let host = resolve_short_name(&destination.host, namespace, domain);
    if host.as_str() != destination.host {
        destination.host = host.as_str().to_owned();
    }
}

fn complete_http(route: &mut HttpRoute, namespace: &Namespace, domain: &str) {
    let destinations = route.route.iter_mut().filter_map(|it| it.destination.as_mut());
    let mirrors = route.mirrors.iter_mut().filter_map(|it| it.destination.as_mut());
    for destination in destinations.chain(mirrors).chain(route.mirror.as_mut()) {
        complete(destination, namespace, domain);
    }
    for condition in &mut route.match_ {
        complete_gateways(&mut condition.gateways, namespace);
    }
}

/// `name` is `namespace/name`; `mesh` stays.
fn complete_gateways(gateways: &mut [String], namespace: &Namespace) {
    for gateway in gateways {
        *gateway = complete_gateway(gateway, namespace);
    }
}

fn complete_gateway(gateway: &str, namespace: &Namespace) -> String {
    match gateway {
        "mesh" => gateway.to_owned(),
        _ if gateway.contains('/') => match gateway.strip_prefix("./") {
            Some(name) => format!("{namespace}/{name}"),
            None => gateway.to_owned(),
        },
        // The old form: a host name of the gateway.
        _ if gateway.contains('.') => {
            let mut parts = gateway.split('.');
            let name = parts.next().unwrap_or_default();
            format!("{}/{name}", parts.next().unwrap_or(namespace.as_str()))
        }
        _ => format!("{namespace}/{gateway}"),
    }
}

/// The content of a VirtualService with every name complete.
pub(super) fn complete_virtual_service(
    key: &ObjectKey,
    spec: &VirtualService,
    domain: &str,
) -> VirtualService {
    let namespace = &key.namespace;
    let mut spec = spec.clone();
    for host in &mut spec.hosts {
        *host = resolve_short_name(host, namespace, domain).as_str().to_owned();
    }
    complete_gateways(&mut spec.gateways, namespace);
    for route in &mut spec.http {
        complete_http(route, namespace, domain);
    }
    for route in &mut spec.tcp {
        for destination in route.route.iter_mut().filter_map(|it| it.destination.as_mut()) {
            complete(destination, namespace, domain);
        }
        for condition in &mut route.match_ {
            complete_gateways(&mut condition.gateways, namespace);
        }
    }
    for route in &mut spec.tls {
        for destination in route.route.iter_mut().filter_map(|it| it.destination.as_mut()) {
            complete(destination, namespace, domain);
        }
        for condition in &mut route.match_ {
            complete_gateways(&mut condition.gateways, namespace);
        }
    }
    spec
}

/// A record of a VirtualService with hosts. `delegates` lists those merged into `spec`.
pub(super) fn virtual_service_record(
    key: &ObjectKey,
    created: i64,
    spec: VirtualService,
    delegates: BTreeSet<ObjectKey>,
    mesh: &Mesh,
) -> VirtualServiceRecord {
    let default = &mesh.default_virtual_service_visibility;
    let gateways: Vec<Arc<str>> = match spec.gateways.is_empty() {
        true => vec!["mesh".into()],
        false => spec.gateways.iter().map(|gateway| gateway.as_str().into()).collect(),
    };
    VirtualServiceRecord {
        key: key.clone(),
        created,
        hosts: spec.hosts.iter().map(|host| Hostname::new(host)).collect(),
        gateways: gateways.into(),
        visibility: mesh.visibility(&spec.export_to, default, &key.namespace),
        delegates,
        spec,
    }
}

pub(super) fn labels(pairs: &std::collections::BTreeMap<String, String>) -> Labels {
    pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

pub(super) fn destination_rule_record(
    key: &ObjectKey,
    created: i64,
    spec: Arc<DestinationRule>,
    mesh: &Mesh,
) -> DestinationRuleRecord {
    let default = &mesh.default_destination_rule_visibility;
    let selector = spec.workload_selector.as_ref().map(|it| &it.match_labels);
    DestinationRuleRecord {
        key: key.clone(),
        created,
        host: resolve_short_name(&spec.host, &key.namespace, &mesh.domain),
        visibility: mesh.visibility(&spec.export_to, default, &key.namespace),
        selector: selector.filter(|it| !it.is_empty()).map(labels),
        spec,
    }
}

pub(super) fn sidecar_record(key: &ObjectKey, created: i64, spec: Arc<Sidecar>) -> SidecarRecord {
    let selector = spec.workload_selector.as_ref().map(|it| &it.labels);
    SidecarRecord {
        key: key.clone(),
        created,
        selector: selector.filter(|it| !it.is_empty()).map(labels),
        spec,
    }
}

pub(super) fn gateway_record(key: &ObjectKey, created: i64, spec: Arc<Gateway>) -> GatewayRecord {
    GatewayRecord { key: key.clone(), created, selector: labels(&spec.selector), spec }
}
