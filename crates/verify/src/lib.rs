//! Judges decoded Envoy resources, without an Envoy: where a call ends, and what Envoy would refuse.
//!
//! - [`walk`] follows one call from listener to cluster and writes down each choice.
//! - [`check_references`] lists what Envoy would refuse, and names that lead nowhere.
//! - [`corpus`] compares both with recorded expectations.
//! - Pure: no clock, I/O or randomness. Equal inputs give equal verdicts.
//! - Not here: how resources are made (`compile`, on which this crate must not depend, or it
//!   would share its mistakes).

mod call;
mod check;
pub mod corpus;
mod effect;
mod names;
mod outcome;
mod pgv;
mod resources;
#[cfg(test)]
mod testing;
mod violation;
mod walk;

pub use call::{Call, Mode, Protocol, Tls};
pub use check::{
    CheckSettings, Dangling, check_references, check_references_by, check_references_with,
};
pub use effect::{Effect, owner};
pub use outcome::{
    Answer, ClusterChoice, EndpointView, ErrorClass, NearMiss, Outcome, Stage, Step, StepVerdict,
    Upstream, WalkError, WeightedName,
};
pub use pgv::{Constraints, Work, pgv};
pub use resources::Resources;
pub use violation::{ResourceId, ResourceKind, Rule, Severity, Violation};
pub use walk::{Fidelity, WalkOptions, walk};
