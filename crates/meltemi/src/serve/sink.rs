//! Each revision of the mesh, for all that follow it.

use std::sync::Arc;

use admin::MeshMetrics;
use push::EngineHandle;
use snapshot::{FenceWaits, Snapshot};
use store::{Publication, SnapshotSink};
use tokio::sync::watch;

/// Where a revision goes.
pub(super) struct EngineSink {
    pub(super) engine: EngineHandle,
    pub(super) mesh: MeshMetrics,
    /// The other names of the trust domain.
    pub(super) aliases: watch::Sender<Arc<[Arc<str>]>>,
    /// What reports of calls are read with.
    pub(super) newest: watch::Sender<Option<Arc<Snapshot>>>,
    /// What waits in fences, for whoever keeps it.
    pub(super) waits: watch::Sender<Option<FenceWaits>>,
    /// Who writes the state down.
    pub(super) state: Option<watch::Sender<Option<Arc<Snapshot>>>>,
}

impl SnapshotSink for EngineSink {
    async fn publish(&mut self, publication: Publication) {
        let Publication { snapshot, changes, noticed } = publication;
        let aliases = snapshot.mesh().config.trust_domain_aliases.iter();
        let aliases: Arc<[Arc<str>]> = aliases.map(|alias| alias.as_str().into()).collect();
        self.aliases.send_if_modified(|known| {
            let is_new = *known != aliases;
            *known = aliases;
            is_new
        });
        self.newest.send_replace(Some(snapshot.clone()));
        let waits = snapshot.fence_waits();
        self.waits.send_if_modified(|known| {
            let is_new = !known.as_ref().is_some_and(|known| known.is(waits));
            *known = Some(waits.clone());
            is_new
        });
        if let Some(state) = &self.state {
            state.send_replace(Some(snapshot.clone()));
        }
        self.mesh.published(&changes);
        self.engine.publish(snapshot, changes, noticed).await;
    }
}
