//! Clusters that take long to warm, and what does not wait for them.
//!
//! Envoy acknowledges no clusters before all are warm. One whose name servers do not answer keeps that back for
//! a minute; what Envoy is sent meanwhile it takes in. So a response that is not answered for long is set aside:
//! - Further clusters are sent, each response as soon as there is something for it.
//! - One that Envoy has asked the assignment of, and has acknowledged that, was taken in and is warm.
//! - One that takes more than that counts as one that nothing defines (`readiness`), until it is acknowledged.

use std::{collections::BTreeSet, sync::Arc};

use compile::Compiled;
use xds::Protocol;

use super::{
    StreamState,
    types::{Held, InFlight, TypeState},
};
use crate::ResourceKind;

/// More responses than this are not set aside.
const MAX_ASIDE: usize = 64;

/// A response that is not answered, and not waited for.
#[derive(Clone, Debug)]
pub(super) struct Aside {
    pub(super) open: InFlight,
    /// It was waited for.
    is_late: bool,
}

impl StreamState {
    /// The newest response with clusters that is waited for, if any.
    pub(crate) fn awaited_response(&self) -> Option<u64> {
        // Over SotW an answer to an older response answers nothing.
        let is_delta = self.protocol == Protocol::Delta;
        let clusters = is_delta.then(|| self.of(ResourceKind::Cluster))?;
        let waiting = clusters.aside.iter().filter(|it| !it.is_late).map(|it| &it.open);
        let open = clusters.in_flight.iter().filter(|open| !open.whole);
        waiting.chain(open).map(|open| open.nonce).max()
    }

    /// Responses with clusters up to this one were waited for long enough.
    pub(crate) fn set_aside(&mut self, nonce: u64) {
        let clusters = self.of_mut(ResourceKind::Cluster);
        if let Some(open) = clusters.in_flight.take_if(|open| open.nonce <= nonce && !open.whole) {
            clusters.aside.push(Aside { open, is_late: true });
        }
        for aside in clusters.aside.iter_mut().filter(|it| it.open.nonce <= nonce) {
            aside.is_late = true;
        }
        self.settle_taken_in();
    }

    /// Whether a further response of a type may be sent, whatever is not answered yet.
    pub(super) fn has_way(&self, kind: ResourceKind) -> bool {
        let state = self.of(kind);
        let may_set_aside = || !state.aside.is_empty() && state.aside.len() < MAX_ASIDE;
        state.in_flight.as_ref().is_none_or(|open| !open.whole && may_set_aside())
    }

    /// Assignments were acknowledged: clusters that were set aside and wait for nothing else are warm.
    pub(super) fn settle_taken_in(&mut self) {
        if self.of(ResourceKind::Cluster).aside.is_empty() {
            return;
        }
        let clusters = self.of_mut(ResourceKind::Cluster);
        let (mut aside, mut newest) =
            (std::mem::take(&mut clusters.aside), clusters.in_flight.take());
        let mut taken = Vec::new();
        for open in aside.iter_mut().map(|it| &mut it.open).chain(&mut newest) {
            let now: Vec<_> = open.names.extract_if(.., |name| self.is_taken_in(name)).collect();
            // Nothing is left that its answer could say something of.
            if !open.is_settled() {
                let clusters = self.of(ResourceKind::Cluster);
                let sent = |name: &Arc<str>| clusters.held.get(name)?.sent?;
                open.settled.extend(now.iter().map(|name| (name.clone(), sent(name))));
            }
            taken.extend(now);
        }
        aside.retain(|it| !it.open.is_settled());
        newest.take_if(|open| open.is_settled());
        let clusters = self.of_mut(ResourceKind::Cluster);
        clusters.acknowledge(taken);
        (clusters.aside, clusters.in_flight) = (aside, newest);
    }

