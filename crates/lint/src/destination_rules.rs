//! DestinationRules: hosts that exist, subsets that select, rules that do not meet.

use api::istio::destination_rule::{DestinationRule, Subset};
use model::{Hostname, Labels, ObjectKey, Registry, Service, Visibility};

use crate::{
    codes,
    facts::{Facts, labels},
    found::Found,
};

type Rule<'a> = (&'a ObjectKey, &'a DestinationRule);

pub(crate) fn check(facts: &Facts<'_>, found: &mut Found) {
    for (host, rules) in facts.rules() {
        for rule in rules {
            check_host(host, rule, facts, found);
        }
        check_conflicts(rules, facts, found);
    }
}

fn check_host(host: &Hostname, (key, rule): &Rule<'_>, facts: &Facts<'_>, found: &mut Found) {
    if host.as_str().is_empty() || host.as_str() == "*" {
        return;
    }
    let services = facts.reader.services_named(host);
    let is_missing = match host.is_wildcard() {
        true => facts.has_services() && !facts.has_host_below(host),
        false => services.is_empty(),
    };
    if is_missing {
        let message = match host.is_wildcard() {
            true => format!("there is no service below `{host}`, so the rule has no effect"),
            false => format!("there is no service `{host}`, so the rule has no effect"),
        };
        found.add(&codes::NO_SUCH_HOST, key, "spec.host", message, "check the host");
        return;
    }
    for (index, subset) in rule.subsets.iter().enumerate() {
        if services.iter().any(|service| may_select(subset, service, facts)) || services.is_empty()
        {
            continue;
        }
        let wanted = labels(&subset.labels);
        let message = format!("no instance of `{host}` has the labels `{wanted}`");
        let field = format!("spec.subsets[{index}].labels");
        let hint = "compare with the labels of the Pods; calls to the subset are answered with 503";
        found.add(&codes::EMPTY_SUBSET, key, field, message, hint);
    }
}

/// Whether a subset selects an instance, or nobody can say.
fn may_select(subset: &Subset, service: &Service, facts: &Facts<'_>) -> bool {
    let wanted = labels(&subset.labels);
    // The places of instances become labels where they are listed, which is not judged here.
    if wanted.iter().any(|(key, _)| key.contains("topology.") || key.contains("kubernetes.io/")) {
        return true;
    }
    let is_listed = match service.registry {
        Registry::Kubernetes => facts.lists_pods(service.namespace()),
        // Who selects may select Pods, too.
        Registry::External => service.selector.is_empty(),
    };
    if !is_listed {
        return true;
    }
    let instances = facts.instances_of(service);
    let mut known: Vec<&Labels> = instances.iter().map(|at| &facts.instances[*at].labels).collect();
    if known.is_empty() && service.registry == Registry::External {
        let endpoints = facts.snapshot.endpoints(&service.key).into_iter();
        known.extend(endpoints.flat_map(|set| set.iter()).map(|endpoint| &endpoint.labels));
    }
    known.is_empty() || known.iter().any(|own| wanted.selects(own))
}

/// Of the rules of a host in one namespace, subsets are taken together and the first policy wins.
fn check_conflicts(rules: &[Rule<'_>], facts: &Facts<'_>, found: &mut Found) {
    if rules.len() < 2 {
        return;
    }
    let created = |key: &ObjectKey| facts.snapshot.objects().get(key).map(|it| it.meta.created());
    let mut ordered: Vec<Rule<'_>> =
        rules.iter().filter(|(_, rule)| rule.workload_selector.is_none()).copied().collect();
    ordered.sort_by_key(|(key, _)| (&key.namespace, created(key), &key.name));
    for (at, later) in ordered.iter().enumerate().skip(1) {
        let first = ordered[..at].partition_point(|it| it.0.namespace < later.0.namespace);
        for earlier in &ordered[first..at] {
            facts.look_at(1);
            if meet(earlier, later, facts) && check_pair(earlier, later, found) {
                break;
            }
        }
    }
}

/// Whether some client sees both.
fn meet(one: &Rule<'_>, other: &Rule<'_>, facts: &Facts<'_>) -> bool {
    let mesh = facts.snapshot.mesh();
    let sight = |(key, rule): &Rule<'_>| {
        let default = &mesh.default_destination_rule_visibility;
        mesh.visibility(&rule.export_to, default, &key.namespace)
    };
    match (sight(one), sight(other)) {
        (Visibility::Public, _) | (_, Visibility::Public) => true,
        (Visibility::Namespaces(one), other) => one.iter().any(|it| other.includes(it)),
    }
}

/// Reports what the later rule has in vain; whether there was anything.
fn check_pair(earlier: &Rule<'_>, later: &Rule<'_>, found: &mut Found) -> bool {
    let mut any = false;
    if earlier.1.traffic_policy.is_some() && later.1.traffic_policy.is_some() {
        any = true;
        let message = format!("the host already has the policy of {}", earlier.0);
        let hint = "put what is for one host into one DestinationRule";
        found.add(&codes::RULE_CONFLICT, later.0, "spec.trafficPolicy", message, hint);
    }
    for (index, subset) in later.1.subsets.iter().enumerate() {
        if earlier.1.subsets.iter().any(|it| it.name == subset.name) {
            any = true;
            let message = format!("{} defines the subset `{}` already", earlier.0, subset.name);
            let field = format!("spec.subsets[{index}].name");
            let hint = "define each subset once";
            found.add(&codes::SUBSET_TWICE, later.0, field, message, hint);
        }
    }
    any
}
