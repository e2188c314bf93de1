//! VirtualServices among each other and with their gateways: missing, not serving, hidden.

use std::collections::BTreeMap;

use api::{
    Spec,
    istio::{
        StringMatch,
        virtual_service::{HttpMatchRequest, HttpRoute},
    },
};
use model::{Hostname, Kind, ObjectKey, Visibility};
use snapshot::VirtualServiceRecord;

use crate::{codes, facts::Facts, found::Found, gateway_view::GatewayView};

pub(crate) fn check(facts: &Facts<'_>, found: &mut Found) {
    let mut rules: Vec<&VirtualServiceRecord> = Vec::new();
    for object in facts.objects(Kind::VirtualService) {
        let Some(rule) = facts.reader.virtual_service(&object.key) else { continue };
        check_gateways(rule, facts, found);
        rules.push(rule);
    }
    rules.sort_by_key(|rule| (rule.created, &rule.key.name, &rule.key.namespace));
    check_mesh(&rules, found);
    check_merged(&rules, facts, found);
}

fn check_gateways(rule: &VirtualServiceRecord, facts: &Facts<'_>, found: &mut Found) {
    let mut served = vec![rule.binds_to_mesh(); rule.hosts.len()];
    let mut all_known = true;
    for (index, name) in rule.gateways.iter().enumerate().filter(|(_, name)| &***name != "mesh") {
        let field = format!("spec.gateways[{index}]");
        let Some(gateway) = facts.gateway(name) else {
            all_known = false;
            let message = format!("there is no Gateway `{name}`");
            let hint = "check name and namespace, written `namespace/name`";
            found.add(&codes::NO_SUCH_GATEWAY, &rule.key, field, message, hint);
            continue;
        };
        let mut any = false;
        for (host, served) in rule.hosts.iter().zip(&mut served) {
            let on_gateway = gateway.serves(host, rule.namespace());
            (any, *served) = (any || on_gateway, *served || on_gateway);
        }
        if !any && rule.binds_to_mesh() {
            let message = format!("no server of {} is for a host of the rule", gateway.key);
            let hint = "add the host to the servers, or leave the gateway out";
            found.add(&codes::HOST_NOT_ON_GATEWAY, &rule.key, field, message, hint);
        } else {
            check_visible(rule, index, gateway, found);
        }
    }
    if !all_known {
        return;
    }
    for (index, (host, _)) in rule.hosts.iter().zip(served).enumerate().filter(|it| !it.1.1) {
        let message = format!("no server of the rule's gateways is for `{host}`");
        let hint = "add the host to the servers of the Gateway";
        let field = format!("spec.hosts[{index}]");
        found.add(&codes::HOST_NOT_ON_GATEWAY, &rule.key, field, message, hint);
    }
}

fn check_visible(
    rule: &VirtualServiceRecord,
    index: usize,
    gateway: &GatewayView<'_>,
    found: &mut Found,
) {
    let GatewayView { key, namespaces, .. } = gateway;
    if namespaces.is_empty() || namespaces.iter().any(|it| rule.visibility.includes(it)) {
        return;
    }
    let named: Vec<&str> = namespaces.iter().map(|it| it.as_str()).collect();
    let message =
        format!("the proxies of {key} run in `{}`, which does not see the rule", named.join(", "));
    let field = format!("spec.gateways[{index}]");
    found.add(&codes::RULE_NOT_VISIBLE, &rule.key, field, message, "add it to `exportTo`");
}

/// Rules for one host within the mesh: a sidecar takes the oldest, and does not merge them.
fn check_mesh(rules: &[&VirtualServiceRecord], found: &mut Found) {
    let mut first: BTreeMap<&Hostname, Vec<&VirtualServiceRecord>> = BTreeMap::new();
    for rule in rules.iter().filter(|rule| rule.binds_to_mesh()) {
        for (index, host) in rule.hosts.iter().enumerate() {
            let owners = first.entry(host).or_default();
            // Whoever sees the later rule sees the earlier one too.
            let winner = owners.iter().find(|owner| covers(&owner.visibility, &rule.visibility));
            match winner {
                Some(owner) => {
                    let message = format!("`{host}` already has the rules of {}", owner.key);
                    let hint = "put the rules of a host into one VirtualService";
                    let field = format!("spec.hosts[{index}]");
                    found.add(&codes::SHADOWED, &rule.key, field, message, hint);
                }
                None => owners.push(rule),
            }
        }
    }
}

fn covers(wide: &Visibility, narrow: &Visibility) -> bool {
    match (wide, narrow) {
        (Visibility::Public, _) => true,
        (_, Visibility::Public) => false,
        (wide, Visibility::Namespaces(all)) => all.iter().all(|it| wide.includes(it)),
    }
}

/// A gateway merges the rules of a host; of two that match everything, one is never used.
fn check_merged(rules: &[&VirtualServiceRecord], facts: &Facts<'_>, found: &mut Found) {
    let mut first: BTreeMap<(&str, &Hostname), (&ObjectKey, &Visibility)> = BTreeMap::new();
    for rule in rules {
        let Some(index) = rule.spec.http.iter().position(matches_all) else { continue };
        for gateway in rule.gateways.iter().filter(|name| &***name != "mesh") {
            for host in rule.hosts.iter() {
                let place = (&**gateway, host);
                let Some((owner, visibility)) = first.get(&place) else {
                    first.insert(place, (&rule.key, &rule.visibility));
                    continue;
                };
                if !covers(visibility, &rule.visibility) || **owner == rule.key {
                    continue;
                }
                let message =
                    format!("on `{gateway}`, {owner} answers all requests for `{host}` already");
                let hint = "narrow one of the two by `match`, or put them into one object";
                let field = written_field(facts, &rule.key, index);
                found.add(&codes::HIDDEN_ON_GATEWAY, &rule.key, field, message, hint);
            }
        }
    }
}

/// Delegates move rules: the place of one is known where there are none.
fn written_field(facts: &Facts<'_>, key: &ObjectKey, index: usize) -> String {
    match facts.snapshot.objects().get(key).map(|object| &object.spec) {
        Some(Spec::VirtualService(rule)) if rule.http.iter().all(|it| it.delegate.is_none()) => {
            format!("spec.http[{index}]")
        }
        _ => "spec.http".to_owned(),
    }
}

fn matches_all(route: &HttpRoute) -> bool {
    let any = |request: &HttpMatchRequest| {
        let is_root = matches!(&request.uri, Some(StringMatch::Prefix(prefix)) if prefix == "/");
        let rest = HttpMatchRequest { uri: None, name: String::new(), ..request.clone() };
        (request.uri.is_none() || is_root) && rest == HttpMatchRequest::default()
    };
    route.match_.is_empty() || route.match_.iter().any(any)
}
