//! Fences by what they depend on, so that a change finds those that it concerns.

use std::collections::{BTreeMap, BTreeSet};

use api::slime::service_fence::FenceHost;
use model::{Hostname, Map, Namespace, ObjectKey, ServiceKey};

use crate::{
    fence::{DomainStatus, Domains, FenceRecord, read_key},
    index::selectors::Selectors,
};

/// A label selector of a fence: which one of its list.
type Selector = (ObjectKey, usize);

/// What is kept to find the fences that something concerns.
#[derive(Clone, Debug, Default)]
pub(in crate::index) struct FenceIndex {
    /// In seconds since 1970, as last told.
    pub(super) now: Option<i64>,
    /// Fences by the label selectors over services.
    pub(super) selectors: Selectors<Selector, ServiceKey>,
    /// There was such a selector once: since then services are filed for them.
    pub(super) has_selectors: bool,
    pub(super) by_host: BTreeMap<Hostname, BTreeSet<ObjectKey>>,
    pub(super) by_namespace: Map<Namespace, BTreeSet<ObjectKey>>,
    due: BTreeMap<i64, BTreeSet<ObjectKey>>,
    /// What each fence is filed under above.
    filed: Map<ObjectKey, Filed>,
    /// VirtualServices of the mesh by host.
    pub(super) rules: BTreeMap<Hostname, BTreeSet<ObjectKey>>,
    /// What waited before the process began, in fences that were not derived since.
    pub(in crate::index) waited: Map<ObjectKey, Domains>,
}

/// What a fence is filed under.
#[derive(Clone, Debug, Default)]
struct Filed {
    selectors: usize,
    hosts: BTreeSet<Hostname>,
    namespaces: BTreeSet<Namespace>,
    due: Option<i64>,
}

impl Filed {
    fn new(domains: &Domains, selectors: usize) -> Self {
        let mut filed = Self { selectors, ..Self::default() };
        for (key, domain) in domains {
            match read_key(key) {
                FenceHost::Namespace(name) => drop(filed.namespaces.insert(name.into())),
                FenceHost::Host(name) => drop(filed.hosts.insert(Hostname::new(name))),
                FenceHost::Mesh => (),
            }
            let open = domain.until.filter(|_| domain.status != DomainStatus::Expire);
            // Over is what is past its second.
            let due = open.map(|until| until.saturating_add(1));
            filed.due = filed.due.into_iter().chain(due).min();
        }
        filed
    }
}

impl FenceIndex {
    /// Files a fence, with the number of its selectors over services; `None` takes it away.
    pub(super) fn file(&mut self, key: &ObjectKey, record: Option<(&FenceRecord, usize)>) {
        let old = self.filed.remove(key).unwrap_or_default();
        let new = record.map(|(record, selectors)| Filed::new(&record.domains, selectors));
        let new = new.unwrap_or_default();
        for at in new.selectors..old.selectors {
            self.selectors.set_selector(&(key.clone(), at), None);
        }
        for host in old.hosts.difference(&new.hosts) {
            if let Some(keys) = self.by_host.get_mut(host) {
                keys.remove(key);
                if keys.is_empty() {
                    self.by_host.remove(host);
                }
            }
        }
        for host in new.hosts.difference(&old.hosts) {
            self.by_host.entry(host.clone()).or_default().insert(key.clone());
        }
        for namespace in old.namespaces.difference(&new.namespaces) {
            if let Some(keys) = self.by_namespace.get_mut(namespace) {
                keys.remove(key);
                if keys.is_empty() {
                    self.by_namespace.remove(namespace);
                }
            }
        }
        for namespace in new.namespaces.difference(&old.namespaces) {
            self.by_namespace.entry(namespace.clone()).or_default().insert(key.clone());
        }
        if old.due != new.due {
            if let Some(keys) = old.due.and_then(|due| self.due.get_mut(&due)) {
                keys.remove(key);
            }
            if let Some(due) = new.due {
                self.due.entry(due).or_default().insert(key.clone());
            }
        }
        if record.is_some() {
            self.filed.insert(key.clone(), new);
        }
    }

    /// It is this time now. Gives the fences of which something is over.
    pub(super) fn set_time(&mut self, now: i64) -> Vec<ObjectKey> {
        self.now = Some(now);
        let later = self.due.split_off(&now.saturating_add(1));
        let due = std::mem::replace(&mut self.due, later);
        let concerned: Vec<ObjectKey> = due.into_values().flatten().collect();
        for key in &concerned {
            if let Some(filed) = self.filed.get_mut(key) {
                filed.due = None;
            }
        }
        concerned
    }

    /// A VirtualService of the mesh has this host, or has it no more.
    pub(super) fn file_rule(&mut self, host: &Hostname, rule: &ObjectKey, is_present: bool) {
        let rules = self.rules.entry(host.clone()).or_default();
        match is_present {
            true => rules.insert(rule.clone()),
            false => rules.remove(rule),
        };
        if rules.is_empty() {
            self.rules.remove(host);
        }
    }

    /// The VirtualServices of a host, by its name and by wildcards.
    pub(super) fn rules_of<'a>(
        &'a self,
        host: &'a Hostname,
    ) -> impl Iterator<Item = &'a ObjectKey> {
        // Wildcards sort before all names.
        let wildcards = self.rules.iter().take_while(|(it, _)| it.is_wildcard());
        let covering = wildcards.filter(move |(it, _)| *it != host && it.covers(host));
        let covering = covering.map(|(_, keys)| keys);
        self.rules.get(host).into_iter().chain(covering).flatten()
    }
}
