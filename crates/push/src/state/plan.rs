//! The next response of a stream.

use std::{collections::BTreeSet, sync::Arc};

use compile::Compiled;
use xds::Protocol;
use xxhash_rust::xxh3::xxh3_64;

use super::{Outgoing, StreamState, types::InFlight};
use crate::ResourceKind;

/// What to do about one dirty name.
enum Step {
    /// It is as it should be.
    Done,
    /// It cannot be sent yet; every request of the proxy brings it up again.
    Wait,
    Send(Arc<Compiled>),
    Remove,
}

impl StreamState {
    /// The next response to send, if there is one. Call it until it says `None`.
    pub fn next_response(&mut self) -> Option<Outgoing> {
        ResourceKind::ALL.into_iter().find_map(|kind| self.next_of(kind))
    }

    fn next_of(&mut self, kind: ResourceKind) -> Option<Outgoing> {
        let state = self.of(kind);
        let idle = state.dirty.is_empty() && state.answered;
        if !state.requested || state.in_flight.is_some() || idle {
            return None;
        }
        let (mut send, mut remove, mut done) = (Vec::new(), Vec::new(), Vec::new());
        for name in &state.dirty {
            match self.step(kind, name) {
                Step::Done => done.push(name.clone()),
                Step::Wait => {}
                Step::Send(resource) => send.push((name.clone(), resource)),
                Step::Remove => remove.push(name.clone()),
            }
        }
        let state = self.of_mut(kind);
        for name in &done {
            state.dirty.remove(name);
        }
        // The first answer of a type is due even when it is empty, or Envoy's start waits for it.
        let nothing = state.dirty.is_empty() && state.held.is_empty();
        let first_empty = !state.answered && kind.is_wildcard() && nothing;
        if send.is_empty() && remove.is_empty() && !first_empty {
            return None;
        }
        Some(self.respond(kind, send, remove))
    }

    fn step(&self, kind: ResourceKind, name: &Arc<str>) -> Step {
        let state = self.of(kind);
        let mut target = self.target(kind, name).filter(|_| state.wants(name)).cloned();
        if target.is_none() && kind == ResourceKind::Route && state.wants(name) {
            target = Some((self.unknown_route)(name));
        }
        let forced = state.force.contains(name);
        let Some(target) = target else {
            return self.removal_step(kind, name, forced);
        };
        let version = target.resource.version();
        let refused = state.rejected.get(name).is_some_and(|it| it.version == version);
        if !forced && (refused || state.settled(name, version)) {
            return Step::Done;
        }
        let guarded = matches!(kind, ResourceKind::Listener | ResourceKind::Route);
        match guarded && !target.clusters.iter().all(|cluster| self.is_ready(cluster)) {
            true => Step::Wait,
            false => Step::Send(target),
        }
    }

    fn removal_step(&self, kind: ResourceKind, name: &Arc<str>, forced: bool) -> Step {
        let held = self.of(kind).held.contains_key(name);
        match kind {
            _ if !held && !forced => Step::Done,
            ResourceKind::Cluster if held && self.is_referenced(name) => Step::Wait,
            _ => Step::Remove,
        }
    }

    /// Whether traffic may be sent to a cluster: the proxy has acknowledged it and its endpoints.
    /// A name that no view has can't be waited for: the route says what happens then.
    fn is_ready(&self, cluster: &str) -> bool {
        if self.target(ResourceKind::Cluster, cluster).is_none() {
            return true;
        }
        let acknowledged = |kind: ResourceKind| {
            self.of(kind).held.get(cluster).is_some_and(|held| held.version.is_some())
        };
        let needs_endpoints = self.target(ResourceKind::Endpoint, cluster).is_some()
            && self.of(ResourceKind::Endpoint).requested;
        acknowledged(ResourceKind::Cluster)
            && (!needs_endpoints || acknowledged(ResourceKind::Endpoint))
    }

