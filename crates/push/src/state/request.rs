//! What a request of the proxy does to its state.

use std::{collections::BTreeSet, sync::Arc};

use envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use xds::Request;

use super::{Held, StreamState};
use crate::ResourceKind;

impl StreamState {
    /// Takes in a request: the acknowledgement that it may be, then its subscriptions.
    pub fn on_request(&mut self, request: &Request) {
        match request {
            Request::Delta(request) => self.on_delta(request),
            Request::Sotw(request) => self.on_sotw(request),
        }
    }

    fn on_delta(&mut self, request: &DeltaDiscoveryRequest) {
        let Some(kind) = ResourceKind::parse(&request.type_url) else { return };
        let error = request.error_detail.as_ref().map(|status| status.message.as_str());
        self.on_answer(kind, &request.response_nonce, error);
        let first = !std::mem::replace(&mut self.of_mut(kind).requested, true);
        let subscribe = &request.resource_names_subscribe;
        if first && subscribe.is_empty() && kind.is_wildcard() {
            self.of_mut(kind).wildcard = true;
        }
        for (name, version) in &request.initial_resource_versions {
            self.on_known_version(kind, name, version);
        }
        for name in &request.resource_names_unsubscribe {
            self.on_unsubscribe(kind, name);
        }
        for name in subscribe {
            let known = request.initial_resource_versions.contains_key(name);
            self.on_subscribe(kind, name, known);
        }
        if first {
            self.compare_all(kind);
        }
    }

    /// A reconnecting proxy says what it holds.
    fn on_known_version(&mut self, kind: ResourceKind, name: &str, version: &str) {
        // What was not made here compares unequal to everything.
        let version = u64::from_str_radix(version, 16).unwrap_or_default();
        let current = self.target(kind, name).cloned();
        let current = current.filter(|it| it.resource.version() == version);
        let held = Held { acknowledged: current, version: Some(version), sent: None };
        let state = self.of_mut(kind);
        let name: Arc<str> = name.into();
        state.dirty.insert(name.clone());
        state.held.insert(name, held);
    }

    fn on_subscribe(&mut self, kind: ResourceKind, name: &str, known: bool) {
        let state = self.of_mut(kind);
        if name == "*" {
            state.wildcard = true;
            self.compare_all(kind);
            return;
        }
        let name: Arc<str> = name.into();
        // Asking again means: send it again, whatever was sent.
        if !known {
            state.force.insert(name.clone());
        }
        state.dirty.insert(name.clone());
        state.names.insert(name);
    }

    fn on_unsubscribe(&mut self, kind: ResourceKind, name: &str) {
        let state = self.of_mut(kind);
        if name == "*" {
            state.wildcard = false;
            return;
        }
        state.names.remove(name);
        if !state.wildcard {
            state.held.remove(name);
            state.dirty.remove(name);
            state.force.remove(name);
            state.rejected.remove(name);
        }
    }

    fn on_sotw(&mut self, request: &DiscoveryRequest) {
        let Some(kind) = ResourceKind::parse(&request.type_url) else { return };
        let state = self.of_mut(kind);
        let first = !std::mem::replace(&mut state.requested, true);
        let nonce = request.response_nonce.as_str();
        if !first && !nonce.is_empty() && nonce.parse() != Ok(state.last_nonce) {
            // It answers an older response; the answer to the last one is on its way.
            return;
        }
        let error = request.error_detail.as_ref().map(|status| status.message.as_str());
        self.on_answer(kind, nonce, error);
        if kind.is_wildcard() {
            self.of_mut(kind).wildcard = true;
        } else {
            self.on_names(kind, &request.resource_names);
        }
        if first {
            self.compare_all(kind);
            self.on_known_state(kind, &request.version_info);
        }
    }

    /// SotW: the list of names is the subscription.
    fn on_names(&mut self, kind: ResourceKind, names: &[String]) {
        let names: BTreeSet<Arc<str>> = names.iter().map(|name| Arc::from(name.as_str())).collect();
        let known = &self.of(kind).names;
        let gone: Vec<Arc<str>> = known.difference(&names).cloned().collect();
        let come: Vec<Arc<str>> = names.difference(known).cloned().collect();
        for name in gone {
            self.on_unsubscribe(kind, &name);
        }
        for name in come {
            self.on_subscribe(kind, &name, false);
        }
    }

    /// SotW after a reconnect: the version stands for everything of the type.
    fn on_known_state(&mut self, kind: ResourceKind, version: &str) {
        if version.is_empty() || version != self.state_version(kind) {
            return;
        }
        let names: Vec<Arc<str>> = self.of(kind).dirty.iter().cloned().collect();
        for name in names {
            let Some(target) = self.target(kind, &name).cloned() else { continue };
            let version = Some(target.resource.version());
            let held = Held { acknowledged: Some(target), version, sent: None };
            let state = self.of_mut(kind);
            state.force.remove(&name);
            state.held.insert(name, held);
        }
        self.of_mut(kind).answered = true;
    }

    fn on_answer(&mut self, kind: ResourceKind, nonce: &str, error: Option<&str>) {
        let state = self.of_mut(kind);
        let open = state.in_flight.take_if(|open| nonce.parse() == Ok(open.nonce));
        let Some(open) = open else { return };
        let Some(message) = error else {
            state.acknowledge(open.names);
            return;
        };
        // Envoy takes the good ones of a response of clusters or listeners, and names the others;
        // elsewhere a refusal means all of them.
        let named = |name: &Arc<str>| message.contains(&**name);
        let partial = kind.is_wildcard() && open.names.iter().any(named);
        let (refused, taken): (Vec<_>, Vec<_>) =
            open.names.into_iter().partition(|name| !partial || named(name));
        state.reject(refused, message);
        state.acknowledge(taken);
    }
}
