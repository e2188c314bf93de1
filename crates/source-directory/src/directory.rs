//! The source: when to look, and saying what came of it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use source::{Source, SourceError, SourceEvent, SourceSender};
use tokio::{
    task,
    time::{self, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

use crate::{
    DirectorySettings,
    tracker::{Batch, Extent, Tracker},
    watch::Inbox,
};

/// Events that follow each other so closely are one.
const QUIET: Duration = Duration::from_millis(5);

/// Nothing waits longer than this for events to end.
const LONGEST_WAIT: Duration = Duration::from_millis(30);

/// Reads objects from files and follows their changes.
#[derive(Debug)]
pub struct DirectorySource {
    name: Arc<str>,
    settings: DirectorySettings,
}

impl DirectorySource {
    /// A source that reads nothing until it is run.
    pub fn new(settings: DirectorySettings) -> Self {
        Self { name: "directory".into(), settings }
    }

    async fn send(
        &self,
        events: &SourceSender,
        batch: Batch,
        received: Instant,
    ) -> Result<(), SourceError> {
        let Batch { changes, diagnostics } = batch;
        let source = self.name.clone();
        events.send(SourceEvent::Changes { source, changes, diagnostics, received }).await
    }

    async fn follow(self, events: SourceSender) -> Result<(), SourceError> {
        let begun = Instant::now();
        let settings = self.settings.clone();
        let (mut tracker, batch) = blocking(move || Tracker::start(&settings)).await??;
        let inbox = tracker.inbox().clone();
        let objects = batch.changes.len();
        self.send(&events, batch, begun).await?;
        events.send(SourceEvent::Synced { source: self.name.clone() }).await?;
        tracing::info!(objects, elapsed = ?begun.elapsed(), "Configuration was read");

        let period = self.settings.rescan.max(QUIET);
        let mut rescan = time::interval_at(time::Instant::now() + period, period);
        rescan.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = tracker.due();
            let extent = tokio::select! {
                () = settle(&inbox) => Extent::Touched,
                () = sleep_until(due) => Extent::Touched,
                _ = rescan.tick() => Extent::Everything,
            };
            let begun = Instant::now();
            let done = blocking(move || {
                let done = tracker.work(extent);
                (tracker, done)
            });
            let (received, batch);
            (tracker, (received, batch)) = done.await?;
            if !batch.is_empty() {
                tracing::debug!(changes = batch.changes.len(), "Configuration changed");
                self.send(&events, batch, received.unwrap_or(begun)).await?;
            }
        }
    }
}

impl Source for DirectorySource {
    fn name(&self) -> &str {
        &self.name
    }

    async fn run(
        self,
        events: SourceSender,
        shutdown: CancellationToken,
    ) -> Result<(), SourceError> {
        tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            ended = self.follow(events) => ended,
        }
    }
}

/// Waits for events, and then for a pause between them.
async fn settle(inbox: &Inbox) {
    inbox.wait().await;
    let longest = time::sleep(LONGEST_WAIT);
    tokio::pin!(longest);
    loop {
        tokio::select! {
            () = &mut longest => break,
            () = time::sleep(QUIET) => break,
            () = inbox.wait() => (),
        }
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// Runs what waits for the disk where that holds nobody up.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, SourceError> {
    task::spawn_blocking(work).await.map_err(|error| {
        SourceError::caused("failed to look at the files", "please report this", error)
    })
}
