//! A stream and a proxy, with a line between them that delivers when it is told to.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use compile::Compiled;
use proptest::prelude::*;
use xds::{Protocol, Request};

use super::{
    super::{
        language::{Content, is_bad, render, views},
        proxy::{CALLED, ModelProxy, Names, ON_DEMAND, aliases},
        talk::{differences, state_with},
    },
    mesh::{Mesh, Move},
};
use crate::{
    FacetView, ResourceKind,
    parcels::Parcels,
    state::{OpenQuestions, Outgoing, StreamState},
};

/// A stream and a proxy with a slow line between them.
pub(super) struct Line {
    protocol: Protocol,
    pub(super) mesh: Mesh,
    content: Content,
    state: StreamState,
    parcels: Arc<Parcels>,
    proxy: ModelProxy,
    /// Beside each response, the clusters that could be waited for when it was sent.
    responses: VecDeque<(Outgoing, Names)>,
    requests: VecDeque<Request>,
    /// SotW: nobody knows what a reconnecting proxy holds, until it holds what it is sent.
    lenient: bool,
    /// Listeners and routes that were not sent since a reconnect: all that is known of them is a
    /// version, and so they are replaced as if they were new.
    forgotten: BTreeSet<(ResourceKind, Arc<str>)>,
    /// Clusters that were sent, and whose assignment was not sent since.
    changed: Names,
    /// The clusters that come with a host that is called.
    calls: BTreeMap<usize, BTreeSet<usize>>,
    /// The clusters and assignments that the proxy refused last.
    refused: BTreeSet<(ResourceKind, Arc<str>)>,
    /// Clusters were waited for no longer at some time.
    has_set_aside: bool,
    log: Vec<String>,
}

impl Line {
    pub(super) fn new(protocol: Protocol, mesh: Mesh, parcels: Arc<Parcels>) -> Self {
        let content = mesh.content();
        let state = state_with(protocol, &content, parcels.clone());
        let mut proxy = ModelProxy::new(protocol);
        let requests = proxy.start().into();
        let (responses, forgotten, log) = (VecDeque::new(), BTreeSet::new(), Vec::new());
        Self {
            protocol,
            mesh,
            content,
            state,
            parcels,
            proxy,
            responses,
            requests,
            lenient: false,
            forgotten,
            changed: Names::new(),
            calls: BTreeMap::new(),
            refused: BTreeSet::new(),
            has_set_aside: false,
            log,
        }
    }

    pub(super) fn step(&mut self, step: &Move) -> Result<(), TestCaseError> {
        match step {
            Move::Compare => self.state.update(views(&self.content, 1), None),
            Move::SetAside => {
                let late = self.state.awaited_response();
                self.log.extend(late.map(|nonce| format!("set aside {nonce}")));
                self.has_set_aside |= late.is_some();
                late.into_iter().for_each(|nonce| self.state.set_aside(nonce));
            }
            Move::Send => self.send()?,
            Move::Receive => self.receive()?,
            Move::Hear => self.hear(),
            // The protocol has no words for "my cluster waits for an assignment that I have": one
            // that is cut off then waits until its endpoints change.
            Move::Reconnect if self.proxy.waits_for_what_it_has() => {}
            Move::Reconnect if !self.proxy.can_say_what_it_holds() => {}
            Move::Reconnect => {
                self.state = state_with(self.protocol, &self.content, self.parcels.clone());
                self.responses.clear();
                self.requests = self.proxy.start().into();
                self.lenient = self.protocol == Protocol::Sotw;
                for kind in ResourceKind::ALL.into_iter().filter(|it| it.names_clusters()) {
                    let held = self.proxy.held(kind).keys();
                    self.forgotten.extend(held.map(|name| (kind, name.clone())));
                }
                self.log.push("reconnect".to_owned());
            }
            Move::Ask(host, named) => {
                self.calls.insert(*host, named.clone());
                self.requests.extend(self.proxy.call(&host_name(*host)));
            }
            change => {
                if self.mesh.apply(change) {
                    self.show();
                }
            }
        }
        Ok(())
    }

    /// The stream is shown the mesh as it is now.
    pub(super) fn show(&mut self) {
        let facets = views(&self.mesh.content(), 1);
        self.show_views(facets);
    }

    /// The same, in views that streams share.
    pub(super) fn show_views(&mut self, facets: Vec<Arc<FacetView>>) {
        self.tell(facets);
        self.state.ask_again();
        self.find_answers();
    }

    fn tell(&mut self, facets: Vec<Arc<FacetView>>) {
        let content = self.mesh.content();
        let changed = differences(&self.content, &content);
        let words: Vec<String> = content.values().map(|it| render(it)).collect();
        self.log.push(format!("mesh: {}", words.join(" ")));
        self.state.update(facets, Some(&[Arc::new(changed)]));
        self.content = content;
    }

