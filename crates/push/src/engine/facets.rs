//! Which facets there are: they come with the first stream that sees them, and stay for a moment
//! after the last.
//!
//! Where a network breaks, all streams of a class go before one comes back: what they come back to
//! is compiled already. Nothing is done for a facet that nobody sees, though: a change that would
//! make it work ends it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use snapshot::Reads;

use super::{Engine, FacetEntry, StreamId, dependants::Dependant};
use crate::{
    FacetView,
    facet::{Facet, FacetId, FacetKey},
};

/// How long a facet that nobody sees is kept. Proxies come back within seconds.
pub(super) const REST: Duration = Duration::from_secs(15);
/// How many of them. Each may hold the resources of a whole mesh.
pub(super) const MOST: usize = 128;

/// Facets that nobody sees, with the time since when; the oldest first. Some may be seen again, or
/// be gone.
pub(super) type Unseen = VecDeque<(Instant, FacetId)>;

impl Engine {
    /// The facet with this key, compiled if it is new.
    pub(super) fn facet(&mut self, key: FacetKey) -> FacetId {
        if let Some(id) = self.facet_ids.get(&key) {
            return *id;
        }
        // A facet is older than those that follow it.
        let parent = self.parent_of(&key);
        let id = self.next_facet;
        self.next_facet += 1;
        let followed = parent.and_then(|parent| self.facets.get_mut(&parent)).map(|parent| {
            parent.children.insert(id);
            &*parent.facet
        });
        let (facet, jobs) = Facet::new(&key, followed, &self.memos);
        self.facet_ids.insert(key.clone(), id);
        let entry = FacetEntry {
            key,
            facet: Arc::new(facet),
            view: Arc::new(FacetView::default()),
            streams: BTreeSet::new(),
            unseen_since: None,
            parent,
            children: BTreeSet::new(),
        };
        self.facets.insert(id, entry);
        // A new facet has neither children nor streams, so nothing follows elsewhere.
        self.run(id, jobs, &mut BTreeMap::new(), &mut BTreeSet::new());
        id
    }

    /// The facet that one with this key adds to or follows.
    fn parent_of(&mut self, key: &FacetKey) -> Option<FacetId> {
        match key {
            FacetKey::Placed(parent, ..) => Some(*parent),
            FacetKey::Outbound(client) if client.fence.is_some() => {
                Some(self.facet(FacetKey::Visible(Box::new(client.scope_key()))))
            }
            FacetKey::Outbound(_)
            | FacetKey::Gateway(..)
            | FacetKey::Inbound(_)
            | FacetKey::Secrets(..)
            | FacetKey::Visible(_) => None,
        }
    }

    pub(super) fn leave(&mut self, facet: FacetId, stream: StreamId, now: Instant) {
        let Some(entry) = self.facets.get_mut(&facet) else { return };
        entry.streams.remove(&stream);
        if !entry.streams.is_empty() {
            return;
        }
        entry.unseen_since = Some(now);
        self.unseen.push_back((now, facet));
        while self.unseen.len() > MOST {
            self.end_oldest();
        }
    }

    /// Ends what nobody has seen for long. Says when to look again.
    pub(super) fn end_unseen(&mut self, now: Instant) -> Option<Instant> {
        while let Some((since, _)) = self.unseen.front() {
            let until = *since + REST;
            if until > now {
                return Some(until);
            }
            self.end_oldest();
        }
        None
    }

    fn end_oldest(&mut self) {
        let Some((since, id)) = self.unseen.pop_front() else { return };
        let entry = self.facets.get(&id);
        // It may have been seen since.
        if entry.is_some_and(|it| it.streams.is_empty() && it.unseen_since == Some(since)) {
            self.end(id);
        }
    }

    /// Whether a stream sees a facet, or what follows it.
    pub(super) fn is_seen(&self, facet: FacetId) -> bool {
        self.facets.get(&facet).is_some_and(|entry| {
            !entry.streams.is_empty() || entry.children.iter().any(|child| self.is_seen(*child))
        })
    }

    /// Ends a facet with all that add to it or follow it.
    pub(super) fn end(&mut self, facet: FacetId) {
        let Some(entry) = self.facets.remove(&facet) else { return };
        self.facet_ids.remove(&entry.key);
        for (job, reads) in entry.facet.all_reads() {
            self.dependants.replace(Dependant::Job(facet, job), reads, &Reads::default());
        }
        for child in entry.children {
            self.end(child);
        }
        let Some(id) = entry.parent else { return };
        let Some(parent) = self.facets.get_mut(&id) else { return };
        parent.children.remove(&facet);
        // No stream sees it itself.
        if matches!(parent.key, FacetKey::Visible(_)) && parent.children.is_empty() {
            self.end(id);
        }
    }
}
