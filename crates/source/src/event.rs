//! What sources say, and the bounded queue on which they say it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use model::Diagnostics;
use snapshot::Change;
use tokio::sync::{mpsc, oneshot};

use crate::SourceError;

/// What is wrong now, by place: a file, a directory or whatever a source reads from.
pub type Findings = BTreeMap<Arc<str>, Diagnostics>;

/// One message of a source.
#[derive(Clone, Debug)]
pub enum SourceEvent {
    /// Objects came, changed or went away, or the findings about some places changed.
    Changes {
        /// Name of the source.
        source: Arc<str>,
        /// At most one change for each object, applied together.
        changes: Vec<Change>,
        /// The findings of every place where they changed: they replace the former ones of that
        /// place, and none means that all is well there now.
        diagnostics: Findings,
        /// When the source first noticed that something had happened.
        received: Instant,
    },
    /// Everything that the source held at its start has been said.
    Synced {
        /// Name of the source.
        source: Arc<str>,
    },
    /// Somebody waits until all that was said before this is in effect.
    Barrier {
        /// Name of the source.
        source: Arc<str>,
        /// Whom to tell.
        barrier: Barrier,
    },
}

/// A mark in the queue. The reader reaches it when everything before it is in effect; dropped
/// unreached, it tells the one who waits that this will never be.
#[derive(Clone, Debug)]
pub struct Barrier(Arc<Mutex<Option<oneshot::Sender<u64>>>>);

impl Barrier {
    /// A mark, and the revision at which it is reached.
    pub fn new() -> (Self, oneshot::Receiver<u64>) {
        let (sender, receiver) = oneshot::channel();
        (Self(Arc::new(Mutex::new(Some(sender)))), receiver)
    }

    /// Tells that all before the mark is in effect with this revision.
    pub fn reach(&self, revision: u64) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // Nobody waits any more.
            let _ = sender.send(revision);
        }
    }
}

/// Makes the queue between sources and their one reader. It holds `capacity` events, at least one;
/// when it is full, sources wait.
pub fn channel(capacity: usize) -> (SourceSender, SourceReceiver) {
    let (sender, receiver) = mpsc::channel(capacity.max(1));
    (SourceSender(sender), SourceReceiver(receiver))
}

/// The end of the queue on which sources speak. Clones speak on the same queue.
#[derive(Clone, Debug)]
pub struct SourceSender(mpsc::Sender<SourceEvent>);

impl SourceSender {
    /// Waits for room and sends. The only error is [`SourceError::Closed`]: nobody listens.
    pub async fn send(&self, event: SourceEvent) -> Result<(), SourceError> {
        self.0.send(event).await.map_err(|_| SourceError::Closed)
    }
}

/// The end of the queue on which the reader listens.
#[derive(Debug)]
pub struct SourceReceiver(mpsc::Receiver<SourceEvent>);

impl SourceReceiver {
    /// The next event; `None` when every sender is gone. Safe to cancel.
    pub async fn recv(&mut self) -> Option<SourceEvent> {
        self.0.recv().await
    }

    /// An event that is there already.
    pub fn try_recv(&mut self) -> Option<SourceEvent> {
        self.0.try_recv().ok()
    }

    /// How many events wait.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no event waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
