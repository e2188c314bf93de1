//! What a class asks for at its first calls.
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

use compile::{Client, RouteName, Scope, answer, unknown_host};
use model::{Hostname, WorkloadKey};

use super::{Job, Made, Work, outbound::Outbound};
use crate::{FacetView, ResourceKind};

/// A class that has asked for more hosts than this is sent its whole scope.
const MAX_ASKED: usize = 500;
/// More domains of unknown hosts than this become one for all.
const MAX_UNKNOWN: usize = 1_000;
const EVERYTHING: &str = "*";

/// Of one class.
#[derive(Clone, Debug, Default)]
pub(super) struct OnDemand {
    /// All that the class may see, if a fence limits what it is told of that.
    visible: Option<Arc<Scope>>,
    asked: BTreeSet<Hostname>,
    /// Domains that nothing defines, by route configuration.
    unknown: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// Asked for, and not told to those who learn it.
    called: BTreeSet<Hostname>,
}

impl OnDemand {
    /// What a class is told of all that it may see.
    pub(super) fn narrow(&mut self, visible: Scope, client: &Client, work: &mut Work<'_>) -> Scope {
        let scope = match self.asked.len() > MAX_ASKED {
            true => None,
            false => visible.fenced(client, &self.asked, work.reader),
        };
        let Some(scope) = scope else {
            self.visible = client.fence.is_some().then(|| Arc::new(visible.clone()));
            return visible;
        };
        if self.visible.as_ref().is_none_or(|known| **known != visible) {
            self.retract(&visible, client, work);
            self.visible = Some(Arc::new(visible));
        }
        scope
    }

    /// Some of what nothing defined may be defined now.
    fn retract(&mut self, visible: &Scope, client: &Client, work: &mut Work<'_>) {
        for (route, domains) in &mut self.unknown {
            let Some(RouteName::OnDemand(port)) = RouteName::parse(route) else { continue };
            let before = domains.len();
            domains.retain(|it| {
                &**it == EVERYTHING || visible.is_unknown(it, port, &client.dns_domain)
            });
            if domains.len() != before {
                work.dirty.insert(Job::Unknown(route.clone()));
            }
        }
    }

    fn domains<'a>(&'a self, route: &str) -> impl Iterator<Item = &'a Arc<str>> + use<'a> {
        self.unknown.get(route).into_iter().flatten()
    }
}

impl Outbound {
    /// Takes in questions that nothing answers yet.
    pub(super) fn ask(&mut self, questions: &[Arc<str>]) -> BTreeSet<Job> {
        let Some(visible) = self.on_demand.visible.clone() else { return BTreeSet::new() };
        let mut jobs = BTreeSet::new();
        for question in questions {
            let Some((route, port, host)) = parse(question) else { continue };
            if !self.routes.contains_key(route) {
                continue;
            }
            match visible.find_host(host, port, &self.client.dns_domain) {
                Some(found) => {
                    self.on_demand.called.insert(found.clone());
                    if self.on_demand.asked.insert(found) {
                        jobs.insert(Job::Scope);
                    }
                }
                None => {
                    let domain = visible.unknown_domain(host, port, &self.client.dns_domain);
                    jobs.extend(self.add_unknown(route, &domain));
                }
            }
        }
        jobs
    }

    pub(super) fn refuse(&mut self, questions: &[Arc<str>]) -> BTreeSet<Job> {
        if !self.client.loads_on_demand() {
            return BTreeSet::new();
        }
        let parsed = questions.iter().filter_map(|it| parse(it));
        let known = parsed.filter(|(route, ..)| self.routes.contains_key(*route));
        let known: Vec<(&str, u16, &str)> = known.collect();
        known.into_iter().flat_map(|(route, _, host)| self.add_unknown(route, host)).collect()
    }

    fn add_unknown(&mut self, route: &str, domain: &str) -> Option<Job> {
        let route: Arc<str> = route.into();
        let domains = self.on_demand.unknown.entry(route.clone()).or_default();
        if domains.len() >= MAX_UNKNOWN {
            domains.clear();
            domains.insert(EVERYTHING.into());
        }
        (!domains.contains(EVERYTHING) && domains.insert(domain.into())
            || domains.contains(EVERYTHING))
        .then_some(Job::Unknown(route))
    }

    pub(super) fn run_unknown(&mut self, route: &Arc<str>) -> Made {
        let Some(Some(input)) = self.routes.get(route) else { return Made::new() };
        let domains = self.on_demand.domains(route);
        let hosts = domains.filter_map(|domain| {
            unknown_host(route, domain, &input.catch_all, input.counts_attempts)
        });
        hosts.map(|it| (ResourceKind::VirtualHost, Arc::new(it))).collect()
    }

    pub(super) fn answer(&self, question: &str, view: &FacetView) -> Option<Arc<str>> {
        let (route, host) = question.rsplit_once('/')?;
        let parts = view.get(ResourceKind::Route, route)?.parts.as_ref()?;
        let found = answer(parts, self.on_demand.domains(route), host)?;
        // In the copy that the view has.
        let table = view.table(ResourceKind::VirtualHost);
        table.get_key_value(&*found).map(|(name, _)| name.clone())
    }

    pub(super) fn take_called(&mut self) -> Vec<(WorkloadKey, Hostname)> {
        let Some(fence) = &self.client.fence else { return Vec::new() };
        let called = std::mem::take(&mut self.on_demand.called);
        called.into_iter().map(|host| (fence.workload.clone(), host)).collect()
    }
}

/// The route configuration, its port, and the host.
fn parse(question: &str) -> Option<(&str, u16, &str)> {
    let (route, host) = question.rsplit_once('/')?;
    match RouteName::parse(route)? {
        RouteName::OnDemand(port) => Some((route, port, host)),
        RouteName::Port(_)
        | RouteName::Host(..)
        | RouteName::Service(..)
        | RouteName::HttpProxy
        | RouteName::Socket(_) => None,
    }
}
