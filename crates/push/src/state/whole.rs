//! What is asked for and answered as a whole: the first sync of a proxy.
//!
//! A proxy that starts asks for everything that its views have, type by type. As long as that is
//! so, no name is looked at: the answer is made once for all proxies that see the views, and what
//! the proxy holds is "all of these views". Whatever does not fit (a refusal, other names, a change
//! in between) has the names listed, and goes the long way from there.

use std::sync::Arc;

use envoy::service::discovery::v3::DiscoveryRequest;
use xds::{DeltaRequest, Protocol};

use super::{
    Contents, Outgoing, Resources, StreamState,
    holdings::{parse_version, sum_of},
    plan::version_text,
    request::hash_names,
    types::InFlight,
};
use crate::{
    ResourceKind,
    whole::{self, Whole},
};

impl StreamState {
    /// Whether the proxy is to be sent a large part of its first configuration.
    pub(crate) fn is_starting(&self) -> bool {
        let large = [ResourceKind::Cluster, ResourceKind::Endpoint].into_iter();
        large.into_iter().any(|kind| self.of(kind).held.is_due())
    }

    /// Whether the proxy has its first configuration, listeners included.
    pub(crate) fn has_started(&self) -> bool {
        self.of(ResourceKind::Listener).answered && self.is_synced()
    }

    /// Bytes of all that a proxy is sent when it starts.
    pub(crate) fn start_size(&self) -> usize {
        self.views.bytes()
    }

    /// The first request of a type. Whether it was taken in as a whole.
    pub(super) fn on_first_delta(&mut self, kind: ResourceKind, request: &DeltaRequest) -> bool {
        let names = &request.resource_names_subscribe;
        // Each virtual host waits for its route configuration.
        if !request.resource_names_unsubscribe.is_empty() || kind == ResourceKind::VirtualHost {
            return false;
        }
        if request.said_versions().next().is_none() {
            return self.ask_for_all(kind, names);
        }
        // Most come back with all that they should hold: then nothing is sorted or looked up.
        self.resume_all(kind, names, sum_of(request.said_versions()))
            || self.resume(kind, names, &request.known_versions())
    }

    /// The same over SotW.
    pub(super) fn on_first_sotw(&mut self, kind: ResourceKind, request: &DiscoveryRequest) -> bool {
        let (names, version) = (&request.resource_names, request.version_info.as_str());
        let is_all = match version.is_empty() {
            true => self.ask_for_all(kind, names),
            false if self.is_new_for(kind) => false,
            false => self.resume_all(kind, names, parse_version(version)),
        };
        if is_all {
            self.of_mut(kind).names_said = Some(hash_names(names));
        }
        is_all
    }

    fn ask_for_all(&mut self, kind: ResourceKind, names: &[String]) -> bool {
        let wildcard = is_wildcard(kind, names);
        let state = &mut self.types[kind as usize];
        let is_all = state.held.ask_for_all(&self.views, (!wildcard).then_some(names));
        if is_all {
            state.wildcard = wildcard;
            state.dirty.clear();
            // All of it will be sent, whatever the reason.
            state.force.clear();
            state.force_all = false;
        }
        is_all
    }

    /// A proxy came back, and holds almost what it should.
    fn resume(&mut self, kind: ResourceKind, names: &[String], known: &[(&str, &str)]) -> bool {
        let wildcard = is_wildcard(kind, names);
        let state = &mut self.types[kind as usize];
        if state.force_all || !state.force.is_empty() {
            return false;
        }
        let differing = state.held.resume(&self.views, (!wildcard).then_some(names), known);
        let Some(differing) = differing else { return false };
        state.wildcard = wildcard;
        // What the proxy asks for and does not have is sent even if it names nothing.
        let asked = differing.iter().filter(|name| !is_known(known, name));
        state.force.extend(asked.filter(|_| !wildcard).cloned());
        state.dirty = differing.into_iter().collect();
        true
    }

    /// The same for one that holds exactly what it should, which the sum `said` of all that it holds
    /// says.
    fn resume_all(&mut self, kind: ResourceKind, names: &[String], said: u64) -> bool {
        let wildcard = is_wildcard(kind, names);
        let state = &mut self.types[kind as usize];
        if state.force_all || !state.force.is_empty() {
            return false;
        }
        let names = (!wildcard).then_some(names);
        let is_all = state.held.resume_all(&self.views, names, said);
        if is_all {
            (state.wildcard, state.answered) = (wildcard, true);
            state.dirty.clear();
        }
        is_all
    }

