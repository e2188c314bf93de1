//! A proxy that does with responses what Envoy does.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use compile::Compiled;
use envoy::{
    google::rpc::Status,
    service::discovery::v3::{DeltaDiscoveryResponse, DiscoveryRequest},
};
use prost::Message;
use xds::{DeltaRequest, KnownVersion, Protocol, Request};

use super::language::{is_bad, is_fixed};
use crate::{ResourceKind, state::Outgoing};

pub(super) type Names = BTreeSet<Arc<str>>;

/// The names of routes whose hosts are asked for begin with it.
pub(super) const ON_DEMAND: char = 'd';
/// What a question has behind the name of the virtual host.
pub(super) const CALLED: &str = "+";

/// What is held of one type, and how the conversation about it stands.
#[derive(Debug, Default)]
struct Subscription {
    held: BTreeMap<Arc<str>, Arc<Compiled>>,
    /// Asked for by name.
    names: Names,
    /// SotW: of the last accepted response, and of the last one at all.
    version: String,
    nonce: String,
    /// It took a part of what it refused since.
    in_part: bool,
    /// What was in responses and that it does not have: it did not ask for it then, or not since.
    let_go: Names,
}

impl Subscription {
    /// Takes a resource, if it is asked for by name.
    fn take(&mut self, resource: &Arc<Compiled>) {
        let name = resource.resource.name();
        match self.names.contains(name) {
            true => {
                self.let_go.remove(name);
                self.held.insert(name.clone(), resource.clone());
            }
            false => drop(self.let_go.insert(name.clone())),
        }
    }
}

/// The proxy: clusters and listeners are asked for as a whole, the rest as those refer to it.
#[derive(Debug)]
pub(super) struct ModelProxy {
    protocol: Protocol,
    types: [Subscription; ResourceKind::COUNT],
    /// The types in the order in which it asked for them first, and comes back to them.
    asked: Vec<ResourceKind>,
    /// Clusters that came or changed, and whose assignment has not come since: whether what they
    /// were before still serves.
    warming: BTreeMap<Arc<str>, bool>,
    /// Questions of calls that wait.
    calls: Names,
}

/// The questions that a resource answers.
pub(super) fn aliases(compiled: &Compiled) -> Vec<Arc<str>> {
    let message = DeltaDiscoveryResponse::decode(compiled.resource.delta_chunks().to_bytes());
    let resources = message.expect("a part of a response").resources.into_iter();
    resources.flat_map(|resource| resource.aliases).map(Arc::from).collect()
}

impl ModelProxy {
    pub(super) fn new(protocol: Protocol) -> Self {
        let (warming, calls) = (BTreeMap::new(), Names::new());
        Self { protocol, types: Default::default(), asked: Vec::new(), warming, calls }
    }

    pub(super) fn held(&self, kind: ResourceKind) -> &BTreeMap<Arc<str>, Arc<Compiled>> {
        &self.types[kind as usize].held
    }

    /// Whether the version with which the proxy would come back says what it holds. SotW has no words for
    /// what was taken beside something that was refused. Nor for what a listener asks for anew that was let
    /// go with the one before it: the version is that of a response which had it, and a proxy that has kept it
    /// says the same.
    pub(super) fn can_say_what_it_holds(&self) -> bool {
        let can_say = |it: &Subscription| !it.in_part && it.names.is_disjoint(&it.let_go);
        self.protocol == Protocol::Delta || self.types.iter().all(can_say)
    }

    /// Names of the clusters that wait for an assignment.
    pub(super) fn warming(&self) -> Vec<&str> {
        self.warming.keys().map(|name| &**name).collect()
    }

    /// Whether a cluster waits for an assignment of which the proxy would say that it has it. SotW says nothing of
    /// any.
    pub(super) fn waits_for_what_it_has(&self) -> bool {
        let assignments = self.held(ResourceKind::Endpoint);
        let is_sotw = self.protocol == Protocol::Sotw;
        self.warming.keys().any(|name| is_sotw || assignments.contains_key(name))
    }

    /// Whether traffic can be sent to a cluster. One that warms anew serves as it was.
    pub(super) fn is_usable(&self, cluster: &str) -> bool {
        let held = self.held(ResourceKind::Cluster).contains_key(cluster);
        held && self.warming.get(cluster).copied().unwrap_or(true)
    }

    /// Calls a host for the first time: asks for it if it knows where.
    pub(super) fn call(&mut self, host: &str) -> Option<Request> {
        let question: Arc<str> = format!("{host}{CALLED}").into();
        let hosts = &mut self.types[ResourceKind::VirtualHost as usize];
        if hosts.names.is_empty() || hosts.held.contains_key(host) {
            return None;
        }
        hosts.names.insert(question.clone());
        self.calls.insert(question.clone());
        Some(Request::Delta(DeltaRequest {
            type_url: ResourceKind::VirtualHost.type_url().to_owned(),
            resource_names_subscribe: vec![question.to_string()],
            ..DeltaRequest::default()
        }))
    }

