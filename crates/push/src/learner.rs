//! Whoever remembers what workloads call.

use model::{Hostname, Proxy, WorkloadKey};

/// Is told of each first call. Must not block: a request waits.
pub trait Learner: Send + Sync + 'static {
    /// A proxy has connected.
    fn met(&self, proxy: &Proxy);

    /// A proxy of the workload has asked for this host, which exists.
    fn called(&self, workload: &WorkloadKey, host: &Hostname);
}
