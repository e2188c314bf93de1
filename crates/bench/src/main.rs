//! `cargo xtask bench`: what a mesh costs the control plane, seen from a client process.
//!
//! - `rows` says what is measured and what is to be reached, `scenario` how, `client` is the load.
//! - A figure is a fact about a machine as well: what else used it is printed beside.

mod attach;
mod cli;
mod client;
mod compare;
mod machine;
mod markdown;
mod mesh;
mod model;
mod proc;
mod progress;
mod replay;
mod report;
mod rows;
mod scenario;
mod server;
mod simulation;
mod statistics;

use std::process::ExitCode;

fn main() -> ExitCode {
    testkit::child::run_as_child().unwrap_or_else(cli::run)
}
