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
    DirectoryCommands, DirectorySettings, WriteMode,
    control::Command,
    tracker::{Batch, Extent, Tracker},
    watch::Inbox,
};

/// Events that follow each other so closely are one.
const QUIET: Duration = Duration::from_millis(5);

/// Nothing waits longer than this for events to end.
const LONGEST_WAIT: Duration = Duration::from_millis(30);

/// Who asks for the state of now waits no longer than this for writers that do not come to an end.
const LONGEST_SETTLING: Duration = Duration::from_secs(1);

/// Reads objects from files and follows their changes.
#[derive(Debug)]
pub struct DirectorySource {
    name: Arc<str>,
    settings: DirectorySettings,
    commands: Option<DirectoryCommands>,
}

impl DirectorySource {
    /// A source that reads nothing until it is run.
    pub fn new(settings: DirectorySettings) -> Self {
        Self { name: "directory".into(), settings, commands: None }
    }

    /// Does what is asked of it there.
    #[must_use]
    pub fn listen_to(mut self, commands: DirectoryCommands) -> Self {
        self.commands = Some(commands);
        self
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

    async fn follow(mut self, events: SourceSender) -> Result<(), SourceError> {
        let commands = self.commands.take();
        let mut commands = match commands {
            Some(commands) => Some(commands.take().await),
            None => None,
        };
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
        let mut looked = Instant::now();
        loop {
            let due = tracker.due();
            let command = async {
                match &mut commands {
                    Some(commands) => commands.recv().await,
                    None => None,
                }
            };
            let extent = tokio::select! {
                Some(command) = command => {
                    tracker = self.obey(command, tracker, &events).await?;
                    continue;
                }
                () = settle(&inbox, looked) => Extent::Touched,
                () = sleep_until(due) => Extent::Touched,
                _ = rescan.tick() => Extent::Everything,
            };
            tracker = self.work(tracker, extent, &events).await?;
            looked = Instant::now();
        }
    }

    /// Looks once, and says what came of it.
    async fn work(
        &self,
        mut tracker: Tracker,
        extent: Extent,
        events: &SourceSender,
    ) -> Result<Tracker, SourceError> {
        let begun = Instant::now();
        let done = blocking(move || {
            let done = tracker.work(extent);
            (tracker, done)
        });
        let (tracker, (received, batch)) = done.await?;
        if !batch.is_empty() {
            tracing::debug!(changes = batch.changes.len(), "Configuration changed");
            self.send(events, batch, received.unwrap_or(begun)).await?;
        }
        Ok(tracker)
    }

    async fn obey(
        &self,
        command: Command,
        tracker: Tracker,
        events: &SourceSender,
    ) -> Result<Tracker, SourceError> {
        match command {
            Command::Rescan(barrier) => {
                let tracker = self.look_at_now(tracker, events).await?;
                events.send(SourceEvent::Barrier { source: self.name.clone(), barrier }).await?;
                Ok(tracker)
            }
            Command::Write { drafts, removals, mode, reply } => {
                let done = blocking(move || {
                    let outcome = tracker.write(&drafts, &removals, mode);
                    (tracker, outcome)
                });
                let (mut tracker, outcome) = done.await?;
                // What was written in one go is read in one go too.
                if outcome.is_ok() && mode == WriteMode::Write {
                    tracker = self.work(tracker, Extent::Settled, events).await?;
                }
                // Who asked may have gone; what was written stays.
                let _ = reply.send(outcome);
                Ok(tracker)
            }
        }
    }

    /// Takes in what is on disk now. Who wrote a file before it was asked finds it taken in, also
    /// where the kernel has not said so yet.
    async fn look_at_now(
        &self,
        tracker: Tracker,
        events: &SourceSender,
    ) -> Result<Tracker, SourceError> {
        let begun = Instant::now();
        time::sleep(QUIET).await;
        let mut tracker = self.work(tracker, Extent::Settled, events).await?;
        while let Some(due) = tracker.due() {
            if begun.elapsed() > LONGEST_SETTLING {
                break;
            }
            time::sleep_until(due.into()).await;
            tracker = self.work(tracker, Extent::Touched, events).await?;
        }
        Ok(tracker)
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

/// Waits for events, and then for a pause between them: not for a file that was put in place when
/// nothing else happens, which is most changes.
async fn settle(inbox: &Inbox, looked: Instant) {
    inbox.wait().await;
    if looked.elapsed() > LONGEST_WAIT && inbox.is_settled() {
        return;
    }
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
