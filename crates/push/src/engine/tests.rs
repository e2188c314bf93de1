//! The engine as its thread sees it, without the thread.

mod counters;
mod incremental;
mod places;
mod secrets;
mod stage;
