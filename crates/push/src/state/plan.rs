//! The next response of a stream.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use compile::{Compiled, endpoint::prune_endpoints, names};
use xds::Protocol;

use super::{
    Contents, Outgoing, Resources, StreamState, holdings::share, readiness::Sendable,
    types::InFlight,
};
use crate::ResourceKind;

/// What to do about one name.
enum Step {
    /// It is as it should be.
    Done,
    /// It cannot be sent yet; every request of the proxy brings it up again.
    Wait,
    Send(Arc<Compiled>),
    Remove,
    /// Nothing defines it any more, and something still names it.
    Keep(Kept),
    /// It is as it should be as long as these clusters do not exist; so much is to be sent
    /// meanwhile.
    HoldBack(Option<Arc<Compiled>>, BTreeSet<Arc<str>>),
}

/// How something is kept.
#[derive(Default)]
struct Kept {
    /// What is left of it, if that is less than before.
    rest: Option<Arc<Compiled>>,
    /// Version of the assignment of the whole service that it was compared with.
    whole: u64,
}

impl StreamState {
    /// The next response to send, if there is one. Call it until it says `None`.
    pub(crate) fn next_response(&mut self) -> Option<Outgoing> {
        ResourceKind::ALL.into_iter().find_map(|kind| self.next_of(kind))
    }

    fn next_of(&mut self, kind: ResourceKind) -> Option<Outgoing> {
        if let Some(whole) = self.next_whole(kind) {
            return Some(whole);
        }
        if let Some(step) = self.next_step(kind) {
            return Some(step);
        }
        self.lift_rejections(kind);
        let state = self.of(kind);
        let open = state.dirty.len() + state.held_back.len() + state.kept.len();
        let idle = open == 0 && state.answered;
        if !state.requested || idle || !self.has_way(kind) {
            return None;
        }
        let (mut send, mut remove, mut done) = (Vec::new(), Vec::new(), Vec::new());
        let mut waiting = Vec::new();
        let (mut held_back, mut kept) = (BTreeMap::new(), BTreeMap::new());
        let names = state.dirty.iter().chain(state.held_back.keys()).chain(state.kept.keys());
        let names: BTreeSet<&Arc<str>> = names.collect();
        for name in names {
            match self.step(kind, name) {
                Step::Done => done.push(name.clone()),
                Step::Wait => waiting.push(name.clone()),
                Step::Send(resource) => send.push((name.clone(), resource)),
                Step::Remove => remove.push(name.clone()),
                Step::Keep(Kept { rest, whole }) => {
                    match rest {
                        Some(resource) => send.push((name.clone(), resource)),
                        None => done.push(name.clone()),
                    }
                    kept.insert(name.clone(), whole);
                }
                Step::HoldBack(rest, missing) => {
                    match rest {
                        Some(resource) => send.push((name.clone(), resource)),
                        None => done.push(name.clone()),
                    }
                    held_back.insert(name.clone(), missing);
                }
            }
        }
        let (views, state) = (&self.views, &mut self.types[kind as usize]);
        for name in &done {
            state.dirty.remove(name);
        }
        // Envoy takes traffic after the first answer of listeners: it must have all of them by then.
        let first_listeners = kind == ResourceKind::Listener && !state.answered;
        let incomplete = first_listeners && !waiting.is_empty();
        // What was held back or kept may now wait for what has come to exist.
        state.dirty.extend(waiting);
        state.held_back = held_back;
        state.kept = kept;
        state.compact(views, None);
        if incomplete {
            return None;
        }
        // The first answer of a type is due even when it is empty, or Envoy's start waits for it.
        let first = !state.answered && kind.is_wildcard();
        let first_empty = first && state.dirty.is_empty() && state.held.is_empty();
        if send.is_empty() && remove.is_empty() && !first_empty {
            return None;
        }
        Some(self.respond(kind, send, remove))
    }

    /// A refusal counts until what was refused is another; if nobody knows what was refused of a
    /// response, until something of it is.
    fn lift_rejections(&mut self, kind: ResourceKind) {
        let state = self.of(kind);
        // What is on its way may be one of those that were refused, and is taken.
        if state.rejected.is_empty() || state.in_flight.is_some() {
            return;
        }
        let changed = state.dirty.iter().filter_map(|name| {
            let rejection = state.rejected.get(name)?;
            let target = self.target(kind, name).filter(|_| state.wants(name));
            let version = target.map(|it| it.resource.version());
            (version != rejection.version).then_some((rejection.version, rejection.response))
        });
        let changed: Vec<(Option<u64>, Option<u64>)> = changed.collect();
        if changed.is_empty() {
            return;
        }
        self.of_mut(kind).lift(|rejection| {
            changed.iter().any(|(version, response)| match response {
                Some(_) => rejection.response == *response,
                None => rejection.version == *version,
            })
        });
    }

