//! Virtual hosts and clusters that a proxy asks for while a request or a connection waits in it.
//!
//! - A question is the name of a route configuration, `/`, and the host as a caller wrote it. It is no
//!   subscription: a proxy is sent every virtual host of its views, and each question is answered
//!   once, by the resource that says what happens to such requests, with the question among its aliases.
//! - A name of a cluster is a question too, where a proxy is sent all clusters of its views: the service is to
//!   be one of these.
//! - Who finds the answer is the engine: a question may widen the scope.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use compile::Compiled;
use xds::DeltaRequest;

use super::StreamState;
use crate::{
    ResourceKind,
    facet::Changed,
    kind::{asks_for_cluster, split_host},
};

/// More questions than this at a time are not listened to: Envoy asks for each host once.
const MAX_QUESTIONS: usize = 10_000;

/// Of so many answered questions a stream knows that they were asked.
const MAX_PAST: usize = 2_000;

/// Questions, by the resource that answers them.
type Answers = BTreeMap<Arc<str>, BTreeSet<Arc<str>>>;

/// Questions of one proxy.
#[derive(Clone, Debug, Default)]
pub(crate) struct OpenQuestions {
    /// Nobody has looked for an answer yet.
    pub(crate) new: Vec<Arc<str>>,
    /// There was none, or it went before it was sent.
    pub(crate) again: Vec<Arc<str>>,
}

impl OpenQuestions {
    pub(crate) fn is_empty(&self) -> bool {
        self.new.is_empty() && self.again.is_empty()
    }
}

/// What a proxy has asked and was not answered yet.
#[derive(Debug, Default)]
pub(super) struct Questions {
    /// Nobody has looked for an answer yet.
    open: Vec<Arc<str>>,
    /// An answer is looked for once more.
    again: Vec<Arc<str>>,
    /// No answer was found: the route configuration was not to be had when they came.
    waiting: BTreeSet<Arc<str>>,
    /// By the resource that answers them, and was not sent since.
    answered: Answers,
    /// Those of the response that is under way.
    sent: Answers,
    /// Those that the proxy has. It asks for no name twice, not even when a fence has gone and come back.
    past: Answers,
    /// Of these, those of which the answer may be gone, or is, with its route configuration.
    unsure: BTreeSet<Arc<str>>,
    /// Clusters that it has asked for, of which the same is true.
    clusters: BTreeSet<Arc<str>>,
    /// How many were not listened to.
    dropped: usize,
}

impl Questions {
    /// Takes note of what a request asks; gives what is left of it, as a subscription.
    pub(super) fn take_from(
        &mut self,
        request: &DeltaRequest,
        is_question: fn(&str) -> bool,
    ) -> DeltaRequest {
        let mut request = request.clone();
        let (asked, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut request.resource_names_subscribe)
            .into_iter()
            .partition(|name| is_question(name));
        let known = self.open.len() + self.again.len() + self.waiting.len();
        let room = MAX_QUESTIONS.saturating_sub(known);
        self.dropped += asked.len().saturating_sub(room);
        self.open.extend(asked.iter().take(room).map(|name| Arc::from(name.as_str())));
        request.resource_names_subscribe = rest;
        request.resource_names_unsubscribe.retain(|name| !is_question(name));
        request
    }

    fn forget(&mut self, is_gone: impl Fn(&Arc<str>) -> bool) {
        self.open.retain(|it| !is_gone(it));
        self.again.retain(|it| !is_gone(it));
        self.waiting.retain(|it| !is_gone(it));
        self.answered.retain(|it, _| !is_gone(it));
        self.sent.retain(|it, _| !is_gone(it));
        self.past.retain(|it, _| !is_gone(it));
        self.unsure.retain(|it| !is_gone(it));
    }

    /// The proxy has these answers.
    fn remember(&mut self, answers: Answers) {
        for (resource, asked) in answers {
            let known = self.past.values().map(BTreeSet::len).sum::<usize>();
            if known + asked.len() > MAX_PAST {
                return;
            }
            self.past.entry(resource).or_default().extend(asked);
        }
    }
}

