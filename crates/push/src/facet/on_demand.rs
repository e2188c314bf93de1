//! What a class is told of all that it may see, and what it asks for at its first calls.
//!
//! - What it has asked for is a part of its scope from then on, for as long as the facet lives;
//!   whoever learns what is called makes that last.
//! - What nothing defines is answered too, by hosts for as many such names as can be told from what
//!   is defined. Their number is bounded, and so is that of the hosts asked for: a class that asks for
//!   more is not one that a fence fits.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use compile::{
    Client, Fenced, RouteName, Scope, Visible, VisibleChange, Written, answer, answer_nothing,
    answers_nothing, is_answered, names, own_domain, unknown_host,
};
use model::{Hostname, WorkloadKey};

use super::{Job, Made, Work, outbound::Outbound, visible::Sight};
use crate::{
    FacetView, ResourceKind, Told,
    kind::{asks_for_cluster, split_host},
};

/// A class that has asked for more hosts than this is sent its whole scope.
const MAX_ASKED: usize = 500;
/// More domains of unknown hosts than this become one for all.
const MAX_UNKNOWN: usize = 1_000;
const EVERYTHING: &str = "*";
/// Of so many questions it is remembered that they were asked.
const MAX_REMEMBERED: usize = 2_000;
/// Of so many services that are no more, or not yet, it is remembered that connections to them were asked for:
/// proxies ask for names that they were told.
const MAX_MISSED: usize = 100;
/// So many ports of a class are answered for after its fence went.
const MAX_DRAINING: usize = 32;

/// A port and a host.
type ServicePort = (u16, Hostname);

/// What a question has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is a host that the class may call.
    Known,
    /// Nothing defines it.
    Unknown,
    /// The class has named too many that nothing defines: it is answered with all others.
    Closed,
}

/// A virtual host that answers a question. As long as it is what it was, it does.
#[derive(Clone, Debug)]
struct Answering {
    name: Arc<str>,
    version: u64,
}

impl Answering {
    fn of(name: &Arc<str>, view: &FacetView) -> Option<Self> {
        let version = view.get(ResourceKind::VirtualHost, name)?.resource.version();
        Some(Self { name: name.clone(), version })
    }

    fn stands(&self, view: &FacetView) -> bool {
        let now = view.get(ResourceKind::VirtualHost, &self.name);
        now.is_some_and(|now| now.resource.version() == self.version)
    }
}

/// Of one class.
#[derive(Clone, Debug, Default)]
pub(super) struct OnDemand {
    /// All that the class may see, if a fence limits what it is told of that.
    visible: Option<Arc<Visible>>,
    /// `None` when it is told all of it.
    fenced: Option<Fenced>,
    asked: BTreeSet<Hostname>,
    /// All that was called: these, and what was learned of the workload.
    called: BTreeSet<Hostname>,
    /// Questions for what cannot be a domain, since it would be for others too.
    asterisks: BTreeSet<Arc<str>>,
    /// Domains that nothing defines, by route configuration.
    unknown: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// What was asked, and what answered it last. Envoy asks for no name twice: as long as a proxy
    /// lives, what was answered once must have an answer.
    questions: BTreeMap<Arc<str>, Option<Answering>>,
    /// Asked for by the names of their clusters, and not to be called then. A proxy does not ask again.
    missed: BTreeSet<ServicePort>,
    /// Asked for, and not told to those who learn it.
    news: BTreeSet<Hostname>,
}

impl OnDemand {
    /// Finds what was called. Whether that is news: most of what is learned was asked for before.
    pub(super) fn note_called(&mut self, client: &Client, work: &Work<'_>) -> bool {
        let Some(fence) = &client.fence else { return false };
        let called = fence.called(&self.asked, work.reader);
        let is_news = self.called != called || self.fenced.is_some() == self.asks_too_much();
        self.called = called;
        is_news
    }

