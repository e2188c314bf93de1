//! Names by which outbound listeners ask for their routes.

use std::{fmt, sync::Arc};

use model::{Hostname, Namespace};

const ON_DEMAND: &str = "on-demand-";

/// Which listener a route configuration is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteName {
    /// `80`: everything that speaks HTTP on the port.
    Port(u16),
    /// `on-demand-80`: the same, host by host as proxies ask. It has a name of its own, so that a fence may
    /// come and go: what a draining listener goes on with stays as it was.
    OnDemand(u16),
    /// `80/shop`: services of a namespace by the names that they have within it, for the lazy gateway.
    Namespace(Namespace, u16),
    /// `cart.shop.svc.cluster.local:80`: one service whose protocol is detected.
    Host(Hostname, u16),
    /// `outbound|80||cart.shop.svc.cluster.local`: one service, for gRPC's own client.
    Service(Hostname, u16),
    /// `http_proxy`: everything on all ports.
    HttpProxy,
    /// `unix:///run/egress.sock`: the Sidecar listener on that socket.
    Socket(Arc<str>),
}

impl RouteName {
    /// `None` for a name that no outbound listener of ours asks for.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "http_proxy" {
            return Some(Self::HttpProxy);
        }
        if let Some(port) = text.strip_prefix(ON_DEMAND) {
            return port.parse().ok().filter(|port| *port != 0).map(Self::OnDemand);
        }
        if text.starts_with("unix://") {
            return Some(Self::Socket(text.into()));
        }
        if let Some(rest) = text.strip_prefix("outbound|") {
            let (port, host) = rest.split_once("||")?;
            let port = port.parse().ok().filter(|port| *port != 0)?;
            return (!host.is_empty()).then(|| Self::Service(Hostname::new(host), port));
        }
        if let Some((port, namespace)) = text.split_once('/') {
            let port = port.parse().ok().filter(|port| *port != 0)?;
            return (!namespace.is_empty()).then(|| Self::Namespace(namespace.into(), port));
        }
        match text.rsplit_once(':') {
            None => text.parse().ok().filter(|port| *port != 0).map(Self::Port),
            Some((host, port)) => {
                let host =
                    host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(host);
                let port = port.parse().ok().filter(|port| *port != 0)?;
                (!host.is_empty()).then(|| Self::Host(Hostname::new(host), port))
            }
        }
    }
}

impl fmt::Display for RouteName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(port) => write!(out, "{port}"),
            Self::OnDemand(port) => write!(out, "{ON_DEMAND}{port}"),
            Self::Namespace(namespace, port) => write!(out, "{port}/{namespace}"),
            Self::Host(host, port) => {
                out.write_str(&crate::virtual_host::host_with_port(host.as_str(), *port))
            }
            Self::Service(host, port) => {
                out.write_str(&crate::names::outbound_cluster(*port, "", host))
            }
            Self::HttpProxy => out.write_str("http_proxy"),
            Self::Socket(path) => out.write_str(path),
        }
    }
}
