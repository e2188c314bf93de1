//! `cargo xtask`: what a developer and the pipeline run beside plain `cargo` commands.
//!
//! - Builds in seconds: it depends on no crate of the product.
//! - Not here: the tests themselves. The tidy tests of this workspace are in `tests/it`.

mod cli;
mod codegen;
mod deny;
mod gates;
mod setup;
mod workspace;

fn main() -> std::process::ExitCode {
    cli::run()
}
