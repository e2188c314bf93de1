//! The reverse index: what was read → who read it.

use model::{Map, Set};
use snapshot::{KeyHash, ReadKey, Reads};

use super::StreamId;
use crate::facet::{FacetId, JobId};

/// Who read a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Dependant {
    Job(FacetId, JobId),
    /// The reduction of a stream's proxy to its facets.
    Stream(StreamId),
}

/// More dependants of a key than this are in a table, so that removing one does not walk them all.
const FEW: usize = 8;

/// Those of one key: mostly the jobs of one facet, for which a table would be ten times as large.
#[derive(Debug)]
enum Those {
    One(Dependant),
    Few(Vec<Dependant>),
    // A table is as large as all others together.
    Many(Box<Set<Dependant>>),
}

impl Those {
    fn insert(&mut self, dependant: Dependant) {
        match self {
            Self::One(one) if *one == dependant => {}
            Self::One(one) => *self = Self::Few(vec![*one, dependant]),
            Self::Few(few) if few.contains(&dependant) => {}
            Self::Few(few) if few.len() < FEW => few.push(dependant),
            Self::Few(few) => {
                *self = Self::Many(Box::new(few.drain(..).chain([dependant]).collect()));
            }
            Self::Many(many) => {
                many.insert(dependant);
            }
        }
    }

    /// Whether none is left.
    fn remove(&mut self, dependant: &Dependant) -> bool {
        match self {
            Self::One(one) => one == dependant,
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
            Self::One(one) => (std::slice::from_ref(one), None),
            Self::Few(few) => (few.as_slice(), None),
            Self::Many(many) => (Default::default(), Some(many)),
        };
        few.iter().chain(many.into_iter().flat_map(|many| many.iter()))
    }
}

#[derive(Debug, Default)]
pub(super) struct Dependants {
    by_key: Map<KeyHash, Those>,
    /// Asked, but not written to: a preview's jobs change nothing here.
    frozen: bool,
}

impl Dependants {
    pub(super) fn of(&self, key: &ReadKey) -> impl Iterator<Item = &Dependant> {
        self.by_key.get(&KeyHash::of(key)).into_iter().flat_map(Those::iter)
    }

    /// From now on nothing is filed, or everything is again.
    pub(super) fn freeze(mut self, frozen: bool) -> Self {
        self.frozen = frozen;
        self
    }

    /// Files a dependant under what it reads now.
    pub(super) fn replace(&mut self, dependant: Dependant, old: &Reads, new: &Reads) {
        if self.frozen {
            return;
        }
        for key in old.without(new) {
            if self.by_key.get_mut(&key).is_some_and(|those| those.remove(&dependant)) {
                self.by_key.remove(&key);
            }
        }
        for key in new.without(old) {
            let those = self.by_key.entry(key).or_insert(Those::One(dependant));
            those.insert(dependant);
        }
    }
}
