//! Writes the typed Rust code of `crates/envoy` from its descriptor set.
//!
//! `envoy-codegen` writes `crates/envoy/src/generated`; `envoy-codegen --check` writes nothing
//! and fails when a file there is missing, old or left over.

mod output;
mod roots;
mod source;

use std::{env, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let mode = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => output::Mode::Write,
        ["--check"] => output::Mode::Check,
        _ => {
            eprintln!("usage: envoy-codegen [--check]");
            return ExitCode::from(2);
        }
    };
    match output::run(Path::new(env!("CARGO_MANIFEST_DIR")), mode) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
