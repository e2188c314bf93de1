//! What a proxy holds of one type and has asked for by name, kept as differences from views.
//!
//! A thousand proxies of a class hold the same thousands of resources: once a proxy has everything,
//! its views say what it holds, and only what differs from them is listed.

mod whole;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use compile::Compiled;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{types::Held, views::Views};
use crate::{ResourceKind, whole::Whole};

/// Fewer differences than this are not worth the time to look for them in new views.
const MIN_DIFFERENCES: usize = 32;

/// How far the proxy is with what the base says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It has asked for all of it and holds none of it.
    Due,
    /// It was sent all of it in one response, and held none of it before.
    Sent,
    /// It holds it.
    Settled,
}

#[derive(Debug)]
pub(super) struct Holdings {
    kind: ResourceKind,
    /// Where the proxy is with what these views say, except for `differing`: at `stage`.
    base: Views,
    stage: Stage,
    differing: BTreeMap<Arc<str>, Option<Held>>,
    /// Whether all names of `base` were asked for by name, except for `naming`.
    named: bool,
    /// Names that differ from that: whether they were asked for.
    naming: BTreeMap<Arc<str>, bool>,
    /// On its way: from all of the base to all of other views.
    step: Option<Step>,
    /// Of the shares of all that the proxy holds once it has taken what was sent.
    sum: u64,
}

/// New versions of some names of the base.
#[derive(Debug)]
struct Step {
    to: Views,
    /// Sorted by name.
    sent: Arc<Whole>,
}

/// What a resource adds to the version of all of its type: a sum, so that a change costs the same
/// however much the proxy holds.
pub(crate) fn share(compiled: &Compiled) -> u64 {
    share_of(compiled.resource.name(), compiled.resource.version())
}

pub(crate) fn share_of(name: &str, version: u64) -> u64 {
    xxh3_64_with_seed(name.as_bytes(), version)
}

/// The sum of the shares of what a proxy says to hold, as it says it.
pub(super) fn sum_of<'v>(said: impl Iterator<Item = (&'v str, &'v str)>) -> u64 {
    said.fold(0, |sum: u64, (name, version)| {
        sum.wrapping_add(share_of(name, parse_version(version)))
    })
}

/// A version as it goes over the wire. What was not made here compares unequal to everything.
pub(super) fn parse_version(version: &str) -> u64 {
    u64::from_str_radix(version, 16).unwrap_or_default()
}

impl Holdings {
    pub(super) fn new(kind: ResourceKind) -> Self {
        let (base, differing, naming) = (Views::default(), BTreeMap::new(), BTreeMap::new());
        let stage = Stage::Settled;
        Self { kind, base, stage, differing, named: false, naming, step: None, sum: 0 }
    }

    pub(super) fn get(&self, name: &str) -> Option<Held> {
        match self.differing.get(name) {
            Some(differing) => differing.clone(),
            None => {
                let held = self.base_held(self.base.get(self.kind, name)?)?;
                Some(match self.stepping(name) {
                    Some(sent) => Held { sent: Some(Some(sent.clone())), ..held },
                    None => held,
                })
            }
        }
    }

    /// What is on its way under a name by a step.
    fn stepping(&self, name: &str) -> Option<&Arc<Compiled>> {
        let sent = &self.step.as_ref()?.sent.resources;
        let found = sent.binary_search_by(|it| (**it.resource.name()).cmp(name)).ok()?;
        Some(&sent[found])
    }

    fn base_held(&self, resource: &Arc<Compiled>) -> Option<Held> {
        match self.stage {
            Stage::Due => None,
            Stage::Sent => Some(Held::sent(resource.clone())),
            Stage::Settled => Some(Held::settled(resource.clone())),
        }
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        match self.differing.get(name) {
            Some(differing) => differing.is_some(),
            None => self.stage != Stage::Due && self.base.get(self.kind, name).is_some(),
        }
    }

    pub(super) fn set(&mut self, name: &Arc<str>, held: Held) {
        self.sum = self.sum.wrapping_sub(self.share_under(name)).wrapping_add(held.share(name));
        self.differing.insert(name.clone(), Some(held));
    }

