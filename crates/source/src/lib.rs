//! The port for inputs: what every source of objects offers, and what is done for all of them.
//!
//! - A [`Source`] turns a foreign registry into [`SourceEvent`]s on one bounded queue.
//! - [`supervise`] restarts a source that fails and keeps its last good state meanwhile: what the
//!   next run does not name again is deleted only when that run has shown everything it holds.
//! - [`SourceStatuses`] says at any time what each source last achieved and found.
//! - Not here: any concrete registry; what the changes mean (`store`).
#![warn(missing_docs)]

pub mod codes;
mod event;
mod expiry;
mod ledger;
mod status;
mod supervise;

pub use event::{Barrier, Findings, SourceEvent, SourceReceiver, SourceSender, channel};
pub use expiry::{EXPIRES_AT, ExpiryStage, MADE_BY, MADE_BY_ACCESS};
pub use status::{SourceFailure, SourceStatus, SourceStatuses};
pub use supervise::{Restored, Source, SourceError, SuperviseSettings, supervise};
