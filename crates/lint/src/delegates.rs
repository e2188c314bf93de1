//! Delegation between VirtualServices: the delegate exists, is one, and is used.

use std::collections::BTreeSet;

use api::{Spec, istio::virtual_service::VirtualService};
use model::{Kind, ObjectKey};

use crate::{codes, facts::Facts, found::Found};

pub(crate) fn check(facts: &Facts<'_>, found: &mut Found) {
    let mut used = BTreeSet::new();
    for object in facts.objects(Kind::VirtualService) {
        let Spec::VirtualService(rule) = &object.spec else { continue };
        for (index, delegate) in
            rule.http.iter().enumerate().filter_map(|(at, it)| Some((at, it.delegate.as_ref()?)))
        {
            let namespace = match delegate.namespace.as_str() {
                "" => object.key.namespace.as_str(),
                namespace => namespace,
            };
            let target = ObjectKey::new(Kind::VirtualService, namespace, &delegate.name);
            let field = format!("spec.http[{index}].delegate");
            check_target(&object.key, &target, &field, facts, found);
            used.insert(target);
        }
    }
    for object in facts.objects(Kind::VirtualService) {
        let Spec::VirtualService(rule) = &object.spec else { continue };
        if rule.hosts.is_empty() && !used.contains(&object.key) {
            let message = "the rule has no hosts, and no other delegates to it";
            let hint = "name its hosts, or delegate to it";
            found.add(&codes::ROOTLESS_DELEGATE, &object.key, "spec", message, hint);
        }
    }
}

fn check_target(
    rule: &ObjectKey,
    target: &ObjectKey,
    field: &str,
    facts: &Facts<'_>,
    found: &mut Found,
) {
    let object = facts.snapshot.objects().get(target);
    let Some(Spec::VirtualService(delegate)) = object.map(|object| &object.spec) else {
        let message = format!("there is no {target}, and its requests are not answered");
        let hint = "check name and namespace of the delegate";
        return found.add(&codes::NO_SUCH_DELEGATE, rule, field, message, hint);
    };
    if let Some((reason, hint)) = unusable(rule, target, delegate) {
        let message = format!("{target} cannot be a delegate: {reason}");
        found.add(&codes::BAD_DELEGATE, rule, field, message, hint);
    }
}

fn unusable(
    rule: &ObjectKey,
    target: &ObjectKey,
    delegate: &VirtualService,
) -> Option<(&'static str, &'static str)> {
    if rule == target {
        return Some(("it is the rule itself", "name another one"));
    }
    if !delegate.hosts.is_empty() {
        return Some(("it has hosts of its own", "remove its `hosts`"));
    }
    if delegate.http.iter().any(|route| route.delegate.is_some()) {
        return Some(("it delegates itself", "delegate from the root to each of them"));
    }
    None
}