    /// What a class is told of all that it may see, if that is limited.
    pub(super) fn narrow(&mut self, client: &Client, work: &Work<'_>) -> Option<Arc<Scope>> {
        let (fence, visible) = (client.fence.as_ref()?, self.visible.as_ref()?);
        self.fenced = (!self.asks_too_much())
            .then(|| visible.fenced_to(fence, self.called.clone(), work.reader));
        let scope = self.fenced.as_ref().map_or(&visible.scope, |fenced| &fenced.scope);
        Some(scope.clone())
    }

    /// Takes over what the class may see now. Says which jobs follow.
    pub(super) fn follow(&mut self, sight: Sight, client: &Client) -> BTreeSet<Job> {
        let Sight { visible, change } = sight;
        self.visible = Some(visible.clone());
        let mut jobs = self.retract(&visible, &change, client);
        let (fence, fenced) = (client.fence.as_ref(), self.fenced.as_ref());
        let is_same = fence
            .zip(fenced)
            .is_some_and(|(fence, fenced)| !fenced.depends_on(fence, &visible, &change));
        if !is_same {
            jobs.insert(Job::Scope);
        }
        let mut missed = std::mem::take(&mut self.missed);
        let found = missed
            .extract_if(.., |(port, host)| visible.find_service(host.as_str(), *port).is_some());
        let found: Vec<_> = found.collect();
        for (_, host) in found {
            jobs.extend(self.add_called(host));
        }
        self.missed = missed;
        jobs
    }

    /// Notes a host that was asked for. Says which job follows.
    fn add_called(&mut self, host: Hostname) -> Option<Job> {
        self.news.insert(host.clone());
        self.asked.insert(host).then_some(Job::Called)
    }

    /// Some of what nothing defined may be defined now. What a change does not name is not looked at.
    fn retract(
        &mut self,
        visible: &Visible,
        change: &VisibleChange,
        client: &Client,
    ) -> BTreeSet<Job> {
        let mut jobs = BTreeSet::new();
        if self.unknown.is_empty() {
            return jobs;
        }
        let names = visible.changed_names(change, &client.dns_domain);
        for (route, domains) in &mut self.unknown {
            let Some(RouteName::OnDemand(port)) = RouteName::parse(route) else { continue };
            let dns_domain = &*client.dns_domain;
            let mut touched = names.touched(domains);
            touched.retain(|host| {
                &**host != EVERYTHING && !visible.is_unknown(Written { host, port, dns_domain })
            });
            if !touched.is_empty() {
                for host in &touched {
                    domains.remove(host);
                }
                jobs.insert(Job::Unknown(route.clone()));
            }
        }
        jobs
    }

    fn ask_for_cluster(&mut self, port: u16, host: &str, visible: &Visible) -> Option<Job> {
        match visible.find_service(host, port) {
            Some(host) => self.add_called(host),
            None if self.missed.len() < MAX_MISSED => {
                self.missed.insert((port, host.into()));
                None
            }
            None => None,
        }
    }

    fn asks_too_much(&self) -> bool {
        self.asked.len() > MAX_ASKED
    }

    fn domains<'a>(&'a self, route: &str) -> impl Iterator<Item = &'a Arc<str>> + use<'a> {
        self.unknown.get(route).into_iter().flatten()
    }

    /// Notes a domain that nothing defines. Whether that is news.
    fn add_unknown(&mut self, route: &str, domain: &str) -> bool {
        let domains = self.unknown.entry(route.into()).or_default();
        if domains.contains(EVERYTHING) {
            return false;
        }
        if domains.len() >= MAX_UNKNOWN {
            *domains = [EVERYTHING.into()].into();
            return true;
        }
        domains.insert(domain.into())
    }
}