    /// Whether a new cluster is warm, by what is known of its assignment.
    fn is_taken_in(&self, cluster: &str) -> bool {
        let held = |kind| self.of(kind).held.get(cluster);
        let assignment = held(ResourceKind::Endpoint);
        let is_new = held(ResourceKind::Cluster).is_some_and(|it| it.version.is_none());
        let endpoints = self.of(ResourceKind::Endpoint);
        // One that it had before it went says nothing.
        let is_due = endpoints.force.contains(cluster);
        is_new
            && !is_due
            && assignment.is_some_and(|it| it.version.is_some() && it.sent.is_none())
            && endpoints.held.is_named(cluster)
            && self.sent_needs_no_more(cluster)
    }

    /// Whether this version, or with `None` the removal, is on its way, where responses do not wait for each other.
    pub(super) fn is_under_way(
        &self,
        kind: ResourceKind,
        name: &str,
        version: Option<u64>,
    ) -> bool {
        let state = self.of(kind);
        let sent = || state.held.get(name).and_then(|held| held.sent);
        let is_sent = || sent().map(|sent| sent.map(|it| it.resource.version())) == Some(version);
        !state.aside.is_empty() && is_sent()
    }

    /// The response with a cluster that is not answered yet.
    pub(super) fn open_response(&self, cluster: &str) -> Option<u64> {
        let clusters = self.of(ResourceKind::Cluster);
        let has = |it: &&Aside| it.open.names.iter().any(|name| **name == *cluster);
        let aside = clusters.aside.iter().find(has).map(|it| &it.open);
        aside.or(clusters.in_flight.as_ref()).map(|open| open.nonce)
    }

    /// Whether a cluster was waited for long enough. One that needs nothing but its assignment is not what takes
    /// long.
    pub(super) fn is_late(&self, cluster: &str) -> bool {
        let late = self.of(ResourceKind::Cluster).aside.iter().filter(|it| it.is_late);
        let mut names = late.flat_map(|it| &it.open.names);
        names.any(|name| **name == *cluster) && !self.sent_needs_no_more(cluster)
    }
}

impl InFlight {
    fn is_settled(&self) -> bool {
        self.names.is_empty() && self.settled.is_empty()
    }
}

impl TypeState {
    /// The response that is answered.
    pub(super) fn take_open(&mut self, nonce: &str) -> Option<InFlight> {
        let nonce = nonce.parse::<u64>().ok()?;
        let place = self.aside.iter().position(|it| it.open.nonce == nonce);
        match place {
            Some(place) => Some(self.aside.remove(place).open),
            None => self.in_flight.take_if(|open| open.nonce == nonce),
        }
    }

    /// A further response follows the open one, if there is one, with these names.
    pub(super) fn set_open_aside<'n>(&mut self, names: impl Iterator<Item = &'n Arc<str>>) {
        let open = self.in_flight.take();
        self.aside.extend(open.map(|open| Aside { open, is_late: false }));
        if self.aside.is_empty() {
            return;
        }
        let again: BTreeSet<&Arc<str>> = names.collect();
        for InFlight { names, settled, .. } in self.aside.iter_mut().map(|it| &mut it.open) {
            for name in names.extract_if(.., |name| again.contains(name)) {
                let sent = self.held.get(&name).and_then(|held| held.sent);
                if matches!(sent, Some(None)) {
                    // It comes after it has gone.
                    self.held.set(&name, Held { sent: Some(None), ..Held::default() });
                }
                settled.push((name, sent.flatten()));
            }
        }
        self.aside.retain(|it| !it.open.is_settled());
    }

    /// A response was taken of which something was sent anew meanwhile.
    pub(super) fn acknowledge_settled(
        &mut self,
        settled: impl IntoIterator<Item = (Arc<str>, Option<Arc<Compiled>>)>,
    ) {
        for (name, resource) in settled {
            let Some(Held { sent: Some(sent), .. }) = self.held.get(&name) else { continue };
            let version = resource.as_ref().map(|it| it.resource.version());
            self.held.set(&name, Held { acknowledged: resource, version, sent: Some(sent) });
        }
    }
}
