//! A conversation, one sentence after the other.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use xds::{Protocol, Request};

use super::{
    language::{Content, kind_word, parse_content, parse_kind, render, views},
    proxy::ModelProxy,
};
use crate::{
    ResourceKind,
    facet::unknown_route,
    parcels::Parcels,
    state::{Outgoing, StreamState},
};

/// A stream and its proxy, which answers only when it is told to.
pub(super) struct Talk {
    protocol: Protocol,
    pub(super) state: StreamState,
    pub(super) proxy: ModelProxy,
    content: Content,
    revision: u64,
    /// Responses that were sent and not answered.
    open: BTreeMap<ResourceKind, Outgoing>,
    /// Of these, those that were waited for long enough, and others followed.
    late: VecDeque<Outgoing>,
    is_late: bool,
}

impl Talk {
    /// A stream on which nothing has been said yet.
    pub(super) fn new(protocol: Protocol, view: &str) -> Self {
        let content = parse_content(view);
        let state = state_of(protocol, &content);
        let proxy = ModelProxy::new(protocol);
        let (open, late) = (BTreeMap::new(), VecDeque::new());
        Self { protocol, state, proxy, content, revision: 1, open, late, is_late: false }
    }

    /// A proxy that has asked for everything, and has been sent nothing.
    pub(super) fn started(protocol: Protocol, view: &str) -> Self {
        let mut talk = Self::new(protocol, view);
        let requests = talk.proxy.start();
        talk.tell(requests);
        talk
    }

    /// A proxy that holds all of this.
    pub(super) fn synced(protocol: Protocol, view: &str) -> Self {
        let mut talk = Self::started(protocol, view);
        talk.settle();
        talk
    }

    /// The same proxy on a new stream of a control plane that says `view`.
    pub(super) fn reconnect(&mut self, view: &str) {
        let requests = self.new_stream(view);
        self.tell(requests);
    }

    /// The same, before the proxy's first requests have come.
    pub(super) fn new_stream(&mut self, view: &str) -> Vec<Request> {
        self.content = parse_content(view);
        self.state = state_of(self.protocol, &self.content);
        self.open.clear();
        self.proxy.start()
    }

    /// The mesh says this now.
    pub(super) fn see(&mut self, view: &str) {
        let new = parse_content(view);
        let changed = differences(&self.content, &new);
        self.revision += 1;
        self.state.update(views(&new, self.revision), Some(&[Arc::new(changed)]));
        self.content = new;
    }

    /// The proxy is of other facets now, and the mesh says this.
    pub(super) fn see_others(&mut self, view: &str) {
        self.content = parse_content(view);
        self.revision += 1;
        self.state.update(views(&self.content, self.revision), None);
    }

    /// What goes out now, the types in order: `cds a -b | rds r(h=a)`. Nothing is answered.
    pub(super) fn hear(&mut self) -> String {
        let mut said = Vec::new();
        while let Some(response) = self.state.next_response() {
            said.push(self.describe(&response));
            let unanswered = self.open.insert(response.kind, response);
            assert!(unanswered.is_none() || self.is_late, "two responses wait for an answer");
            self.late.extend(unanswered);
        }
        said.join(" | ")
    }

    #[track_caller]
    pub(super) fn says(&mut self, expected: &str) {
        assert_eq!(self.hear(), expected);
    }

    fn describe(&self, response: &Outgoing) -> String {
        let resources = response.resources.iter().map(|resource| render(resource));
        let removed = response.removed.iter().map(|name| format!("-{name}"));
        let kind = kind_word(response.kind).to_owned();
        std::iter::once(kind).chain(resources).chain(removed).collect::<Vec<_>>().join(" ")
    }

    /// The proxy takes the open responses of these types, as far as they are good.
    #[track_caller]
    pub(super) fn answer(&mut self, kinds: &str) {
        for kind in kinds.split_whitespace() {
            let response = self.take(kind);
            let requests = self.proxy.receive(&response);
            self.tell(requests);
        }
    }

