//! A scope arranged for fences: what is left of it is found by name, and what has changed of it is
//! found once for all workloads that see it.

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
    sync::Arc,
};

use model::{Hostname, Namespace, Resolution, Service, Shared};

use super::{EgressListener, RuleRef, Scope};

/// All that workloads may see, of which fences leave them a part.
#[derive(Debug)]
pub struct Visible {
    pub scope: Arc<Scope>,
    /// Of the scope's listeners, in their order.
    pub(super) listeners: Vec<Arranged>,
    /// The places of services in the scope.
    pub(super) by_namespace: HashMap<Namespace, Vec<usize>>,
}

/// Where things are in an egress listener.
#[derive(Debug)]
pub(super) struct Arranged {
    pub(super) services: HashMap<Hostname, usize>,
    /// Of rules for a host by its full name.
    pub(super) rules: HashMap<Hostname, Vec<usize>>,
    pub(super) wildcard_rules: BTreeSet<usize>,
    pub(super) open_ports: BTreeSet<u16>,
}

/// What has become another of all that is visible.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct VisibleChange {
    /// More than can be said below.
    pub(super) is_general: bool,
    pub(super) hosts: BTreeSet<Hostname>,
    pub(super) rules: Vec<RuleRef>,
    pub(super) open_ports: bool,
}

impl Visible {
    pub fn new(scope: Scope) -> Self {
        let mut by_namespace: HashMap<Namespace, Vec<usize>> = HashMap::new();
        for (place, service) in scope.services.iter().enumerate() {
            by_namespace.entry(service.namespace().clone()).or_default().push(place);
        }
        let listeners = scope.listeners.iter().map(Arranged::of).collect();
        Self { scope: Arc::new(scope), listeners, by_namespace }
    }

    /// What has changed since `before`.
    pub fn since(&self, before: &Self) -> VisibleChange {
        let (new, old) = (&*self.scope, &*before.scope);
        let form = |it: &EgressListener| (it.port.clone(), it.bind.clone(), it.capture_mode);
        let mut change = VisibleChange {
            is_general: new.outbound_policy != old.outbound_policy
                || !new.listeners.iter().map(form).eq(old.listeners.iter().map(form)),
            ..VisibleChange::default()
        };
        change.add_services(&new.services, &old.services);
        for (new, old) in new.listeners.iter().zip(&old.listeners) {
            change.add_services(&new.services, &old.services);
            change.add_rules(&new.rules, &old.rules);
        }
        let open_ports = |it: &Self| -> Vec<BTreeSet<u16>> {
            it.listeners.iter().map(|listener| listener.open_ports.clone()).collect()
        };
        change.open_ports = open_ports(self) != open_ports(before);
        change
    }
}

impl Arranged {
    fn of(listener: &EgressListener) -> Self {
        let services = listener.services.iter().enumerate();
        let mut rules: HashMap<Hostname, Vec<usize>> = HashMap::new();
        let mut wildcard_rules = BTreeSet::new();
        for (place, rule) in listener.rules.iter().enumerate() {
            for host in rule.hosts.iter() {
                match host.is_wildcard() {
                    true => {
                        wildcard_rules.insert(place);
                    }
                    false => rules.entry(host.clone()).or_default().push(place),
                }
            }
        }
        Self {
            services: services.map(|(place, it)| (it.hostname().clone(), place)).collect(),
            rules,
            wildcard_rules,
            open_ports: open_ports(listener),
        }
    }
}

/// Ports on which HTTP to hosts of all kinds arrives.
fn open_ports(listener: &EgressListener) -> BTreeSet<u16> {
    let services = listener.services.iter().filter(|it| it.resolution != Resolution::Alias);
    let ports = services.flat_map(|service| service.ports.iter());
    ports
        .filter(|port| port.protocol.is_http() || port.protocol.is_unsupported())
        .map(|port| port.number)
        .collect()
}

impl VisibleChange {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn add_services(&mut self, new: &[Shared<Service>], old: &[Shared<Service>]) {
        let differing = differences(new, old, |it| it.hostname());
        self.is_general |= differing.is_none();
        self.hosts.extend(differing.into_iter().flatten().map(|it| it.hostname().clone()));
    }

    fn add_rules(&mut self, new: &[RuleRef], old: &[RuleRef]) {
        let differing = differences(new, old, |rule| &rule.key);
        self.is_general |= differing.is_none();
        self.rules.extend(differing.into_iter().flatten().cloned());
    }
}

/// What is in one of the lists only. `None` if something that is in both has another place among what
/// is in both.
fn differences<'a, T: PartialEq, K: Hash + Eq + 'a>(
    new: &'a [T],
    old: &'a [T],
    key: impl Fn(&'a T) -> &'a K,
) -> Option<Vec<&'a T>> {
    if new == old {
        return Some(Vec::new());
    }
    let places: HashMap<&K, usize> =
        old.iter().enumerate().map(|(place, it)| (key(it), place)).collect();
    let mut differing = Vec::new();
    let mut stays = vec![false; old.len()];
    let mut last = None;
    for item in new {
        match places.get(key(item)).filter(|place| old[**place] == *item) {
            Some(place) if last.is_some_and(|last| last >= *place) => return None,
            Some(place) => {
                stays[*place] = true;
                last = Some(*place);
            }
            None => differing.push(item),
        }
    }
    differing.extend(old.iter().zip(stays).filter(|(_, stays)| !stays).map(|(it, _)| it));
    Some(differing)
}
