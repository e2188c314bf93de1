//! What a proxy's application serves → the listeners and clusters for incoming traffic.
//!
//! - The pods of one workload serve the same ports, so that their inputs are equal and compiled
//!   once. An address of the pod's own is in the input only where a Sidecar makes it matter.
//! - The oldest service decides what is spoken on a port that several serve.
//! - Which chains a port has is a table ([`chains`]), by protocol and by what PeerAuthentication says.
//! - Not here: which PeerAuthentication counts (`peer`).

mod chains;
mod clusters;
mod listeners;
mod pool;
mod routes;
mod select;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::{Duration, istio::traffic_policy::ConnectionPoolSettings};
use model::{Diagnostic, Interception, ObjectKey, Protocol, Shared};

use crate::{
    filters::HttpSettings, gateway::Termination, peer::PeerModes, security::SecurityInput,
    telemetry::Telemetry, tls::MeshTls,
};

pub use clusters::compile_inbound_clusters;
pub use listeners::compile_inbound_listeners;
pub use select::{add_inbound_telemetry, select_inbound, select_silent_inbound};

/// All that the incoming side depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InboundInput {
    /// By port, each once.
    pub ports: Vec<InboundPort>,
    /// Ports that take nothing, because what was asked of them cannot be done.
    pub closed: BTreeSet<u16>,
    pub interception: Interception,
    /// "Any address", for each IP family that is listened on.
    pub wildcards: Vec<Arc<str>>,
    /// The source of connections to the application, by which iptables rules know them.
    pub source: Arc<str>,
    pub http: HttpSettings,
    /// How long the first bytes of a connection are waited for; `None` is for ever.
    pub inspection_timeout: Option<Duration>,
    pub connect_timeout: Duration,
    pub retry: Option<InboundRetry>,
    pub security: SecurityInput,
    /// Callers may come through the lazy gateway, with headers that are not for the application.
    pub relayed: bool,
    pub peers: PeerModes,
    pub tls: MeshTls,
    pub telemetry: Shared<Telemetry>,
    /// That of ports that report their service.
    pub port_telemetry: BTreeMap<u16, Shared<Telemetry>>,
    pub findings: Vec<Diagnostic>,
}

/// A port of the application.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InboundPort {
    pub port: u16,
    pub protocol: Protocol,
    /// Port of the service that leads here.
    pub service_port: u16,
    /// Names the traffic in traces.
    pub hostname: Arc<str>,
    /// Part of the chain's name; the address of the listener if that is really bound.
    pub bind: Arc<str>,
    pub bound: bool,
    pub endpoint: InboundEndpoint,
    /// Limits that a Sidecar sets.
    pub pool: Option<Arc<ConnectionPoolSettings>>,
    /// A Sidecar's own way to end TLS, in place of the mesh's.
    pub tls: Option<Arc<Termination>>,
    pub origin: ObjectKey,
}

/// Where the application is reached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InboundEndpoint {
    /// Where the caller wanted to go.
    OriginalDestination,
    /// At any of these addresses.
    Addresses { addresses: Vec<Arc<str>>, port: u16 },
    /// At a socket in the file system.
    Unix(Arc<str>),
}

/// When a request to the application is sent again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InboundRetry {
    /// At least 1.
    pub attempts: u32,
    pub retry_on: Arc<str>,
    pub per_try_timeout: Option<Duration>,
}
