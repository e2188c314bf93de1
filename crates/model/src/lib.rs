//! The mesh's own nouns: what every other crate talks about.
//!
//! - Pure values: no I/O, clock, randomness or foreign format. Equal values mean equal things.
//! - Names are checked once, where they enter, and are cheap to clone from then on.
//! - Not here: how people write these things (`api`), what Envoy is told of them (`compile`),
//!   how they are indexed (`snapshot`).

mod cidr;
mod diagnostic;
mod hash;
mod identity;
mod key;
mod labels;
mod locality;
mod protocol;
mod proxy;
mod scope;
mod service;
mod shared;
mod workload;

pub use cidr::Cidr;
pub use diagnostic::{Diagnostic, Diagnostics, Location, Severity};
pub use hash::{Map, Set};
pub use identity::{Identity, IdentityParseError};
pub use key::{Hostname, Kind, Name, Namespace, ObjectKey, ServiceKey};
pub use labels::Labels;
pub use locality::Locality;
pub use protocol::Protocol;
pub use proxy::{Generator, Interception, NodeId, Proxy, ProxyKind, ProxyParseError};
pub use scope::{
    FenceSwitch, FenceTarget, FenceTargetParseError, ScopeMode, ScopeModeParseError, WorkloadKey,
};
pub use service::{
    Endpoint, EndpointAddress, Health, Registry, Resolution, Service, ServicePort, TargetPort,
    TrafficDistribution, Visibility,
};
pub use shared::Shared;
pub use workload::Workload;
