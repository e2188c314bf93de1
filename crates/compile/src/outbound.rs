//! A class's view of the mesh → the listeners for outgoing traffic of its sidecars.
//!
//! - [`plan_outbound`] decides everything: which listeners there are, what their chains match and
//!   where they lead. [`compile_listener`] only writes one of them down.
//! - Conflicts are decided by age: the oldest service wins, what cannot be told apart from it is
//!   left out and reported.
//! - Not here: the route configurations that the listeners ask for (`route_config`).

mod address;
mod bind;
mod chain;
mod compile;
mod entry;
mod plan;
mod policy;
mod rules;
mod tcp;
#[cfg(test)]
mod tests;
mod virtual_listener;

use std::{net::IpAddr, sync::Arc};

use api::Duration;
use model::{Diagnostics, ObjectKey, Protocol, Shared};

use crate::{
    filters::{HttpSettings, TcpRoute},
    telemetry::Telemetry,
};

pub(crate) use bind::STATIC_PORTS;
pub use chain::{ChainMatch, TransportProtocol};
pub use compile::compile_listener;
pub use plan::plan_outbound;

/// The outgoing side of a class.
#[derive(Clone, Debug, Default)]
pub struct OutboundPlan {
    /// Sorted by name.
    pub listeners: Vec<ListenerInput>,
    /// The route configurations that the listeners ask for, sorted.
    pub routes: Vec<String>,
    pub diagnostics: Diagnostics,
}

/// All that one outbound listener depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListenerInput {
    pub name: Arc<str>,
    /// An IP address, or `unix://path`.
    pub bind: Arc<str>,
    /// On the same port, for the other IP family.
    pub further_binds: Vec<Arc<str>>,
    pub port: u16,
    pub capture: Capture,
    pub chains: Vec<ChainInput>,
    /// For connections that no chain matches. A chain that matches everything makes it needless.
    pub fallback: Option<TcpRoute>,
    /// Whether TLS is looked at although no chain asks for it.
    pub inspects_tls: bool,
    /// How long the first bytes of a connection are waited for; `None` is for ever.
    pub inspection_timeout: Option<Duration>,
    pub http: HttpSettings,
    pub telemetry: Shared<Telemetry>,
    /// The pod of a headless service that the listener stands for.
    pub pod: Option<IpAddr>,
}

/// How connections get to a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capture {
    /// Handed over by `virtualOutbound`, by their original destination.
    Redirected,
    /// It has a socket of its own.
    Bound,
    /// It is `virtualOutbound`.
    Virtual { transparent: bool },
}

/// One filter chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ChainInput {
    /// May be empty.
    pub name: Arc<str>,
    pub matches: ChainMatch,
    pub action: ChainAction,
    /// The objects that it was made from.
    pub origins: Vec<ObjectKey>,
}

/// What happens to the connections of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ChainAction {
    Http(HttpRoutes),
    Tcp(TcpRoute),
    /// To the service of the server name, which the proxy asks for if it lacks it.
    ServerName(ServerNameRoute),
}

/// Connections that wait for the cluster of their server name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerNameRoute {
    /// Of the services.
    pub port: u16,
    /// Where those without a name would go; nobody is without one.
    pub unnamed: TcpRoute,
}

/// HTTP and where its routes come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpRoutes {
    pub source: HttpRouteSource,
    /// Of the port.
    pub protocol: Protocol,
    /// Requests may name their target in full, as to an HTTP proxy.
    pub absolute_url: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HttpRouteSource {
    /// Name of a route configuration.
    Rds(Arc<str>),
    /// Everything to the cluster that resolves the Host header.
    DynamicDns,
}
