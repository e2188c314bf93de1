//! The types of resources that are served.

use compile::names;
use envoy::type_url;

/// One xDS type, in the order in which Envoy needs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ResourceKind {
    Cluster,
    Endpoint,
    Listener,
    /// Which route configuration a request has by one of its headers.
    ScopedRoute,
    Route,
    /// One host of a route configuration, for proxies that ask for hosts one by one.
    VirtualHost,
    Secret,
    /// Values that a proxy looks up while it runs, such as which logs are on.
    Runtime,
}

impl ResourceKind {
    /// How many there are.
    pub const COUNT: usize = 8;

    pub const ALL: [Self; Self::COUNT] = [
        Self::Cluster,
        Self::Endpoint,
        Self::Listener,
        Self::ScopedRoute,
        Self::Route,
        Self::VirtualHost,
        Self::Secret,
        Self::Runtime,
    ];

    pub fn type_url(self) -> &'static str {
        match self {
            Self::Cluster => type_url::CLUSTER,
            Self::Endpoint => type_url::ENDPOINT,
            Self::Listener => type_url::LISTENER,
            Self::ScopedRoute => type_url::SCOPED_ROUTE,
            Self::Route => type_url::ROUTE,
            Self::VirtualHost => type_url::VIRTUAL_HOST,
            Self::Secret => type_url::SECRET,
            Self::Runtime => type_url::RUNTIME,
        }
    }

    pub fn parse(type_url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.type_url() == type_url)
    }

    /// Whether the first request without names asks for all of them.
    pub fn is_wildcard(self) -> bool {
        matches!(self, Self::Cluster | Self::Listener | Self::ScopedRoute | Self::VirtualHost)
    }

    /// Whether traffic goes from it to clusters.
    pub fn names_clusters(self) -> bool {
        matches!(self, Self::Listener | Self::Route | Self::VirtualHost)
    }
}

/// The route configuration and the host in the name of a virtual host, or in a question for one.
pub(crate) fn split_host(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once('/')
}

/// Whether a proxy that is sent all virtual hosts of its views asks for something by this name.
pub(crate) fn asks_for_host(name: &str) -> bool {
    name.contains('/')
}

/// Whether a proxy that is sent all clusters of its views asks for the service of a connection by this name.
pub(crate) fn asks_for_cluster(name: &str) -> bool {
    names::split_outbound_cluster(name).is_some()
}
