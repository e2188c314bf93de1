//! Snapshots and streams → what to send to whom, in which order.
//!
//! - [`Engine`] keeps, for each facet of a class, its compiled resources and the reverse index:
//!   changed key → jobs that read it. A job whose result is equal changes nothing further.
//! - A stream holds what it was sent and acknowledged; [`state`] decides the next response so that
//!   no proxy ever holds a route to a cluster that it lacks.
//! - Not here: where changes come from (`source`, `store`), the wire (`xds`), what resources say
//!   (`compile`).

mod engine;
mod facet;
mod kind;
mod service;
pub mod state;
mod table;

pub use engine::{Counters, Engine, EngineHandle};
pub use kind::ResourceKind;
pub use service::{ProxyDump, PushService, ResourceDump, StreamRegistry};
pub use table::{FacetView, Table};
