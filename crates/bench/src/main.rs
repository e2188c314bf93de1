//! `cargo xtask bench`: what a mesh costs the control plane, seen from a client process.
//!
//! Figures are printed and never judged: a machine that is busy would make any limit wrong.

mod cli;
mod mesh;
mod output;
mod progress;
mod scenario;
mod server;
mod stream;
mod streams;

use std::process::ExitCode;

fn main() -> ExitCode {
    testkit::child::run_as_child().unwrap_or_else(cli::run)
}
