//! The types that a sidecar is sent.

use envoy::type_url;

/// A type of resource, in Envoy's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Cluster,
    Endpoint,
    Listener,
    Route,
    /// Of route configurations whose hosts are loaded on demand.
    VirtualHost,
}

/// One value for each type, to be indexed by `Kind as usize`.
pub(crate) type PerKind<T> = [T; 5];

impl Kind {
    /// Those that every sidecar is sent.
    pub(crate) const ALWAYS: [Self; 4] =
        [Self::Cluster, Self::Endpoint, Self::Listener, Self::Route];
    pub(crate) const ALL: PerKind<Self> =
        [Self::Cluster, Self::Endpoint, Self::Listener, Self::Route, Self::VirtualHost];

    pub(crate) fn type_url(self) -> &'static str {
        match self {
            Self::Cluster => type_url::CLUSTER,
            Self::Endpoint => type_url::ENDPOINT,
            Self::Listener => type_url::LISTENER,
            Self::Route => type_url::ROUTE,
            Self::VirtualHost => type_url::VIRTUAL_HOST,
        }
    }

    pub(crate) fn of(type_url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.type_url() == type_url)
    }

    /// Whether all of it is asked for, and not by name.
    pub(crate) fn is_wildcard(self) -> bool {
        matches!(self, Self::Cluster | Self::Listener | Self::VirtualHost)
    }
}
