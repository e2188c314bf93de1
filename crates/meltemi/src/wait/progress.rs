//! Progress on standard error: one line that changes on a terminal, else a line now and then.

use std::{
    collections::BTreeSet,
    io::{IsTerminal, Write, stderr},
    time::{Duration, Instant},
};

/// How often a log gets a line.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// What was shown so far.
pub(crate) struct Progress {
    is_terminal: bool,
    /// A line stands on the terminal.
    is_shown: bool,
    last: Instant,
    told: BTreeSet<String>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let is_terminal = stderr().is_terminal();
        Self { is_terminal, is_shown: false, last: Instant::now(), told: BTreeSet::new() }
    }

    pub(crate) fn show(&mut self, text: &str) {
        if self.is_terminal {
            // A terminal that is gone shows nothing.
            let _ = write!(stderr(), "\r\x1b[K{text}").and_then(|()| stderr().flush());
            self.is_shown = true;
        } else if self.last.elapsed() >= LINE_EVERY {
            self.last = Instant::now();
            eprintln!("{text}");
        }
    }

    /// Something that stays true is said once.
    pub(crate) fn tell_once(&mut self, text: &str) {
        if self.told.insert(text.to_owned()) {
            self.clear();
            eprintln!("{text}");
        }
    }

    /// Takes the line away.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            let _ = write!(stderr(), "\r\x1b[K").and_then(|()| stderr().flush());
        }
    }
}
