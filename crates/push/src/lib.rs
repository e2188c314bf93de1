//! Snapshots and streams → what to send to whom, in which order.
//!
//! - [`Engine`] keeps, for each facet of a class, its compiled resources and the reverse index:
//!   changed key → jobs that read it. A job whose result is equal changes nothing further.
//! - A stream holds what it was sent and acknowledged; `state` decides the next response so that
//!   no proxy ever holds a route to a cluster that it lacks.
//! - Not here: where changes come from (`source`, `store`), the wire (`xds`), what resources say
//!   (`compile`).

mod caller;
mod counters;
mod engine;
mod facet;
mod kind;
mod learner;
mod log;
mod memo;
mod own;
mod parcels;
mod reckoner;
mod service;
mod stages;
mod state;
mod table;
mod whole;

pub use caller::{Access, Authentication, Authenticator, Caller, Proof, Unproven};
pub use counters::{Count, Counters};
pub use engine::{Engine, EngineHandle, FacetPreview, FencedClass, Preview, ResourceChange, Told};
pub use kind::ResourceKind;
pub use learner::Learner;
pub use log::{PushLog, PushRecord, Sent, Work};
pub use own::{Issuer, OwnCertificate};
pub use reckoner::{Reckoner, Sizes};
pub use service::{
    HeldBack, HeldIdentity, ProxyDump, PushService, Refusal, ResourceDump, Standing, StreamMetrics,
    StreamRegistry, Waiting, Watch, proxy_of,
};
pub use table::{FacetView, Table};
