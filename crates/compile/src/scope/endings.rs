//! The names of all that a class may see, found by what they end with: how much of a host nobody has is
//! found without a look at each of them.

use std::{cmp::Ordering, sync::Arc};

use model::Hostname;

use super::{Scope, written::bracketed};

/// Sorted as they read from their ends.
#[derive(Debug)]
pub(super) struct Endings(Vec<Name>);

/// As the scope holds it: a mesh has many.
#[derive(Debug)]
enum Name {
    Host(Hostname),
    Address(Arc<str>),
}

impl Name {
    /// Of a wildcard, what names below it end with.
    fn text(&self) -> &str {
        match self {
            Self::Host(host) => host.as_str().trim_start_matches('*'),
            Self::Address(address) => address,
        }
    }
}

impl Endings {
    pub(super) fn of(scope: &Scope) -> Self {
        let rules = scope.listeners.iter().flat_map(|it| &it.rules);
        let hosts = scope.services.iter().map(|it| it.hostname());
        let hosts = hosts.chain(rules.flat_map(|rule| rule.hosts.iter())).cloned();
        let addresses = scope.services.iter().flat_map(|service| {
            let ports = service.ports.iter().filter_map(|port| port.addresses.as_deref());
            ports.chain([&*service.addresses]).flatten().cloned()
        });
        let mut names: Vec<Name> =
            hosts.map(Name::Host).chain(addresses.map(Name::Address)).collect();
        let bracketed: Vec<_> = names.iter().filter_map(|name| bracketed(name.text())).collect();
        names.extend(bracketed.into_iter().map(|it| Name::Address(it.into())));
        names.sort_unstable_by(|one, other| compare(one.text(), other.text()));
        names.dedup_by(|one, other| one.text() == other.text());
        Self(names)
    }

    /// How many bytes the ends of a host and of a name have in common, at most: of the whole name, with the
    /// dot of the root, or of a short form of it for a caller with this DNS domain.
    pub(super) fn longest(&self, host: &str, dns_domain: &str) -> usize {
        let short = dns_domain.match_indices('.').map(|(dot, _)| &dns_domain[dot + 1..]);
        let short = short.chain([dns_domain]).filter(|suffix| !suffix.is_empty());
        let short = short.map(|suffix| {
            let shared = self.common(&format!("{host}.{suffix}"));
            shared.saturating_sub(suffix.len() + 1)
        });
        let rooted = host.strip_suffix('.').map(|name| self.common(name) + 1);
        short.chain(rooted).fold(self.common(host), usize::max)
    }

    /// The names beside the place of a text have most in common with it.
    fn common(&self, text: &str) -> usize {
        let place = self.0.partition_point(|name| compare(name.text(), text).is_lt());
        let around = self.0[..place].last().into_iter().chain(self.0.get(place));
        around.map(|name| common_suffix(name.text(), text)).max().unwrap_or_default()
    }
}

fn compare(one: &str, other: &str) -> Ordering {
    one.bytes().rev().cmp(other.bytes().rev())
}

pub(super) fn common_suffix(one: &str, other: &str) -> usize {
    one.bytes().rev().zip(other.bytes().rev()).take_while(|(one, other)| one == other).count()
}
