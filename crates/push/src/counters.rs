//! How much work was done; tests assert that the unaffected cost none.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    pub(crate) fn inc(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The work of an engine since its start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Jobs run: selections that may have ended there.
    pub jobs: Count,
    /// Resources compiled; equal ones of several classes count once.
    pub compiled: Count,
    /// Virtual hosts encoded.
    pub hosts: Count,
    /// Virtual hosts that proxies have asked for.
    pub questions: Count,
    /// Of these, those for hosts that may be called.
    pub known: Count,
    /// Those for hosts that nothing defines.
    pub unknown: Count,
    /// Those for such hosts on ports on which too many were named.
    pub closed: Count,
    /// Those that got no answer, as nobody listened to so many, or the port was gone.
    pub dropped: Count,
    /// Streams told of a change.
    pub notified: Count,
    /// Rounds in which streams were told: of one snapshot, or of several at once.
    pub rounds: Count,
    /// Snapshots taken in.
    pub snapshots: Count,
    /// Jobs that failed by a defect: their resources stay as they were.
    pub panics: Count,
}
