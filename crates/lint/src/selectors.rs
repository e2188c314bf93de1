//! Policies and the workloads that they are for: some there are, and no two for the same where only
//! one can be.

use std::collections::BTreeMap;

use api::{Object, Spec};
use model::{Kind, Labels, Namespace, ObjectKey};

use crate::{
    codes,
    facts::{Facts, labels},
    found::Found,
};

/// The kinds that choose workloads by labels.
const KINDS: [Kind; 9] = [
    Kind::AuthorizationPolicy,
    Kind::PeerAuthentication,
    Kind::RequestAuthentication,
    Kind::Telemetry,
    Kind::EnvoyFilter,
    Kind::WasmPlugin,
    Kind::ProxyConfig,
    Kind::Sidecar,
    Kind::DestinationRule,
];

/// A policy, and what it is for.
struct Choice<'a> {
    key: &'a ObjectKey,
    created: i64,
    field: &'static str,
    /// Empty: all of the namespace.
    selector: Labels,
    /// Attached by name to something that is not judged here.
    is_attached: bool,
}

pub(crate) fn check(facts: &Facts<'_>, found: &mut Found) {
    for kind in KINDS {
        let mut choices: Vec<Choice<'_>> = facts.objects(kind).filter_map(choice).collect();
        for choice in &choices {
            check_one(choice, facts, found);
        }
        // Of these, one has an effect on a workload; others are taken together.
        if matches!(kind, Kind::PeerAuthentication | Kind::Telemetry) {
            choices.sort_by_key(|it| (it.created, &it.key.name, &it.key.namespace));
            check_conflicts(&choices, facts, found);
        }
    }
}

fn choice(object: &Object) -> Option<Choice<'_>> {
    let (mut field, mut is_attached) = ("spec.selector", false);
    let selector = match &object.spec {
        Spec::AuthorizationPolicy(policy) => {
            is_attached = policy.target_ref.is_some() || !policy.target_refs.is_empty();
            policy.selector.as_ref().map(|it| &it.match_labels)
        }
        Spec::RequestAuthentication(policy) => {
            is_attached = policy.target_ref.is_some() || !policy.target_refs.is_empty();
            policy.selector.as_ref().map(|it| &it.match_labels)
        }
        Spec::Telemetry(policy) => {
            is_attached = policy.target_ref.is_some() || !policy.target_refs.is_empty();
            policy.selector.as_ref().map(|it| &it.match_labels)
        }
        Spec::WasmPlugin(policy) => {
            is_attached = policy.target_ref.is_some() || !policy.target_refs.is_empty();
            policy.selector.as_ref().map(|it| &it.match_labels)
        }
        Spec::PeerAuthentication(policy) => policy.selector.as_ref().map(|it| &it.match_labels),
        Spec::ProxyConfig(policy) => policy.selector.as_ref().map(|it| &it.match_labels),
        Spec::EnvoyFilter(policy) => {
            (field, is_attached) = ("spec.workloadSelector", !policy.target_refs.is_empty());
            policy.workload_selector.as_ref().map(|it| &it.labels)
        }
        Spec::Sidecar(policy) => {
            field = "spec.workloadSelector";
            policy.workload_selector.as_ref().map(|it| &it.labels)
        }
        Spec::DestinationRule(policy) => {
            field = "spec.workloadSelector";
            policy.workload_selector.as_ref().map(|it| &it.match_labels)
        }
        _ => return None,
    };
    let (key, created) = (&object.key, object.meta.created());
    let selector = selector.map(labels).unwrap_or_default();
    Some(Choice { key, created, field, selector, is_attached })
}

fn check_one(choice: &Choice<'_>, facts: &Facts<'_>, found: &mut Found) {
    let Choice { key, field, selector, .. } = choice;
    let namespace: &Namespace = &key.namespace;
    if choice.is_attached || selector.is_empty() {
        return;
    }
    let selected = facts.select_for_policy(namespace, selector);
    if selected.is_empty() {
        if facts.can_judge(namespace, selector) {
            let message = format!("no workload has the labels `{selector}`");
            let hint = "compare with the labels of the Pods; until then the policy does nothing";
            found.add(&codes::SELECTS_NOTHING, key, *field, message, hint);
        }
        return;
    }
    let is_bare = |at: &usize| facts.instances[*at].is_bare();
    if facts.proxies_are_known && selected.iter().all(is_bare) {
        let name = facts.instances[selected[0]].key;
        let message = format!("{name} and what else it selects have no proxy");
        let hint = "inject the proxy, or nothing enforces the policy";
        found.add(&codes::NOT_IN_MESH, key, *field, message, hint);
    }
}

/// Policies come oldest first.
fn check_conflicts(choices: &[Choice<'_>], facts: &Facts<'_>, found: &mut Found) {
    let mut general: BTreeMap<&Namespace, &ObjectKey> = BTreeMap::new();
    let mut first: BTreeMap<usize, &ObjectKey> = BTreeMap::new();
    let hint = "make one of them, or narrow their selectors";
    for choice in choices.iter().filter(|it| !it.is_attached) {
        let (key, code) = (choice.key, &codes::POLICY_CONFLICT);
        if choice.selector.is_empty() {
            match general.get(&key.namespace) {
                Some(owner) => {
                    let message = format!("{owner} is for the whole namespace already");
                    found.add(code, key, "spec", message, hint);
                }
                None => _ = general.insert(&key.namespace, key),
            }
            continue;
        }
        let selected = facts.select_for_policy(&key.namespace, &choice.selector);
        let owner = selected.iter().find_map(|at| Some((at, first.get(at)?)));
        if let Some((at, owner)) = owner {
            let message = format!("{} is chosen by {owner} already", facts.instances[*at].key);
            found.add(code, key, choice.field, message, hint);
        }
        for at in selected {
            first.entry(at).or_insert(key);
        }
    }
}
