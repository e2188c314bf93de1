//! Labels → the selector of a workload that somebody has to be able to write down.
//!
//! - Nobody else may be selected. A name alone is best: pods of a later revision have other labels
//!   beside it.

use std::collections::{BTreeMap, BTreeSet};

use model::{Labels, Namespace};

use super::{Member, SCOPE_LABEL};

/// Labels by which people tell applications apart, the best first.
const NAMING: [&str; 4] =
    ["app.kubernetes.io/name", "app", "k8s-app", "service.istio.io/canonical-name"];
/// Labels that a pod of the same workload may not have: they change with each revision or with each pod.
const PASSING: [&str; 8] = [
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-completion-index",
    "controller-revision-hash",
    "controller-uid",
    "pod-template-generation",
    "pod-template-hash",
    "statefulset.kubernetes.io/pod-name",
];

type Pair<'a> = (&'a str, &'a str);

/// Finds selectors among all that may be selected.
pub(super) struct Selection<'a> {
    name_label: &'a str,
    by_pair: BTreeMap<(&'a Namespace, Pair<'a>), BTreeSet<&'a Member>>,
}

impl<'a> Selection<'a> {
    pub(super) fn new(members: &'a BTreeSet<Member>, name_label: &'a str) -> Self {
        let mut by_pair: BTreeMap<_, BTreeSet<&Member>> = BTreeMap::new();
        for member in members {
            for pair in member.labels.iter() {
                by_pair.entry((&member.workload.namespace, pair)).or_default().insert(member);
            }
        }
        Self { name_label, by_pair }
    }

    /// A selector of `own`, all of one workload. Whom it selects besides is one of those that `may_be`
    /// selected. `None` when there is none.
    pub(super) fn selector(
        &self,
        own: &[&'a Member],
        may_be: &dyn Fn(&Member) -> bool,
    ) -> Option<Labels> {
        let (first, rest) = own.split_first()?;
        let namespace = &first.workload.namespace;
        let is_common = |(key, value): &Pair<'a>| {
            *key != SCOPE_LABEL
                && !PASSING.contains(key)
                && rest.iter().all(|member| member.labels.get(key) == Some(value))
        };
        let common: Vec<Pair<'a>> = first.labels.iter().filter(is_common).collect();
        let having = |pair: &Pair<'a>| &self.by_pair[&(namespace, *pair)];
        let naming = [self.name_label].into_iter().chain(NAMING);
        let mut naming = naming.filter_map(|name| common.iter().find(|(key, _)| *key == name));
        if let Some(pair) = naming.find(|pair| having(pair).len() == own.len()) {
            return Some([*pair].into_iter().collect());
        }
        let fewest = common.iter().map(having).min_by_key(|members| members.len())?;
        let selector: Labels = common.iter().copied().collect();
        let mut selected = fewest.iter().filter(|member| selector.selects(&member.labels));
        let is_fine = selected.all(|member| own.contains(member) || may_be(member));
        is_fine.then_some(selector)
    }
}