    /// The views of a type that is to be sent as a whole may be others.
    pub(super) fn follow(&mut self, kind: ResourceKind) {
        let state = &mut self.types[kind as usize];
        if state.held.is_due() && !state.held.follow(&self.views) {
            self.list(kind);
        }
    }

    /// Lists the names of what was treated as a whole.
    pub(super) fn list(&mut self, kind: ResourceKind) {
        let state = &mut self.types[kind as usize];
        state.list_news(kind);
        if state.held.open() == 0 {
            return;
        }
        let is_due = state.held.is_due();
        let names = state.held.list();
        if is_due {
            state.dirty.extend(names.iter().cloned());
            // Names that were asked for by name are sent even if they name nothing.
            state.force.extend(names.into_iter().filter(|name| state.held.is_named(name)));
        } else if let Some(open) = &mut state.in_flight {
            (open.names, open.whole) = (names, false);
        }
    }

    /// The answer of a type that is to be sent as a whole.
    pub(super) fn next_whole(&mut self, kind: ResourceKind) -> Option<Outgoing> {
        if !self.of(kind).held.is_due() {
            return None;
        }
        let wholes = self.may_send_whole(kind).then(|| self.views.wholes(kind)).flatten();
        let Some(wholes) = wholes else {
            self.list(kind);
            return None;
        };
        let nonce = self.next_nonce;
        self.next_nonce += 1;
        if kind == ResourceKind::Cluster {
            self.force_all_assignments(&wholes);
        }
        let sum = whole::sum(&wholes);
        let state = self.of_mut(kind);
        state.held.send_all(sum);
        // All of it is in this response, whatever else asked for it.
        state.dirty.clear();
        state.force.clear();
        let (names, settled, forced) = Default::default();
        state.in_flight =
            Some(InFlight { nonce, names, settled, whole: true, forced, views: None });
        state.answered = true;
        state.last_nonce = nonce;
        let version = match self.protocol {
            Protocol::Delta => self.views.revision().to_string(),
            Protocol::Sotw => version_text(sum),
        };
        let resources = Resources(Contents::Whole(wholes));
        Some(Outgoing { kind, nonce, version, resources, removed: Vec::new() })
    }

    /// Whether the proxy can use all of a type: make before break.
    fn may_send_whole(&self, kind: ResourceKind) -> bool {
        !kind.names_clusters() || self.has_all_clusters()
    }

    /// Whether the proxy has acknowledged exactly the clusters of its views, and their assignments
    /// if it asks for any. `false` says nothing: something may be on its way.
    pub(super) fn has_all_clusters(&self) -> bool {
        let has_all = |kind: ResourceKind| {
            let state = self.of(kind);
            let news = !state.dirty.is_empty() || !state.news.is_empty();
            let quiet = !news && state.rejected.is_empty();
            let same = state.held.sum() == self.views.sum(kind);
            let open = state.in_flight.is_some() || !state.aside.is_empty();
            same && quiet && !open && state.kept.is_empty()
        };
        let endpoints = ResourceKind::Endpoint;
        let asks = self.of(endpoints).requested || self.resuming;
        has_all(ResourceKind::Cluster) && (!asks || has_all(endpoints))
    }

    /// As `force_assignments`, for clusters that are sent as a whole.
    fn force_all_assignments(&mut self, clusters: &[Arc<Whole>]) {
        let endpoints = self.of_mut(ResourceKind::Endpoint);
        if !endpoints.requested {
            endpoints.force_all = true;
            return;
        }
        let sent = clusters.iter().flat_map(|whole| &whole.resources);
        let sent: Vec<_> = sent.map(|it| (it.resource.name().clone(), it.clone())).collect();
        self.force_assignments(&sent);
    }
}

/// Whether `known`, sorted by name, has a name.
pub(super) fn is_known(known: &[(&str, &str)], name: &str) -> bool {
    known.binary_search_by_key(&name, |(known, _)| known).is_ok()
}

/// Whether a first request with these names asks for everything.
fn is_wildcard(kind: ResourceKind, names: &[String]) -> bool {
    match names {
        [] => kind.is_wildcard(),
        [only] => only == "*",
        _ => false,
    }
}
