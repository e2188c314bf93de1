//! A scope arranged for fences: what is left of it is found by name, and what has changed of it is
//! found once for all workloads that see it.

use std::{
    cmp::Reverse,
    collections::BTreeSet,
    hash::Hash,
    sync::{Arc, OnceLock},
};

use model::{Hostname, Map, Namespace, Resolution, Service, ServicePort, Shared};
use snapshot::Reader;

use super::{
    EgressListener, OpenPorts, RuleRef, Scope,
    detour::{DetourDomains, Detoured},
    endings::Endings,
};

/// With more server names on a port, connections wait for none of them: all are in its listener.
const MAX_SERVER_NAMES: usize = 1_000;

/// All that workloads may see, of which fences leave them a part.
#[derive(Debug)]
pub struct Visible {
    pub scope: Arc<Scope>,
    /// Of the scope's listeners, in their order.
    pub(super) listeners: Vec<Arranged>,
    /// The places of services in the scope.
    pub(super) by_namespace: Map<Namespace, Vec<usize>>,
    /// Services with ports of bytes, by these.
    pub(super) bytes_by_port: Map<u16, Vec<Hostname>>,
    /// What the gateway has of it, if there is one.
    pub(super) detoured: Option<Detoured>,
    /// Places of services with a wildcard.
    pub(super) wildcard_services: Vec<usize>,
    /// Made when the first host is asked for that nothing defines.
    endings: OnceLock<Endings>,
}

/// Where things are in an egress listener.
#[derive(Debug)]
pub(super) struct Arranged {
    pub(super) services: Map<Hostname, usize>,
    /// Of rules for a host by its full name.
    pub(super) rules: Map<Hostname, Vec<usize>>,
    pub(super) wildcard_rules: BTreeSet<usize>,
    pub(super) open_ports: OpenPorts,
    /// By rule: ports on which it is about a service that speaks HTTP.
    pub(super) rule_ports: Vec<BTreeSet<u16>>,
    /// By wildcard of a rule: ports of the services whose names it covers.
    pub(super) wildcard_ports: Map<Hostname, BTreeSet<u16>>,
    /// What the gateway has of it, if there is one.
    pub(super) detoured: Arc<DetourDomains>,
}

/// What has become another of all that is visible.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct VisibleChange {
    /// More than can be said below.
    pub(super) is_general: bool,
    pub(super) hosts: BTreeSet<Hostname>,
    pub(super) rules: Vec<RuleRef>,
    pub(super) open_ports: bool,
    /// Those that connections wait for.
    pub(super) server_names: bool,
    pub(super) detour: bool,
}

impl Visible {
    pub fn new(scope: Scope, namespace: &Namespace, reader: &Reader<'_>) -> Self {
        let mut by_namespace: Map<Namespace, Vec<usize>> = Map::default();
        let mut bytes_by_port: Map<u16, Vec<Hostname>> = Map::default();
        for (place, service) in scope.services.iter().enumerate() {
            by_namespace.entry(service.namespace().clone()).or_default().push(place);
            for port in byte_ports(service) {
                bytes_by_port.entry(port).or_default().push(service.hostname().clone());
            }
        }
        let wild = scope.services.iter().enumerate().filter(|(_, it)| it.hostname().is_wildcard());
        let mut visible = Self {
            listeners: scope.listeners.iter().map(Arranged::of).collect(),
            wildcard_services: wild.map(|(place, _)| place).collect(),
            scope: Arc::new(scope),
            by_namespace,
            bytes_by_port,
            detoured: None,
            endings: OnceLock::new(),
        };
        visible.add_detour(namespace, reader);
        visible
    }

    pub(super) fn endings(&self) -> &Endings {
        self.endings.get_or_init(|| Endings::of(&self.scope))
    }

    /// What has changed since `before`.
    pub fn since(&self, before: &Self) -> VisibleChange {
        let (new, old) = (&*self.scope, &*before.scope);
        let form = |it: &EgressListener| (it.port.clone(), it.bind.clone(), it.capture_mode);
        let mut change = VisibleChange {
            is_general: new.outbound_policy != old.outbound_policy
                || new.egress_proxy != old.egress_proxy
                || !new.listeners.iter().map(form).eq(old.listeners.iter().map(form)),
            ..VisibleChange::default()
        };
        change.add_services(&new.services, &old.services);
        for (new, old) in new.listeners.iter().zip(&old.listeners) {
            change.add_services(&new.services, &old.services);
            change.add_rules(&new.rules, &old.rules);
        }
        let differs = |differs: fn(&Arranged, &Arranged) -> bool| {
            self.listeners.iter().zip(&before.listeners).any(|(new, old)| differs(new, old))
        };
        let has_others =
            |new: &Arranged, old: &Arranged| !new.open_ports.are_those_of(&old.open_ports);
        change.open_ports = differs(has_others);
        change.server_names = differs(|new, old| new.open_ports != old.open_ports);
        change.detour =
            self.detoured != before.detoured || differs(|new, old| new.detoured != old.detoured);
        change
    }
}