impl Outbound {
    /// Takes in questions that nothing answers yet.
    pub(super) fn ask(&mut self, questions: &[Arc<str>]) -> BTreeSet<Job> {
        if !self.client.loads_on_demand() {
            return self.keep_routes_of(questions);
        }
        let Some(visible) = self.on_demand.visible.clone() else { return BTreeSet::new() };
        let mut jobs = BTreeSet::new();
        for question in questions {
            if let Some((port, host)) = names::split_outbound_cluster(question) {
                jobs.extend(self.on_demand.ask_for_cluster(port, host, &visible));
                continue;
            }
            let Some((route, port, host)) = self.parse(question) else { continue };
            let written = Written { host, port, dns_domain: &self.client.dns_domain };
            if self.on_demand.questions.len() < MAX_REMEMBERED {
                self.on_demand.questions.entry(question.clone()).or_default();
            }
            let found = visible.find_hosts(written);
            if found.is_empty() {
                let domain = visible.unknown_domain(written);
                // As a domain, a host with an asterisk would stand for others, or for all.
                let is_pattern = host.contains('*') && host.starts_with(&domain);
                if !is_pattern && self.on_demand.add_unknown(route, &domain) {
                    jobs.insert(Job::Unknown(route.into()));
                }
            }
            jobs.extend(found.into_iter().filter_map(|host| self.on_demand.add_called(host)));
        }
        jobs
    }

    /// Route configurations that a class has no more: what drains since its fence went asks on, and has an answer
    /// from all that the class is told now.
    fn keep_routes_of(&mut self, questions: &[Arc<str>]) -> BTreeSet<Job> {
        let mut jobs = BTreeSet::new();
        for (route, _) in questions.iter().filter_map(|question| split_host(question)) {
            let is_ours = matches!(RouteName::parse(route), Some(RouteName::OnDemand(_)));
            let known = self.routes.keys().filter(|name| port(name).is_some()).count();
            if is_ours && known < MAX_DRAINING && !self.routes.contains_key(route) {
                self.routes.insert(route.into(), None);
                jobs.insert(Job::Route(route.into()));
            }
        }
        jobs
    }

    /// Questions that nothing answers, of those that were asked.
    #[cfg(test)]
    pub(super) fn unanswered(&self, view: &FacetView) -> Vec<Arc<str>> {
        let questions = self.on_demand.questions.keys();
        let open = questions.filter(|it| self.parse(it).is_some());
        open.filter(|it| self.answer(it, view).is_none()).cloned().collect()
    }

    /// The same; looked for anew only where what answered is another, or gone.
    fn find_unanswered(&mut self, view: &FacetView) -> Vec<Arc<str>> {
        let mut questions = std::mem::take(&mut self.on_demand.questions);
        let mut open = Vec::new();
        for (question, answering) in &mut questions {
            if answering.as_ref().is_some_and(|it| it.stands(view)) {
                continue;
            }
            let found = self.answer(question, view);
            *answering = found.and_then(|name| Answering::of(&name, view));
            if answering.is_none() && self.parse(question).is_some() {
                open.push(question.clone());
            }
        }
        self.on_demand.questions = questions;
        open
    }

    /// What is to be done about questions that are not answered any more.
    pub(super) fn ask_again(&mut self, view: &FacetView) -> BTreeSet<Job> {
        let open = self.find_unanswered(view);
        let jobs = self.ask(&open);
        match jobs.is_empty() {
            true => self.refuse(&open),
            false => jobs,
        }
    }

    /// Nothing answers these: they are for unknown hosts.
    pub(super) fn refuse(&mut self, questions: &[Arc<str>]) -> BTreeSet<Job> {
        let mut jobs = BTreeSet::new();
        for question in questions {
            let Some((route, _, host)) = self.parse(question) else { continue };
            let Some(Some(input)) = self.routes.get(route) else { continue };
            if host.contains('*') {
                if self.on_demand.asterisks.len() < MAX_UNKNOWN {
                    self.on_demand.asterisks.insert(question.clone());
                }
                continue;
            }
            if self.on_demand.add_unknown(route, own_domain(input, host)) {
                jobs.insert(Job::Unknown(route.into()));
            }
        }
        jobs
    }

