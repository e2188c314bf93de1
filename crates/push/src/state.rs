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
//!    included; what names a cluster that does not exist stays as it was (`readiness`);
//!    while a request waits for its host, that goes out ahead of the acknowledgement (`ahead`); clusters that
//!    take long keep nothing else waiting (`aside`);
//! 4. a cluster goes only when nothing that the proxy holds or should hold names it.

mod ahead;
mod aside;
mod holdings;
mod on_demand;
mod plan;
mod readiness;
mod request;
mod step;
#[cfg(test)]
mod tests;
mod types;
mod views;
mod whole;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use bytes::Bytes;
use compile::Compiled;
use xds::Protocol;

pub(crate) use self::{
    holdings::{share, share_of},
    on_demand::OpenQuestions,
    request::quotable,
};
use self::{
    on_demand::Questions,
    types::{Held, Rejection, TypeState},
    views::Views,
};
use crate::{FacetView, ResourceKind, facet::Changed, parcels::Parcels, whole::Whole};

/// A response that the stream is to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub kind: ResourceKind,
    pub nonce: u64,
    pub version: String,
    pub resources: Resources,
    /// Delta only.
    pub removed: Vec<Arc<str>>,
}

/// The resources of a response.
#[derive(Clone, Debug)]
pub(crate) struct Resources(Contents);

#[derive(Clone, Debug)]
enum Contents {
    Listed(Vec<Arc<Compiled>>),
    /// All that facets have of the type.
    Whole(Vec<Arc<Whole>>),
}

impl Resources {
    /// Each of them.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Compiled>> {
        let (listed, wholes): (&[_], &[_]) = match &self.0 {
            Contents::Listed(listed) => (listed, &[]),
            Contents::Whole(wholes) => (&[], wholes),
        };
        listed.iter().chain(wholes.iter().flat_map(|whole: &Arc<Whole>| &whole.resources))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match &self.0 {
            Contents::Listed(listed) => listed.len(),
            Contents::Whole(wholes) => wholes.iter().map(|whole| whole.resources.len()).sum(),
        }
    }

    /// Their bytes within a response. Shared by all streams.
    pub(crate) fn chunks(&self, protocol: Protocol) -> Vec<Bytes> {
        match &self.0 {
            Contents::Listed(listed) => {
                let ropes = listed.iter().map(|compiled| match protocol {
                    Protocol::Delta => compiled.resource.delta_chunks(),
                    Protocol::Sotw => compiled.resource.sotw_chunks(),
                });
                ropes.flat_map(|rope| rope.chunks().iter().cloned()).collect()
            }
            Contents::Whole(wholes) => {
                wholes.iter().flat_map(|whole| whole.chunks(protocol)).collect()
            }
        }
    }
}

/// The state of one stream.
#[derive(Debug)]
pub(crate) struct StreamState {
    protocol: Protocol,
    views: Views,
    types: [TypeState; ResourceKind::COUNT],
    next_nonce: u64,
    /// The proxy came back with clusters, and has not said yet what uses them and what they wait for.
    resuming: bool,
    /// Empty route configurations for names that nothing knows.
    unknown_route: fn(&Arc<str>) -> Arc<Compiled>,
    parcels: Arc<Parcels>,
    questions: Questions,
}

impl StreamState {
    /// A new stream of a proxy with these addresses, that sees `views`. `unknown_route` answers for
    /// route names that no view has.
    pub(crate) fn new(
        protocol: Protocol,
        own: Arc<[IpAddr]>,
        facets: Vec<Arc<FacetView>>,
        unknown_route: fn(&Arc<str>) -> Arc<Compiled>,
        parcels: Arc<Parcels>,
    ) -> Self {
        let types = ResourceKind::ALL.map(TypeState::new);
        Self {
            protocol,
            views: Views { facets, own },
            types,
            next_nonce: 1,
            resuming: false,
            unknown_route,
            parcels,
            questions: Questions::default(),
        }
    }

    /// Whether the proxy came back with clusters and has not said yet what uses them, and which
    /// assignments it has: till then none is removed, and none that needs an assignment is usable. A client that has not said so after a while never will.
    pub(crate) fn is_resuming(&self) -> bool {
        self.resuming
    }