    /// Whether something that the proxy may hold sends traffic to this cluster.
    fn is_referenced(&self, cluster: &str) -> bool {
        [ResourceKind::Listener, ResourceKind::Route].into_iter().any(|kind| {
            let state = self.of(kind);
            // What agrees with the views names only clusters that the views have.
            let differing = state.dirty.iter().chain(state.rejected.keys());
            let open = state.in_flight.iter().flat_map(|open| &open.names);
            differing.chain(open).filter_map(|name| state.held.get(name)).any(|held| {
                held.is_unknown()
                    || held.versions().any(|it| it.clusters.iter().any(|it| &**it == cluster))
            })
        })
    }

    fn respond(
        &mut self,
        kind: ResourceKind,
        send: Vec<(Arc<str>, Arc<Compiled>)>,
        remove: Vec<Arc<str>>,
    ) -> Outgoing {
        let nonce = self.next_nonce;
        self.next_nonce += 1;
        if kind == ResourceKind::Cluster {
            self.force_assignments(&send);
        }
        let state = self.of_mut(kind);
        let mut names: Vec<Arc<str>> = Vec::with_capacity(send.len() + remove.len());
        for (name, resource) in &send {
            state.held.entry(name.clone()).or_default().sent = Some(Some(resource.clone()));
            names.push(name.clone());
        }
        for name in &remove {
            if let Some(held) = state.held.get_mut(name) {
                held.sent = Some(None);
            }
            names.push(name.clone());
        }
        for name in &names {
            state.dirty.remove(name);
            state.force.remove(name);
        }
        state.in_flight = Some(InFlight { nonce, names });
        state.answered = true;
        state.last_nonce = nonce;
        match self.protocol {
            Protocol::Delta => {
                let version = self.views.iter().map(|view| view.revision).max().unwrap_or_default();
                let resources = send.into_iter().map(|it| it.1).collect();
                Outgoing { kind, nonce, version: version.to_string(), resources, removed: remove }
            }
            Protocol::Sotw => {
                let resources = self.whole_state(kind, send);
                let version = self.state_version(kind);
                Outgoing { kind, nonce, version, resources, removed: Vec::new() }
            }
        }
    }

    /// Envoy warms an updated EDS cluster anew, and waits for an assignment that it does not ask
    /// for.
    fn force_assignments(&mut self, clusters: &[(Arc<str>, Arc<Compiled>)]) {
        let held = &self.of(ResourceKind::Cluster).held;
        let updated = clusters.iter().map(|it| &it.0).filter(|name| held.contains_key(*name));
        let updated: Vec<Arc<str>> = updated.cloned().collect();
        let state = self.of_mut(ResourceKind::Endpoint);
        for name in updated {
            if state.names.contains(&name) {
                state.force.insert(name.clone());
                state.dirty.insert(name);
            }
        }
    }

    /// SotW: clusters and listeners are always sent whole; routes and assignments need not be.
    fn whole_state(
        &self,
        kind: ResourceKind,
        send: Vec<(Arc<str>, Arc<Compiled>)>,
    ) -> Vec<Arc<Compiled>> {
        if !kind.is_wildcard() {
            return send.into_iter().map(|it| it.1).collect();
        }
        let held = self.of(kind).held.values();
        held.filter_map(|held| match &held.sent {
            Some(sent) => sent.clone(),
            None => held.acknowledged.clone(),
        })
        .collect()
    }

    /// A version that stands for all that the proxy should hold of a type.
    pub(super) fn state_version(&self, kind: ResourceKind) -> String {
        let state = self.of(kind);
        let names: BTreeSet<&Arc<str>> = match state.wildcard {
            true => self.target_names(kind).collect(),
            false => state.names.iter().collect(),
        };
        let mut text = Vec::with_capacity(names.len() * 8);
        for name in names {
            if let Some(target) = self.target(kind, name) {
                text.extend_from_slice(&target.resource.version().to_be_bytes());
            }
        }
        format!("{:016x}", xxh3_64(&text))
    }
}
