//! Which services select which workloads, without comparing all with all.
//!
//! A selector is filed under one of its label pairs, a workload under every pair it has. Both
//! directions then look only into short lists.

use std::{hash::Hash, sync::Arc};

use model::{Labels, Map, Namespace};

use super::small_set::SmallSet;

type Pair = (Namespace, Arc<str>, Arc<str>);

/// Labels of workloads and selectors over them, per namespace. `S` names a selector, `W` a
/// workload.
#[derive(Clone, Debug)]
pub(super) struct Selectors<S, W> {
    selectors: Map<S, (Namespace, Labels)>,
    workloads: Map<W, (Namespace, Labels)>,
    selectors_by_pair: Map<Pair, SmallSet<S>>,
    workloads_by_pair: Map<Pair, SmallSet<W>>,
}

impl<S, W> Default for Selectors<S, W> {
    fn default() -> Self {
        Self {
            selectors: Map::default(),
            workloads: Map::default(),
            selectors_by_pair: Map::default(),
            workloads_by_pair: Map::default(),
        }
    }
}

fn pairs<'a>(namespace: &'a Namespace, labels: &'a Labels) -> impl Iterator<Item = Pair> + 'a {
    labels.pairs().iter().map(|(key, value)| (namespace.clone(), key.clone(), value.clone()))
}

impl<S: Clone + Ord + Hash, W: Clone + Ord + Hash> Selectors<S, W> {
    /// Sets or, with `None`, removes a selector. The empty selector selects nothing here.
    pub(super) fn set_selector(&mut self, selector: &S, place: Option<(Namespace, Labels)>) {
        if let Some((namespace, labels)) = self.selectors.remove(selector) {
            for pair in pairs(&namespace, &labels) {
                remove(&mut self.selectors_by_pair, &pair, selector);
            }
        }
        let Some((namespace, labels)) = place.filter(|(_, labels)| !labels.is_empty()) else {
            return;
        };
        // The pair that fewest selectors use so far keeps every list short.
        let count = |pair: &Pair| self.selectors_by_pair.get(pair).map_or(0, SmallSet::len);
        if let Some(pair) = pairs(&namespace, &labels).min_by_key(count) {
            self.selectors_by_pair.entry(pair).or_default().insert(selector.clone());
        }
        self.selectors.insert(selector.clone(), (namespace, labels));
    }

    /// Sets or removes a workload.
    pub(super) fn set_workload(&mut self, workload: &W, place: Option<(Namespace, Labels)>) {
        if let Some((namespace, labels)) = self.workloads.remove(workload) {
            for pair in pairs(&namespace, &labels) {
                remove(&mut self.workloads_by_pair, &pair, workload);
            }
        }
        if let Some((namespace, labels)) = place {
            for pair in pairs(&namespace, &labels) {
                self.workloads_by_pair.entry(pair).or_default().insert(workload.clone());
            }
            self.workloads.insert(workload.clone(), (namespace, labels));
        }
    }

    /// The selectors that select this workload.
    pub(super) fn selecting(&self, workload: &W) -> Vec<S> {
        let Some((namespace, labels)) = self.workloads.get(workload) else { return Vec::new() };
        let candidates =
            pairs(namespace, labels).filter_map(|pair| self.selectors_by_pair.get(&pair));
        let candidates = candidates.flat_map(SmallSet::iter);
        let matches = |selector: &&S| {
            self.selectors.get(*selector).is_some_and(|(_, wanted)| wanted.selects(labels))
        };
        candidates.filter(matches).cloned().collect()
    }

    /// The workloads that this selector selects, in order, with their labels.
    pub(super) fn selected(&self, selector: &S) -> Vec<(&W, &Labels)> {
        let Some((namespace, wanted)) = self.selectors.get(selector) else { return Vec::new() };
        let lists: Option<Vec<_>> =
            pairs(namespace, wanted).map(|pair| self.workloads_by_pair.get(&pair)).collect();
        let Some(shortest) = lists.and_then(|lists| lists.into_iter().min_by_key(|it| it.len()))
        else {
            return Vec::new();
        };
        let matches = |workload| {
            let (_, labels) = self.workloads.get(workload)?;
            wanted.selects(labels).then_some((workload, labels))
        };
        shortest.iter().filter_map(matches).collect()
    }
}

fn remove<T: Ord>(lists: &mut Map<Pair, SmallSet<T>>, pair: &Pair, item: &T) {
    if let Some(list) = lists.get_mut(pair) {
        list.remove(item);
        if list.is_empty() {
            lists.remove(pair);
        }
    }
}
