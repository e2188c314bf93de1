//! What changes when the client is gRPC itself (`xds:///host:port`) and not an Envoy beside it.
//!
//! - Names come first: gRPC asks for a listener by what its caller dialled, and from there for one
//!   route, its clusters and their endpoints by name.
//! - Everything is decided as for an Envoy, and then fitted to what gRPC carries out: it refuses a
//!   whole resource for one field that it does not know.
//! - What does not fit is left out with a safe meaning and reported, never dropped in silence.
//! - Not here: servers that ask for their own listener; encryption.

mod cluster;
mod endpoint;
mod listener;
mod report;
mod route;
#[cfg(test)]
mod tests;

pub use listener::{GrpcListenerInput, compile_listener, plan_listeners, select_listener};

pub(crate) use cluster::{compile_cluster, is_eds};
pub(crate) use endpoint::fit_groups;
pub(crate) use report::report_rule;
pub(crate) use route::{clusters_of, fit_route};
