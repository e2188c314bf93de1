//! Who calls whom: what sensors saw → the hosts that each workload is sent.
//!
//! - [`Book`] is the pure part: an observation gives at most one change of one workload's set, and
//!   time is an argument. Edges age, but never faster than a budget, and never while nobody looks.
//! - [`Keeper`] owns the book: a bounded queue of observations, a storage behind it, and the queue
//!   of the store, where a learned set is an input of the mesh like any other.
//! - Nobody's scope is widened beyond what it may see: that is decided where sets are used.
//! - Not here: what a set means for a proxy (`compile`), who declares dependencies (`snapshot`).
#![warn(missing_docs)]

mod access_log;
mod book;
mod edge;
mod import;
mod keeper;
mod metrics;
mod places;
mod prometheus;
mod record;
mod sensor;
mod settings;
mod switches;
mod target;
mod waits;

pub use self::{
    access_log::{CallLog, called_hosts},
    book::{
        Book, Explanation, Note, NoteKind, Observed, Pass, Record, Refusal, Stats, Withheld,
        WorkloadView,
    },
    edge::{Edge, EdgeState, EdgeView},
    import::{Import, ImportError, ImportFinding, ImportInput, ImportedCall, parse_import},
    keeper::{DecisionError, Keeper, SOURCE, ScopeEnded, ScopeHandle},
    places::MeshPlaces,
    prometheus::{AnswerError, Measured, parse_measured, query_address, usual_query},
    sensor::{Sensor, Sensors},
    settings::ScopeSettings,
    switches::FenceOff,
    target::{Places, complete_host, full_host},
    waits::WaitKeeper,
};
