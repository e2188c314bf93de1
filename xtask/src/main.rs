//! `cargo xtask`: what a developer and the pipeline run beside plain `cargo` commands.
//!
//! - Builds in seconds: it depends on no crate of the product.
//! - Not here: the tests themselves. The tidy tests of this workspace are in `tests/it`.

mod bench;
mod cli;
mod codegen;
mod demo;
mod fuzz;
mod gates;
mod passed_on;
mod setup;
mod suites;
mod workspace;

fn main() -> std::process::ExitCode {
    cli::run()
}
