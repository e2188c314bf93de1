//! Gateways: somebody carries them out, and their hosts lead somewhere.

use std::collections::{BTreeMap, HashMap};

use api::istio::gateway::{Server, ServerTlsMode};
use model::{Hostname, Kind, Namespace};

use crate::{
    codes,
    facts::{Facts, labels},
    found::Found,
    gateway_view::{GatewayView, split_host, takes},
};

/// The hosts of the rules on a gateway, with the namespaces of the rules.
#[derive(Default)]
struct RuleHosts<'a> {
    exact: HashMap<&'a Hostname, Vec<&'a Namespace>>,
    wildcards: Vec<(&'a Hostname, &'a Namespace)>,
}

pub(crate) fn check(facts: &Facts<'_>, found: &mut Found) {
    let mut rules: BTreeMap<&str, RuleHosts<'_>> = BTreeMap::new();
    for object in facts.objects(Kind::VirtualService) {
        let Some(rule) = facts.reader.virtual_service(&object.key) else { continue };
        for gateway in rule.gateways.iter() {
            let known = rules.entry(gateway).or_default();
            for host in rule.hosts.iter() {
                match host.is_wildcard() {
                    true => known.wildcards.push((host, rule.namespace())),
                    false => known.exact.entry(host).or_default().push(rule.namespace()),
                }
            }
        }
    }
    let none = RuleHosts::default();
    for gateway in facts.gateways() {
        check_selector(gateway, facts, found);
        let name = format!("{}/{}", gateway.key.namespace, gateway.key.name);
        check_hosts(gateway, rules.get(name.as_str()).unwrap_or(&none), facts, found);
    }
}

fn check_selector(view: &GatewayView<'_>, facts: &Facts<'_>, found: &mut Found) {
    let selector = labels(&view.gateway.selector);
    let can_judge = facts.can_judge(facts.root, &selector) || facts.lists_pods(facts.root);
    if selector.is_empty() || !can_judge || !view.namespaces.is_empty() {
        return;
    }
    let message = format!("no workload has the labels `{selector}`, so nobody opens the ports");
    let hint = "compare with the labels of the gateway's Pods";
    found.add(&codes::GATEWAY_UNUSED, view.key, "spec.selector", message, hint);
}

fn check_hosts(
    view: &GatewayView<'_>,
    rules: &RuleHosts<'_>,
    facts: &Facts<'_>,
    found: &mut Found,
) {
    for (at, server) in view.gateway.servers.iter().enumerate().filter(|(_, it)| needs_rules(it)) {
        for (index, written) in server.hosts.iter().enumerate() {
            facts.look_at(1 + rules.wildcards.len());
            if has_rule(view, written, rules) {
                continue;
            }
            let message = format!("no VirtualService on this gateway is for `{written}`");
            let field = format!("spec.servers[{at}].hosts[{index}]");
            let hint = "name the gateway in a VirtualService for the host";
            found.add(&codes::HOST_WITHOUT_RULE, view.key, field, message, hint);
        }
    }
}

fn has_rule(view: &GatewayView<'_>, written: &str, rules: &RuleHosts<'_>) -> bool {
    let (allowed, host) = split_host(written);
    let is_taken = |rule: &Namespace| takes(allowed, view.key, rule);
    let any = |all: &Vec<&Namespace>| all.iter().any(|rule| is_taken(rule));
    rules.exact.get(&host).is_some_and(any)
        || rules.wildcards.iter().any(|(rule, from)| rule.overlaps(&host) && is_taken(from))
        || (host.is_wildcard()
            && rules.exact.iter().any(|(rule, all)| host.covers(rule) && any(all)))
}

/// Some servers answer by themselves.
fn needs_rules(server: &Server) -> bool {
    let tls = server.tls.as_ref();
    !tls.is_some_and(|it| it.https_redirect || it.mode == ServerTlsMode::AutoPassthrough)
        && server.default_endpoint.is_empty()
}
