//! What is remembered of a file, and whether it is to be read again.

use std::{sync::Arc, time::Duration};

use crate::{Completeness, Rank, scan::Stamp};

/// A file that was seen.
#[derive(Clone, Debug)]
pub(super) struct Tracked {
    pub(super) name: Arc<str>,
    pub(super) rank: Rank,
    /// Its state when it was read; `None` when that does not stand for its content.
    pub(super) stamp: Option<Stamp>,
    /// Hash of the bytes that were last understood.
    pub(super) hash: Option<u128>,
    /// Whether those bytes were all there was to come.
    pub(super) completeness: Completeness,
}

impl Tracked {
    pub(super) fn new(name: Arc<str>, rank: Rank) -> Self {
        Self { name, rank, stamp: None, hash: None, completeness: Completeness::Whole }
    }

    /// Whether and how to read the file, which a scan found in this state.
    pub(super) fn needs_read(&self, now: &Stamp, patience: Duration) -> Option<Completeness> {
        let is_young = now.is_younger_than(patience);
        match (self.stamp, self.completeness) {
            (Some(stamp), Completeness::Whole) if stamp == *now => None,
            // Written in place, and no event has said that the writer is done.
            (Some(stamp), _) if stamp.inode == now.inode && is_young => {
                (stamp != *now).then_some(Completeness::Partial)
            }
            (None, completeness) if is_young => Some(completeness),
            (Some(_) | None, _) => Some(Completeness::Whole),
        }
    }
}
