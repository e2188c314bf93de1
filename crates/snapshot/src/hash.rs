//! The fast hash of `model` for what only the index needs.

use std::{
    hash::{BuildHasher, Hash},
    sync::LazyLock,
};

use foldhash::fast::RandomState;
use rpds::HashTrieMapSync;

/// A map whose copies share what is equal.
pub(crate) type SharedMap<K, V> = HashTrieMapSync<K, V, RandomState>;

/// The same in the whole process.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::default);

pub(crate) fn hash_one(value: &impl Hash) -> u64 {
    HASHER.hash_one(value)
}
