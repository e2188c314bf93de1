//! Turns the command line into one call of a task, and its outcome into an exit code.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{bench, codegen, demo, fuzz, gates, passed_on::PassedOn, setup, workspace::Workspace};

/// Tasks of the Meltemi workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Makes the tools that the tests need under `target/tools`: Envoy, Prometheus and a
    /// Python with gRPC.
    Setup,
    /// Runs every gate, from formatting to documentation, and prints a summary.
    Test,
    /// Makes the generated files, or with `--check` fails if they are not fresh.
    Codegen(codegen::Codegen),
    /// Runs a sample shop on the mesh, changes things under load and counts failed requests.
    Demo(PassedOn),
    /// Measures what streams and changes cost the control plane; with `--lazy` what lazy loading does
    /// for real Envoys; with `--istiod` also what streams cost an istiod, which is built first and is no
    /// part of `test`. `--model` only calculates.
    Bench(PassedOn),
    Fuzz(fuzz::Fuzz),
}

pub(crate) fn run() -> ExitCode {
    let workspace = Workspace::new();
    match run_task(Cli::parse().task, &workspace) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_task(task: Task, workspace: &Workspace) -> Result<ExitCode> {
    match task {
        Task::Setup => {
            let tools = setup::run(workspace)?;
            println!("ENVOY_BIN={}", tools.envoy.display());
            println!("MELTEMI_PYTHON={}", tools.python.display());
            println!("OTELCOL_BIN={}", tools.collector.display());
            println!("PROMETHEUS_BIN={}", tools.prometheus.display());
        }
        Task::Test => return gates::run(workspace),
        Task::Codegen(args) => codegen::run(&args, workspace)?,
        Task::Demo(args) => return Err(demo::run(&args, workspace)),
        Task::Bench(args) => return Err(bench::run(&args, workspace)),
        Task::Fuzz(args) => fuzz::run(&args, workspace)?,
    }
    Ok(ExitCode::SUCCESS)
}
