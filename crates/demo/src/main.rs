//! `cargo xtask demo`: the sample shop of `examples/shop` on real Envoys, and changes under load.

mod apps;
mod cli;
mod fleet;
mod load;
mod plane;
mod report;
mod run;
mod shop;
mod steps;

use std::process::ExitCode;

fn main() -> ExitCode {
    testkit::child::run_as_child().unwrap_or_else(cli::run)
}
