//! What a request of the proxy does to its state.

use std::{collections::BTreeSet, sync::Arc};

use compile::Compiled;
use envoy::service::discovery::v3::DiscoveryRequest;
use xds::{DeltaRequest, Request};
use xxhash_rust::xxh3::Xxh3;

use super::{Held, StreamState, holdings::parse_version, types::InFlight, whole::is_known};
use crate::{
    ResourceKind,
    kind::{asks_for_cluster, asks_for_host},
};

impl StreamState {
    /// Takes in a request: the acknowledgement that it may be, then its subscriptions.
    pub(crate) fn on_request(&mut self, request: &Request) {
        match request {
            Request::Delta(request) => self.on_delta(request),
            Request::Sotw(request) => self.on_sotw(request),
        }
    }

    fn on_delta(&mut self, request: &DeltaRequest) {
        let Some(kind) = ResourceKind::parse(&request.type_url) else { return };
        let subscription;
        let request = match self.asks(kind, request) {
            Some(is_question) => {
                subscription = self.questions.take_from(request, is_question);
                &subscription
            }
            None => request,
        };
        let error = request.error_detail.as_ref().map(|status| status.message.as_str());
        self.on_answer(kind, &request.response_nonce, error);
        let first = !std::mem::replace(&mut self.of_mut(kind).requested, true);
        if !(first && self.on_first_delta(kind, request)) {
            self.on_names_of_delta(kind, request, &request.known_versions(), first);
        }
        let resumes = request.said_versions().next().is_some();
        self.resuming |= first && resumes;
        self.resuming = self.resuming && !self.has_said_all();
    }

    /// Which names of a request are questions, if any is: a proxy is sent all virtual hosts of its views, and
    /// mostly all clusters.
    fn asks(&self, kind: ResourceKind, request: &DeltaRequest) -> Option<fn(&str) -> bool> {
        let DeltaRequest { resource_names_subscribe, resource_names_unsubscribe, .. } = request;
        let is_all = |name: &String| name == "*";
        let is_question = match kind {
            ResourceKind::VirtualHost => asks_for_host,
            ResourceKind::Cluster
                if self.of(kind).wildcard || resource_names_subscribe.iter().any(is_all) =>
            {
                asks_for_cluster
            }
            _ => return None,
        };
        let mut names = resource_names_subscribe.iter().chain(resource_names_unsubscribe);
        names.any(|name| is_question(name)).then_some(is_question)
    }

    fn on_names_of_delta(
        &mut self,
        kind: ResourceKind,
        request: &DeltaRequest,
        known: &[(&str, &str)],
        first: bool,
    ) {
        let subscribe = &request.resource_names_subscribe;
        if first && subscribe.is_empty() && kind.is_wildcard() {
            self.of_mut(kind).wildcard = true;
        }
        for (name, version) in known {
            self.on_known_version(kind, name, version);
        }
        for name in &request.resource_names_unsubscribe {
            self.on_unsubscribe(kind, name);
        }
        for name in subscribe {
            self.on_subscribe(kind, name, is_known(known, name));
        }
        if first {
            self.compare_all(kind);
            let state = self.of_mut(kind);
            state.end_force_all();
            state.force.retain(|name| state.held.is_named(name));
        }
    }

    /// Whether the proxy has said which clusters, listeners, routes and assignments it holds. A
    /// reconnecting one says it in a request for each type, right after the first.
    fn has_said_all(&self) -> bool {
        let kinds = [ResourceKind::Cluster, ResourceKind::Listener, ResourceKind::Route];
        let [clusters, listeners, routes] = kinds.map(|kind| &self.of(kind).held);
        let is_unasked = |kind| !self.of(kind).requested;
        let needs = |kind| self.views.size(kind) > 0;
        let (hosts, endpoints) = (ResourceKind::VirtualHost, ResourceKind::Endpoint);
        // Clusters that are others now may have needed assignments.
        let needs_endpoints = || needs(endpoints) || !clusters.is_all_of(&self.views);
        if is_unasked(ResourceKind::Cluster)
            || is_unasked(ResourceKind::Listener)
            || is_unasked(hosts) && needs(hosts)
            || is_unasked(endpoints) && needs_endpoints()
        {
            return false;
        }
        if listeners.is_all_of(&self.views) && routes.is_all_of(&self.views) {
            return true;
        }
        let mut known = listeners.iter().filter_map(|(_, held)| held.acknowledged);
        let asked = |listener: Arc<Compiled>| listener.routes.iter().all(|it| routes.is_named(it));
        known.all(asked)
    }

