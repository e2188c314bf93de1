//! The reverse index: what was read → who read it.

use std::collections::{HashMap, HashSet};

use snapshot::ReadKey;

use super::StreamId;
use crate::facet::{FacetId, Job};

/// Who read a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Dependant {
    Job(FacetId, Job),
    /// The reduction of a stream's proxy to its facets.
    Stream(StreamId),
}

#[derive(Debug, Default)]
pub(super) struct Dependants {
    by_key: HashMap<ReadKey, HashSet<Dependant>>,
    /// Asked, but not written to: a preview's jobs change nothing here.
    frozen: bool,
}

impl Dependants {
    pub(super) fn of(&self, key: &ReadKey) -> impl Iterator<Item = &Dependant> {
        self.by_key.get(key).into_iter().flatten()
    }

    /// From now on nothing is filed, or everything is again.
    pub(super) fn freeze(mut self, frozen: bool) -> Self {
        self.frozen = frozen;
        self
    }

    /// Files a dependant under what it reads now. Both lists are sorted.
    pub(super) fn replace(&mut self, dependant: &Dependant, old: &[ReadKey], new: &[ReadKey]) {
        if self.frozen {
            return;
        }
        for key in old.iter().filter(|key| new.binary_search(key).is_err()) {
            if let Some(list) = self.by_key.get_mut(key) {
                list.remove(dependant);
                if list.is_empty() {
                    self.by_key.remove(key);
                }
            }
        }
        for key in new.iter().filter(|key| old.binary_search(key).is_err()) {
            self.by_key.entry(key.clone()).or_default().insert(dependant.clone());
        }
    }
}
