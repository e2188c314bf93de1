//! The rules of an egress listener, found by a host.

use std::collections::BTreeSet;

use model::{Hostname, Map, ObjectKey};

use crate::RuleRef;

/// The rules of an egress listener.
pub(super) struct RuleIndex<'a> {
    rules: &'a [RuleRef],
    exact: Map<&'a Hostname, Vec<usize>>,
    wildcards: Vec<usize>,
}

impl<'a> RuleIndex<'a> {
    pub(super) fn new(rules: &'a [RuleRef]) -> Self {
        let mut index = Self { rules, exact: Map::default(), wildcards: Vec::new() };
        for (position, rule) in rules.iter().enumerate() {
            for host in rule.hosts.iter() {
                match host.is_wildcard() {
                    true => index.wildcards.push(position),
                    false => index.exact.entry(host).or_default().push(position),
                }
            }
        }
        index
    }

    /// The rules that share a name with the host, oldest first.
    pub(super) fn matching(&self, hostname: &Hostname) -> impl Iterator<Item = &'a ObjectKey> {
        let candidates: BTreeSet<usize> = match hostname.is_wildcard() {
            true => (0..self.rules.len()).collect(),
            false => {
                let exact = self.exact.get(hostname).into_iter().flatten();
                exact.chain(&self.wildcards).copied().collect()
            }
        };
        let rules = self.rules;
        let hostname = hostname.clone();
        let found = candidates.into_iter().map(move |position| &rules[position]);
        found
            .filter(move |rule| rule.hosts.iter().any(|host| host.overlaps(&hostname)))
            .map(|rule| &rule.key)
    }
}