    /// The route configuration, its port and the host, if that is a question that the class may have.
    fn parse<'a>(&self, question: &'a str) -> Option<(&'a str, u16, &'a str)> {
        let (route, host) = split_host(question)?;
        match RouteName::parse(route)? {
            RouteName::OnDemand(port) if self.routes.contains_key(route) => {
                Some((route, port, host))
            }
            RouteName::OnDemand(_)
            | RouteName::Port(_)
            | RouteName::Namespace(..)
            | RouteName::Host(..)
            | RouteName::Service(..)
            | RouteName::HttpProxy
            | RouteName::Socket(_) => None,
        }
    }

    pub(super) fn run_unknown(&mut self, route: &Arc<str>, view: &FacetView) -> Made {
        let Some(Some(input)) = self.routes.get(route) else { return Made::new() };
        let parts = view.get(ResourceKind::Route, route).and_then(|it| it.parts.as_ref());
        if let (Some(parts), Some(domains)) = (parts, self.on_demand.unknown.get_mut(route)) {
            domains.retain(|domain| &**domain == EVERYTHING || !is_answered(parts, domain));
        }
        let domains = self.on_demand.domains(route);
        let hosts = domains.filter_map(|domain| unknown_host(input, domain));
        hosts.map(|it| (ResourceKind::VirtualHost, Arc::new(it))).collect()
    }

    pub(super) fn answer(&self, question: &str, view: &FacetView) -> Option<Arc<str>> {
        if asks_for_cluster(question) {
            let clusters = view.table(ResourceKind::Cluster);
            return clusters.get_key_value(question).map(|(name, _)| name.clone());
        }
        let (route, host) = split_host(question)?;
        let parts = view.get(ResourceKind::Route, route)?.parts.as_ref()?;
        let found = answer(parts, self.on_demand.domains(route), host);
        let is_nobody = || self.on_demand.asterisks.contains(question);
        let found = found.or_else(|| is_nobody().then(|| answer_nothing(route)))?;
        // In the copy that the view has.
        let table = view.table(ResourceKind::VirtualHost);
        table.get_key_value(&*found).map(|(name, _)| name.clone())
    }

    pub(super) fn told(&self) -> Option<Told> {
        let fence = self.client.fence.as_ref()?;
        let OnDemand { visible, asked, unknown, .. } = &self.on_demand;
        let visible = visible.as_ref().map(|visible| &visible.scope);
        let services = |scope: Option<&Arc<Scope>>| scope.map_or(0, |it| it.services.len());
        let closed = unknown.iter().filter(|(_, domains)| domains.contains(EVERYTHING));
        Some(Told {
            services: services(self.scope.as_ref()),
            visible: services(visible),
            asked: asked.iter().cloned().collect(),
            everything: fence.loads_on_demand && self.on_demand.asks_too_much(),
            unknown: unknown.values().map(BTreeSet::len).sum(),
            closed_ports: closed.filter_map(|(route, _)| port(route)).collect(),
        })
    }

    pub(super) fn judge(&self, answer: &str) -> Answer {
        let unknown = split_host(answer)
            .and_then(|(route, domain)| Some((self.on_demand.unknown.get(route)?, domain)));
        match unknown {
            Some((domains, EVERYTHING)) if domains.contains(EVERYTHING) => Answer::Closed,
            Some((domains, domain)) if domains.contains(domain) => Answer::Unknown,
            _ if answers_nothing(answer) => Answer::Unknown,
            Some(_) | None => Answer::Known,
        }
    }

    pub(super) fn has_called(&self) -> bool {
        !self.on_demand.news.is_empty()
    }

    pub(super) fn take_called(&mut self) -> Vec<(WorkloadKey, Hostname)> {
        let Some(fence) = &self.client.fence else { return Vec::new() };
        let news = std::mem::take(&mut self.on_demand.news);
        news.into_iter().map(|host| (fence.workload.clone(), host)).collect()
    }
}

fn port(route: &str) -> Option<u16> {
    match RouteName::parse(route) {
        Some(RouteName::OnDemand(port)) => Some(port),
        Some(_) | None => None,
    }
}