    pub(super) fn remove(&mut self, name: &Arc<str>) {
        self.sum = self.sum.wrapping_sub(self.share_under(name));
        match self.base.get(self.kind, name) {
            Some(_) => self.differing.insert(name.clone(), None),
            None => self.differing.remove(name),
        };
    }

    fn share_under(&self, name: &str) -> u64 {
        self.get(name).map_or(0, |held| held.share(name))
    }

    /// Stands for all that the proxy holds once it has taken what was sent.
    pub(super) fn sum(&self) -> u64 {
        self.sum
    }

    /// All names that the proxy holds something under, sorted.
    pub(super) fn names(&self) -> BTreeSet<Arc<str>> {
        let base = self
            .base
            .names(self.kind)
            .filter(|name| self.stage != Stage::Due && !self.differing.contains_key(*name));
        let differing = self.differing.iter().filter(|(_, held)| held.is_some());
        base.chain(differing.map(|(name, _)| name)).cloned().collect()
    }

    /// Everything that the proxy holds, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Arc<str>, Held)> {
        self.names().into_iter().filter_map(|name| {
            let held = self.get(&name)?;
            Some((name, held))
        })
    }

    /// How many names are listed one by one.
    #[cfg(test)]
    pub(super) fn differences(&self) -> usize {
        self.differing.len() + self.naming.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        let differing = self.differing.values().any(Option::is_some);
        let mut base = self.base.names(self.kind);
        !differing && (self.stage == Stage::Due || !base.any(|name| self.contains(name)))
    }

    /// Whether the name was asked for.
    pub(super) fn is_named(&self, name: &str) -> bool {
        match self.naming.get(name) {
            Some(asked) => *asked,
            None => self.named && self.base.get(self.kind, name).is_some(),
        }
    }

    pub(super) fn set_named(&mut self, name: &Arc<str>, asked: bool) {
        self.naming.insert(name.clone(), asked);
    }

    /// All names that were asked for.
    pub(super) fn all_named(&self) -> BTreeSet<Arc<str>> {
        let base = self.base.names(self.kind).filter(|name| self.named && self.is_named(name));
        let naming = self.naming.iter().filter(|(_, asked)| **asked).map(|(name, _)| name);
        base.chain(naming).cloned().collect()
    }

    /// Lists nothing if the proxy holds all of `views` and nothing else, which one sum says, and has
    /// asked for just that. `false` says nothing.
    pub(super) fn rebase(&mut self, views: &Views, wildcard: bool) -> bool {
        if self.stage != Stage::Settled || self.sum != views.sum(self.kind) {
            return false;
        }
        let is_asked = match wildcard {
            true => !self.named && self.naming.is_empty(),
            false => {
                let mut listed = self.differing.keys().chain(self.naming.keys());
                (self.named || self.base.size(self.kind) == 0)
                    && listed.all(|name| self.is_named(name) == self.contains(name))
            }
        };
        if !is_asked {
            return false;
        }
        (self.base, self.named) = (views.clone(), !wildcard);
        self.differing.clear();
        self.naming.clear();
        true
    }

    /// The proxy holds, of what it asked for, exactly what `views` say. Keeps only what differs
    /// from these, if it has asked for all of it.
    pub(super) fn compact(&mut self, views: &Views, wildcard: bool) {
        let few = self.differing.len() + self.naming.len() < MIN_DIFFERENCES;
        if few || self.stage != Stage::Settled {
            return;
        }
        let kind = self.kind;
        let everything =
            views.names(kind).all(|name| (wildcard || self.is_named(name)) && self.contains(name));
        if !everything {
            return;
        }
        let others = |name: &Arc<str>| views.get(kind, name).is_none();
        let held: Vec<(Arc<str>, Held)> = self.iter().filter(|(name, _)| others(name)).collect();
        let named: Vec<Arc<str>> = self.all_named().into_iter().filter(others).collect();
        self.named = !wildcard;
        self.base = views.clone();
        self.differing = held.into_iter().map(|(name, held)| (name, Some(held))).collect();
        self.naming = named.into_iter().map(|name| (name, true)).collect();
    }
}