    /// A reconnecting proxy says what it holds.
    fn on_known_version(&mut self, kind: ResourceKind, name: &str, version: &str) {
        self.list(kind);
        let version = parse_version(version);
        let current = self.target(kind, name).cloned();
        let current = current.filter(|it| it.resource.version() == version);
        let held = Held { acknowledged: current, ..Held::known(version) };
        let name = self.views.shared_name(kind, name);
        let state = self.of_mut(kind);
        state.dirty.insert(name.clone());
        state.held.set(&name, held);
    }

    fn on_subscribe(&mut self, kind: ResourceKind, name: &str, known: bool) {
        self.list(kind);
        if name == "*" {
            self.of_mut(kind).wildcard = true;
            self.compare_all(kind);
            return;
        }
        let name = self.views.shared_name(kind, name);
        let state = self.of_mut(kind);
        // Asking again means: send it again, whatever was sent.
        if !state.was_sent_ahead(&name) && !known {
            state.force.insert(name.clone());
        }
        state.dirty.insert(name.clone());
        state.held.set_named(&name, true);
    }

    fn on_unsubscribe(&mut self, kind: ResourceKind, name: &str) {
        self.list(kind);
        let state = self.of_mut(kind);
        if name == "*" {
            state.wildcard = false;
            return;
        }
        let name: Arc<str> = name.into();
        state.held.set_named(&name, false);
        state.ahead.remove(&name);
        if kind == ResourceKind::Route {
            self.forget_hosts_of(&name);
        }
        let state = self.of_mut(kind);
        if !state.wildcard {
            state.held.remove(&name);
            // What was refused together with it is to be looked at.
            match state.rejected.contains_key(&name) {
                true => state.dirty.insert(name.clone()),
                false => state.dirty.remove(&name),
            };
            state.force.remove(&name);
            state.held_back.remove(&name);
            state.kept.remove(&name);
        }
    }

    fn on_sotw(&mut self, request: &DiscoveryRequest) {
        let Some(kind) = ResourceKind::parse(&request.type_url) else { return };
        let state = self.of_mut(kind);
        let first = !std::mem::replace(&mut state.requested, true);
        let nonce = request.response_nonce.as_str();
        let error = request.error_detail.as_ref().map(|status| status.message.as_str());
        // One to an older response answers nothing: the answer to the last one is on its way. What it
        // asks for counts all the same, since it is said before the clusters behind it are acknowledged.
        self.on_answer(kind, nonce, error);
        let names = &request.resource_names;
        if first && self.on_first_sotw(kind, request) {
            return;
        }
        let state = self.of_mut(kind);
        // No names at first is everything; no names after some is nothing.
        let unnamed = names.is_empty() && (state.wildcard || first && kind.is_wildcard());
        let all = unnamed || names.iter().any(|name| name == "*");
        let before = std::mem::replace(&mut state.wildcard, all);
        let force_all = std::mem::take(&mut state.force_all);
        let mut due = std::mem::take(&mut state.force);
        self.on_names(kind, names);
        if force_all {
            due.extend(self.of(kind).held.all_named());
        }
        if first || before != all {
            self.compare_all(kind);
        }
        if first {
            self.on_known_state(kind, &request.version_info);
        }
        let state = self.of_mut(kind);
        for name in due.into_iter().filter(|name| state.held.is_named(name)) {
            state.dirty.insert(name.clone());
            state.force.insert(name);
        }
    }

    /// SotW: the list of names is the subscription.
    fn on_names(&mut self, kind: ResourceKind, names: &[String]) {
        // Every acknowledgement says all names again.
        let said = hash_names(names);
        if self.of_mut(kind).names_said.replace(said) == Some(said) {
            return;
        }
        let names = names.iter().filter(|name| *name != "*");
        let names: BTreeSet<Arc<str>> = names.map(|name| Arc::from(name.as_str())).collect();
        let known = self.of(kind).held.all_named();
        let gone: Vec<Arc<str>> = known.difference(&names).cloned().collect();
        let come: Vec<Arc<str>> = names.difference(&known).cloned().collect();
        for name in gone {
            self.on_unsubscribe(kind, &name);
        }
        for name in come {
            self.on_subscribe(kind, &name, false);
        }
    }

