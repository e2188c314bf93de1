//! Writes the state down while the control plane works.

use std::{sync::Arc, time::Duration};

use snapshot::Snapshot;
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;

use crate::StateFile;

/// The shortest time between two writes.
const PAUSE: Duration = Duration::from_secs(10);
/// How many times as long as it took to write is waited: a mesh that always changes, and is large,
/// must not keep a core busy with it.
const SHARE: u32 = 20;

/// Writes each new snapshot to `file`, not too often, and the last one at `shutdown`.
pub async fn keep(
    file: StateFile,
    mut snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    shutdown: CancellationToken,
) {
    let mut written = None;
    loop {
        let go_on = tokio::select! {
            changed = snapshots.changed() => changed.is_ok(),
            () = shutdown.cancelled() => false,
        };
        let snapshot = snapshots.borrow_and_update().clone();
        let mut pause = PAUSE;
        // Derived views may change without any object, as when keys are fetched.
        if let Some(snapshot) = snapshot.filter(|it| written != Some(it.objects().edits())) {
            let begin = Instant::now();
            written = Some(snapshot.objects().edits());
            let file = file.clone();
            let write = spawn_blocking(move || file.write(snapshot.objects().values()));
            if let Ok(Err(error)) = write.await {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "The state of the mesh could not be saved");
            }
            pause = pause.max(begin.elapsed() * SHARE);
        }
        if !go_on {
            return;
        }
        tokio::select! {
            () = time::sleep(pause) => (),
            () = shutdown.cancelled() => (),
        }
    }
}
