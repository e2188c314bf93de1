//! What a ServiceFence comes to: its dependencies one by one, and how long each stays.
//!
//! - Pure: the time and what other objects say are part of the input.
//! - The result has the shape of Slime's `status.domains`.

use std::collections::{BTreeMap, BTreeSet};

use api::slime::service_fence::{
    FenceHost, RecyclingStrategy, ServiceFenceSpec, ServiceFenceStatus, is_namespace, learned_host,
};
use model::{Hostname, Namespace};

use super::{Declared, DomainAliases};
use crate::resolve_short_name;

/// Whether a dependency is in the scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum DomainStatus {
    Active,
    /// Its time is over.
    Expire,
    /// Nothing asks for it any more; it stays for a while.
    ExpireWait,
}

/// Who asked for a dependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DomainSource {
    Host,
    Namespace,
    Labels,
    /// Slime's own memory, in the status of the object.
    Status,
}

/// One dependency.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize)]
pub struct Domain {
    /// The host itself first (none for a whole namespace), then where VirtualServices lead from it.
    pub hosts: Vec<Hostname>,
    pub status: DomainStatus,
    pub source: DomainSource,
    /// When this status ends, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    /// Once over, it comes back with the next call. A passed deadline bars a host.
    #[serde(skip)]
    pub is_recallable: bool,
}

/// Dependencies by `namespace/*`, `*/*` or host.
pub type Domains = BTreeMap<String, Domain>;

/// What a key of [`Domains`] stands for: unlike the keys of a fence, all that are there count.
pub(crate) fn read_key(key: &str) -> FenceHost<'_> {
    match key.strip_suffix("/*") {
        Some("*") => FenceHost::Mesh,
        Some(namespace) => FenceHost::Namespace(namespace),
        None => FenceHost::Host(key),
    }
}

/// What other objects say about hosts.
pub(crate) trait Destinations {
    /// Where VirtualServices lead from a host.
    fn of_host(&self, host: &Hostname) -> BTreeSet<Hostname>;

    /// Where they lead from the hosts of a namespace, out of it.
    fn out_of_namespace(&self, namespace: &Namespace) -> BTreeSet<Hostname>;
}

/// All that the dependencies of a fence follow from.
pub(crate) struct DomainInput<'a> {
    /// The fence's own.
    pub(crate) namespace: &'a Namespace,
    pub(crate) spec: &'a ServiceFenceSpec,
    pub(crate) status: &'a ServiceFenceStatus,
    /// The services that its label selectors select, sorted.
    pub(crate) selected: Vec<Hostname>,
    /// What this came to before.
    pub(crate) before: Option<&'a Domains>,
    /// In seconds since 1970; unknown where nothing expires.
    pub(crate) now: Option<i64>,
    /// How long a dependency stays that nothing asks for any more, in seconds.
    pub(crate) expire_wait: i64,
    pub(crate) aliases: &'a DomainAliases,
    /// Suffix of Kubernetes names.
    pub(crate) domain: &'a str,
}

/// Computes the dependencies of a fence. Where two ask for the same, the first counts: hosts, the
/// aliases of hosts, namespaces, labels, what Slime learned.
pub(crate) fn compute_domains(
    input: &DomainInput<'_>,
    destinations: &impl Destinations,
) -> Domains {
    let mut domains = Computation { input, destinations, domains: Domains::new() };
    domains.add_hosts();
    domains.add_namespaces();
    for host in &input.selected {
        domains.add_active(host, DomainSource::Labels);
    }
    for host in input.status.metric_status.iter().filter_map(|key| learned_host(key)) {
        domains.add_active(&domains.full_name(host), DomainSource::Status);
    }
    domains.keep_for_a_while();
    domains.domains
}

struct Computation<'a, D> {
    input: &'a DomainInput<'a>,
    destinations: &'a D,
    domains: Domains,
}

