//! Sends requests at a steady rate while a test changes things, and tells what failed.
//!
//! - Open loop: the rate does not fall when answers are slow, as it would with waiting clients.
//! - Bounded in number of open requests and in time, also if the test forgets to stop it.

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use tokio::{
    sync::Semaphore,
    sync::oneshot,
    task::{JoinHandle, JoinSet},
    time::{self, MissedTickBehavior},
};

use crate::http::{Client, Request};

/// Requests without an answer at one time; one more counts as failed.
const MAX_OPEN: usize = 1_000;

/// What to send, and how often.
#[derive(Clone, Debug)]
pub struct LoadSettings {
    pub request: Request,
    pub per_second: u32,
    /// [`Client::keep_alive`] to also see how kept connections are drained.
    pub client: Client,
    /// The load ends by itself after this.
    pub limit: Duration,
}

impl LoadSettings {
    /// A new connection for each request, for at most five minutes.
    #[must_use]
    pub fn new(request: Request, per_second: u32) -> Self {
        Self { request, per_second, client: Client::new(), limit: Duration::from_secs(300) }
    }
}

/// A running load.
#[derive(Debug)]
pub struct Load {
    stop: oneshot::Sender<()>,
    task: JoinHandle<LoadReport>,
}

/// What became of the requests.
#[derive(Clone, Debug, Default)]
pub struct LoadReport {
    pub sent: u64,
    /// Answered with a status of 200 to 299.
    pub ok: u64,
    /// All others, in the order in which they ended.
    pub failed: Vec<LoadFailure>,
    /// Successes by the backend that answered.
    pub backends: BTreeMap<String, u64>,
    /// The longest time to an answer that was a success.
    pub slowest: Duration,
}

/// A request without success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadFailure {
    /// When it was sent, from the start of the load.
    pub sent_after: Duration,
    pub reason: String,
}

impl Load {
    #[must_use]
    pub fn start(settings: LoadSettings) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self { stop, task: tokio::spawn(run(settings, stopped)) }
    }

    /// Sends no more, waits for the open requests and returns what became of all.
    ///
    /// # Panics
    ///
    /// If the load itself panicked.
    pub async fn stop(self) -> LoadReport {
        // It may have reached its limit and be gone.
        let _ = self.stop.send(());
        self.task.await.expect("the load does not panic")
    }
}

impl LoadReport {
    /// An error with the failures, if there is one or if nothing was sent.
    pub fn expect_no_failure(&self) -> Result<()> {
        ensure!(self.sent > 0, "the load sent nothing");
        ensure!(self.failed.is_empty(), "{self}");
        Ok(())
    }

    fn add(&mut self, outcome: Outcome) {
        match outcome.result {
            Ok(backend) => {
                self.ok += 1;
                *self.backends.entry(backend).or_default() += 1;
                self.slowest = self.slowest.max(outcome.took);
            }
            Err(reason) => {
                self.failed.push(LoadFailure { sent_after: outcome.sent_after, reason });
            }
        }
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} sent, {} ok, {} failed", self.sent, self.ok, self.failed.len())?;
        for LoadFailure { sent_after, reason } in self.failed.iter().take(20) {
            writeln!(f, "  at {:.3} s: {reason}", sent_after.as_secs_f64())?;
        }
        Ok(())
    }
}

struct Outcome {
    sent_after: Duration,
    took: Duration,
    /// The backend, or why there was no success.
    result: Result<String, String>,
}

async fn run(settings: LoadSettings, mut stopped: oneshot::Receiver<()>) -> LoadReport {
    let LoadSettings { request, per_second, client, limit } = settings;
    let (request, open) = (Arc::new(request), Arc::new(Semaphore::new(MAX_OPEN)));
    let start = Instant::now();
    let mut report = LoadReport::default();
    let mut requests = JoinSet::new();
    let mut ticks = time::interval(Duration::from_secs(1) / per_second.max(1));
    // A late tick is made up for: the rate is what the test asked for.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let limit = time::sleep(limit);
    tokio::pin!(limit);
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            () = &mut limit => break,
            Some(Ok(outcome)) = requests.join_next() => report.add(outcome),
            _ = ticks.tick() => {
                report.sent += 1;
                let sent_after = start.elapsed();
                let (client, request) = (client.clone(), Arc::clone(&request));
                let Ok(permit) = Arc::clone(&open).try_acquire_owned() else {
                    let result = Err(format!("{MAX_OPEN} requests are open"));
                    report.add(Outcome { sent_after, took: Duration::ZERO, result });
                    continue;
                };
                requests.spawn(async move {
                    let result = send(&client, &request).await;
                    drop(permit);
                    Outcome { sent_after, took: start.elapsed() - sent_after, result }
                });
            }
        }
    }
    while let Some(Ok(outcome)) = requests.join_next().await {
        report.add(outcome);
    }
    report
}

async fn send(client: &Client, request: &Request) -> Result<String, String> {
    let response = client.send(request).await.map_err(|error| format!("{error:#}"))?;
    if response.status.is_success() {
        return Ok(response.backend().unwrap_or("(no backend)").to_owned());
    }
    Err(format!("{}: {}", response.status, response.text()))
}