impl Arranged {
    fn of(listener: &EgressListener) -> Self {
        let places = listener.services.iter().enumerate();
        let mut rules: Map<Hostname, Vec<usize>> = Map::default();
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
        let mut arranged = Self {
            services: places.map(|(place, it)| (it.hostname().clone(), place)).collect(),
            rules,
            wildcard_rules,
            open_ports: OpenPorts::default(),
            rule_ports: vec![BTreeSet::new(); listener.rules.len()],
            wildcard_ports: Map::default(),
            detoured: Arc::default(),
        };
        arranged.find_ports(listener);
        arranged
    }

    fn find_ports(&mut self, listener: &EgressListener) {
        let wildcards = wildcards(listener);
        for service in &listener.services {
            let host = service.hostname();
            let http: BTreeSet<u16> = http_ports(service).collect();
            let closest = wildcards.iter().find(|(pattern, _)| pattern.covers(host));
            let rules = match self.rules.get(host) {
                Some(rules) => rules.clone(),
                None => closest.map(|(_, place)| *place).into_iter().collect(),
            };
            for rule in rules {
                self.rule_ports[rule].extend(&http);
            }
            for (pattern, _) in wildcards.iter().filter(|(pattern, _)| pattern.overlaps(host)) {
                let ports = service.ports.iter().map(|port| port.number);
                self.wildcard_ports.entry((*pattern).clone()).or_default().extend(ports);
            }
            if service.resolution != Resolution::Alias {
                self.open_ports.http.extend(http);
                self.open_ports.detected.extend(detected_ports(service));
                self.add_server_name(service, listener);
            }
        }
        for names in self.open_ports.tls.values_mut().filter(|it| it.len() > MAX_SERVER_NAMES) {
            *names = Arc::default();
        }
    }

    /// Opens the ports on which a service is told from others by its server name. Where a rule decides about
    /// connections, they are not for the service of that name.
    fn add_server_name(&mut self, service: &Service, listener: &EgressListener) {
        let mut ports = named_ports(service).peekable();
        if ports.peek().is_none() {
            return;
        }
        let host = service.hostname();
        let mut exact = self.rules.get(host).into_iter().flatten();
        let mut wild = self.wildcard_rules.iter().map(|place| &listener.rules[*place]);
        let is_ruled = exact.any(|place| listener.rules[*place].has_tls)
            || wild.any(|rule| rule.has_tls && rule.hosts.iter().any(|it| it.covers(host)));
        for port in ports {
            let names = self.open_ports.tls.entry(port).or_default();
            if !is_ruled && !host.is_wildcard() {
                Arc::make_mut(names).insert(host.as_str().into());
            }
        }
    }
}

/// The wildcards of rules with the places of these, in the order in which they win.
pub(crate) fn wildcards(listener: &EgressListener) -> Vec<(&Hostname, usize)> {
    let rules = listener.rules.iter().enumerate();
    let hosts = rules.flat_map(|(place, rule)| rule.hosts.iter().map(move |host| (host, place)));
    let mut wildcards: Vec<_> = hosts.filter(|(host, _)| host.is_wildcard()).collect();
    wildcards.sort_by_key(|(host, place)| (Reverse(host.as_str().len()), *place));
    wildcards
}

/// Ports of a service that speak HTTP, or may.
pub(crate) fn http_ports(service: &Service) -> impl Iterator<Item = u16> {
    let http =
        service.ports.iter().filter(|it| it.protocol.is_http() || it.protocol.is_unsupported());
    http.map(|port| port.number)
}

/// Ports of a service that speak whatever they are spoken to, at an address of its own.
fn detected_ports(service: &Service) -> impl Iterator<Item = u16> {
    let detected = service.ports.iter().filter(|it| it.protocol.is_unsupported());
    detected.map(|it| it.number).filter(|port| !service.addresses_of(*port).is_empty())
}

/// Ports of a service whose listeners may be for all addresses.
pub(super) fn wildcard_ports(service: &Service) -> impl Iterator<Item = u16> {
    let is_shared =
        |it: &&ServicePort| it.protocol.is_http() || service.addresses_of(it.number).is_empty();
    service.ports.iter().filter(is_shared).map(|it| it.number)
}

/// Ports of a service that carry bytes to an address of its own, or to its pods'.
pub(super) fn byte_ports(service: &Service) -> impl Iterator<Item = u16> {
    let bytes = service.ports.iter().filter(|it| it.protocol.is_tcp() && !it.protocol.is_tls());
    bytes.map(|it| it.number).filter(|port| {
        service.resolution == Resolution::Passthrough || !service.addresses_of(*port).is_empty()
    })
}

/// Ports of a service that speak TLS, on which only its name tells it from others.
fn named_ports(service: &Service) -> impl Iterator<Item = u16> {
    let tls = service.ports.iter().filter(|it| it.protocol.is_tls());
    tls.map(|it| it.number).filter(|port| service.addresses_of(*port).is_empty())
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
    let places: Map<&K, usize> =
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
