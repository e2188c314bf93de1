//! The process shell: logs, readiness, memory, the end, and how its counters are written.
//!
//! - Not here: the mesh, and what the process serves.

mod memory;
mod tally;

use std::{
    io::{self, IsTerminal},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

pub use memory::{Pressure, memory_limit, resident_bytes, watch_memory};
pub use tally::Tally;

/// Sends logs to stderr, in colour only on a terminal. `filter` is a `tracing` filter such as
/// `info,push=debug`.
pub fn start_logs(filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_target(false);
    // On a terminal it depends on `NO_COLOR`, which is looked at below here.
    let _ = match io::stderr().is_terminal() {
        true => logs.try_init(),
        false => logs.with_ansi(false).try_init(),
    };
}

/// Whether the process may be called ready: it is when every token is gone.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicUsize>);

/// Keeps the process from being ready until it is dropped.
#[derive(Debug)]
pub struct BlockReady(Arc<AtomicUsize>);

impl Readiness {
    pub fn block(&self) -> BlockReady {
        self.0.fetch_add(1, Ordering::AcqRel);
        BlockReady(self.0.clone())
    }

    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }
}

impl Drop for BlockReady {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Cancels `shutdown` on SIGTERM or Ctrl-C.
pub async fn wait_for_signal(shutdown: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = match signal(SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => {
            tracing::warn!(%error, "SIGTERM cannot be watched; only Ctrl-C ends the process well");
            let _ = tokio::signal::ctrl_c().await;
            return shutdown.cancel();
        }
    };
    tokio::select! {
        _ = terminate.recv() => (),
        _ = tokio::signal::ctrl_c() => (),
    }
    shutdown.cancel();
}
