//! A sorted set that mostly has one item: a tree for each would be ten times its size.

use std::collections::BTreeSet;

/// With more items than this it is a tree, so that an insertion never moves many.
const FEW: usize = 16;

#[derive(Clone, Debug)]
pub(super) enum SmallSet<T> {
    One(T),
    /// Sorted; may be empty.
    Few(Vec<T>),
    Many(BTreeSet<T>),
}

impl<T> Default for SmallSet<T> {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl<T: Ord> SmallSet<T> {
    pub(super) fn insert(&mut self, item: T) {
        match self {
            Self::One(only) if *only == item => (),
            Self::One(_) => {
                let Self::One(only) = std::mem::take(self) else { return };
                *self = Self::Few(if only < item { vec![only, item] } else { vec![item, only] });
            }
            Self::Few(items) if items.is_empty() => *self = Self::One(item),
            Self::Few(items) => {
                if let Err(at) = items.binary_search(&item) {
                    items.insert(at, item);
                }
                if items.len() > FEW {
                    *self = Self::Many(std::mem::take(items).into_iter().collect());
                }
            }
            Self::Many(items) => {
                items.insert(item);
            }
        }
    }

    pub(super) fn remove(&mut self, item: &T) {
        match self {
            Self::One(only) if only == item => *self = Self::default(),
            Self::One(_) => (),
            Self::Few(items) => {
                if let Ok(at) = items.binary_search(item) {
                    items.remove(at);
                }
            }
            Self::Many(items) => {
                items.remove(item);
            }
        }
    }
}

impl<T> SmallSet<T> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Few(items) => items.len(),
            Self::Many(items) => items.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// In order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        let (slice, tree) = match self {
            Self::One(only) => (std::slice::from_ref(only), None),
            Self::Few(items) => (items.as_slice(), None),
            Self::Many(items) => (Default::default(), Some(items)),
        };
        slice.iter().chain(tree.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_what_a_tree_holds() {
        let (mut small, mut tree) = (SmallSet::default(), BTreeSet::new());
        let mut check = |item: u32, put: bool| {
            if put {
                small.insert(item);
                tree.insert(item);
            } else {
                small.remove(&item);
                tree.remove(&item);
            }
            assert!(small.iter().eq(tree.iter()), "after {item}: {small:?}");
            assert_eq!((small.len(), small.is_empty()), (tree.len(), tree.is_empty()));
        };
        for round in 0..200u32 {
            // Grows beyond the border and shrinks to nothing, several times.
            let put = round % 50 < 25;
            check(round * 7 % 25, put);
            check(round * 7 % 25, put);
            check(99, put);
        }
    }
}
