//! What a job has looked at.

use crate::{ReadKey, hash::hash_one};

/// Stands for a key: two keys may have one, and whoever has read one of them counts as a reader of
/// the other too, which costs a job that finds nothing new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(u64);

impl KeyHash {
    /// It is another one in each process.
    pub fn of(key: &ReadKey) -> Self {
        Self(hash_one(key))
    }
}

/// Keys, each once and in order. There are several for each service and class, so that their hashes
/// must do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads(Box<[KeyHash]>);

impl Reads {
    pub(crate) fn new(mut keys: Vec<KeyHash>) -> Self {
        keys.sort_unstable();
        keys.dedup();
        Self(keys.into())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys that are not in the other list.
    pub fn without(&self, other: &Self) -> impl Iterator<Item = KeyHash> {
        let mut rest = &*other.0;
        self.0.iter().copied().filter(move |item| {
            while let [first, later @ ..] = rest
                && first < item
            {
                rest = later;
            }
            rest.first() != Some(item)
        })
    }
}

impl<'k> FromIterator<&'k ReadKey> for Reads {
    fn from_iter<I: IntoIterator<Item = &'k ReadKey>>(keys: I) -> Self {
        Self::new(keys.into_iter().map(KeyHash::of).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn keys(names: &[&str]) -> Vec<ReadKey> {
        names.iter().map(|name| ReadKey::Sidecars((*name).into())).collect()
    }

    fn reads(names: &[&str]) -> Reads {
        keys(names).iter().collect()
    }

    #[test]
    fn what_another_list_lacks_is_found_in_any_order() {
        let (one, other) = (reads(&["a", "b", "c", "d"]), reads(&["d", "x", "b", "y", "d"]));
        let missing: BTreeSet<KeyHash> = one.without(&other).collect();
        assert_eq!(missing, keys(&["a", "c"]).iter().map(KeyHash::of).collect());
        assert_eq!(one.without(&one).count(), 0);
        assert_eq!(one.without(&Reads::default()).count(), 4);
        assert_eq!(Reads::default().without(&one).count(), 0);
    }
}
