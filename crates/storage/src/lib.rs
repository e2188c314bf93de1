//! What must outlive the process: named tables of bytes, behind a small port.
//!
//! - A [`Batch`] is written whole or not at all, and is durable when [`Storage::write`] returns.
//! - Every call may block: whoever is async asks through a [`StorageHandle`].
//! - [`Embedded`] is one file in a folder, for one process. With several replicas something that
//!   they share will stand behind the same port.
//! - Not here: what the bytes mean (`scope` for what is learned).
#![warn(missing_docs)]

mod embedded;
mod error;
mod handle;

use std::{collections::BTreeMap, ops::Range};

pub use self::{
    embedded::{Embedded, Opened, SetAside},
    error::StorageError,
    handle::StorageHandle,
};

/// The name of a table: whoever keeps something has one of its own.
pub type Table = &'static str;

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Changes that are made together. The last word about a key counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch(BTreeMap<Table, BTreeMap<Vec<u8>, Option<Vec<u8>>>>);

impl Batch {
    /// Sets the value of a key.
    pub fn put(&mut self, table: Table, key: Vec<u8>, value: Vec<u8>) {
        self.0.entry(table).or_default().insert(key, Some(value));
    }

    /// Takes a key away; one that is not there is no error.
    pub fn delete(&mut self, table: Table, key: Vec<u8>) {
        self.0.entry(table).or_default().insert(key, None);
    }

    /// Adds what was said later.
    pub fn extend(&mut self, later: Self) {
        for (table, changes) in later.0 {
            self.0.entry(table).or_default().extend(changes);
        }
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.0.values().all(BTreeMap::is_empty)
    }
}

/// The port. Every call may block on a disk or a network.
pub trait Storage: Send + Sync + 'static {
    /// The value of a key; a table that nobody has written is empty.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError>;

    /// Makes all the changes, or none of them. They survive the death of the process, and of the
    /// machine, from the moment it returns.
    fn write(&self, batch: &Batch) -> Result<(), StorageError>;

    /// The first `limit` entries of a range, by key; the next range begins behind the last of them.
    fn scan(
        &self,
        table: Table,
        range: Range<Vec<u8>>,
        limit: usize,
    ) -> Result<Vec<Entry>, StorageError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_about_a_key_counts() {
        let mut batch = Batch::default();
        assert!(batch.is_empty());
        batch.put("a", b"k".to_vec(), b"1".to_vec());
        let mut later = Batch::default();
        later.delete("a", b"k".to_vec());
        later.put("b", b"k".to_vec(), b"2".to_vec());
        batch.extend(later);
        let mut expected = Batch::default();
        expected.put("b", b"k".to_vec(), b"2".to_vec());
        expected.delete("a", b"k".to_vec());
        assert_eq!(batch, expected);
    }
}