impl StreamState {
    /// Nothing answers the questions for clusters for which an answer was looked for: connections that wait
    /// are to end.
    pub(crate) fn refuse_clusters(&mut self) {
        let refused = self.questions.waiting.extract_if(.., |name| asks_for_cluster(name));
        let refused: Vec<Arc<str>> = refused.collect();
        let state = self.of_mut(ResourceKind::Cluster);
        state.dirty.extend(refused.iter().cloned());
        state.force.extend(refused);
    }

    /// The questions for which an answer is to be looked for.
    pub(crate) fn take_questions(&mut self) -> OpenQuestions {
        let new = std::mem::take(&mut self.questions.open);
        let room = MAX_PAST.saturating_sub(self.questions.clusters.len());
        let clusters = new.iter().filter(|name| asks_for_cluster(name)).take(room);
        self.questions.clusters.extend(clusters.cloned());
        let again = std::mem::take(&mut self.questions.again);
        self.questions.waiting.extend(new.iter().chain(&again).cloned());
        OpenQuestions { new, again }
    }

    /// A response with virtual hosts was answered. What was refused is answered by the next one.
    pub(super) fn on_hosts_taken(&mut self, accepted: bool) {
        let sent = std::mem::take(&mut self.questions.sent);
        if accepted {
            self.questions.unsure.extend(sent.keys().cloned());
            self.questions.remember(sent);
            self.ask_for_lost();
            return;
        }
        for (resource, asked) in sent {
            self.questions.answered.entry(resource).or_default().extend(asked);
        }
        self.ask_for_gone();
    }

    /// The mesh has changed: what had no answer may have one now, if its route configuration is to be had,
    /// and an answer may be gone before it was sent.
    pub(crate) fn ask_again(&mut self) {
        self.ask_for_gone();
        self.ask_for_lost();
        let mut questions = std::mem::take(&mut self.questions);
        questions.again.extend(questions.waiting.extract_if(.., |it| self.has_route(it)));
        self.questions = questions;
    }

    /// Whether the route configuration of a question, or of its answer, is to be had.
    fn has_route(&self, host: &str) -> bool {
        split_host(host).is_some_and(|(route, _)| self.target(ResourceKind::Route, route).is_some())
    }

    /// Looks for answers in place of those that are gone.
    fn ask_for_gone(&mut self) {
        let kind = ResourceKind::VirtualHost;
        let mut answered = std::mem::take(&mut self.questions.answered);
        let gone = answered.extract_if(.., |resource, _| self.target(kind, resource).is_none());
        let gone: Vec<_> = gone.collect();
        for (resource, asked) in gone {
            self.questions.again.extend(asked);
            // Nobody waits for it any more, should it come back.
            self.of_mut(kind).force.remove(&resource);
        }
        self.questions.answered = answered;
    }

    /// The views are others, of which these may be all that differs.
    pub(super) fn doubt_answers(&mut self, changed: Option<&[Arc<Changed>]>) {
        let Questions { past, unsure, .. } = &mut self.questions;
        match changed {
            // Most likely the proxy is of another class now, which knows nothing of what was asked before.
            None => unsure.extend(past.keys().cloned()),
            Some(_) if past.is_empty() => {}
            Some(changed) => {
                let names = changed.iter().flat_map(|list| list.iter());
                let hosts = names.filter(|(kind, _)| *kind == ResourceKind::VirtualHost);
                unsure.extend(hosts.filter(|it| past.contains_key(&it.1)).map(|it| it.1.clone()));
            }
        }
    }

    /// Looks again for clusters that go, and for answers that are gone, as soon as there is a route
    /// configuration for them.
    fn ask_for_lost(&mut self) {
        let mut questions = std::mem::take(&mut self.questions);
        questions.unsure.retain(|it| self.target(ResourceKind::VirtualHost, it).is_none());
        let lost = questions.unsure.extract_if(.., |it| self.has_route(it));
        let asked = lost.filter_map(|resource| questions.past.remove(&resource));
        questions.again.extend(asked.flatten());
        // The class may not know that one of its proxies has asked for it.
        let clusters = self.of(ResourceKind::Cluster);
        let goes = |name: &&Arc<str>| {
            self.target(ResourceKind::Cluster, name).is_none() && clusters.held.contains(name)
        };
        questions.again.extend(questions.clusters.iter().filter(goes).cloned());
        self.questions = questions;
    }

