//! Runs the gates in their order and sums them up.
//!
//! - A failed gate does not stop the next: one run shows everything there is to mend.
//! - The output of each gate stays visible, because what reads a pipeline's log reads
//!   `cargo test`'s own lines.

use std::{
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    bench::{self, Profile},
    codegen::{self, Codegen},
    demo,
    setup::{self, Tools},
    suites::Suites,
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
    let mut suites = Suites::default();
    gate(&mut outcomes, "cargo test", || {
        let (ran, passed) = Suites::run(&mut test_command(workspace, tools.as_ref()))?;
        suites = ran;
        ensure!(passed, "cargo test failed");
        Ok(())
    });
    gate(&mut outcomes, "cargo doc", || {
        let mut doc = workspace.cargo(&["doc", "--workspace", "--no-deps"]);
        run_shown(doc.env("RUSTDOCFLAGS", "-D warnings"))
    });
    gate(&mut outcomes, "codegen --check", || codegen::run(&Codegen { check: true }, workspace));
    gate(&mut outcomes, "demo", || {
        let tools = tools.as_ref().context("setup failed")?;
        run_shown(&mut demo::prepare(workspace, tools)?)
    });
    gate(&mut outcomes, "bench --quick", || {
        run_shown(bench::prepare(workspace, Profile::Dev)?.arg("--quick"))
    });
    if workspace.ci {
        gate(&mut outcomes, "corpus", || check_corpus(workspace));
    }
    summarise(&outcomes, &suites, workspace);
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
        test.env("OTELCOL_BIN", &tools.collector);
        test.env("PROMETHEUS_BIN", &tools.prometheus);
    }
    if let Some(corpus) = &workspace.corpus {
        test.env("MELTEMI_CORPUS", corpus);
    }
    test
}

fn check_corpus(workspace: &Workspace) -> Result<()> {
    if workspace.corpus.is_none() {
        bail!("there is no corpus, and CI=true allows no test to be skipped");
    }
    Ok(())
}

fn summarise(outcomes: &[Outcome], suites: &Suites, workspace: &Workspace) {
    println!("\n=== summary\n{suites}");
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
