//! The last state of the mesh (`--state-directory`): read at the start, kept while the server works.

use std::{path::Path, sync::Arc};

use saved::{StateError, StateFile};
use snapshot::Snapshot;
use source::Restored;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::Settings;

/// Who writes the state down, if anybody does.
pub(super) struct Keeper {
    pub(super) snapshots: Option<watch::Sender<Option<Arc<Snapshot>>>>,
    task: Option<JoinHandle<()>>,
}

impl Keeper {
    pub(super) fn start(file: Option<StateFile>, shutdown: &CancellationToken) -> Self {
        let Some(file) = file else { return Self { snapshots: None, task: None } };
        let (snapshots, receiver) = watch::channel(None);
        let task = tokio::spawn(saved::keep(file, receiver, shutdown.clone()));
        Self { snapshots: Some(snapshots), task: Some(task) }
    }

    /// Waits until the last state is written. Shutdown must have begun.
    pub(super) async fn end(self) {
        if let Some(task) = self.task {
            // A task that panicked has said so.
            let _ = task.await;
        }
    }
}

impl Settings {
    /// The state of what is served now: with other folders it is another mesh.
    pub(super) fn state_file(&self) -> Option<StateFile> {
        let absolute = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let config: Vec<_> = self.config.iter().map(|path| absolute(path)).collect();
        let mesh_config = self.mesh_config.as_deref().map(absolute);
        let origin = format!("{config:?} {mesh_config:?} {}", self.domain);
        self.state_directory.as_deref().map(|directory| StateFile::new(directory, origin))
    }
}

/// What the process before this one has left. What cannot be used is as good as nothing: the
/// sources are read in any case.
pub(super) fn restore(file: Option<&StateFile>) -> Option<Restored> {
    let file = file?;
    match file.read() {
        Ok(state) => {
            let state = state?;
            let objects = state.objects.len();
            tracing::info!(objects, "The last state is served until the sources have been read");
            Some(Restored { written: state.written, objects: state.objects })
        }
        Err(error @ StateError::Unusable { .. }) => {
            tracing::info!(%error, "There is no last state to begin with");
            None
        }
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "The last state cannot be read");
            None
        }
    }
}