    fn step(&self, kind: ResourceKind, name: &Arc<str>) -> Step {
        let state = self.of(kind);
        let forced = state.force.contains(name);
        let is_unknown = kind == ResourceKind::Route && self.target(kind, name).is_none();
        // The proxy goes on with a route that is gone until it no longer asks for it.
        if is_unknown && state.wants(name) && state.held.contains(name) && !forced {
            return Step::Keep(Kept::default());
        }
        let target = self.answer(kind, name);
        let version = target.as_ref().map(|target| target.resource.version());
        if !forced && self.is_under_way(kind, name, version) {
            return Step::Wait;
        }
        let Some(target) = target else {
            return self.removal_step(kind, name, forced);
        };
        if self.is_done(kind, name, &target, forced) {
            return Step::Done;
        }
        if !kind.names_clusters() {
            return Step::Send(target);
        }
        match self.sendable(kind, name, &target) {
            Sendable::All => Step::Send(target),
            Sendable::Later => Step::Wait,
            Sendable::Partly(rest, missing) => {
                let news = !self.is_done(kind, name, &rest, forced);
                Step::HoldBack(news.then_some(rest), missing)
            }
        }
    }

    /// What the proxy is to be sent under a name that it asks for.
    fn answer(&self, kind: ResourceKind, name: &Arc<str>) -> Option<Arc<Compiled>> {
        if !self.of(kind).wants(name) {
            return None;
        }
        match self.target(kind, name) {
            None if kind == ResourceKind::Route => Some((self.unknown_route)(name)),
            target => target.cloned(),
        }
    }

    /// Whether the proxy has this version, or has refused it.
    fn is_done(&self, kind: ResourceKind, name: &str, target: &Compiled, forced: bool) -> bool {
        let (state, version) = (self.of(kind), target.resource.version());
        !forced && (state.has_refused(name, Some(version)) || state.settled(name, version))
    }

    fn removal_step(&self, kind: ResourceKind, name: &Arc<str>, forced: bool) -> Step {
        let held = self.of(kind).held.contains(name);
        match kind {
            _ if !held && !forced || self.of(kind).has_refused(name, None) => Step::Done,
            ResourceKind::Cluster if held && self.views.reference(name) => {
                Step::Keep(Kept::default())
            }
            // gRPC asks for a cluster by name, and for as long as a call is on its way to it.
            ResourceKind::Cluster
                if held && self.of(kind).wants(name) && !self.of(kind).wildcard =>
            {
                Step::Keep(Kept::default())
            }
            ResourceKind::Cluster if held && self.is_referenced(name) => Step::Wait,
            ResourceKind::VirtualHost if self.outlives_fence(name) => Step::Keep(Kept::default()),
            // A cluster that is kept is kept with its endpoints.
            ResourceKind::Endpoint if !forced && self.holds_cluster(name) => {
                Step::Keep(self.kept_endpoints(name))
            }
            _ => Step::Remove,
        }
    }

    fn holds_cluster(&self, name: &str) -> bool {
        self.of(ResourceKind::Cluster).held.contains(name)
    }

    /// An assignment that is kept loses the endpoints that its service has lost. Without one of the
    /// whole service nothing is known of these: a gateway has only what its routes name now.
    fn kept_endpoints(&self, name: &Arc<str>) -> Kept {
        let kind = ResourceKind::Endpoint;
        let whole = names::without_subset(name).and_then(|name| self.target(kind, &name));
        let Some(whole) = whole else { return Kept::default() };
        let version = whole.resource.version();
        let state = self.of(kind);
        let held = state.held.get(name).and_then(|held| held.acknowledged);
        let rest = match state.kept.get(name) == Some(&version) {
            true => None,
            false => held.and_then(|held| prune_endpoints(&held, whole)),
        };
        Kept { rest: rest.map(Arc::new), whole: version }
    }

