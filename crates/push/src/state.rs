//! What one stream has been sent and has acknowledged, and what it is to be sent next.
//!
//! Pure: requests and new views go in, responses come out. Per type at most one response waits for
//! its acknowledgement; what changes meanwhile is merged into the next one.
//!
//! The order that keeps every route answered (make before break):
//! 1. clusters that come or change, all in one response; an updated EDS cluster is followed by its
//!    assignment even if that is unchanged, since Envoy warms it anew and does not ask;
//! 2. assignments, at once;
//! 3. a listener or route only when every cluster that it names is acknowledged, assignment
//!    included;
//! 4. a cluster goes only when nothing that the proxy may still hold names it.

mod plan;
mod request;
#[cfg(test)]
mod tests;
mod types;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use compile::Compiled;
use xds::Protocol;

pub use self::types::{Held, Rejection, TypeState};
use crate::{FacetView, ResourceKind};

/// A response that the stream is to be sent.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub kind: ResourceKind,
    pub nonce: u64,
    pub version: String,
    pub resources: Vec<Arc<Compiled>>,
    /// Delta only.
    pub removed: Vec<Arc<str>>,
}

/// The state of one stream.
#[derive(Debug)]
pub struct StreamState {
    protocol: Protocol,
    views: Vec<Arc<FacetView>>,
    types: [TypeState; 4],
    next_nonce: u64,
    /// Empty route configurations for names that nothing knows.
    unknown_route: fn(&Arc<str>) -> Arc<Compiled>,
}

impl StreamState {
    /// A new stream that sees `views`. `unknown_route` answers for route names that no view has.
    pub fn new(
        protocol: Protocol,
        views: Vec<Arc<FacetView>>,
        unknown_route: fn(&Arc<str>) -> Arc<Compiled>,
    ) -> Self {
        Self { protocol, views, types: Default::default(), next_nonce: 1, unknown_route }
    }

    fn of(&self, kind: ResourceKind) -> &TypeState {
        &self.types[kind as usize]
    }

    fn of_mut(&mut self, kind: ResourceKind) -> &mut TypeState {
        &mut self.types[kind as usize]
    }

    /// What the stream should hold under this name.
    pub fn target(&self, kind: ResourceKind, name: &str) -> Option<&Arc<Compiled>> {
        self.views.iter().find_map(|view| view.get(kind, name))
    }

    fn target_names(&self, kind: ResourceKind) -> impl Iterator<Item = &Arc<str>> {
        self.views.iter().flat_map(move |view| view.table(kind).keys())
    }

    /// The stream sees new views; `changed` names what may differ, or is `None` when that is not
    /// known.
    pub fn update(
        &mut self,
        views: Vec<Arc<FacetView>>,
        changed: Option<&BTreeSet<(ResourceKind, Arc<str>)>>,
    ) {
        self.views = views;
        match changed {
            Some(changed) => {
                for (kind, name) in changed {
                    let state = self.of_mut(*kind);
                    if state.wants(name) || state.held.contains_key(name) {
                        state.dirty.insert(name.clone());
                    }
                }
            }
            None => ResourceKind::ALL.into_iter().for_each(|kind| self.compare_all(kind)),
        }
    }

    /// Marks every name of a type that is not as it should be.
    fn compare_all(&mut self, kind: ResourceKind) {
        let state = self.of(kind);
        let mut dirty: BTreeSet<Arc<str>> = state.held.keys().cloned().collect();
        if state.wildcard {
            dirty.extend(self.target_names(kind).cloned());
        }
        dirty.extend(state.names.iter().cloned());
        self.of_mut(kind).dirty.extend(dirty);
    }

    /// What the proxy holds of a type, for status and `proxy config`.
    pub fn held(&self, kind: ResourceKind) -> &BTreeMap<Arc<str>, Held> {
        &self.of(kind).held
    }

    /// What the proxy refused and has not been sent a better version of.
    pub fn rejections(&self, kind: ResourceKind) -> &BTreeMap<Arc<str>, Rejection> {
        &self.of(kind).rejected
    }

    pub fn is_subscribed(&self, kind: ResourceKind) -> bool {
        self.of(kind).requested
    }

    /// Names that still differ from what they should be, those refused apart.
    pub fn pending(&self, kind: ResourceKind) -> usize {
        let state = self.of(kind);
        let waiting = state.in_flight.as_ref().map_or(0, |it| it.names.len());
        state.dirty.len() + waiting
    }

    /// Whether the proxy has acknowledged everything that it should hold.
    pub fn is_synced(&self) -> bool {
        ResourceKind::ALL.into_iter().all(|kind| self.pending(kind) == 0)
    }
}
