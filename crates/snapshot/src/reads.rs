//! What a job has looked at.

use model::Set;

use crate::{ReadKey, hash::hash_one};

/// Keys, each once. They are in the order of their hashes: two lists of thousands of keys that have
/// nearly everything in common are compared without a look at the keys themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads(Vec<(u64, ReadKey)>);

impl Reads {
    pub(crate) fn of(keys: Set<ReadKey>) -> Self {
        let mut keys: Vec<_> = keys.into_iter().map(|key| (hash_one(&key), key)).collect();
        keys.sort_unstable();
        Self(keys)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &ReadKey> {
        self.0.iter().map(|(_, key)| key)
    }

    /// The keys that are not in the other list.
    pub fn without<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a ReadKey> {
        let mut rest = &*other.0;
        self.0.iter().filter_map(move |item| {
            while let [first, later @ ..] = rest
                && first < item
            {
                rest = later;
            }
            (rest.first() != Some(item)).then_some(&item.1)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(names: &[&str]) -> Reads {
        Reads::of(names.iter().map(|name| ReadKey::Sidecars((*name).into())).collect())
    }

    #[test]
    fn what_another_list_lacks_is_found_in_any_order() {
        let (one, other) = (reads(&["a", "b", "c", "d"]), reads(&["d", "x", "b", "y"]));
        let mut missing: Vec<_> = one.without(&other).cloned().collect();
        missing.sort();
        assert_eq!(missing, ["a", "c"].map(|name| ReadKey::Sidecars(name.into())));
        assert_eq!(one.without(&one).count(), 0);
        assert_eq!(one.without(&Reads::default()).count(), 4);
        assert_eq!(Reads::default().without(&one).count(), 0);
    }
}
