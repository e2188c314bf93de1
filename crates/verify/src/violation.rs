//! What is wrong with a set of resources.

use std::fmt;

/// Kind of a top-level resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceKind {
    Cluster,
    Endpoint,
    Listener,
    Route,
    Other,
}

/// A resource by kind and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId {
    pub kind: ResourceKind,
    pub name: String,
}

/// What a [`Violation`] breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The bytes are no message of the type.
    Decode,
    /// The name outside is not the name inside.
    Name,
    /// A constraint written in Envoy's proto files.
    Constraint,
    /// An `Any` of a type that stock Envoy does not have.
    UnknownType,
    DuplicateName,
    DuplicateAddress,
    /// Two filter chains of one listener take the same connections.
    DuplicateFilterChain,
    /// A wildcard that Envoy does not take in a server name.
    ServerName,
    /// A match asks for what only a listener filter can find out.
    MissingInspector,
    /// Some chains of a destination port set the transport protocol, some do not.
    MixedTransportProtocol,
    /// An HTTP connection manager on TLS that nobody ended.
    UnterminatedTls,
    /// A chain of filters that does not end in a terminal one.
    TerminalFilter,
    /// Two virtual hosts of one route configuration have one domain.
    DuplicateDomain,
    MissingCluster,
    MissingRoute,
    MissingAssignment,
}

/// What comes of a [`Violation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Envoy takes the resource, and calls that need what is missing fail.
    Dangling,
    /// Envoy refuses the resource, or the rules of the corpus do.
    Refused,
}

/// One fault of one resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Violation {
    pub severity: Severity,
    pub resource: ResourceId,
    /// Where in the resource: `filter_chains[0].filters[1]`; empty: the whole.
    pub path: String,
    pub rule: Rule,
    pub message: String,
}

impl ResourceId {
    pub fn new(kind: ResourceKind, name: &str) -> Self {
        Self { kind, name: name.to_owned() }
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ResourceKind::Cluster => "cluster",
            ResourceKind::Endpoint => "endpoints of",
            ResourceKind::Listener => "listener",
            ResourceKind::Route => "route configuration",
            ResourceKind::Other => "message",
        };
        write!(f, "{kind} `{}`", self.name)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resource, path, rule, message, .. } = self;
        match path.is_empty() {
            true => write!(f, "{resource}: {message} ({rule:?})"),
            false => write!(f, "{resource} at {path}: {message} ({rule:?})"),
        }
    }
}
