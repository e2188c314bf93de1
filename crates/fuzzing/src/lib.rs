//! What must hold for any bytes that come in, and bytes to try it with.
//!
//! - One check per place where foreign bytes enter: `documents` (files), `requests` (streams),
//!   `certificates` and `tokens` (what clients show, and ask to be signed), `graphs` (who calls whom),
//!   `mesh` and `accepted` (what valid files mean). A check panics when it finds something.
//! - The targets in `fuzz/` give them to a fuzzer; a test of this crate gives them changed pieces
//!   of the corpus, with a stable compiler and within seconds.
//! - Deterministic: what failed once fails again.

mod checks;
mod mutate;
pub mod seeds;

pub use checks::{accepted, certificates, documents, graphs, mesh, requests, tokens};
pub use mutate::Mutator;
