//! Learning who calls whom: the storage is opened, and the keeper started.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Context;
use model::{Hostname, ObjectKey, Proxy, ProxyKind, WorkloadKey};
use push::Learner;
use scope::{Keeper, ScopeHandle, Sensor, WaitKeeper};
use snapshot::{Domains, FenceWaits};
use source::SourceSender;
use storage::{Embedded, Opened, StorageHandle};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::settings::LearnSettings;

/// What is learned and decided, and what waits in fences.
pub(super) struct Learning {
    pub(super) handle: ScopeHandle,
    /// What waited when the process before ended, by fence.
    waited: BTreeMap<ObjectKey, Domains>,
    waits: Option<WaitKeeper>,
    keeping: Option<JoinHandle<()>>,
}

/// Starts the keeper. A folder that cannot be used is an error: what is learned would be lost with
/// the process, against what was asked for.
pub(super) async fn start(
    settings: &LearnSettings,
    mesh: SourceSender,
    shutdown: &CancellationToken,
) -> anyhow::Result<Learning> {
    let storage = match settings.folder.clone() {
        Some(folder) => Some(open(folder).await?),
        None => {
            tracing::info!(
                "Learned dependencies are kept in memory alone: with --scope-directory they \
                 outlive the process"
            );
            None
        }
    };
    let (waits, waited) = match storage.clone() {
        Some(storage) => {
            let (keeper, waited) = WaitKeeper::open(storage).await;
            (Some(keeper), waited)
        }
        None => (None, BTreeMap::new()),
    };
    let handle = Keeper::start(storage, settings.scope.clone(), mesh, shutdown.clone());
    Ok(Learning { handle, waited, waits, keeping: None })
}

impl Learning {
    /// Keeps what waits as it is said, where it can be kept. The task ends with the shutdown.
    pub(super) fn keep_waits(
        &mut self,
        shutdown: &CancellationToken,
    ) -> watch::Sender<Option<FenceWaits>> {
        let (said, waits) = watch::channel(None);
        self.keeping = self.waits.take().map(|keeper| keeper.start(waits, shutdown.clone()));
        said
    }

    /// The last second of each wait.
    pub(super) fn ends(&self) -> impl Iterator<Item = i64> {
        self.waited.values().flat_map(BTreeMap::values).filter_map(|domain| domain.until)
    }

    /// What waited, for whoever derives fences.
    pub(super) fn take_waited(&mut self) -> BTreeMap<ObjectKey, Domains> {
        std::mem::take(&mut self.waited)
    }

    /// Waits until all is written down. The shutdown must have begun.
    pub(super) async fn ended(self) {
        self.handle.ended().await;
        if let Some(keeping) = self.keeping {
            // A task that panicked has said so.
            let _ = keeping.await;
        }
    }
}

async fn open(folder: PathBuf) -> anyhow::Result<StorageHandle> {
    let opening = tokio::task::spawn_blocking(move || Embedded::open(&folder));
    let opened = opening.await.context("failed to open the storage")?;
    let Opened { storage, set_aside } =
        opened.context("failed to open what keeps learned dependencies (see --scope-directory)")?;
    if let Some(aside) = set_aside {
        tracing::error!(
            file = %storage.path().display(),
            kept = %aside.path.display(),
            reason = aside.reason,
            "A file with learned dependencies was broken; it is kept under another name, and \
             learning begins anew"
        );
    }
    Ok(StorageHandle::new(storage))
}

/// What proxies ask for is learned.
pub(super) struct Calls(pub(super) ScopeHandle);

impl Learner for Calls {
    fn met(&self, proxy: &Proxy) {
        if proxy.kind == ProxyKind::Sidecar {
            self.0.meet(proxy.workload(), proxy.application());
        }
    }

    fn called(&self, workload: &WorkloadKey, host: &Hostname) {
        self.0.observe(workload.clone(), host.clone(), Sensor::Request, 1);
    }
}
