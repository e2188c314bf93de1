//! The load: thousands of streams that ask and answer as Envoys do, and cost little.
//!
//! - A stream is a task with a socket. What it is sent is cut into resources as it arrives; each
//!   content is decoded once for all streams, so that the figures show the server.
//! - Order of a sidecar: clusters, their endpoints, and when these are complete listeners and
//!   their routes. What goes away is unsubscribed from; everything is acknowledged.
//! - On a new connection a stream says what it holds already.
//! - Plaintext only. Not here: what is measured (`scenario`).

mod catalog;
mod fleet;
mod kind;
mod lag;
mod response;
mod seen;
mod state;
mod stream;
#[cfg(test)]
mod tests;
mod wire;

pub(crate) use self::{
    catalog::Catalog,
    fleet::{Fleet, FleetSettings, ProxyIdentity, node_field},
    kind::{Kind, PerKind},
    lag::Lags,
    response::{Part, Splitter},
    seen::Goal,
    state::{Requests, State},
    stream::Command,
};