    fn send(&mut self) -> Result<(), TestCaseError> {
        let Some(response) = self.state.next_response() else { return Ok(()) };
        let words: Vec<String> = response.resources.iter().map(|it| render(it)).collect();
        let kind = response.kind;
        self.log.push(format!("sent {kind:?} {} -{:?}", words.join(" "), response.removed));
        let is_open = |it: &Outgoing| it.kind == kind && kind != ResourceKind::Cluster;
        let open = self.responses.iter().any(|(it, _)| is_open(it));
        prop_assert!(!open, "two open responses\n{}", self.log.join("\n"));
        if self.protocol == Protocol::Delta {
            self.check_news(&response)?;
        }
        let expected = self.clusters_to_come();
        self.responses.push_back((response, expected));
        Ok(())
    }

    /// The clusters that are defined, and that the proxy has not refused.
    fn clusters_to_come(&self) -> Names {
        let refused = |name: &Arc<str>| {
            let kinds = [ResourceKind::Cluster, ResourceKind::Endpoint];
            kinds.into_iter().any(|kind| self.state.rejections(kind).contains_key(name))
        };
        let clusters = self.content.keys().filter(|(kind, _)| *kind == ResourceKind::Cluster);
        let is_awaited = |name: &&Arc<str>| !refused(name) && !self.state.is_late(name);
        clusters.map(|(_, name)| name).filter(is_awaited).cloned().collect()
    }

    fn hear(&mut self) {
        if let Some(request) = self.requests.pop_front() {
            self.state.on_request(&request);
        }
        self.find_answers();
        if self.requests.is_empty() && self.responses.is_empty() && self.state.is_synced() {
            self.lenient = false;
        }
    }

    /// Answers what the proxy has asked, as far as there is an answer.
    fn find_answers(&mut self) {
        let OpenQuestions { new, again } = self.state.take_questions();
        self.widen(&new);
        for question in new.into_iter().chain(again) {
            let host = question.strip_suffix(CALLED).expect("a question");
            let known = self.content.keys().find(|(_, name)| **name == *host);
            let answer = known.map_or_else(|| "d/any".into(), |(_, name)| name.clone());
            if self.content.contains_key(&(ResourceKind::VirtualHost, answer.clone())) {
                self.state.on_found(question, &answer);
            }
        }
    }

    /// What is asked for joins the scope.
    fn widen(&mut self, questions: &[Arc<str>]) {
        let calls = self.calls.extract_if(.., |host, _| {
            let question = format!("{}{CALLED}", host_name(*host));
            questions.iter().any(|it| **it == *question)
        });
        for (host, named) in calls {
            self.mesh.call(host, &named);
        }
        if !questions.is_empty() {
            self.tell(views(&self.mesh.content(), 1));
        }
    }

    fn receive(&mut self) -> Result<(), TestCaseError> {
        let Some((response, expected)) = self.responses.pop_front() else { return Ok(()) };
        self.log.push(format!("received {:?}", response.kind));
        let usable = self.usable();
        let before = self.proxy.held(response.kind).clone();
        let resources = || response.resources.iter();
        if response.kind == ResourceKind::Endpoint && resources().any(|it| is_bad(it)) {
            // What was refused together is sent again.
            self.changed.extend(resources().map(|it| it.resource.name().clone()));
        }
        self.note_refusals(&response);
        self.requests.extend(self.proxy.receive(&response));
        if self.lenient {
            return Ok(());
        }
        for cluster in self.proxy.named_clusters() {
            let lost = usable.contains(&cluster) && !self.proxy.is_usable(&cluster);
            prop_assert!(!lost, "{cluster} went while in use\n{}", self.log.join("\n"));
        }
        if !response.kind.names_clusters() {
            return Ok(());
        }
        for resource in response.resources.iter() {
            let name = resource.resource.name();
            let old = before.get(name);
            let Some(held) = self.proxy.held(response.kind).get(name) else { continue };
            // It was refused, or it is nothing new.
            if old.is_some_and(|old| old.resource == held.resource) {
                continue;
            }
            let forgotten = self.forgotten.remove(&(response.kind, name.clone()));
            let old = old.filter(|_| !forgotten);
            for cluster in &held.clusters {
                // Only what held nothing, or named it already, may name what does not exist.
                let allowed = !expected.contains(cluster)
                    && old.is_none_or(|old| {
                        old.clusters.contains(cluster) || is_new_beside_others(cluster, held, old)
                    });
                // An answer is right behind what it leads to: nobody knows yet whether that is refused.
                let is_answer = old.is_none() && !aliases(resource).is_empty();
                let is_refused = || self.refused.iter().any(|(_, name)| name == cluster);
                let allowed = allowed || is_answer && is_refused();
                prop_assert!(
                    self.proxy.is_usable(cluster) || allowed,
                    "{} came before {cluster}\n{}",
                    render(held),
                    self.log.join("\n")
                );
            }
        }
        Ok(())
    }

