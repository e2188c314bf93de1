//! A value that is shared by pointer and compared by content.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
    sync::Arc,
};

use xxhash_rust::xxh3::Xxh3;

/// An `Arc` that knows the hash of its content, so that large inputs compare and hash in constant
/// time. Equality is by pointer first, then by a 128-bit content hash.
pub struct Shared<T: ?Sized>(Arc<(u128, T)>);

impl<T: Hash> Shared<T> {
    pub fn new(value: T) -> Self {
        let mut hasher = Xxh3::new();
        value.hash(&mut hasher);
        Self(Arc::new((hasher.digest128(), value)))
    }
}

impl<T> Shared<T> {
    /// For content that does not implement `Hash`: the caller gives a hash of all of it.
    pub fn with_hash(value: T, hash: u128) -> Self {
        Self(Arc::new((hash, value)))
    }

    pub fn content_hash(&self) -> u128 {
        self.0.0
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0.1
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.0 == other.0.0
    }
}

impl<T> Eq for Shared<T> {}

impl<T> PartialOrd for Shared<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Shared<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.0.cmp(&other.0.0)
    }
}

impl<T> Hash for Shared<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.0.0);
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.1.fmt(out)
    }
}