    /// Whether a request waits for this virtual host.
    pub(super) fn is_awaited(&self, host: &str) -> bool {
        self.questions.answered.contains_key(host)
    }

    /// Whether requests or connections wait for a cluster.
    pub(super) fn awaited_clusters(&self) -> impl Fn(&str) -> bool {
        let Questions { answered, clusters, .. } = &self.questions;
        let hosts = answered.keys();
        let hosts = hosts.filter_map(|name| self.target(ResourceKind::VirtualHost, name));
        let called: BTreeSet<&str> =
            hosts.flat_map(|host| &host.clusters).map(|name| &**name).collect();
        move |name| called.contains(name) || clusters.contains(name)
    }

    /// How many questions were not listened to since this was asked last.
    pub(crate) fn take_dropped(&mut self) -> usize {
        std::mem::take(&mut self.questions.dropped)
    }

    /// The questions that the response under way answers.
    pub(crate) fn answered(&self) -> impl Iterator<Item = &Arc<str>> {
        self.questions.sent.values().flatten()
    }

    /// The questions that no response has answered.
    pub(crate) fn unanswered(&self) -> HashSet<&Arc<str>> {
        let Questions { open, again, waiting, answered, .. } = &self.questions;
        open.iter().chain(again).chain(waiting).chain(answered.values().flatten()).collect()
    }

    /// A resource answers a question. It is sent even if the proxy holds it: a request waits.
    pub(crate) fn on_found(&mut self, question: Arc<str>, resource: &Arc<str>) {
        self.questions.waiting.remove(&question);
        if asks_for_cluster(&question) {
            // It is sent as any other, unless the proxy has it by now.
            return;
        }
        self.questions.answered.entry(resource.clone()).or_default().insert(question);
        let state = self.of_mut(ResourceKind::VirtualHost);
        state.dirty.insert(resource.clone());
        state.force.insert(resource.clone());
    }

    /// The form in which a resource answers what was asked for it.
    pub(super) fn answering(
        &mut self,
        kind: ResourceKind,
        name: &Arc<str>,
        compiled: Arc<Compiled>,
    ) -> Arc<Compiled> {
        let asked = match kind {
            ResourceKind::VirtualHost => self.questions.answered.remove(name),
            _ => None,
        };
        let Some(asked) = asked else { return compiled };
        let resource = compiled.resource.answering(asked.iter().map(|it| &**it));
        self.questions.sent.insert(name.clone(), asked);
        Arc::new(Compiled { resource, ..(*compiled).clone() })
    }

    /// Whether a virtual host is of a route configuration that is gone and still in use: a fence has gone,
    /// and a listener drains. It goes on with what it has.
    pub(super) fn outlives_fence(&self, host: &str) -> bool {
        split_host(host).is_some_and(|(route, _)| {
            self.of(ResourceKind::Route).wants(route)
                && self.target(ResourceKind::Route, route).is_none()
        })
    }

    /// The proxy has dropped a route configuration, and with it the virtual hosts that it was sent.
    pub(super) fn forget_hosts_of(&mut self, route: &str) {
        let is_of = |name: &Arc<str>| split_host(name).is_some_and(|(it, _)| it == route);
        self.questions.forget(is_of);
        let state = self.of_mut(ResourceKind::VirtualHost);
        state.force.retain(|name| !is_of(name));
        if !state.requested {
            return;
        }
        let gone: Vec<Arc<str>> = state.held.names().into_iter().filter(is_of).collect();
        for name in gone {
            state.held.remove(&name);
            state.kept.remove(&name);
            state.dirty.insert(name);
        }
    }
}
