//! A scope that a fence has made smaller: what is left of all that a class may see.

use std::collections::{BTreeMap, BTreeSet};

use model::{Hostname, Resolution, Service, Shared};
use snapshot::Reader;

use super::{EgressListener, RuleRef, Scope};
use crate::Client;

impl Scope {
    /// What a class is told of all that it may see: what is declared for its workload, what that was
    /// seen to call, what it has asked for (`asked`), and whatever rules of these lead to.
    ///
    /// Ports on which it may ask for more stay open.
    pub fn fenced(
        &self,
        client: &Client,
        asked: &BTreeSet<Hostname>,
        reader: &Reader<'_>,
    ) -> Option<Self> {
        let fence = client.fence.as_ref()?;
        let learned = reader.learned(&fence.workload);
        let named = |host: &Hostname| {
            asked.contains(host)
                || fence.declared.names(host)
                || fence.mode.learns()
                    && !fence.declared.bars(host)
                    && learned.is_some_and(|hosts| hosts.contains(host))
        };
        let mut kept: BTreeSet<Hostname> = self
            .services
            .iter()
            .filter(|service| fence.declared.has(service) || named(service.hostname()))
            .map(|service| service.hostname().clone())
            .collect();
        self.follow_aliases(&mut kept);
        let is_kept = |rule: &RuleRef| {
            rule.hosts.iter().any(|host| {
                named(host) || kept.contains(host) || kept.iter().any(|it| host.covers(it))
            })
        };
        let listeners: Vec<EgressListener> = self
            .listeners
            .iter()
            .map(|listener| EgressListener {
                services: listener
                    .services
                    .iter()
                    .filter(|it| kept.contains(it.hostname()))
                    .cloned()
                    .collect(),
                rules: listener.rules.iter().filter(|it| is_kept(it)).cloned().collect(),
                open_ports: match fence.loads_on_demand {
                    true => open_ports(listener),
                    false => BTreeSet::new(),
                },
                ..listener.clone()
            })
            .collect();
        let led_to = led_to(&listeners, reader);
        let services = self.services.iter();
        let services = services
            .filter(|it| kept.contains(it.hostname()) || led_to.contains(it.hostname().as_str()));
        Some(Self::new(listeners, services.cloned().collect(), self.outbound_policy))
    }

    /// A name that only stands for another needs that one too.
    fn follow_aliases(&self, kept: &mut BTreeSet<Hostname>) {
        let mut open: Vec<Hostname> = kept.iter().cloned().collect();
        while let Some(host) = open.pop() {
            let target = self.service(&host).and_then(|service| service.alias_of.clone());
            open.extend(target.filter(|target| kept.insert(target.clone())));
        }
    }

    /// The host that a class means by what a caller wrote as its Host on a port, among all that it
    /// may see; `None` for what nothing defines.
    pub fn find_host(&self, written: &str, port: u16, dns_domain: &str) -> Option<Hostname> {
        let written = without_port(written).trim_end_matches('.').to_ascii_lowercase();
        if written.is_empty() {
            return None;
        }
        let listeners = || {
            let own = self
                .listeners
                .iter()
                .filter(|it| it.port.as_ref().is_none_or(|it| it.number == port));
            own.collect::<Vec<_>>()
        };
        let serves = |service: &Shared<Service>| service.port(port).is_some();
        let exact = |host: &str| {
            let found = self.service(&Hostname::new(host)).filter(|it| serves(it))?;
            Some(found.hostname().clone())
        };
        let full = full_names(&written, dns_domain);
        if let Some(found) = full.iter().find_map(|host| exact(host)) {
            return Some(found);
        }
        // A pod of a service without an address: `web-0.web.shop`.
        let of_pod = full.iter().filter_map(|host| host.split_once('.')).find_map(|(_, rest)| {
            let service = self.service(&Hostname::new(rest)).filter(|it| serves(it))?;
            service.is_headless().then(|| service.hostname().clone())
        });
        if of_pod.is_some() {
            return of_pod;
        }
        if written.parse::<std::net::IpAddr>().is_ok() {
            let at = |service: &&Shared<Service>| {
                serves(service) && service.addresses_of(port).iter().any(|it| **it == *written)
            };
            return self.services.iter().find(at).map(|it| it.hostname().clone());
        }
        let hosts = full.iter().map(|host| Hostname::new(host)).collect::<Vec<_>>();
        let covers = |pattern: &Hostname| hosts.iter().any(|host| pattern.covers(host));
        let wild = self
            .services
            .iter()
            .filter(|it| it.hostname().is_wildcard() && serves(it) && covers(it.hostname()));
        let rules = listeners().into_iter().flat_map(|it| &it.rules).flat_map(|it| it.hosts.iter());
        // A service's own ports decide about it.
        let is_free = |host: &&Hostname| host.as_str() != "*" && self.service(host).is_none();
        let ruled = rules.filter(|host| covers(host)).filter(is_free);
        let patterns = wild.map(|it| it.hostname()).chain(ruled);
        patterns.max_by_key(|host| host.as_str().len()).cloned()
    }
}

/// The services that rules lead to.
fn led_to(listeners: &[EgressListener], reader: &Reader<'_>) -> BTreeSet<String> {
    let rules: BTreeMap<_, _> =
        listeners.iter().flat_map(|it| &it.rules).map(|rule| (&rule.key, ())).collect();
    let records = rules.into_keys().filter_map(|key| reader.virtual_service(key));
    records.flat_map(|record| record.imports()).map(str::to_owned).collect()
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

fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').map_or(rest, |(address, _)| address);
    }
    match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') && port.bytes().all(|it| it.is_ascii_digit()) => {
            name
        }
        _ => host,
    }
}

/// What a name may be short for, as resolvers try it: the name itself, then with each suffix of the
/// proxy's domain.
fn full_names(host: &str, dns_domain: &str) -> Vec<String> {
    let mut suffixes = vec![dns_domain];
    while let Some((_, rest)) = suffixes.last().and_then(|it| it.split_once('.')) {
        suffixes.push(rest);
    }
    let short = suffixes.into_iter().filter(|it| !it.is_empty());
    std::iter::once(host.to_owned()).chain(short.map(|it| format!("{host}.{it}"))).collect()
}

#[cfg(test)]
mod tests;
