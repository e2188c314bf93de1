//! The last state of the mesh in a file, from which a control plane answers while its sources are
//! still reading.
//!
//! - Written beside the work, at most every few seconds, in one step; whoever is killed meanwhile
//!   leaves the state before. It is never the only place of anything: sources hold the truth.
//! - A file that is not whole, or of another mesh or program, is not used.
//! - It holds Secrets, so that only its owner can read it.
//! - Not here: what follows from objects that their source no longer has (`source`).

mod file;
mod keeper;

pub use file::{SavedState, StateError, StateFile};
pub use keeper::keep;
