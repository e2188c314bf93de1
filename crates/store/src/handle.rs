//! Questions to the writer, answered in its turn.

use std::sync::Arc;

use snapshot::{Change, ChangeSet, Index, Snapshot};
use tokio::sync::{mpsc, oneshot};

/// Something to look up in the writer's index.
pub(crate) type Question = Box<dyn FnOnce(&Index) + Send>;

/// Asks a running writer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct WriterHandle(mpsc::Sender<Question>);

/// What changes would lead to.
#[derive(Clone, Debug)]
pub struct DryRun {
    /// The mesh with the changes; its revision is none that was ever published.
    pub snapshot: Arc<Snapshot>,
    /// What differs from the mesh as it is.
    pub changes: ChangeSet,
    /// The revision that it was compared with.
    pub base: u64,
}

impl WriterHandle {
    pub(crate) fn new(sender: mpsc::Sender<Question>) -> Self {
        Self(sender)
    }

    /// Reads the index between two batches. The writer waits meanwhile: `look` must be quick.
    /// `None` when the writer has ended.
    pub async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Index) -> T + Send + 'static,
    ) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        let question: Question = Box::new(move |index| {
            // Who asked may have gone.
            let _ = reply.send(look(index));
        });
        self.0.send(question).await.ok()?;
        answer.await.ok()
    }

    /// Applies changes to a copy. The mesh stays as it is. `None` when the writer has ended.
    pub async fn dry_run(&self, changes: Vec<Change>) -> Option<DryRun> {
        let (mut index, base) =
            self.read(|index| (index.clone(), index.snapshot().revision)).await?;
        let applied = tokio::task::spawn_blocking(move || {
            let changes = index.apply(changes);
            DryRun { snapshot: index.snapshot(), changes, base }
        });
        applied.await.ok()
    }
}
