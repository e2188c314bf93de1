//! What can be asked of a running source: to look now, and to write objects into its directories.

use std::sync::Arc;

use model::ObjectKey;
use source::Barrier;
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc, oneshot};

use crate::draft::Draft;

/// Requests that may wait while the source is busy.
const QUEUE: usize = 16;

/// Whether something is only planned or done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMode {
    /// Nothing is written.
    Plan,
    /// All is on disk when the answer comes.
    Write,
}

/// What becomes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteVerb {
    /// It was not in effect before.
    Created,
    /// It was, with other content.
    Configured,
    /// It was, with this content: its file is left alone.
    Unchanged,
    /// It is taken out of its file, and the file goes with its last object.
    Deleted,
}

/// What becomes of one draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The object.
    pub key: ObjectKey,
    /// What happens to it.
    pub verb: WriteVerb,
    /// The file that holds it, as people see it.
    pub file: Arc<str>,
    /// The text that the draft takes the place of; empty for a new object.
    pub before: String,
    /// The draft's text.
    pub after: String,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A new object has a name that cannot be a part of a path.
    #[error("{key} cannot get a file: `{name}` is not a valid name")]
    BadName {
        /// The object.
        key: ObjectKey,
        /// The name or namespace.
        name: String,
    },
    /// A draft cannot be placed.
    #[error("failed to place {key}{}: {reason}", In(.file))]
    Refused {
        /// The object.
        key: ObjectKey,
        /// The file that it would go to; may be empty.
        file: Arc<str>,
        /// Why not.
        reason: String,
        /// What to do about it.
        hint: String,
    },
    /// No file holds the object.
    #[error("{key} is in no served file")]
    NotThere {
        /// The object.
        key: ObjectKey,
    },
    /// A file is no longer what it was when the edit was planned.
    #[error("`{file}` was changed by somebody else at the same time; nothing was written")]
    Conflict {
        /// The file.
        file: Arc<str>,
    },
    /// The disk refused. Files that had been replaced already are as they were before.
    #[error("failed to write `{file}`; nothing has changed")]
    Write {
        /// The file.
        file: Arc<str>,
        /// The cause.
        source: std::io::Error,
    },
    /// The source is not running.
    #[error("the source of the directories is not running")]
    Gone,
}

struct In<'a>(&'a str);

impl std::fmt::Display for In<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(out, " in `{}`", self.0) }
    }
}

#[derive(Debug)]
pub(crate) enum Command {
    /// Look at everything, and then say the barrier.
    Rescan(Barrier),
    Write {
        drafts: Vec<Draft>,
        removals: Vec<ObjectKey>,
        mode: WriteMode,
        reply: oneshot::Sender<Result<Vec<Written>, WriteError>>,
    },
}

/// Speaks to the source, whichever run of it is going on. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DirectoryHandle(mpsc::Sender<Command>);

/// The end on which runs of the source listen, one after the other.
#[derive(Clone, Debug)]
pub struct DirectoryCommands(Arc<Mutex<mpsc::Receiver<Command>>>);

/// Makes a handle and what [`crate::DirectorySource::listen_to`] takes.
pub fn directory_control() -> (DirectoryHandle, DirectoryCommands) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    (DirectoryHandle(sender), DirectoryCommands(Arc::new(Mutex::new(receiver))))
}

impl DirectoryHandle {
    /// Looks at everything at once, and waits for writers that are at it. The answer is the
    /// revision of a snapshot that holds all of it; `None` when the source or the writer is gone.
    pub async fn rescan(&self) -> Option<u64> {
        let (barrier, reached) = Barrier::new();
        self.0.send(Command::Rescan(barrier)).await.ok()?;
        reached.await.ok()
    }

    /// Places drafts, of which each key must be another: all of them or none. An object takes the
    /// place of its former self, byte for byte; a new one gets a file of its own in the first
    /// directory that can be written.
    pub async fn write(
        &self,
        drafts: Vec<Draft>,
        mode: WriteMode,
    ) -> Result<Vec<Written>, WriteError> {
        self.edit(drafts, Vec::new(), mode).await
    }

    /// Takes objects out of their files: all of them or none.
    pub async fn remove(
        &self,
        removals: Vec<ObjectKey>,
        mode: WriteMode,
    ) -> Result<Vec<Written>, WriteError> {
        self.edit(Vec::new(), removals, mode).await
    }

    async fn edit(
        &self,
        drafts: Vec<Draft>,
        removals: Vec<ObjectKey>,
        mode: WriteMode,
    ) -> Result<Vec<Written>, WriteError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Write { drafts, removals, mode, reply };
        self.0.send(command).await.map_err(|_| WriteError::Gone)?;
        answer.await.map_err(|_| WriteError::Gone)?
    }
}

impl DirectoryCommands {
    /// Waits until the former run has let go.
    pub(crate) async fn take(self) -> OwnedMutexGuard<mpsc::Receiver<Command>> {
        self.0.lock_owned().await
    }
}
