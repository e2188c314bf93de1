//! Maps for the index: a hash that costs a few nanoseconds, as there are a dozen of them for each
//! object.
//!
//! - The hash is seeded for each process, but an attacker who can measure times could find keys that
//!   meet. That is no danger here: all keys come from those who may write the configuration of the
//!   mesh, and they can do worse.
//! - Nothing may depend on the order of these maps.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, Hash},
    sync::LazyLock,
};

use foldhash::fast::RandomState;
use rpds::HashTrieMapSync;

pub(crate) type Map<K, V> = HashMap<K, V, RandomState>;
pub(crate) type Set<T> = HashSet<T, RandomState>;
/// A map whose copies share what is equal.
pub(crate) type SharedMap<K, V> = HashTrieMapSync<K, V, RandomState>;

/// The same in the whole process.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::default);

pub(crate) fn hash_one(value: &impl Hash) -> u64 {
    HASHER.hash_one(value)
}
