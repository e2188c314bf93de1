//! Learning who calls whom: the storage is opened, and the keeper started.

use std::path::PathBuf;

use anyhow::Context;
use model::{Hostname, Proxy, ProxyKind, WorkloadKey};
use push::Learner;
use scope::{Keeper, ScopeHandle, Sensor};
use source::SourceSender;
use storage::{Embedded, Opened, StorageHandle};
use tokio_util::sync::CancellationToken;

use crate::settings::LearnSettings;

/// Starts the keeper. A folder that cannot be used is an error: what is learned would be lost with
/// the process, against what was asked for.
pub(super) async fn start(
    settings: &LearnSettings,
    mesh: SourceSender,
    shutdown: &CancellationToken,
) -> anyhow::Result<ScopeHandle> {
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
    Ok(Keeper::start(storage, settings.scope.clone(), mesh, shutdown.clone()))
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
