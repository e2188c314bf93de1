//! Progress for people, on standard error.

use std::{fmt, time::Instant};

/// Prints lines with the time since the start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    start: Instant,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now() }
    }

    pub(crate) fn say(&self, text: impl fmt::Display) {
        eprintln!("bench: {:>6.1} s  {text}", self.start.elapsed().as_secs_f64());
    }
}
