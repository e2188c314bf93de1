//! What the demo prints: its steps while they run, and the table at the end.

use std::{
    fmt,
    time::{Duration, Instant},
};

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) change: String,
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    /// From the write until every affected proxy had acknowledged it.
    pub(crate) live: Option<Duration>,
    pub(crate) bytes: Option<u64>,
}

/// Rows and checks so far.
#[derive(Debug)]
pub(crate) struct Report {
    start: Instant,
    rows: Vec<Row>,
    checks: usize,
    /// What did not hold.
    broken: Vec<String>,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), rows: Vec::new(), checks: 0, broken: Vec::new() }
    }

    /// Prints the title of a step.
    pub(crate) fn title(&self, text: &str) {
        println!("\n{:>5.1} s  {text}", self.start.elapsed().as_secs_f64());
    }

    /// Prints something that was done or seen.
    pub(crate) fn say(&self, text: impl fmt::Display) {
        println!("         {text}");
    }

    /// Prints and remembers whether something holds.
    pub(crate) fn check(&mut self, holds: bool, text: impl fmt::Display) {
        self.checks += 1;
        println!("       {} {text}", if holds { "√" } else { "×" });
        if !holds {
            self.broken.push(text.to_string());
        }
    }

    pub(crate) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Prints the table. True if no request failed and every check held.
    pub(crate) fn finish(&self, sent: u64, failed: u64) -> bool {
        println!("\n{}", self.table());
        let (held, took) = (self.checks - self.broken.len(), self.start.elapsed().as_secs_f64());
        println!(
            "{failed} of {sent} requests failed, {held} of {} checks hold, {took:.0} s",
            self.checks
        );
        for text in &self.broken {
            println!("× {text}");
        }
        failed == 0 && self.broken.is_empty()
    }

    fn table(&self) -> String {
        let width = self.rows.iter().map(|row| row.change.chars().count()).max().unwrap_or(0);
        let line = |change: &str, [requests, failed, live, bytes]: [&str; 4]| {
            let change = format!("{change:<width$}");
            format!("{change}  {requests:>8}  {failed:>6}  {live:>10}  {bytes:>10}\n")
        };
        let mut table = line("change", ["requests", "failed", "live after", "bytes sent"]);
        for Row { change, requests, failed, live, bytes } in &self.rows {
            let live =
                live.map_or_else(|| "-".to_owned(), |took| format!("{} ms", took.as_millis()));
            let bytes = bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string());
            let (requests, failed) = (requests.to_string(), failed.to_string());
            table.push_str(&line(change, [&requests, &failed, &live, &bytes]));
        }
        table
    }
}
