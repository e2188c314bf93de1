//! The Gateways that select a proxy → its listeners, its routes and the clusters that these need.
//!
//! - [`select_gateways`] merges the servers of all Gateways by the port that is really listened
//!   on; [`plan_gateway`] decides on filter chains; the `compile_…` functions only write down.
//! - Conflicts are decided by age: the oldest Gateway has the port or the host, what cannot be told
//!   apart from it is left out and reported. No listener ever has two chains with one match.
//! - A server whose encryption cannot be set up is left out: nothing is served without it.
//! - Not here: what one rule says in routes (`route`), the clusters themselves (`cluster`).

mod clusters;
mod conflict;
mod hosts;
mod listener;
mod merge;
mod plan;
mod ports;
mod routes;
mod rules;
mod server_tls;
mod sni;
mod tcp;
#[cfg(test)]
mod tests;
mod virtual_host;

use std::{collections::BTreeMap, sync::Arc};

use model::{Diagnostics, ObjectKey, Protocol, Shared};

use crate::{
    RuleRef,
    filters::{HttpSettings, TcpRoute},
    security::SecurityInput,
    telemetry::Telemetry,
};

pub use clusters::gateway_clusters;
pub use hosts::ServerHost;
pub use listener::compile_gateway_listener;
pub use merge::select_gateways;
pub use plan::plan_gateway;
pub use ports::{OwnPorts, select_own_ports};
pub use routes::{GatewayRouteInput, compile_gateway_route, select_gateway_route};
pub use rules::find_service;
pub(crate) use server_tls::parse_termination;
pub use server_tls::{Authorities, AuthoritySource, Certificates, ClientCheck, Termination};
pub(crate) use sni::{compile_sni_cluster, compile_sni_endpoints};
pub use virtual_host::{GatewayHostInput, GatewayRule, compile_gateway_host};

/// The servers of one class of gateways and the rules that are bound to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewayScope {
    /// By address, then by port. One place occurs twice where plain HTTP follows TLS.
    pub ports: Vec<GatewayPort>,
    /// By gateway (`namespace/name`), in the order in which rules win. Without their content.
    pub rules: BTreeMap<Arc<str>, Vec<RuleRef>>,
    pub diagnostics: Diagnostics,
}

/// A port that is listened on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GatewayPort {
    pub bind: Arc<str>,
    /// On the same port, for the other IP family.
    pub further_binds: Vec<Arc<str>>,
    pub number: u16,
    pub kind: PortKind,
    /// Oldest first, at least one.
    pub servers: Vec<GatewayServer>,
}

/// What a port has in common for all its servers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PortKind {
    /// Plain HTTP: all servers share one route configuration.
    Http { route: Arc<str> },
    /// Bytes: there is one server only.
    Tcp,
    /// TLS: servers are told apart by the server name.
    Tls,
}

/// One server of a Gateway.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GatewayServer {
    /// `namespace/name`, as rules name it.
    pub gateway: Arc<str>,
    pub origin: ObjectKey,
    /// The port as written, which rules may ask for: not always the one that is listened on.
    pub port: u16,
    pub protocol: Protocol,
    /// May be empty.
    pub name: Arc<str>,
    pub hosts: Vec<ServerHost>,
    pub https_redirect: bool,
    pub tls: ServerTls,
}

/// Who ends the encryption of a server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ServerTls {
    /// There is none.
    None,
    /// The gateway. With a route configuration it speaks HTTP inside.
    Terminate { settings: Shared<Termination>, route: Option<Arc<str>> },
    /// The destination that a rule chooses by the server name.
    Passthrough,
    /// The cluster that the server name stands for.
    AutoPassthrough,
}

/// What a class of gateways listens on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewayPlan {
    /// Sorted by address and port.
    pub listeners: Vec<GatewayListenerInput>,
    /// The route configurations that the listeners ask for, sorted.
    pub routes: Vec<Arc<str>>,
    pub diagnostics: Diagnostics,
}

/// All that one listener of a gateway depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GatewayListenerInput {
    pub name: Arc<str>,
    pub bind: Arc<str>,
    pub further_binds: Vec<Arc<str>>,
    pub port: u16,
    /// Not empty; no two match the same.
    pub chains: Vec<GatewayChain>,
    pub http: HttpSettings,
    pub security: Shared<SecurityInput>,
    pub telemetry: Shared<Telemetry>,
    /// How many proxies in front are believed about the caller's address.
    pub trusted_hops: u32,
    /// Whether a proxy in front tells the caller's address before the first byte.
    pub proxy_protocol: bool,
}

/// One filter chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GatewayChain {
    pub matches: SniMatch,
    /// `None` leaves the connection as it is.
    pub tls: Option<Shared<Termination>>,
    pub action: GatewayAction,
    pub origins: Vec<ObjectKey>,
}

/// Which TLS connections a chain takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SniMatch {
    /// All connections, without a look at them.
    Any,
    /// TLS with one of these server names; an empty list is every name.
    ServerNames(Vec<Arc<str>>),
    /// TLS between sidecars with this server name.
    MeshCluster(Arc<str>),
}

/// What happens to the connections of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GatewayAction {
    Http {
        route: Arc<str>,
        protocol: Protocol,
        /// Named after the listener if absent.
        stat_prefix: Option<Arc<str>>,
    },
    Tcp(TcpRoute),
}
