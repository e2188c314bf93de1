//! The engine as its thread sees it, without the thread.

mod counters;
mod fenced;
mod incremental;
mod lanes;
mod places;
mod rounds;
mod secrets;
mod stage;
