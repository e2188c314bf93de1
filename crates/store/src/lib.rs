//! Changes → snapshots: the one writer.
//!
//! - Takes whatever sources have sent, as one batch, and publishes at most one snapshot for it.
//! - While the sink is busy, further changes wait in the bounded queue and become the next batch.
//! - A [`WriterHandle`] asks the writer between two batches: what is there, what would be.
//! - Not here: how objects become an indexed view (`snapshot`), who reads it.

mod handle;

use std::{collections::BTreeSet, future::Future, sync::Arc, time::Instant};

use snapshot::{Change, ChangeSet, Index, Snapshot};
use source::{Barrier, SourceEvent, SourceReceiver};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::handle::Question;
pub use self::handle::{DryRun, WriterHandle};

/// Most changes that are applied at once: what comes later waits for the next snapshot.
const MAX_BATCH: usize = 200_000;

/// Questions that may wait.
const QUESTIONS: usize = 16;

/// A new snapshot, and where it came from.
#[derive(Clone, Debug)]
pub struct Publication {
    pub snapshot: Arc<Snapshot>,
    /// What differs from the snapshot before.
    pub changes: ChangeSet,
    /// When a source first noticed any of it.
    pub noticed: Instant,
}

/// Who is told of new snapshots.
pub trait SnapshotSink: Send {
    fn publish(&mut self, publication: Publication) -> impl Future<Output = ()> + Send;
}

/// The writer. It owns the index.
pub struct Writer {
    index: Index,
    /// Sources that have not listed everything yet.
    unsynced: BTreeSet<Arc<str>>,
    handle: WriterHandle,
    questions: mpsc::Receiver<Question>,
}

/// What was taken from the queue for one snapshot.
#[derive(Default)]
struct Batch {
    changes: Vec<Change>,
    barriers: Vec<Barrier>,
    /// When a source first noticed any of it.
    noticed: Option<Instant>,
}

impl Writer {
    /// A writer over `index` that waits for `sources` before it publishes anything: a half-read
    /// mesh would look like a mesh that lost half of itself.
    pub fn new(index: Index, sources: impl IntoIterator<Item = Arc<str>>) -> Self {
        let (sender, questions) = mpsc::channel(QUESTIONS);
        let handle = WriterHandle::new(sender);
        Self { index, unsynced: sources.into_iter().collect(), handle, questions }
    }

    /// The way to ask this writer.
    pub fn handle(&self) -> WriterHandle {
        self.handle.clone()
    }

    /// Writes until `shutdown`, or until every source is gone. `synced` is called once, after the
    /// first snapshot was published.
    pub async fn run(
        mut self,
        mut events: SourceReceiver,
        mut sink: impl SnapshotSink,
        synced: impl FnOnce() + Send,
        shutdown: CancellationToken,
    ) {
        let mut synced = Some(synced);
        let mut pending = ChangeSet::default();
        let mut noticed: Option<Instant> = None;
        let mut barriers: Vec<Barrier> = Vec::new();
        loop {
            let first = tokio::select! {
                () = shutdown.cancelled() => return,
                Some(question) = self.questions.recv() => {
                    question(&self.index);
                    continue;
                }
                event = events.recv() => match event {
                    None => return,
                    Some(event) => event,
                },
            };
            let mut batch = Batch::default();
            self.take(first, &mut batch);
            while batch.changes.len() < MAX_BATCH {
                let Some(event) = events.try_recv() else { break };
                self.take(event, &mut batch);
            }
            barriers.append(&mut batch.barriers);
            noticed = noticed.or(batch.noticed);
            let mut changes = self.index.apply(batch.changes);
            pending.keys.append(&mut changes.keys);
            pending.causes.append(&mut changes.causes);
            if !self.unsynced.is_empty() {
                continue;
            }
            if !pending.is_empty() || synced.is_some() {
                let changes = std::mem::take(&mut pending);
                tracing::debug!(
                    revision = self.index.snapshot().revision,
                    keys = changes.keys.len(),
                    causes = changes.causes.len(),
                    "Snapshot published"
                );
                let snapshot = self.index.snapshot();
                let noticed = noticed.take().unwrap_or_else(Instant::now);
                sink.publish(Publication { snapshot, changes, noticed }).await;
            }
            noticed = None;
            if let Some(synced) = synced.take() {
                synced();
            }
            let revision = self.index.snapshot().revision;
            barriers.drain(..).for_each(|barrier| barrier.reach(revision));
        }
    }

    fn take(&mut self, event: SourceEvent, batch: &mut Batch) {
        match event {
            SourceEvent::Changes { changes, received, .. } => {
                batch.changes.extend(changes);
                batch.noticed = batch.noticed.into_iter().chain([received]).min();
            }
            SourceEvent::Synced { source } => {
                self.unsynced.remove(&source);
            }
            SourceEvent::Barrier { barrier, .. } => batch.barriers.push(barrier),
        }
    }
}

#[cfg(test)]
mod tests;
