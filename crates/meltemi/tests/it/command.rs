//! Runs the binary and keeps what it said.

use std::process::Command;

/// What a run came to.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the binary with the environment of a plain shell: English, no settings.
#[track_caller]
pub(crate) fn run(arguments: &[&str]) -> Run {
    run_with(arguments, &[])
}

/// The same with further variables.
#[track_caller]
pub(crate) fn run_with(arguments: &[&str], variables: &[(&str, &str)]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_meltemi"))
        .args(arguments)
        .env_clear()
        .env("LANG", "C.UTF-8")
        .envs(variables.iter().copied())
        .output()
        .expect("the binary can be run");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the output is UTF-8");
    Run {
        code: output.status.code().expect("it was not killed"),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}
