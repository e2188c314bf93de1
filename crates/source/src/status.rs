//! What each source last achieved and found, for readiness, status pages and metrics.
//!
//! - Readers take no lock: a status is an immutable value, and a change publishes another one.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;

use crate::Findings;

/// The state of one source.
#[derive(Clone, Debug, Default)]
pub struct SourceStatus {
    /// Whether the source has ever said everything that it held. Stays true while it is restarted:
    /// its last good state is still served.
    pub synced: bool,
    /// When what is served was written down by an earlier process; `None` once the source has said
    /// everything itself.
    pub restored: Option<SystemTime>,
    /// When the source last said something.
    pub last_success: Option<SystemTime>,
    /// The last failure of the source as a whole; kept after it has recovered.
    pub last_error: Option<SourceFailure>,
    /// How many times the source has been started again.
    pub restarts: u64,
    /// Places, such as files, that hold at least one object in effect.
    pub files: usize,
    /// Objects in effect.
    pub objects: usize,
    /// What is wrong now, by place. Places where all is well are left out.
    pub findings: Arc<Findings>,
}

/// Why and when a source failed.
#[derive(Clone, Debug)]
pub struct SourceFailure {
    /// When it failed.
    pub at: SystemTime,
    /// The error with its causes and what to do about it.
    pub message: String,
}

/// The states of all sources. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct SourceStatuses(Arc<ArcSwap<BTreeMap<Arc<str>, Arc<SourceStatus>>>>);

impl SourceStatuses {
    /// All states by the name of the source, as they are now.
    pub fn load(&self) -> Arc<BTreeMap<Arc<str>, Arc<SourceStatus>>> {
        self.0.load_full()
    }

    /// The state of one source; `None` before it was first started.
    pub fn get(&self, source: &str) -> Option<Arc<SourceStatus>> {
        self.0.load().get(source).cloned()
    }

    /// Changes the state of one source. Safe from several tasks; `change` may run more than once.
    pub fn update(&self, source: &Arc<str>, change: impl Fn(&mut SourceStatus)) {
        self.0.rcu(|statuses| {
            let mut statuses = BTreeMap::clone(statuses);
            change(Arc::make_mut(statuses.entry(source.clone()).or_default()));
            statuses
        });
    }
}
