//! Runs the gates in their order and sums them up.
//!
//! - A failed gate does not stop the next: one run shows everything there is to mend.
//! - The output of each gate stays visible, because what reads a pipeline's log reads
//!   `cargo test`'s own lines.

use std::{
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{
    codegen::{self, Codegen},
    setup::{self, Tools},
    workspace::{Workspace, run_shown},
};

/// One line of the summary.
struct Outcome {
    gate: &'static str,
    took: Duration,
    error: Option<String>,
}

pub(crate) fn run(workspace: &Workspace) -> Result<ExitCode> {
    let mut outcomes = Vec::new();
    let mut tools = None;
    gate(&mut outcomes, "setup", || {
        tools = Some(setup::run(workspace)?);
        Ok(())
    });
    gate(&mut outcomes, "cargo fmt", || {
        run_shown(&mut workspace.cargo(&["fmt", "--all", "--check"]))
    });
    gate(&mut outcomes, "cargo clippy", || {
        let args = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
        run_shown(&mut workspace.cargo(&args))
    });
    gate(&mut outcomes, "cargo test", || run_shown(&mut test_command(workspace, tools.as_ref())));
    gate(&mut outcomes, "cargo doc", || {
        let mut doc = workspace.cargo(&["doc", "--workspace", "--no-deps"]);
        run_shown(doc.env("RUSTDOCFLAGS", "-D warnings"))
    });
    gate(&mut outcomes, "codegen --check", || codegen::run(&Codegen { check: true }, workspace));
    gate(&mut outcomes, "no aws-lc-rs", || check_absent(workspace, "aws-lc-rs"));
    if workspace.ci {
        gate(&mut outcomes, "corpus", || check_corpus(workspace));
    }
    summarise(&outcomes, workspace);
    let failed = outcomes.iter().any(|outcome| outcome.error.is_some());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn gate(outcomes: &mut Vec<Outcome>, gate: &'static str, run: impl FnOnce() -> Result<()>) {
    println!("\n=== {gate}");
    let start = Instant::now();
    let error = run().err().map(|error| format!("{error:#}"));
    let took = start.elapsed();
    match &error {
        None => println!("=== {gate}: ok in {}", seconds(took)),
        Some(error) => println!("=== {gate}: FAILED in {}: {error}", seconds(took)),
    }
    outcomes.push(Outcome { gate, took, error });
}

/// All targets run, also after one failed.
fn test_command(workspace: &Workspace, tools: Option<&Tools>) -> Command {
    let mut test = workspace.cargo(&["test", "--workspace", "--no-fail-fast"]);
    if let Some(tools) = tools {
        test.env("ENVOY_BIN", &tools.envoy).env("MELTEMI_PYTHON", &tools.python);
    }
    if let Some(corpus) = &workspace.corpus {
        test.env("MELTEMI_CORPUS", corpus);
    }
    test
}

/// Passes if no crate of the workspace depends on `package`, in any way.
fn check_absent(workspace: &Workspace, package: &str) -> Result<()> {
    let mut tree = workspace.cargo(&["tree", "--workspace", "--target", "all", "--invert"]);
    let output = tree.arg(package).output().context("failed to start cargo tree")?;
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !stdout.trim().is_empty() {
        bail!("something turned {package} on:\n{stdout}");
    }
    // Cargo says the first when the lock file has no such package, the second when it is unused.
    if stderr.contains("did not match any packages") || stderr.contains("nothing to print") {
        return Ok(());
    }
    bail!("cargo tree gave no answer:\n{stderr}");
}

fn check_corpus(workspace: &Workspace) -> Result<()> {
    if workspace.corpus.is_none() {
        bail!("there is no corpus, and CI=true allows no test to be skipped");
    }
    Ok(())
}

fn summarise(outcomes: &[Outcome], workspace: &Workspace) {
    println!("\n=== summary");
    for Outcome { gate, took, error } in outcomes {
        let verdict = if error.is_none() { "ok" } else { "FAILED" };
        println!("{verdict:<7} {gate:<16} {:>8}", seconds(*took));
    }
    if workspace.corpus.is_none() {
        println!(
            "!!! NO CORPUS: the tests against the public corpus did NOT run; \
             set MELTEMI_CORPUS to its folder"
        );
    }
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}