    /// SotW after a reconnect: the version stands for everything of the type.
    fn on_known_state(&mut self, kind: ResourceKind, version: &str) {
        let fresh = self.is_new_for(kind);
        if version.is_empty() || fresh || version != self.target_version(kind) {
            self.of_mut(kind).resumed = !version.is_empty();
            return;
        }
        let names: Vec<Arc<str>> = self.of(kind).dirty.iter().cloned().collect();
        for name in names {
            let Some(target) = self.target(kind, &name).cloned() else { continue };
            let state = self.of_mut(kind);
            state.force.remove(&name);
            state.held.set(&name, Held::settled(target));
        }
        self.of_mut(kind).answered = true;
    }

    /// SotW: whether what the proxy asks for of a type is what a response of this stream made it
    /// ask for: that it does not have.
    pub(super) fn is_new_for(&self, kind: ResourceKind) -> bool {
        match kind {
            ResourceKind::Cluster
            | ResourceKind::Listener
            | ResourceKind::ScopedRoute
            | ResourceKind::Secret
            | ResourceKind::VirtualHost
            | ResourceKind::Runtime => false,
            ResourceKind::Endpoint => self.of(ResourceKind::Cluster).last_nonce > 0,
            ResourceKind::Route => self.of(ResourceKind::Listener).last_nonce > 0,
        }
    }

    fn on_answer(&mut self, kind: ResourceKind, nonce: &str, error: Option<&str>) {
        let Some(mut open) = self.of_mut(kind).take_open(nonce) else { return };
        if kind == ResourceKind::VirtualHost {
            self.on_hosts_taken(error.is_none());
        }
        let state = &mut self.types[kind as usize];
        let unasked = state.take_unasked(&open);
        let Some(message) = error.map(|message| quotable(kind.type_url(), message)) else {
            if open.whole {
                state.held.settle_all();
            }
            state.acknowledge_settled(open.settled);
            state.acknowledge(open.names);
            state.forget(&unasked);
            state.resumed &= !kind.is_wildcard();
            state.compact(&self.views, open.views.as_ref());
            if kind == ResourceKind::Endpoint {
                self.settle_taken_in();
            }
            return;
        };
        if std::mem::take(&mut open.whole) {
            open.names = state.held.list();
        }
        // Envoy takes the good ones of a response of clusters or listeners, and names the others;
        // elsewhere a refusal means all of them.
        let named = |name: &Arc<str>| mentions(message, name);
        let is_partial = matches!(kind, ResourceKind::Cluster | ResourceKind::Listener);
        let settled = open.settled.iter().map(|(name, _)| name);
        let partial = is_partial && open.names.iter().chain(settled).any(named);
        let (refused, taken): (Vec<_>, Vec<_>) =
            std::mem::take(&mut open.names).into_iter().partition(|name| !partial || named(name));
        let settled = std::mem::take(&mut open.settled).into_iter();
        state.acknowledge_settled(settled.filter(|(name, _)| partial && !named(name)));
        let whole = (!partial).then_some(open.nonce);
        // What was not waited for may be another by now.
        state.dirty.extend(refused.iter().filter(|_| kind == ResourceKind::Cluster).cloned());
        state.reject(InFlight { names: refused, ..open }, message, whole);
        state.acknowledge(taken);
        state.forget(&unasked);
        // Of a whole that was taken, the proxy has nothing left that was not in it.
        state.resumed &= !(partial && kind.is_wildcard());
        state.compact(&self.views, None);
    }
}

/// What may be repeated of a refusal. Envoy quotes whole responses in some, and in one of secrets
/// stand keys.
pub(crate) fn quotable<'m>(type_url: &str, message: &'m str) -> &'m str {
    const QUOTES: &str = "goo.gle/debugproto";
    if type_url != ResourceKind::Secret.type_url() {
        return message;
    }
    let line = message.lines().next().unwrap_or_default();
    line.split(QUOTES).next().unwrap_or_default().trim_end()
}

/// Whether a refusal names a resource: `Error adding/updating listener(s) NAME: …`, with further
/// ones behind a comma or on a line of their own.
fn mentions(message: &str, name: &str) -> bool {
    message.match_indices(name).any(|(start, _)| {
        let (before, after) = (&message[..start], &message[start + name.len()..]);
        let ends = |rest: &str| rest.is_empty() || rest.starts_with([' ', ',', '\'', '"', '\n']);
        let begins = before.is_empty() || before.ends_with([' ', '\'', '"', '\n']);
        begins && (ends(after) || after.strip_prefix(':').is_some_and(ends))
    })
}

pub(super) fn hash_names(names: &[String]) -> u64 {
    let mut hasher = Xxh3::new();
    for name in names {
        hasher.update(name.as_bytes());
        // No name has a zero in it: lists differ where their joined names do not.
        hasher.update(&[0]);
    }
    hasher.digest()
}