    fn respond(
        &mut self,
        kind: ResourceKind,
        mut send: Vec<(Arc<str>, Arc<Compiled>)>,
        remove: Vec<Arc<str>>,
    ) -> Outgoing {
        let nonce = self.next_nonce;
        self.next_nonce += 1;
        send.extend(self.standing_in(kind, &send));
        if kind == ResourceKind::Cluster {
            self.force_assignments(&send);
        }
        let state = &mut self.types[kind as usize];
        state.set_open_aside(send.iter().map(|(name, _)| name).chain(&remove));
        let mut names: Vec<Arc<str>> = Vec::with_capacity(send.len() + remove.len());
        for (name, resource) in &send {
            let mut held = state.held.get(name).unwrap_or_default();
            held.sent = Some(Some(resource.clone()));
            state.held.set(name, held);
            names.push(name.clone());
        }
        for name in &remove {
            if let Some(mut held) = state.held.get(name) {
                held.sent = Some(None);
                state.held.set(name, held);
            }
            names.push(name.clone());
        }
        let mut forced = BTreeSet::new();
        for name in &names {
            state.dirty.remove(name);
            forced.extend(state.force.take(name));
        }
        let views = (state.held.sum() == self.views.sum(kind)).then(|| self.views.clone());
        state.in_flight =
            Some(InFlight { nonce, names, settled: Vec::new(), whole: false, forced, views });
        state.answered = true;
        state.last_nonce = nonce;
        match self.protocol {
            Protocol::Delta => {
                let version = self.views.revision();
                let named = send.into_iter().map(|(name, it)| self.answering(kind, &name, it));
                let named = named.collect();
                // Answers are nobody else's.
                let resources = match kind {
                    ResourceKind::VirtualHost => Resources(Contents::Listed(named)),
                    _ => self.bundle(named),
                };
                Outgoing { kind, nonce, version: version.to_string(), resources, removed: remove }
            }
            Protocol::Sotw => {
                let resources = self.bundle(self.whole_state(kind, send));
                let version = self.held_version(kind);
                Outgoing { kind, nonce, version, resources, removed: Vec::new() }
            }
        }
    }

    /// The resources of a response; in a form that all streams share which are sent the same now.
    fn bundle(&self, resources: Vec<Arc<Compiled>>) -> Resources {
        Resources(match self.parcels.join(&resources) {
            Some(whole) => Contents::Whole(vec![whole]),
            None => Contents::Listed(resources),
        })
    }

    /// Envoy warms an updated EDS cluster anew, and waits for an assignment that it does not ask
    /// for: it has asked for that before, or tells only after this that it has one.
    pub(super) fn force_assignments(&mut self, clusters: &[(Arc<str>, Arc<Compiled>)]) {
        let ahead = self.assignments_ahead(clusters);
        let state = self.of_mut(ResourceKind::Endpoint);
        state.ahead.extend(ahead);
        for (name, _) in clusters {
            if state.wants(name) {
                state.dirty.insert(name.clone());
            } else if state.requested {
                continue;
            }
            state.force.insert(name.clone());
        }
    }

    /// SotW: what a proxy has that came back, and has refused the successor of, goes if the whole does
    /// not name it, and nobody has its bytes. The successor names it: refused again, it changes nothing.
    fn standing_in(
        &self,
        kind: ResourceKind,
        send: &[(Arc<str>, Arc<Compiled>)],
    ) -> Vec<(Arc<str>, Arc<Compiled>)> {
        if self.protocol == Protocol::Delta || !kind.is_wildcard() {
            return Vec::new();
        }
        let rejected = self.of(kind).rejected.keys();
        let unknown = rejected.filter(|name| {
            let held = self.of(kind).held.get(name);
            held.is_some_and(|it| it.is_unknown() && it.sent.is_none())
        });
        let unsent = unknown.filter(|name| send.iter().all(|(sent, _)| sent != *name));
        unsent.filter_map(|name| Some((name.clone(), self.answer(kind, name)?))).collect()
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
        let held = self.of(kind).held.iter();
        held.filter_map(|(_, held)| match held.sent {
            Some(sent) => sent,
            None => held.acknowledged,
        })
        .collect()
    }

    /// SotW: a version that stands for all that the proxy should hold of a type.
    pub(super) fn target_version(&self, kind: ResourceKind) -> String {
        let state = self.of(kind);
        let mut names = state.held.all_named();
        if state.wildcard {
            names.extend(self.views.names(kind).cloned());
        }
        let targets = names.iter().filter_map(|name| self.answer(kind, name));
        version_text(targets.fold(0, |sum, target| sum.wrapping_add(share(&target))))
    }

    /// SotW: the same of what it holds once it has taken what was sent.
    fn held_version(&self, kind: ResourceKind) -> String {
        version_text(self.of(kind).held.sum())
    }
}

pub(super) fn version_text(sum: u64) -> String {
    format!("{sum:016x}")
}