impl<D: Destinations> Computation<'_, D> {
    fn full_name(&self, host: &str) -> Hostname {
        resolve_short_name(host, self.input.namespace, self.input.domain)
    }

    fn add_hosts(&mut self) {
        let hosts = self.input.spec.host.iter();
        let read: Vec<_> = hosts
            .filter_map(|(key, strategy)| Some((FenceHost::parse(key).ok()?, strategy)))
            .collect();
        for (host, strategy) in &read {
            match host {
                FenceHost::Namespace(name) => self.add_namespace(name, DomainSource::Host),
                FenceHost::Mesh => self.add_mesh(),
                FenceHost::Host(name) => {
                    let host = self.full_name(name);
                    self.add(&host, self.end_of(strategy), DomainSource::Host);
                }
            }
        }
        // What somebody wrote down for a host counts more than what it is an alias of.
        for (host, strategy) in &read {
            let FenceHost::Host(name) = host else { continue };
            for alias in self.input.aliases.of(&self.full_name(name)) {
                self.add(&alias, self.end_of(strategy), DomainSource::Host);
            }
        }
    }

    fn add_namespaces(&mut self) {
        for name in self.input.spec.namespace_selector.iter().filter(|name| is_namespace(name)) {
            self.add_namespace(name, DomainSource::Namespace);
        }
    }

    fn add_namespace(&mut self, name: &str, source: DomainSource) {
        let namespace = match name {
            "." => self.input.namespace.clone(),
            name => name.into(),
        };
        let hosts = self.destinations.out_of_namespace(&namespace).into_iter().collect();
        let domain = Domain { hosts, ..Domain::active(source) };
        self.domains.entry(format!("{namespace}/*")).or_insert(domain);
    }

    fn add_mesh(&mut self) {
        let domain = Domain::active(DomainSource::Host);
        self.domains.entry("*/*".to_owned()).or_insert(domain);
    }

    /// Adds a host and its aliases, which nothing ends but a wildcard whose time is over.
    fn add_active(&mut self, host: &Hostname, source: DomainSource) {
        if self.is_barred(host) {
            return;
        }
        let aliases = self.input.aliases.of(host);
        for host in std::iter::once(host).chain(&aliases) {
            if !self.is_barred(host) {
                self.add(host, End::Never, source);
            }
        }
    }

    /// Whether a wildcard covers the host whose deadline is over. A key for exactly the host beats it.
    fn is_barred(&self, host: &Hostname) -> bool {
        // Wildcards sort before all names.
        let wildcards = self.domains.iter().take_while(|(key, _)| key.starts_with('*'));
        !self.domains.contains_key(host.as_str())
            && wildcards
                .filter(|(_, domain)| domain.bars())
                .any(|(key, _)| Hostname::new(key).covers(host))
    }

    fn add(&mut self, host: &Hostname, end: End, source: DomainSource) {
        if self.domains.contains_key(host.as_str()) {
            return;
        }
        let led_to = self.destinations.of_host(host).into_iter().filter(|it| it != host);
        let hosts = std::iter::once(host.clone()).chain(led_to).collect();
        let (until, is_recallable) = match end {
            End::Never => (None, false),
            End::Deadline(at) => (Some(at), false),
            End::Unused(at) => (Some(at), true),
        };
        let is_over = until.zip(self.input.now).is_some_and(|(until, now)| now > until);
        let (status, until) = match is_over {
            true => (DomainStatus::Expire, None),
            false => (DomainStatus::Active, until),
        };
        let domain = Domain { hosts, status, source, until, is_recallable };
        self.domains.insert(host.as_str().to_owned(), domain);
    }

    fn end_of(&self, strategy: &RecyclingStrategy) -> End {
        let RecyclingStrategy { stable, deadline, auto, recently_called } = strategy;
        if stable.is_some() {
            return End::Never;
        }
        if let Some(deadline) = deadline {
            return deadline.expire.map_or(End::Never, |at| End::Deadline(at.seconds));
        }
        let length = auto.as_ref().and_then(|auto| auto.duration).filter(|it| it.seconds > 0);
        match length.zip(*recently_called) {
            Some((length, called)) => End::Unused(called.seconds.saturating_add(length.seconds)),
            None => End::Never,
        }
    }

    /// Dependencies that nothing asks for any more.
    fn keep_for_a_while(&mut self) {
        let Some(now) = self.input.now.filter(|_| self.input.expire_wait > 0) else { return };
        for (key, domain) in self.input.before.into_iter().flatten() {
            if self.domains.contains_key(key) {
                continue;
            }
            let is_selected = matches!(domain.source, DomainSource::Labels | DomainSource::Status);
            if is_selected && self.is_barred(&Hostname::new(key)) {
                continue;
            }
            let until = match domain.status {
                DomainStatus::Active => now.saturating_add(self.input.expire_wait),
                DomainStatus::ExpireWait => domain.until.unwrap_or(now),
                DomainStatus::Expire => continue,
            };
            if until > now || domain.status == DomainStatus::Active {
                let status = DomainStatus::ExpireWait;
                let kept = Domain { status, until: Some(until), ..domain.clone() };
                self.domains.insert(key.clone(), kept);
            }
        }
    }
}

/// When a host leaves the scope: after a second since 1970.
#[derive(Clone, Copy)]
enum End {
    Never,
    Deadline(i64),
    /// When it was not called until then.
    Unused(i64),
}

impl Domain {
    fn active(source: DomainSource) -> Self {
        let (hosts, status) = (Vec::new(), DomainStatus::Active);
        Self { hosts, status, source, until: None, is_recallable: false }
    }

    /// Whether what it stands for is not brought back by being called.
    pub fn bars(&self) -> bool {
        self.status == DomainStatus::Expire && !self.is_recallable
    }
}

impl Declared {
    /// What dependencies come to.
    pub(crate) fn of(domains: &Domains) -> Self {
        let mut declared = Self::default();
        // A wildcard that comes back with a call ends nothing that is declared in another way.
        let is_over = |(key, it): &(&String, &Domain)| {
            it.bars() || it.status == DomainStatus::Expire && !key.starts_with('*')
        };
        let over: BTreeSet<Hostname> =
            domains.iter().filter(is_over).map(|(key, _)| Hostname::new(key)).collect();
        for (key, domain) in domains {
            if domain.status == DomainStatus::Expire {
                continue;
            }
            match read_key(key) {
                FenceHost::Namespace(name) => {
                    // A key `ns/*` is a key of `host` itself.
                    let is_key = domain.source == DomainSource::Host;
                    let without = if is_key { BTreeSet::new() } else { over.clone() };
                    declared.namespaces.insert(name.into(), without);
                }
                FenceHost::Mesh => drop(declared.hosts.insert(Hostname::new("*"))),
                FenceHost::Host(_) => (),
            }
            declared.hosts.extend(domain.hosts.iter().cloned());
        }
        let barred = domains.iter().filter(|(_, domain)| domain.bars());
        let barred = barred.map(|(key, _)| Hostname::new(key));
        declared.expired = barred.filter(|host| !declared.hosts.contains(host)).collect();
        declared
    }
}

#[cfg(test)]
mod tests;