    /// Calls that wait for an answer.
    pub(super) fn calls(&self) -> &Names {
        &self.calls
    }

    /// Clusters that a listener or a route in use names.
    pub(super) fn named_clusters(&self) -> Names {
        let kinds = ResourceKind::ALL.into_iter().filter(|kind| kind.names_clusters());
        let held = kinds.flat_map(|kind| self.held(kind).values());
        held.flat_map(|compiled| compiled.clusters.iter().cloned()).collect()
    }

    /// The first requests of a stream, with what the proxy has from an earlier one. Calls that wait come first.
    pub(super) fn start(&mut self) -> Vec<Request> {
        for state in &mut self.types {
            state.nonce.clear();
        }
        ResourceKind::ALL.into_iter().filter(|it| is_asked_for(*it)).for_each(|it| self.note(it));
        let mut order = self.asked.clone();
        if !self.calls.is_empty() {
            order.sort_by_key(|kind| *kind != ResourceKind::VirtualHost);
        }
        let wanted = order
            .into_iter()
            .filter(|kind| is_asked_for(*kind) || !self.types[*kind as usize].names.is_empty());
        wanted.map(|kind| self.first(kind)).collect()
    }

    fn note(&mut self, kind: ResourceKind) {
        if !self.asked.contains(&kind) {
            self.asked.push(kind);
        }
    }

    fn first(&self, kind: ResourceKind) -> Request {
        let state = &self.types[kind as usize];
        match self.protocol {
            Protocol::Sotw => Request::Sotw(self.whole(kind, None)),
            Protocol::Delta => {
                let held = state.held.iter();
                let versions = held.map(|(name, it)| {
                    KnownVersion::new(name.to_string(), it.resource.version_text())
                });
                Request::Delta(DeltaRequest {
                    type_url: kind.type_url().to_owned(),
                    resource_names_subscribe: state.names.iter().map(ToString::to_string).collect(),
                    initial_resource_versions: versions.collect(),
                    ..DeltaRequest::default()
                })
            }
        }
    }

    /// Takes a response. Gives the requests that follow, its answer last.
    pub(super) fn receive(&mut self, response: &Outgoing) -> Vec<Request> {
        let kind = response.kind;
        let bad: Vec<&Arc<str>> = response
            .resources
            .iter()
            .filter(|it| is_bad(it))
            .map(|it| it.resource.name())
            .collect();
        self.types[kind as usize].nonce = response.nonce.to_string();
        let error = (!bad.is_empty()).then(|| {
            let bad: Vec<String> = bad.iter().map(|name| format!("{name}: bad")).collect();
            format!("Error adding/updating {kind:?} {}", bad.join(", "))
        });
        let before = self.held(ResourceKind::Cluster).clone();
        let usable = before.keys().filter(|name| self.is_usable(name)).cloned().collect();
        // Of clusters and listeners the good ones are taken.
        let takes_parts = matches!(kind, ResourceKind::Cluster | ResourceKind::Listener);
        if error.is_none() || takes_parts {
            self.apply(response);
        }
        self.types[kind as usize].in_part = error.is_some() && takes_parts;
        // A call for what is refused ends with an error.
        for resource in response.resources.iter().filter(|it| error.is_none() || is_bad(it)) {
            let answered = aliases(resource);
            self.calls.retain(|call| !answered.contains(call));
        }
        if error.is_none() {
            self.types[kind as usize].version.clone_from(&response.version);
        }
        let mut requests = match kind {
            ResourceKind::Cluster => self.follow_clusters(&before, &usable),
            ResourceKind::Listener => self.follow_listeners(),
            ResourceKind::Route => self.follow_routes(),
            ResourceKind::Endpoint
            | ResourceKind::ScopedRoute
            | ResourceKind::VirtualHost
            | ResourceKind::Secret
            | ResourceKind::Runtime => Vec::new(),
        };
        requests.push(self.answer(response, error));
        requests
    }

    /// The answer that refuses a response as a whole, of which nothing was taken.
    pub(super) fn refuse(&mut self, response: &Outgoing, words: &str) -> Request {
        self.types[response.kind as usize].nonce = response.nonce.to_string();
        self.answer(response, Some(words.to_owned()))
    }

    fn apply(&mut self, response: &Outgoing) {
        let state = &mut self.types[response.kind as usize];
        // Hosts of a route that is gone are nobody's.
        if response.kind == ResourceKind::VirtualHost && state.names.is_empty() {
            return;
        }
        if response.kind == ResourceKind::Endpoint {
            // Envoy takes no assignment away: a cluster goes on with the one that it has.
            for resource in response.resources.iter() {
                self.warming.remove(resource.resource.name());
                state.take(resource);
            }
            return;
        }
        for name in &response.removed {
            state.held.remove(name);
        }
        let whole = self.protocol == Protocol::Sotw && response.kind.is_wildcard();
        let sent: Names = response.resources.iter().map(|it| it.resource.name().clone()).collect();
        state.held.retain(|name, _| !whole || sent.contains(name));
        for resource in response.resources.iter().filter(|it| !is_bad(it)) {
            match response.kind.is_wildcard() {
                true => drop(state.held.insert(resource.resource.name().clone(), resource.clone())),
                false => state.take(resource),
            }
        }
    }

