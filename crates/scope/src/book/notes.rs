//! What happened to edges that are not there, as far as it is remembered.

use std::collections::VecDeque;

use model::{Hostname, WorkloadKey};

use super::Refusal;

/// How many notes about what was forgotten are kept, and as many about what was refused.
const NOTES: usize = 1_024;

/// What once happened to an edge that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Seconds since 1970.
    pub at: u64,
    /// Whose it was.
    pub workload: WorkloadKey,
    /// Its target.
    pub host: Hostname,
    /// What happened.
    pub kind: NoteKind,
}

/// What may happen to an edge that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoteKind {
    /// It had not been seen for long.
    Aged,
    /// Somebody reset it.
    Reset,
    /// It was not learned.
    Refused(Refusal),
}

/// Adds a note, in place of the oldest if there are too many.
pub(super) fn keep(notes: &mut VecDeque<Note>, note: Note) {
    if notes.len() == NOTES {
        notes.pop_front();
    }
    notes.push_back(note);
}
