//! What has changed of a scope → the names by which it may be called, so that only what was thought of
//! such names is thought of again.

use std::{
    collections::BTreeSet,
    ops::Bound::{Excluded, Included, Unbounded},
    sync::Arc,
};

use model::Hostname;

use super::{
    EgressListener, Visible, VisibleChange,
    visible::Arranged,
    written::{bracketed, clean_host, full_names},
};
use crate::virtual_host::short_names;

/// What callers may write for something that has changed.
#[derive(Debug)]
pub struct ChangedNames {
    /// More than can be said below.
    is_general: bool,
    /// Whole names, and what wildcards leave of theirs.
    names: BTreeSet<String>,
    /// What names below wildcards end with.
    endings: BTreeSet<String>,
    /// The caller's, which completes short names.
    dns_domain: Arc<str>,
}

impl Visible {
    /// The names by which a change makes something callable that was not: those of services and rules that
    /// have changed, and the other hosts of rules about such services.
    pub fn changed_names(&self, change: &VisibleChange, dns_domain: &Arc<str>) -> ChangedNames {
        let mut hosts: BTreeSet<&Hostname> = change.hosts.iter().collect();
        hosts.extend(change.rules.iter().flat_map(|rule| rule.hosts.iter()));
        for (listener, places) in self.scope.listeners.iter().zip(&self.listeners) {
            hosts.extend(hosts_of_rules_about(&change.hosts, listener, places));
        }
        let is_general = change.is_general;
        let (names, endings) = Default::default();
        let mut changed =
            ChangedNames { is_general, names, endings, dns_domain: dns_domain.clone() };
        hosts.into_iter().for_each(|host| changed.add(host, self));
        changed
    }
}

/// On which ports a rule has its hosts depends on the services that it is about.
fn hosts_of_rules_about<'a>(
    services: &BTreeSet<Hostname>,
    listener: &'a EgressListener,
    places: &Arranged,
) -> impl Iterator<Item = &'a Hostname> {
    let exact = services.iter().filter_map(|host| places.rules.get(host)).flatten().copied();
    let overlaps = |host: &Hostname| services.iter().any(|service| host.overlaps(service));
    let wild = places.wildcard_rules.iter().copied().filter(|place| {
        listener.rules[*place].hosts.iter().any(|host| host.is_wildcard() && overlaps(host))
    });
    let found: BTreeSet<usize> = exact.chain(wild).collect();
    found.into_iter().flat_map(|place| listener.rules[place].hosts.iter())
}

impl ChangedNames {
    fn add(&mut self, host: &Hostname, visible: &Visible) {
        let own = host.as_str().trim_start_matches('*');
        if host.is_wildcard() {
            self.endings.insert(own.to_owned());
        }
        self.names.extend([own.to_owned(), format!("{own}.")]);
        self.names.extend(bracketed(own));
        self.names.extend(short_names(host.as_str(), &self.dns_domain));
        if let Some(service) = visible.scope.service(host) {
            let ports = service.ports.iter().map(|port| port.number);
            for address in ports.flat_map(|port| service.addresses_of(port)) {
                self.names.insert(address.to_string());
                self.names.extend(bracketed(address));
            }
        }
    }

    /// Those of `domains`, as [`Visible::unknown_domain`] gives them, that may be for one of these names.
    pub fn touched(&self, domains: &BTreeSet<Arc<str>>) -> Vec<Arc<str>> {
        if self.is_general {
            return domains.iter().cloned().collect();
        }
        let mut touched = BTreeSet::new();
        for name in &self.names {
            let endings = name.char_indices().map(|(at, _)| format!("*{}", &name[at..]));
            touched.extend(endings.filter_map(|ending| domains.get(&*ending)));
        }
        if !self.endings.is_empty() {
            let is_below =
                |domain: &&Arc<str>| self.endings.iter().any(|it| domain.ends_with(&**it));
            touched.extend(domains.iter().filter(is_below));
        }
        // There are few without a wildcard.
        let before = domains.range::<str, _>((Unbounded, Excluded("*")));
        let after = domains.range::<str, _>((Included("+"), Unbounded));
        touched.extend(before.chain(after).filter(|host| self.may_mean(host)));
        touched.into_iter().cloned().collect()
    }

    /// Whether a host may be one of these names, or that of a pod below one.
    fn may_mean(&self, host: &str) -> bool {
        full_names(&clean_host(host), &self.dns_domain).iter().any(|name| {
            let name = name.as_str();
            let parent = name.split_once('.').map(|(_, parent)| parent);
            self.names.contains(name)
                || parent.is_some_and(|parent| self.names.contains(parent))
                || self.endings.iter().any(|it| name.ends_with(&**it))
        })
    }
}