    /// The proxy takes in clusters of which one takes long to warm. Gives the acknowledgement, which comes when
    /// all are warm.
    #[track_caller]
    pub(super) fn take_in(&mut self) -> Request {
        let response = self.take("cds");
        let nonce = response.nonce.to_string();
        let is_answer =
            |it: &Request| matches!(it, Request::Delta(it) if it.response_nonce == nonce);
        let requests = self.proxy.receive(&response);
        let (mut answers, others): (Vec<_>, Vec<_>) = requests.into_iter().partition(is_answer);
        self.tell(others);
        answers.pop().expect("an answer")
    }

    /// What clusters are to be acknowledged is waited for no longer.
    pub(super) fn set_aside(&mut self) {
        let newest = self.state.awaited_response().expect("a response");
        self.state.set_aside(newest);
        self.is_late = true;
    }

    /// The proxy refuses the open response of a type, and takes nothing of it.
    #[track_caller]
    pub(super) fn refuse(&mut self, kind: &str, words: &str) {
        let response = self.take(kind);
        let request = self.proxy.refuse(&response, words);
        self.tell([request]);
    }

    /// Of the open response of a type.
    #[track_caller]
    pub(super) fn nonce(&self, kind: &str) -> String {
        self.open[&parse_kind(kind).expect("a type")].nonce.to_string()
    }

    #[track_caller]
    fn take(&mut self, kind: &str) -> Outgoing {
        let kind = parse_kind(kind).expect("a type");
        let late = self.late.iter().position(|it| it.kind == kind);
        if let Some(late) = late.and_then(|place| self.late.remove(place)) {
            return late;
        }
        self.open.remove(&kind).unwrap_or_else(|| panic!("no open response of {kind:?}"))
    }

    /// Answers until nothing is said any more. Gives all that was said.
    pub(super) fn settle(&mut self) -> String {
        let mut said = Vec::new();
        loop {
            said.extend(Some(self.hear()).filter(|it| !it.is_empty()));
            let next = self.late.pop_front();
            let next = next.or_else(|| self.open.pop_first().map(|(_, response)| response));
            let Some(response) = next else { return said.join(" | ") };
            let requests = self.proxy.receive(&response);
            self.tell(requests);
        }
    }

    #[track_caller]
    pub(super) fn settles(&mut self, expected: &str) {
        assert_eq!(self.settle(), expected);
    }

    /// The proxy asks for exactly these names.
    pub(super) fn ask(&mut self, kind: &str, names: &str) {
        let names = names.split_whitespace().map(Arc::from).collect();
        let requests = self.proxy.ask(parse_kind(kind).expect("a type"), names);
        self.tell(requests);
    }

    pub(super) fn tell(&mut self, requests: impl IntoIterator<Item = Request>) {
        for request in requests {
            let nonce = match &request {
                Request::Delta(request) => &request.response_nonce,
                Request::Sotw(request) => &request.response_nonce,
            };
            self.open.retain(|_, response| response.nonce.to_string() != *nonce);
            self.state.on_request(&request);
        }
    }

    /// What is shown as refused: `a: words`.
    pub(super) fn refused(&self, kind: &str) -> Vec<String> {
        let rejections = self.state.rejections(parse_kind(kind).expect("a type"));
        rejections.iter().map(|(name, it)| format!("{name}: {}", it.message)).collect()
    }

    /// What the proxy holds of a type.
    pub(super) fn holds(&self, kind: &str) -> String {
        let held = self.proxy.held(parse_kind(kind).expect("a type")).values();
        held.map(|it| render(it)).collect::<Vec<_>>().join(" ")
    }
}

pub(super) fn state_of(protocol: Protocol, content: &Content) -> StreamState {
    state_with(protocol, content, Arc::default())
}

pub(super) fn state_with(
    protocol: Protocol,
    content: &Content,
    parcels: Arc<Parcels>,
) -> StreamState {
    let own = ["10.0.0.9".parse().expect("an address")];
    StreamState::new(protocol, own.into(), views(content, 1), unknown_route, parcels)
}

/// What the engine would say has changed.
pub(super) fn differences(old: &Content, new: &Content) -> BTreeSet<(ResourceKind, Arc<str>)> {
    let version = |content: &Content, key| content.get(key).map(|it| it.resource.version());
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    keys.into_iter().filter(|key| version(old, key) != version(new, key)).cloned().collect()
}
