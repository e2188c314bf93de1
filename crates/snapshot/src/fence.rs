//! Fences: which workloads are sent only a part of what they may see.
//!
//! - A fence limits what a workload is told, never what it may see: what its Sidecar, `exportTo` and
//!   policies keep from it stays so in every mode.
//! - Not here: how dependencies are learned and forgotten (`scope`).

use std::collections::BTreeSet;

use api::Object;
use model::{Hostname, Kind, Namespace, ObjectKey, Proxy, ScopeMode, Service, Shared};

use crate::Snapshot;

/// The label of a pod or of a Namespace with a [`ScopeMode`]; the pod's beats its Namespace's.
pub const SCOPE_LABEL: &str = "meltemi.io/scope";

/// The hosts that a workload was seen to call.
pub type Learned = Shared<BTreeSet<Hostname>>;

/// What limits the scope of a workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence {
    pub mode: ScopeMode,
    pub declared: Declared,
}

/// Dependencies that somebody wrote down.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Declared {
    /// All services of these.
    pub namespaces: BTreeSet<Namespace>,
    pub hosts: BTreeSet<Hostname>,
}

impl Declared {
    /// Whether the service is one of them.
    pub fn has(&self, service: &Service) -> bool {
        self.namespaces.contains(service.namespace()) || self.hosts.contains(service.hostname())
    }
}

/// The mode that an object's label asks for; one that is none asks for nothing.
pub(crate) fn label(object: Option<&Object>) -> Option<ScopeMode> {
    object?.meta.labels.get(SCOPE_LABEL)?.parse().ok()
}

impl Snapshot {
    /// The fence of a proxy's workload; `None` when nothing limits it.
    pub(crate) fn fence(&self, proxy: &Proxy) -> Option<Fence> {
        let own = proxy.labels.get(SCOPE_LABEL).and_then(|mode| mode.parse().ok());
        let of_namespace = || {
            let key = ObjectKey::new(Kind::Namespace, "", proxy.namespace.as_str());
            label(self.objects.get(&key))
        };
        let mode: ScopeMode = own.or_else(of_namespace)?;
        (mode != ScopeMode::Full).then(|| Fence { mode, declared: Declared::default() })
    }
}
