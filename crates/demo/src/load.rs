//! Requests at a steady rate through the gateway, and what became of them.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use testkit::http::{Client, Request};
use tokio::{
    sync::Semaphore,
    task::JoinHandle,
    time::{self, MissedTickBehavior},
};

/// Requests without an answer at one time; one more counts as failed.
const MAX_OPEN: usize = 500;
/// Failures that are kept with their reasons.
const MAX_REASONS: usize = 20;
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of the requests since the start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    sent: u64,
    pub(crate) ended: u64,
    pub(crate) failed: u64,
    /// How many each instance had a part in.
    pub(crate) served_by: BTreeMap<String, u64>,
    /// When and why requests failed, the first ones.
    pub(crate) reasons: Vec<String>,
}

impl Tally {
    /// What came after `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let served_by = self.served_by.iter().map(|(name, count)| {
            (name.clone(), count - earlier.served_by.get(name).copied().unwrap_or_default())
        });
        Self {
            sent: self.sent - earlier.sent,
            ended: self.ended - earlier.ended,
            failed: self.failed - earlier.failed,
            served_by: served_by.collect(),
            reasons: self.reasons.get(earlier.reasons.len()..).unwrap_or_default().to_vec(),
        }
    }

    pub(crate) fn count(&self, instance: &str) -> u64 {
        self.served_by.get(instance).copied().unwrap_or_default()
    }

    /// How much of what `all` served was served by `one`, from 0 to 1.
    pub(crate) fn share(&self, one: &str, all: &[&str]) -> f64 {
        let total: u64 = all.iter().map(|name| self.count(name)).sum();
        // Counts of a demo are far below 2^52.
        #[expect(clippy::cast_precision_loss)]
        let share = self.count(one) as f64 / total.max(1) as f64;
        share
    }
}

/// A running load; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Load {
    tally: Arc<Mutex<Tally>>,
    task: JoinHandle<()>,
}

impl Load {
    /// Starts `rate` requests per second. The rate does not fall when answers are slow.
    pub(crate) fn start(gateway: SocketAddr, rate: u32) -> Self {
        let tally = Arc::new(Mutex::new(Tally::default()));
        Self { task: tokio::spawn(run(gateway, rate, Arc::clone(&tally))), tally }
    }

    pub(crate) fn tally(&self) -> Tally {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends no more, and waits for the answers to what was sent.
    pub(crate) async fn finish(self) -> Tally {
        self.task.abort();
        let mut tally = self.tally();
        // Every request has a timeout.
        while tally.ended < tally.sent {
            time::sleep(Duration::from_millis(10)).await;
            tally = self.tally();
        }
        tally
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The request of a customer.
pub(crate) fn request(gateway: SocketAddr) -> Request {
    Request::get(gateway, "shop.example", "/").timeout(PATIENCE)
}

/// Who had a part in a page, or why there is none.
pub(crate) async fn send(client: &Client, request: &Request) -> Result<Vec<String>, String> {
    let answer = client.send(request).await.map_err(|error| format!("{error:#}"))?;
    if !answer.status.is_success() {
        return Err(format!("{}: {}", answer.status, answer.text()));
    }
    let page: serde_json::Value =
        serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
    let names = page["served_by"].as_array().into_iter().flatten();
    Ok(names.filter_map(|name| Some(name.as_str()?.to_owned())).collect())
}

async fn run(gateway: SocketAddr, rate: u32, tally: Arc<Mutex<Tally>>) {
    let (request, open) = (Arc::new(request(gateway)), Arc::new(Semaphore::new(MAX_OPEN)));
    let client = Client::keep_alive();
    let start = Instant::now();
    let mut ticks = time::interval(Duration::from_secs(1) / rate.max(1));
    // A late tick is made up for: the rate is what was asked for.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        ticks.tick().await;
        let (client, request, tally) = (client.clone(), Arc::clone(&request), Arc::clone(&tally));
        let permit = Arc::clone(&open).try_acquire_owned();
        tally.lock().unwrap_or_else(PoisonError::into_inner).sent += 1;
        tokio::spawn(async move {
            let sent = start.elapsed();
            let result = match permit {
                Ok(_permit) => send(&client, &request).await,
                Err(_) => Err(format!("{MAX_OPEN} requests are open")),
            };
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            tally.ended += 1;
            match result {
                Ok(names) => {
                    for name in names {
                        *tally.served_by.entry(name).or_default() += 1;
                    }
                }
                Err(reason) => {
                    tally.failed += 1;
                    if tally.reasons.len() < MAX_REASONS {
                        let after = sent.as_secs_f64();
                        tally.reasons.push(format!("{after:.3} s: {reason}"));
                    }
                }
            }
        });
    }
}
