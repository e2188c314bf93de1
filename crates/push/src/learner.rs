//! Whoever remembers what workloads call.

use std::sync::{Arc, Mutex, PoisonError};

use model::{Hostname, Proxy, WorkloadKey};

/// Is told of each first call. Must not block: a request waits.
pub trait Learner: Send + Sync + 'static {
    /// A proxy has connected.
    fn met(&self, proxy: &Proxy);

    /// A proxy of the workload has asked for this host, which exists.
    fn called(&self, workload: &WorkloadKey, host: &Hostname);
}

/// What classes were found to have called when a host came to exist, until somebody takes it. Clones
/// share it. It is small: a class asks for a bounded number of hosts, and each letter of the engine has
/// a stream take all of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct LateCalls(Arc<Mutex<Vec<(WorkloadKey, Hostname)>>>);

impl LateCalls {
    pub(crate) fn add(&self, called: Vec<(WorkloadKey, Hostname)>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(called);
    }

    /// What nobody else has taken.
    pub(crate) fn take(&self) -> Vec<(WorkloadKey, Hostname)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
