//! Maps with a hash that costs a few nanoseconds, as there are a dozen of them for each object and
//! each time that something is compiled.
//!
//! - The hash is seeded for each process, but an attacker who can measure times could find keys that
//!   meet. That is no danger where all keys come from those who may write the configuration of the
//!   mesh, who can do worse. Keys that proxies or callers choose belong into the maps of `std`.
//! - Nothing may depend on the order of these maps.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

/// A map with a fast hash.
pub type Map<K, V> = HashMap<K, V, RandomState>;
/// A set with a fast hash.
pub type Set<T> = HashSet<T, RandomState>;