    fn note_refusals(&mut self, response: &Outgoing) {
        let is_all = match response.kind {
            ResourceKind::Cluster => false,
            ResourceKind::Endpoint => response.resources.iter().any(|it| is_bad(it)),
            _ => return,
        };
        for resource in response.resources.iter() {
            let key = (response.kind, resource.resource.name().clone());
            match is_all || is_bad(resource) {
                true => self.refused.insert(key),
                false => self.refused.remove(&key),
            };
        }
    }

    /// Nothing is sent that the proxy has, but an assignment behind its cluster.
    fn check_news(&mut self, response: &Outgoing) -> Result<(), TestCaseError> {
        for resource in response.resources.iter() {
            let name = resource.resource.name();
            let follows = match response.kind {
                ResourceKind::Cluster => {
                    self.changed.insert(name.clone());
                    false
                }
                ResourceKind::Endpoint => self.changed.remove(name),
                ResourceKind::Listener
                | ResourceKind::ScopedRoute
                | ResourceKind::Route
                | ResourceKind::VirtualHost
                | ResourceKind::Secret
                | ResourceKind::Runtime => false,
            };
            let held = self.proxy.held(response.kind).get(name);
            let again = held.is_some_and(|held| held.resource == resource.resource)
                && aliases(resource).is_empty();
            // What the stream did not wait for, it does not know.
            let allowed = follows || self.has_set_aside;
            prop_assert!(!again || allowed, "{} twice\n{}", render(resource), self.log.join("\n"));
        }
        Ok(())
    }

    fn usable(&self) -> Names {
        let held = self.proxy.held(ResourceKind::Cluster).keys();
        held.filter(|name| self.proxy.is_usable(name)).cloned().collect()
    }

    /// Everything that is on its way arrives.
    pub(super) fn settle(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..1000 {
            let sent = self.responses.len();
            self.send()?;
            if self.responses.len() > sent {
                continue;
            }
            if self.responses.is_empty() && self.requests.is_empty() {
                if !self.state.is_resuming() {
                    return Ok(());
                }
                self.state.end_resumption();
            }
            self.receive()?;
            while !self.requests.is_empty() {
                self.hear();
            }
        }
        prop_assert!(false, "it never ends\n{}", self.log.join("\n"));
        Ok(())
    }

    /// The proxy holds exactly what the mesh says.
    pub(super) fn check_end(&self) -> Result<(), TestCaseError> {
        for kind in ResourceKind::ALL {
            let held: Vec<String> = self.proxy.held(kind).values().map(|it| render(it)).collect();
            let expected = self.expected(kind);
            prop_assert_eq!(held, expected, "{:?}\n{}", kind, self.log.join("\n"));
            let refused = self.state.rejections(kind);
            prop_assert!(refused.is_empty(), "{refused:?}\n{}", self.log.join("\n"));
        }
        let warming = self.proxy.warming();
        prop_assert!(warming.is_empty(), "{warming:?} warm\n{}", self.log.join("\n"));
        let calls = self.proxy.calls();
        prop_assert!(calls.is_empty(), "{calls:?} wait\n{}", self.log.join("\n"));
        prop_assert!(self.state.is_synced(), "not synced\n{}", self.log.join("\n"));
        Ok(())
    }

    fn expected(&self, kind: ResourceKind) -> Vec<String> {
        let routes = self.mesh.listeners.iter().enumerate().filter(|(_, it)| it.is_some());
        let routes: Names = routes.map(|(number, _)| format!("r{number}").into()).collect();
        let entries = self.content.iter().filter(|((it, name), _)| {
            let is_wanted = || routes.contains(name) || name.starts_with(ON_DEMAND);
            *it == kind && (kind != ResourceKind::Route || is_wanted())
        });
        entries.map(|(_, compiled)| render(compiled)).collect()
    }
}

/// The virtual host of a fenced workload with this number.
fn host_name(host: usize) -> String {
    format!("d/h{host}")
}

/// Whether a cluster is named by new hosts alone, each of which leads elsewhere too.
fn is_new_beside_others(cluster: &Arc<str>, held: &Compiled, old: &Compiled) -> bool {
    let (Some(held), Some(old)) = (&held.parts, &old.parts) else { return false };
    let is_new = |name: &Arc<str>| old.hosts.iter().all(|it| it.name != *name);
    let mut naming = held.hosts.iter().filter(|it| it.clusters.contains(cluster));
    naming.all(|it| is_new(&it.name) && it.clusters.len() > 1)
}
