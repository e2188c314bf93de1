//! The engine as its thread sees it, without the thread.

mod calls;
mod classes;
mod counters;
mod fenced;
mod incremental;
mod lanes;
mod places;
mod rounds;
mod secrets;
mod stage;