    /// The proxy was given time enough to say what it holds.
    pub(crate) fn end_resumption(&mut self) {
        self.resuming = false;
    }

    fn of(&self, kind: ResourceKind) -> &TypeState {
        &self.types[kind as usize]
    }

    fn of_mut(&mut self, kind: ResourceKind) -> &mut TypeState {
        &mut self.types[kind as usize]
    }

    /// What the stream should hold under this name.
    pub(crate) fn target(&self, kind: ResourceKind, name: &str) -> Option<&Arc<Compiled>> {
        self.views.get(kind, name)
    }

    /// The stream sees new views; `changed` names what may differ, or is `None` when that is not
    /// known.
    pub(crate) fn update(&mut self, views: Vec<Arc<FacetView>>, changed: Option<&[Arc<Changed>]>) {
        self.views.facets = views;
        self.doubt_answers(changed);
        match changed {
            Some(changed) => {
                for kind in ResourceKind::ALL {
                    self.follow(kind);
                    self.of_mut(kind).on_news(kind, changed);
                }
            }
            None => ResourceKind::ALL.into_iter().for_each(|kind| self.compare_all(kind)),
        }
    }

    /// Marks every name of a type that is not as it should be.
    fn compare_all(&mut self, kind: ResourceKind) {
        self.follow(kind);
        let state = self.of_mut(kind);
        // All of it is looked at.
        state.news.clear();
        if state.held.is_due() {
            return;
        }
        let state = self.of(kind);
        let mut dirty = state.held.names();
        if state.wildcard {
            dirty.extend(self.views.names(kind).cloned());
        }
        dirty.extend(state.held.all_named());
        self.of_mut(kind).dirty.extend(dirty);
    }

    /// What the proxy holds of a type, by name, for status and `proxy config`.
    pub(crate) fn held(&self, kind: ResourceKind) -> BTreeMap<Arc<str>, Held> {
        self.of(kind).held.iter().collect()
    }

    /// Listeners and routes that are held back, wholly or in part, and the clusters that do not
    /// exist, or take long to warm, for which they are.
    pub(crate) fn held_back(&self, kind: ResourceKind) -> &BTreeMap<Arc<str>, BTreeSet<Arc<str>>> {
        &self.of(kind).held_back
    }

    /// What the proxy refused and has not been sent a better version of.
    pub(crate) fn rejections(&self, kind: ResourceKind) -> &BTreeMap<Arc<str>, Rejection> {
        &self.of(kind).rejected
    }

    pub(crate) fn is_subscribed(&self, kind: ResourceKind) -> bool {
        self.of(kind).requested
    }

    /// Clusters and assignments that nothing defines any more and that a listener or a route still
    /// names: they are kept until it does not.
    #[cfg(test)]
    pub(crate) fn kept(&self, kind: ResourceKind) -> impl Iterator<Item = &Arc<str>> {
        self.of(kind).kept.keys()
    }

    /// Names that are still to be sent or acknowledged. Those refused or held back are not.
    pub(crate) fn pending(&self, kind: ResourceKind) -> usize {
        let state = self.of(kind);
        let open = state.in_flight.iter().chain(state.aside.iter().map(|it| &it.open));
        let waiting: usize = open.map(|it| it.names.len()).sum();
        state.dirty.len() + state.news_len(kind) + waiting + state.held.open()
    }

    /// Whether a response of this type is not answered yet.
    pub(crate) fn is_in_flight(&self, kind: ResourceKind) -> bool {
        self.of(kind).in_flight.is_some()
    }

    /// Whether the proxy has acknowledged everything that it should hold, or has refused it.
    pub(crate) fn is_synced(&self) -> bool {
        // Asked after each event, so that nothing is counted.
        self.types.iter().all(|state| {
            state.dirty.is_empty()
                && state.news.is_empty()
                && state.in_flight.as_ref().is_none_or(|it| it.names.is_empty())
                && state.aside.is_empty()
                && state.held.open() == 0
                && state.held_back.is_empty()
        })
    }
}
