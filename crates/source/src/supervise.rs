//! Keeps a source running: restarts with growing pauses, and its last good state meanwhile.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use api::Object;
use snapshot::Change;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    Findings, SourceEvent, SourceFailure, SourceReceiver, SourceSender, SourceStatuses, channel,
    ledger::Ledger,
};

/// Something that holds objects: a directory, a Kubernetes API server, a registry.
pub trait Source: Send + 'static {
    /// The name under which the source is reported, the same for every run.
    fn name(&self) -> &str;

    /// Says what the source holds, then `Synced`, then every change, until `shutdown`.
    ///
    /// `Ok` means that there is nothing more to say and all that was said stays in effect. After an
    /// error [`supervise`] starts another run, which begins with everything again.
    fn run(
        self,
        events: SourceSender,
        shutdown: CancellationToken,
    ) -> impl Future<Output = Result<(), SourceError>> + Send;
}

/// Why a run of a source ended early.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Nobody listens any more: the process is ending, and another run is of no use.
    #[error("the reader of the source is gone")]
    Closed,
    /// The source cannot go on. Another run may succeed.
    #[error("{doing}{}", Hint(.hint))]
    Failed {
        /// What failed, such as "failed to read the directory `mesh`".
        doing: String,
        /// What to try next; may be empty.
        hint: String,
        /// The cause.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
}

impl SourceError {
    /// A failure without a cause of its own.
    pub fn failed(doing: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Failed { doing: doing.into(), hint: hint.into(), source: None }
    }

    /// A failure with its cause.
    pub fn caused(
        doing: impl Into<String>,
        hint: impl Into<String>,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Failed { doing: doing.into(), hint: hint.into(), source: Some(cause.into()) }
    }
}

struct Hint<'a>(&'a str);

impl std::fmt::Display for Hint<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(out, " ({})", self.0) }
    }
}

/// How long to wait before a source is started again.
#[derive(Clone, Copy, Debug)]
pub struct SuperviseSettings {
    /// The first pause; each further failure doubles it.
    pub shortest_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Default for SuperviseSettings {
    fn default() -> Self {
        Self { shortest_pause: Duration::from_millis(500), longest_pause: Duration::from_secs(30) }
    }
}

/// What a source held when the process before this one last wrote it down.
#[derive(Clone, Debug)]
pub struct Restored {
    /// When that was.
    pub written: SystemTime,
    /// Objects that were in effect.
    pub objects: Vec<Object>,
}

/// Runs a source until `shutdown`, until it ends by itself, or until nobody listens.
///
/// `make` makes each run. A run that fails, or panics, is followed by another one; what the last
/// run said stays in effect until the new one contradicts it or is synced without it. So does what
/// was `restored`, which readers are told of at once, as if the source were synced.
pub async fn supervise<S: Source>(
    mut make: impl FnMut() -> S + Send,
    restored: Option<Restored>,
    settings: SuperviseSettings,
    events: SourceSender,
    statuses: SourceStatuses,
    shutdown: CancellationToken,
) {
    let mut ledger = Ledger::default();
    let mut pause = settings.shortest_pause;
    let mut source = make();
    if let Some(restored) = restored {
        let name = source.name().into();
        let mut relay =
            Relay { name, ledger, events: &events, statuses: &statuses, shutdown: &shutdown };
        if relay.restore(restored).await.is_err() {
            return;
        }
        ledger = relay.ledger;
        ledger.restart();
    }
    loop {
        let name: Arc<str> = source.name().into();
        statuses.update(&name, |_| ());
        let (events, statuses, shutdown) = (&events, &statuses, &shutdown);
        let mut relay = Relay { name: name.clone(), ledger, events, statuses, shutdown };
        let (outcome, was_synced) = relay.run(source).await;
        ledger = relay.ledger;
        let error = match outcome {
            Err(SourceError::Closed) | Ok(()) => return,
            Err(error) => error,
        };
        if was_synced {
            pause = settings.shortest_pause;
        }
        let failure = SourceFailure { at: SystemTime::now(), message: render_chain(&error) };
        tracing::warn!(source = %name, error = %failure.message, ?pause, "Source failed");
        statuses.update(&name, |status| {
            status.last_error = Some(failure.clone());
            status.restarts += 1;
        });
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => (),
        }
        pause = (pause * 2).min(settings.longest_pause);
        ledger.restart();
        source = make();
    }
}