    /// Asks for the assignments of new clusters, and ends with those of others.
    fn follow_clusters(
        &mut self,
        before: &BTreeMap<Arc<str>, Arc<Compiled>>,
        usable: &Names,
    ) -> Vec<Request> {
        let version = |cluster: &Arc<Compiled>| cluster.resource.version();
        let clusters = self.held(ResourceKind::Cluster).iter();
        let eds: Vec<_> = clusters.filter(|(_, cluster)| !is_fixed(cluster)).collect();
        let changed =
            eds.iter().filter(|(name, it)| before.get(*name).map(version) != Some(version(it)));
        let changed: Names = changed.map(|(name, _)| (*name).clone()).collect();
        let names: Names = eds.into_iter().map(|(name, _)| name.clone()).collect();
        self.warming.retain(|name, _| names.contains(name));
        for name in &changed {
            self.warming.insert(name.clone(), usable.contains(name));
        }
        let mut requests = self.ask(ResourceKind::Endpoint, names);
        // SotW: Envoy asks again for what has to warm, with the same words.
        if self.protocol == Protocol::Sotw && requests.is_empty() && !changed.is_empty() {
            requests.push(Request::Sotw(self.whole(ResourceKind::Endpoint, None)));
        }
        requests
    }

    fn follow_listeners(&mut self) -> Vec<Request> {
        let listeners = self.held(ResourceKind::Listener).values();
        let names = listeners.flat_map(|listener| listener.routes.iter().cloned()).collect();
        let mut requests = self.ask(ResourceKind::Route, names);
        requests.extend(self.follow_routes());
        requests
    }

    /// Virtual hosts are asked for once a route says so, all that there are.
    fn follow_routes(&mut self) -> Vec<Request> {
        let is_lazy = self.held(ResourceKind::Route).keys().any(|it| it.starts_with(ON_DEMAND));
        let hosts = &mut self.types[ResourceKind::VirtualHost as usize];
        match (is_lazy, hosts.names.is_empty()) {
            (true, true) => {
                self.note(ResourceKind::VirtualHost);
                let request = self.first(ResourceKind::VirtualHost);
                self.types[ResourceKind::VirtualHost as usize].names.insert("*".into());
                vec![request]
            }
            (false, false) => {
                (hosts.names, hosts.held) = Default::default();
                self.calls.clear();
                Vec::new()
            }
            (true, false) | (false, true) => Vec::new(),
        }
    }

    /// Changes what is asked for by name.
    pub(super) fn ask(&mut self, kind: ResourceKind, names: Names) -> Vec<Request> {
        let state = &mut self.types[kind as usize];
        let old = std::mem::replace(&mut state.names, names.clone());
        let let_go = state.held.extract_if(.., |name, _| !names.contains(name));
        state.let_go.extend(let_go.map(|(name, _)| name));
        if old == names {
            return Vec::new();
        }
        self.note(kind);
        let difference = |a: &Names, b: &Names| a.difference(b).map(ToString::to_string).collect();
        vec![match self.protocol {
            Protocol::Sotw => Request::Sotw(self.whole(kind, None)),
            Protocol::Delta => Request::Delta(DeltaRequest {
                type_url: kind.type_url().to_owned(),
                resource_names_subscribe: difference(&names, &old),
                resource_names_unsubscribe: difference(&old, &names),
                ..DeltaRequest::default()
            }),
        }]
    }

    fn answer(&self, response: &Outgoing, error: Option<String>) -> Request {
        let error = error.map(|message| Status { code: 13, message, ..Status::default() });
        match self.protocol {
            Protocol::Sotw => Request::Sotw(self.whole(response.kind, error)),
            Protocol::Delta => Request::Delta(DeltaRequest {
                type_url: response.kind.type_url().to_owned(),
                response_nonce: response.nonce.to_string(),
                error_detail: error,
                ..DeltaRequest::default()
            }),
        }
    }

    /// SotW: every request says everything.
    fn whole(&self, kind: ResourceKind, error_detail: Option<Status>) -> DiscoveryRequest {
        let state = &self.types[kind as usize];
        DiscoveryRequest {
            type_url: kind.type_url().to_owned(),
            resource_names: state.names.iter().map(ToString::to_string).collect(),
            version_info: state.version.clone(),
            response_nonce: state.nonce.clone(),
            error_detail,
            ..DiscoveryRequest::default()
        }
    }
}

/// Types of which a proxy asks for everything at its start. Virtual hosts it asks for only if a route
/// configuration says so.
fn is_asked_for(kind: ResourceKind) -> bool {
    kind.is_wildcard() && !matches!(kind, ResourceKind::VirtualHost | ResourceKind::ScopedRoute)
}
