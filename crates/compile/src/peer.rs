//! PeerAuthentications → what a workload accepts on each port, and which endpoints end mTLS.
//!
//! - The narrowest policy wins: workload over namespace over mesh. Among equals the oldest does, and
//!   one without a mode of its own leaves it as it was. Where nothing is said, both encrypted and
//!   plain connections are accepted.
//! - A policy for chosen workloads counts in its own namespace, also if that is the mesh's.
//! - Not here: filter chains (`inbound`), clusters (`cluster`).

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use api::istio::peer_authentication::{MutualTlsMode, PeerAuthentication};
use model::{Labels, Namespace, Shared};
use snapshot::{PolicyRecord, Reader};

/// What a port accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerMode {
    /// Plain text only.
    Disable,
    #[default]
    Permissive,
    /// mTLS only.
    Strict,
}

/// What a workload accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PeerModes {
    pub workload: PeerMode,
    /// Ports of the workload with a setting of their own.
    pub ports: BTreeMap<u16, PeerMode>,
}

impl PeerModes {
    pub fn of_port(&self, port: u16) -> PeerMode {
        self.ports.get(&port).copied().unwrap_or(self.workload)
    }
}

type Record = Shared<PolicyRecord<PeerAuthentication>>;

/// The policies that are for a namespace. Each list is oldest first.
#[derive(Clone, Copy, Debug)]
struct Policies<'a> {
    mesh: &'a [Record],
    own: &'a [Record],
    /// The namespace is the one whose policies are the mesh's.
    is_root: bool,
}

impl<'a> Policies<'a> {
    fn read(namespace: &Namespace, reader: &Reader<'a>) -> Self {
        let root = &reader.mesh().root_namespace;
        Self {
            mesh: reader.policies(root),
            own: reader.policies(namespace),
            is_root: namespace == root,
        }
    }

    /// What holds for workloads that no policy chooses.
    fn general(self) -> PeerMode {
        let first = |records: &[Record]| {
            records.iter().find(|it| it.selector.is_none()).and_then(|it| written(it))
        };
        let own = if self.is_root { None } else { first(self.own) };
        own.or_else(|| first(self.mesh)).unwrap_or_default()
    }

    fn chosen(self) -> impl Iterator<Item = (&'a Labels, &'a PolicyRecord<PeerAuthentication>)> {
        self.own.iter().filter_map(|it| Some((it.selector.as_ref()?, &**it)))
    }
}

fn written(record: &PolicyRecord<PeerAuthentication>) -> Option<PeerMode> {
    mode(record.spec.mtls.as_ref().map_or(MutualTlsMode::Unset, |mtls| mtls.mode))
}

fn mode(written: MutualTlsMode) -> Option<PeerMode> {
    match written {
        MutualTlsMode::Unset => None,
        MutualTlsMode::Disable => Some(PeerMode::Disable),
        MutualTlsMode::Permissive => Some(PeerMode::Permissive),
        MutualTlsMode::Strict => Some(PeerMode::Strict),
    }
}

fn with_ports(general: PeerMode, record: &PolicyRecord<PeerAuthentication>) -> PeerModes {
    let workload = written(record).unwrap_or(general);
    let ports =
        record.spec.port_level_mtls.iter().flatten().filter_map(|(port, mtls)| {
            Some((port.parse().ok()?, mode(mtls.mode).unwrap_or(workload)))
        });
    PeerModes { workload, ports: ports.collect() }
}

/// Selects what a workload with these labels accepts.
pub fn select_peer_modes(namespace: &Namespace, labels: &Labels, reader: &Reader<'_>) -> PeerModes {
    let policies = Policies::read(namespace, reader);
    let general = policies.general();
    match policies.chosen().find(|(selector, _)| selector.selects(labels)) {
        Some((_, record)) => with_ports(general, record),
        None => PeerModes { workload: general, ports: BTreeMap::new() },
    }
}

/// Which workloads of a namespace accept plain text only, so that callers must not encrypt.
///
/// Nothing else of the policies is in it: a step from `PERMISSIVE` to `STRICT` changes nothing here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PlainPeers {
    general: bool,
    /// The first that selects a workload counts.
    chosen: Vec<PlainWorkloads>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct PlainWorkloads {
    selector: Labels,
    all: bool,
    /// Ports that differ from `all`.
    ports: BTreeMap<u16, bool>,
}

/// Selects which endpoints of a namespace do not end mTLS, whatever they say of themselves.
pub fn select_plain_peers(namespace: &Namespace, reader: &Reader<'_>) -> PlainPeers {
    let root = &reader.mesh().root_namespace;
    let (own, mesh) = (reader.disables_mtls(namespace), reader.disables_mtls(root));
    if !own && !mesh {
        return PlainPeers::default();
    }
    let policies = Policies::read(namespace, reader);
    let general = policies.general();
    let is_plain = |mode: PeerMode| mode == PeerMode::Disable;
    let chosen = policies.chosen().map(|(selector, record)| {
        let modes = with_ports(general, record);
        let all = is_plain(modes.workload);
        let ports = modes.ports.into_iter().map(|(port, mode)| (port, is_plain(mode)));
        let ports = ports.filter(|(_, plain)| *plain != all).collect();
        PlainWorkloads { selector: selector.clone(), all, ports }
    });
    let peers = PlainPeers { general: is_plain(general), chosen: chosen.collect() };
    match peers.is_never() {
        true => PlainPeers::default(),
        false => peers,
    }
}

impl PlainPeers {
    fn is_never(&self) -> bool {
        !self.general && self.chosen.iter().all(|it| !it.all && it.ports.is_empty())
    }

    /// Whether a whole namespace accepts plain text only, unless a policy chooses a workload.
    pub fn is_general(&self) -> bool {
        self.general
    }

    /// Whether a workload with these labels accepts plain text only on one of its ports.
    pub fn contains(&self, labels: &Labels, port: u16) -> bool {
        match self.chosen.iter().find(|it| it.selector.selects(labels)) {
            Some(found) => found.ports.get(&port).copied().unwrap_or(found.all),
            None => self.general,
        }
    }
}
