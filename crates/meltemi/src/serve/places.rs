//! The services of the newest snapshot, for sensors that complete what callers wrote.

use std::sync::{Arc, Mutex, PoisonError};

use scope::MeshPlaces;
use snapshot::Snapshot;
use tokio::sync::watch;

/// The newest snapshot.
pub(super) type Snapshots = watch::Receiver<Option<Arc<Snapshot>>>;

/// Finds services in the newest snapshot. Clones share what was looked up.
#[derive(Clone)]
pub(super) struct NewestPlaces {
    snapshots: Snapshots,
    /// Of the snapshot that was last looked at.
    known: Arc<Mutex<Option<Arc<MeshPlaces>>>>,
}

impl NewestPlaces {
    pub(super) fn new(snapshots: Snapshots) -> Self {
        Self { snapshots, known: Arc::default() }
    }

    /// Each snapshot as it comes.
    pub(super) fn snapshots(&self) -> Snapshots {
        self.snapshots.clone()
    }

    /// `None` before the first snapshot.
    pub(super) fn get(&self) -> Option<Arc<MeshPlaces>> {
        let snapshot = self.snapshots.borrow().clone()?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some(places) if places.snapshot.revision == snapshot.revision => Some(places.clone()),
            Some(_) | None => {
                let places = Arc::new(MeshPlaces::new(snapshot));
                Some(known.insert(places).clone())
            }
        }
    }
}
