//! The reverse index: what was read → who read it.

use model::{Map, Set};
use snapshot::{ReadKey, Reads};

use super::StreamId;
use crate::facet::{FacetId, Job};

/// Who read a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Dependant {
    Job(FacetId, Job),
    /// The reduction of a stream's proxy to its facets.
    Stream(StreamId),
}

/// More dependants of a key than this are in a table, so that removing one does not walk them all.
const FEW: usize = 8;

/// Those of one key: mostly the jobs of one facet, for which a table would be ten times as large.
#[derive(Debug)]
enum Those {
    Few(Vec<Dependant>),
    Many(Set<Dependant>),
}

impl Default for Those {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Those {
    fn insert(&mut self, dependant: Dependant) {
        match self {
            Self::Few(few) if few.contains(&dependant) => {}
            Self::Few(few) if few.len() < FEW => few.push(dependant),
            Self::Few(few) => {
                *self = Self::Many(few.drain(..).chain([dependant]).collect());
            }
            Self::Many(many) => {
                many.insert(dependant);
            }
        }
    }

    /// Whether none is left.
    fn remove(&mut self, dependant: &Dependant) -> bool {
        match self {
            Self::Few(few) => {
                few.retain(|it| it != dependant);
                few.is_empty()
            }
            Self::Many(many) => {
                many.remove(dependant);
                many.is_empty()
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Dependant> {
        let (few, many) = match self {
            Self::Few(few) => (Some(few), None),
            Self::Many(many) => (None, Some(many)),
        };
        few.into_iter().flatten().chain(many.into_iter().flatten())
    }
}

#[derive(Debug, Default)]
pub(super) struct Dependants {
    by_key: Map<ReadKey, Those>,
    /// Asked, but not written to: a preview's jobs change nothing here.
    frozen: bool,
}

impl Dependants {
    pub(super) fn of(&self, key: &ReadKey) -> impl Iterator<Item = &Dependant> {
        self.by_key.get(key).into_iter().flat_map(Those::iter)
    }

    /// From now on nothing is filed, or everything is again.
    pub(super) fn freeze(mut self, frozen: bool) -> Self {
        self.frozen = frozen;
        self
    }

    /// Files a dependant under what it reads now.
    pub(super) fn replace(&mut self, dependant: &Dependant, old: &Reads, new: &Reads) {
        if self.frozen {
            return;
        }
        for key in old.without(new) {
            if self.by_key.get_mut(key).is_some_and(|those| those.remove(dependant)) {
                self.by_key.remove(key);
            }
        }
        for key in new.without(old) {
            self.by_key.entry(key.clone()).or_default().insert(dependant.clone());
        }
    }
}
