//! What a snapshot would mean for the connected proxies, without giving it to them.
//!
//! The same update as the real one, on copies of the facets that it touches.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use compile::Compiled;
use snapshot::{ChangeSet, Snapshot};

use super::{Engine, StreamId, gathered::Gathered};
use crate::{FacetView, ResourceKind};

/// The effect of a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Preview {
    /// Only those that something changes for.
    pub facets: Vec<FacetPreview>,
}

/// What changes for some streams alike.
#[derive(Clone, Debug)]
pub struct FacetPreview {
    pub streams: BTreeSet<StreamId>,
    /// Sorted by type and name.
    pub changes: Vec<ResourceChange>,
}

/// One resource that would be another one.
#[derive(Clone, Debug)]
pub struct ResourceChange {
    pub kind: ResourceKind,
    pub name: Arc<str>,
    /// `None` if it is new.
    pub before: Option<Arc<Compiled>>,
    /// `None` if it goes.
    pub after: Option<Arc<Compiled>>,
}

impl Engine {
    pub(super) fn preview(&mut self, snapshot: Arc<Snapshot>, changes: &ChangeSet) -> Preview {
        // It is compared with what the newest snapshot means.
        self.finish_due();
        let mut trial = Self {
            facets: self.facets.clone(),
            facet_ids: self.facet_ids.clone(),
            streams: self.streams.clone(),
            next_facet: self.next_facet,
            dependants: std::mem::take(&mut self.dependants).freeze(true),
            ..Self::new(snapshot.clone(), Arc::default())
        };
        trial.take_up(changes);
        trial.finish_due();
        trial.gathered.merge();
        self.dependants = std::mem::take(&mut trial.dependants).freeze(false);
        Preview { facets: self.compare(&trial) }
    }

    /// What streams would get after `trial` that they do not have now.
    fn compare(&self, trial: &Self) -> Vec<FacetPreview> {
        let mut previews = Vec::new();
        let apart = self.looked_at_whole(&trial.gathered);
        for (id, names) in trial.gathered.facets() {
            let (Some(before), Some(after)) = (self.facets.get(&id), trial.facets.get(&id)) else {
                continue;
            };
            let streams = &before.streams - &apart;
            let names = names.iter().flat_map(|list| list.iter());
            let changes = names.filter_map(|(kind, name)| {
                let (before, after) = (before.view.get(*kind, name), after.view.get(*kind, name));
                change(*kind, name, before, after)
            });
            previews.push(FacetPreview { streams, changes: changes.collect() });
        }
        let mut alike: BTreeMap<_, BTreeSet<StreamId>> = BTreeMap::new();
        for id in &apart {
            let (Some(before), Some(after)) = (self.streams.get(id), trial.streams.get(id)) else {
                continue;
            };
            alike.entry((&before.facets, &after.facets)).or_default().insert(*id);
        }
        for ((before, after), streams) in alike {
            let changes = differences(&self.views(before), &trial.views(after));
            previews.push(FacetPreview { streams, changes });
        }
        previews.retain(|preview| !preview.streams.is_empty() && !preview.changes.is_empty());
        previews
    }

    /// Streams that have other facets, or of which several facets change: a resource may go from
    /// one to the other and stay the same.
    fn looked_at_whole(&self, gathered: &Gathered) -> BTreeSet<StreamId> {
        let mut once = BTreeSet::new();
        let mut apart: BTreeSet<StreamId> = gathered.moved().copied().collect();
        let changed = gathered.facets().filter_map(|(id, _)| self.facets.get(&id));
        for stream in changed.flat_map(|entry| &entry.streams) {
            if !once.insert(*stream) {
                apart.insert(*stream);
            }
        }
        apart
    }
}

fn differences(before: &[Arc<FacetView>], after: &[Arc<FacetView>]) -> Vec<ResourceChange> {
    let mut changes = Vec::new();
    for kind in ResourceKind::ALL {
        let names = before.iter().chain(after).flat_map(|view| view.table(kind).keys());
        let names: BTreeSet<&Arc<str>> = names.collect();
        for name in names {
            let find = |views: &[Arc<FacetView>]| {
                views.iter().find_map(|view| view.get(kind, name)).cloned()
            };
            changes.extend(change(kind, name, find(before).as_ref(), find(after).as_ref()));
        }
    }
    changes
}

fn change(
    kind: ResourceKind,
    name: &Arc<str>,
    before: Option<&Arc<Compiled>>,
    after: Option<&Arc<Compiled>>,
) -> Option<ResourceChange> {
    let version = |compiled: Option<&Arc<Compiled>>| compiled.map(|it| it.resource.version());
    (version(before) != version(after)).then(|| ResourceChange {
        kind,
        name: name.clone(),
        before: before.cloned(),
        after: after.cloned(),
    })
}
