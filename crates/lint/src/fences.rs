//! ServiceFences: around somebody, one for each workload, naming what exists.

use std::collections::BTreeMap;

use api::{
    Spec,
    slime::service_fence::{FenceHost, ServiceFenceSpec},
};
use model::{Kind, Namespace, ObjectKey};
use snapshot::{FenceOrigin, FenceRecord, resolve_short_name};

use crate::{codes, facts::Facts, found::Found, sidecars::RuleHosts};

pub(crate) fn check(facts: &Facts<'_>, found: &mut Found) {
    let fences = facts.snapshot.fences();
    let in_effect: Vec<&FenceRecord> = fences.into_iter().filter(|it| it.enabled).collect();
    if in_effect.is_empty() {
        return;
    }
    let rules = RuleHosts::new(facts);
    // The first fence around each instance, by its place in the list.
    let mut first: BTreeMap<usize, &ObjectKey> = BTreeMap::new();
    for fence in in_effect {
        let object = facts.snapshot.objects().get(&fence.key);
        let spec = match object.map(|object| &object.spec) {
            Some(Spec::ServiceFence(written)) => Some(&written.spec),
            _ => None,
        };
        let selected = match &fence.selector {
            Some(selector) => facts.select(Some(&fence.key.namespace), selector),
            None => Vec::new(),
        };
        if let Some(spec) = spec.filter(|_| fence.origin == FenceOrigin::Written) {
            check_workloads(fence, spec, &selected, &first, facts, found);
            check_hosts(fence, spec, &rules, facts, found);
        }
        for at in selected {
            first.entry(at).or_insert(&fence.key);
        }
    }
}

fn check_workloads(
    fence: &FenceRecord,
    spec: &ServiceFenceSpec,
    selected: &[usize],
    first: &BTreeMap<usize, &ObjectKey>,
    facts: &Facts<'_>,
    found: &mut Found,
) {
    let key = &fence.key;
    let from_service = spec.workload_selector.as_ref().is_some_and(|it| it.from_service);
    let field =
        if from_service { "spec.workloadSelector.fromService" } else { "spec.workloadSelector" };
    let Some(selector) = &fence.selector else {
        let service = ObjectKey { kind: Kind::Service, ..key.clone() };
        let message = match facts.snapshot.objects().get(&service) {
            Some(_) => format!("the {service} selects no workload"),
            None => format!("there is no {service}"),
        };
        let hint = "give the fence the name of its Service, or write the labels";
        return found.add(&codes::FENCE_SELECTS_NOTHING, key, field, message, hint);
    };
    if selected.is_empty() {
        if facts.can_judge(&key.namespace, selector) {
            let message = format!("no workload has the labels `{selector}`");
            let hint = "compare with the labels of the Pods; until then the fence does nothing";
            found.add(&codes::FENCE_SELECTS_NOTHING, key, field, message, hint);
        }
        return;
    }
    if facts.proxies_are_known && selected.iter().all(|at| facts.instances[*at].is_bare()) {
        let name = facts.instances[selected[0]].key;
        let message = format!("{name} and what else it selects have no proxy");
        let hint = "inject the proxy, or remove the fence";
        found.add(&codes::FENCE_WITHOUT_PROXY, key, field, message, hint);
    }
    if let Some((at, other)) = selected.iter().find_map(|at| Some((*at, first.get(at)?))) {
        let message = format!("{} is inside {other} already", facts.instances[at].key);
        let hint = "the dependencies of both count; make one of them";
        found.add(&codes::SEVERAL_FENCES, key, field, message, hint);
    }
}

fn check_hosts(
    fence: &FenceRecord,
    spec: &ServiceFenceSpec,
    rules: &RuleHosts<'_>,
    facts: &Facts<'_>,
    found: &mut Found,
) {
    let own = &fence.key.namespace;
    for written in spec.host.keys() {
        let field = format!("spec.host[{written:?}]");
        match FenceHost::parse(written) {
            Ok(FenceHost::Namespace(".") | FenceHost::Mesh) | Err(_) => (),
            Ok(FenceHost::Namespace(name)) => check_namespace(fence, name, field, facts, found),
            Ok(FenceHost::Host(name)) => {
                let host = resolve_short_name(name, own, facts.domain);
                let is_known = host.is_wildcard()
                    || !facts.has_services()
                    || !facts.reader.services_named(&host).is_empty()
                    || rules.contains(&host)
                    || facts.has_wildcard_over(&host);
                if !is_known {
                    let message = format!("there is no service `{host}`");
                    let hint = "write the full name, such as `cart.shop.svc.cluster.local`";
                    found.add(&codes::NO_SUCH_FENCE_HOST, &fence.key, field, message, hint);
                }
            }
        }
    }
    for (index, name) in spec.namespace_selector.iter().enumerate() {
        let field = format!("spec.namespaceSelector[{index}]");
        check_namespace(fence, name, field, facts, found);
    }
}

/// A namespace is there if something of it is.
fn check_namespace(
    fence: &FenceRecord,
    name: &str,
    field: String,
    facts: &Facts<'_>,
    found: &mut Found,
) {
    let is_known = facts.namespaces.is_empty()
        || facts.namespaces.contains(name)
        || !facts.in_namespace(&Namespace::from(name)).is_empty();
    if !is_known {
        let message = format!("there is no namespace `{name}`");
        found.add(&codes::NO_SUCH_FENCE_HOST, &fence.key, field, message, "check the name");
    }
}
