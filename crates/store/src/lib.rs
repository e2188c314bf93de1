//! Changes → snapshots: the one writer.
//!
//! - Takes whatever sources have sent, as one batch, and publishes at most one snapshot for it.
//! - While the sink is busy, further changes wait in the bounded queue and become the next batch.
//! - Not here: how objects become an indexed view (`snapshot`), who reads it.

use std::{collections::BTreeSet, future::Future, sync::Arc};

use snapshot::{Change, ChangeSet, Index, Snapshot};
use source::{SourceEvent, SourceReceiver};
use tokio_util::sync::CancellationToken;

/// Most changes that are applied at once: what comes later waits for the next snapshot.
const MAX_BATCH: usize = 200_000;

/// Who is told of new snapshots.
pub trait SnapshotSink: Send {
    fn publish(
        &mut self,
        snapshot: Arc<Snapshot>,
        changes: ChangeSet,
    ) -> impl Future<Output = ()> + Send;
}

/// The writer. It owns the index.
#[derive(Debug)]
pub struct Writer {
    index: Index,
    /// Sources that have not listed everything yet.
    unsynced: BTreeSet<Arc<str>>,
}

impl Writer {
    /// A writer over `index` that waits for `sources` before it publishes anything: a half-read
    /// mesh would look like a mesh that lost half of itself.
    pub fn new(index: Index, sources: impl IntoIterator<Item = Arc<str>>) -> Self {
        Self { index, unsynced: sources.into_iter().collect() }
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
        loop {
            let first = tokio::select! {
                () = shutdown.cancelled() => return,
                event = events.recv() => match event {
                    None => return,
                    Some(event) => event,
                },
            };
            let mut batch = self.take(first);
            while batch.len() < MAX_BATCH {
                let Some(event) = events.try_recv() else { break };
                batch.extend(self.take(event));
            }
            let changes = self.index.apply(batch);
            pending.keys.extend(changes.keys);
            pending.causes.extend(changes.causes);
            if !self.unsynced.is_empty() || (pending.is_empty() && synced.is_none()) {
                continue;
            }
            let changes = std::mem::take(&mut pending);
            tracing::debug!(
                revision = self.index.snapshot().revision,
                keys = changes.keys.len(),
                causes = changes.causes.len(),
                "Snapshot published"
            );
            sink.publish(self.index.snapshot(), changes).await;
            if let Some(synced) = synced.take() {
                synced();
            }
        }
    }

    fn take(&mut self, event: SourceEvent) -> Vec<Change> {
        match event {
            SourceEvent::Changes { changes, .. } => changes,
            SourceEvent::Synced { source } => {
                self.unsynced.remove(&source);
                Vec::new()
            }
        }
    }
}