/// One run of a source, between it and the reader.
struct Relay<'a> {
    name: Arc<str>,
    ledger: Ledger,
    events: &'a SourceSender,
    statuses: &'a SourceStatuses,
    shutdown: &'a CancellationToken,
}

impl Relay<'_> {
    /// Says what an earlier process knew, as if the source had said all of it.
    async fn restore(&mut self, restored: Restored) -> Result<(), SourceError> {
        let Restored { written, objects } = restored;
        let changes = self.ledger.changes(objects.into_iter().map(Change::Put).collect());
        self.statuses.update(&self.name, |status| {
            status.restored = Some(written);
            status.files = self.ledger.files();
            status.objects = self.ledger.objects();
        });
        let (source, diagnostics) = (self.name.clone(), Findings::default());
        let received = Instant::now();
        self.send(SourceEvent::Changes { source, changes, diagnostics, received }).await?;
        self.send(SourceEvent::Synced { source: self.name.clone() }).await
    }

    /// Returns how the run ended and whether it was ever synced.
    async fn run<S: Source>(&mut self, source: S) -> (Result<(), SourceError>, bool) {
        // One event is enough between the two: the queue behind is the one that holds them.
        let (sender, mut receiver) = channel(1);
        let mut running = JoinSet::new();
        let token = self.shutdown.child_token();
        running.spawn(async move { source.run(sender, token).await });
        let mut was_synced = false;
        let outcome = loop {
            tokio::select! {
                () = self.shutdown.cancelled() => break Ok(()),
                Some(event) = receiver.recv() => {
                    was_synced |= matches!(event, SourceEvent::Synced { .. });
                    if let Err(error) = self.relay(event).await {
                        break Err(error);
                    }
                }
                Some(ended) = running.join_next() => break match ended {
                    Ok(outcome) => outcome,
                    Err(error) => Err(SourceError::caused(
                        "the source stopped unexpectedly", "please report this", error,
                    )),
                },
            }
        };
        match self.drain(&mut receiver, &mut was_synced).await {
            Ok(()) => (outcome, was_synced),
            Err(error) => (Err(error), was_synced),
        }
    }

    /// What the run still said before it ended.
    async fn drain(
        &mut self,
        receiver: &mut SourceReceiver,
        was_synced: &mut bool,
    ) -> Result<(), SourceError> {
        while let Some(event) = receiver.try_recv() {
            *was_synced |= matches!(event, SourceEvent::Synced { .. });
            self.relay(event).await?;
        }
        Ok(())
    }

    async fn relay(&mut self, event: SourceEvent) -> Result<(), SourceError> {
        let is_synced = matches!(event, SourceEvent::Synced { .. });
        let (changes, diagnostics, received) = match event {
            SourceEvent::Changes { changes, diagnostics, received, source: _ } => {
                let changes = self.ledger.changes(changes);
                (changes, self.ledger.diagnostics(diagnostics), received)
            }
            SourceEvent::Synced { source: _ } => {
                let (changes, diagnostics) = self.ledger.synced();
                (changes, diagnostics, Instant::now())
            }
            SourceEvent::Barrier { .. } => return self.send(event).await,
        };
        let now = SystemTime::now();
        self.statuses.update(&self.name, |status| {
            status.synced |= is_synced;
            status.restored = status.restored.filter(|_| !is_synced);
            status.last_success = Some(now);
            status.files = self.ledger.files();
            status.objects = self.ledger.objects();
            status.findings = self.ledger.findings().clone();
        });
        let source = self.name.clone();
        if !changes.is_empty() || !diagnostics.is_empty() {
            let source = source.clone();
            let event = SourceEvent::Changes { source, changes, diagnostics, received };
            self.send(event).await?;
        }
        if is_synced {
            self.send(SourceEvent::Synced { source }).await?;
        }
        Ok(())
    }

    /// A reader that is ending need not make room.
    async fn send(&self, event: SourceEvent) -> Result<(), SourceError> {
        tokio::select! {
            biased;
            sent = self.events.send(event) => sent,
            () = self.shutdown.cancelled() => Err(SourceError::Closed),
        }
    }
}

fn render_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
