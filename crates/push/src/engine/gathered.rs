//! What streams have not been told yet.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Lane, StreamId};
use crate::{
    ResourceKind,
    facet::{Changed, FacetId},
};

/// The changes of one or several snapshots.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    facets: BTreeMap<FacetId, Since>,
    /// Streams that have other facets, and the revisions with which they came to have them.
    moved: BTreeMap<StreamId, Vec<u64>>,
}

/// What changed of a facet, and with which revisions.
#[derive(Debug, Default)]
struct Since {
    changed: Vec<Arc<Changed>>,
    revisions: Vec<u64>,
}

/// What one stream is to be told.
#[derive(Debug)]
pub(super) struct News {
    /// `None` is "anything".
    pub(super) changed: Option<Vec<Arc<Changed>>>,
    /// Oldest first.
    pub(super) revisions: Vec<u64>,
}

impl Gathered {
    pub(super) fn is_empty(&self) -> bool {
        self.facets.is_empty() && self.moved.is_empty()
    }

    /// Something of a facet has changed with these revisions.
    pub(super) fn add(&mut self, facet: FacetId, changed: Arc<Changed>, revisions: &[u64]) {
        if changed.is_empty() {
            return;
        }
        let since = self.facets.entry(facet).or_default();
        since.changed.push(changed);
        since.revisions.extend(revisions);
    }

    /// A stream has other facets.
    pub(super) fn add_moved(&mut self, stream: StreamId, revisions: &[u64]) {
        self.moved.entry(stream).or_default().extend(revisions);
    }

    /// Of several lists one remains, so that a stream walks no name twice.
    pub(super) fn merge(&mut self) {
        for since in self.facets.values_mut().filter(|since| since.changed.len() > 1) {
            let names = since.changed.iter().flat_map(|list| list.iter().cloned());
            since.changed = vec![Arc::new(names.collect())];
        }
    }

    /// In which lane all of it is told together.
    pub(super) fn lane(&self) -> Lane {
        let is_assignment = |(kind, _): &(ResourceKind, Arc<str>)| *kind == ResourceKind::Endpoint;
        let mut lists = self.lists();
        match self.moved.is_empty() && lists.all(|list| list.iter().all(is_assignment)) {
            true => Lane::Assignments,
            false => Lane::Structure,
        }
    }

    /// Whether there are new versions of assignments that came without anything else.
    pub(super) fn has_assignments(&self) -> bool {
        let is_assignment = |(kind, _): &(ResourceKind, Arc<str>)| *kind == ResourceKind::Endpoint;
        self.lists().any(|list| list.iter().all(is_assignment))
    }

    fn lists(&self) -> impl Iterator<Item = &Arc<Changed>> {
        self.facets.values().flat_map(|since| &since.changed)
    }

    /// The facets that have changed, and in what.
    pub(super) fn facets(&self) -> impl Iterator<Item = (FacetId, &[Arc<Changed>])> {
        self.facets.iter().map(|(facet, since)| (*facet, &*since.changed))
    }

    pub(super) fn moved(&self) -> impl Iterator<Item = &StreamId> {
        self.moved.keys()
    }

    /// What there is for a stream that sees these facets.
    pub(super) fn news(&self, stream: StreamId, facets: &[FacetId]) -> News {
        let since: Vec<&Since> = facets.iter().filter_map(|it| self.facets.get(it)).collect();
        let moved = self.moved.get(&stream);
        let revisions =
            since.iter().flat_map(|it| &it.revisions).chain(moved.into_iter().flatten());
        let revisions: BTreeSet<u64> = revisions.copied().collect();
        let changed = since.iter().flat_map(|it| it.changed.iter().cloned());
        News {
            changed: moved.is_none().then(|| changed.collect()),
            revisions: revisions.into_iter().collect(),
        }
    }
}
