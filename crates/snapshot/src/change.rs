//! What comes in, and what it touched.

use std::collections::{BTreeMap, BTreeSet};

use api::Object;
use model::{
    FenceSwitch, FenceTarget, Hostname, Kind, Namespace, ObjectKey, ServiceKey, WorkloadKey,
};

use crate::{KeySource, Learned};

/// One object appeared, changed or went away.
#[derive(Clone, Debug)]
pub enum Change {
    Put(Object),
    Delete(ObjectKey),
    /// The keys of a token issuer were fetched (`None`: nobody needs them any more).
    KeySet(KeySource, Option<String>),
    /// What a workload was seen to call is all of this now (`None`: it is forgotten).
    Learned(WorkloadKey, Option<Learned>),
    /// Somebody decided about the fences around some workloads.
    FenceSwitched(FenceTarget, FenceSwitch),
    /// It is this time now, in seconds since 1970: some of what was written may be over.
    Time(i64),
}

impl Change {
    /// The object; fetched keys, what was learned, decisions and the time are none.
    pub fn key(&self) -> Option<&ObjectKey> {
        match self {
            Self::Put(object) => Some(&object.key),
            Self::Delete(key) => Some(key),
            Self::KeySet(..) | Self::Learned(..) | Self::FenceSwitched(..) | Self::Time(_) => None,
        }
    }
}

/// One thing that a reader of a snapshot can depend on.
///
/// Sets (`PublicServices` …) change when a member comes, goes or changes what it is indexed by;
/// single things change with their content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReadKey {
    Mesh,
    /// The services that every namespace sees.
    PublicServices,
    /// The services that are shown to some namespaces, this one among them.
    ServicesFor(Namespace),
    Service(ServiceKey),
    /// Which namespaces define this host.
    Hostname(Hostname),
    Endpoints(ServiceKey),
    /// Whose certificates the endpoints of a service show.
    Identities(ServiceKey),
    /// The services and workloads at an address.
    Address(std::net::IpAddr),
    /// The VirtualServices that every namespace sees, by what they bind to.
    PublicVirtualServices,
    VirtualServicesFor(Namespace),
    /// The content of one VirtualService, its delegates merged.
    VirtualService(ObjectKey),
    /// The DestinationRules of a namespace that can apply to a host.
    DestinationRules(Hostname, Namespace),
    /// The Sidecars of a namespace.
    Sidecars(Namespace),
    Gateways,
    /// The policies of a kind in a namespace.
    Policies(Kind, Namespace),
    /// Whether a PeerAuthentication of a namespace turns mTLS off for anybody.
    PlainText(Namespace),
    /// The content of one policy, or that there is none.
    Policy(ObjectKey),
    /// The content of a Secret, or that there is none.
    Secret(ObjectKey),
    /// The keys of a token issuer, or that none were fetched yet.
    KeySet(KeySource),
    /// The label keys that rules for chosen clients ask for.
    RuleLabels,
    /// What limits the scopes of the workloads of a namespace.
    Fences(Namespace),
    /// Whether somebody switched off what limits the scope of a workload.
    FenceSwitch(WorkloadKey),
    /// What a workload was seen to call.
    Learned(WorkloadKey),
    /// What waits in fences. No scope depends on it, but who keeps it is told.
    FenceWaits,
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    Added,
    Updated,
    Deleted,
}

/// The keys that one batch of changes touched, and the objects that caused it.
#[derive(Clone, Debug, Default)]
pub struct ChangeSet {
    pub keys: BTreeSet<ReadKey>,
    /// With the last that happened to each.
    pub causes: BTreeMap<ObjectKey, Happening>,
}

impl ChangeSet {
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}
