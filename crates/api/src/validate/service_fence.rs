//! Findings of ServiceFences. Nothing here refuses a fence: a part that cannot be understood is left
//! out, and the rest holds.

use super::{check::Check, names, path::Path};
use crate::{
    codes,
    slime::service_fence::{
        FenceHost, FenceWorkloadSelector, RecyclingStrategy, Seconds, ServiceFenceSpec,
        is_namespace,
    },
};

pub(super) fn check(check: &mut Check<'_>, path: &Path<'_>, fence: &ServiceFenceSpec) {
    let hosts = path.field("host");
    for (key, strategy) in &fence.host {
        let at = hosts.key(key);
        match FenceHost::parse(key) {
            Ok(FenceHost::Host(_)) => check_strategy(check, &at, strategy),
            Ok(FenceHost::Namespace(_) | FenceHost::Mesh) => check_unused(check, &at, strategy),
            Err(reason) => {
                let hint = "write `namespace/*` or a host such as `cart.shop.svc.cluster.local`";
                let message = format!("`{key}` {reason}; it has no effect");
                check.report(&codes::FENCE_HOST, &at, message, hint);
            }
        }
    }
    let namespaces = path.field("namespaceSelector");
    for (index, namespace) in fence.namespace_selector.iter().enumerate() {
        if !is_namespace(namespace) {
            let message = format!("`{namespace}` is no name of a namespace; it has no effect");
            check.report(&codes::FENCE_HOST, &namespaces.index(index), message, "");
        }
    }
    let selectors = path.field("labelSelector");
    for (index, selector) in fence.label_selector.iter().enumerate() {
        let at = selectors.index(index);
        if selector.selector.is_empty() {
            let message = "a selector without labels selects no service";
            let hint = "write `\"*/*\": {}` under `host` for the whole mesh";
            check.report(&codes::FENCE_SELECTOR, &at, message, hint);
        }
        check_labels(check, &at.field("selector"), &selector.selector);
    }
    if let Some(selector) = &fence.workload_selector {
        check_workloads(check, &path.field("workloadSelector"), selector);
    }
}

fn check_workloads(check: &mut Check<'_>, path: &Path<'_>, selector: &FenceWorkloadSelector) {
    check_labels(check, &path.field("labels"), &selector.labels);
    if selector.from_service && !selector.labels.is_empty() {
        let message = "`fromService` has no effect beside `labels`";
        let hint = "leave one of them out";
        check.report(&codes::NO_EFFECT, &path.field("fromService"), message, hint);
    }
}

/// A label that no object can have selects nothing, and does no harm.
fn check_labels(
    check: &mut Check<'_>,
    path: &Path<'_>,
    labels: &std::collections::BTreeMap<String, String>,
) {
    for (key, value) in labels {
        if !names::is_label_key(key) || !names::is_label_value(value) {
            let message = format!("no object can have the label `{key}={value}`");
            check.report(&codes::FENCE_SELECTOR, &path.key(key), message, "");
        }
    }
}

fn check_strategy(check: &mut Check<'_>, path: &Path<'_>, strategy: &RecyclingStrategy) {
    let RecyclingStrategy { stable, deadline, auto, recently_called } = strategy;
    let set =
        [("stable", stable.is_some()), ("deadline", deadline.is_some()), ("auto", auto.is_some())];
    let mut set = set.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name);
    if let Some(first) = set.next() {
        for other in set {
            let message = format!("`{other}` has no effect beside `{first}`");
            check.report(&codes::FENCE_STRATEGY, &path.field(other), message, "");
        }
    }
    if deadline.as_ref().is_some_and(|it| it.expire.is_none()) {
        let message = "a deadline without `expire` never comes";
        let hint = "write `deadline: {expire: {seconds: 1798761600}}`";
        check.report(&codes::FENCE_STRATEGY, &path.field("deadline"), message, hint);
    }
    if auto.as_ref().is_some_and(|it| it.duration.is_none_or(|it| it.seconds <= 0)) {
        let message = "`auto` needs a `duration` above zero, or the host stays";
        check.report(&codes::FENCE_STRATEGY, &path.field("auto"), message, "");
    }
    let times = [("deadline", deadline.as_ref().and_then(|it| it.expire))];
    for (name, time) in times.into_iter().chain([("RecentlyCalled", *recently_called)]) {
        check_time(check, &path.field(name), time);
    }
    if recently_called.is_some() && auto.is_none() {
        let message = "`RecentlyCalled` has no effect without `auto`";
        check.report(&codes::FENCE_STRATEGY, &path.field("RecentlyCalled"), message, "");
    }
}

/// What people mistake for seconds: milliseconds, which would be a time in some ten thousand years.
fn check_time(check: &mut Check<'_>, path: &Path<'_>, time: Option<Seconds>) {
    const YEAR_10000: i64 = 253_402_300_800;
    if let Some(time) = time.filter(|it| it.seconds >= YEAR_10000) {
        let message = format!("{} is a time after the year 9999", time.seconds);
        check.report(&codes::FENCE_STRATEGY, path, message, "count seconds, not milliseconds");
    }
}

fn check_unused(check: &mut Check<'_>, path: &Path<'_>, strategy: &RecyclingStrategy) {
    if strategy.deadline.is_some() || strategy.auto.is_some() {
        let message = "a whole namespace stays, whatever the strategy says";
        let hint = "name its hosts one by one for deadlines";
        check.report(&codes::FENCE_STRATEGY, path, message, hint);
    }
}

#[cfg(test)]
mod tests;
