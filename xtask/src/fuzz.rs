//! `fuzz`: gives each fuzz target some time, beginning with seeds out of the corpus.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::workspace::{Workspace, is_executable, run_shown};

/// The version of cargo-fuzz that is installed.
const CARGO_FUZZ: &str = "0.13.2";
/// The bins of `fuzz/Cargo.toml`.
const TARGETS: [&str; 7] =
    ["accepted", "certificates", "documents", "graphs", "mesh", "requests", "tokens"];
/// An input that takes longer is a finding.
const SECONDS_PER_INPUT: u32 = 20;

/// Fuzzes what reads foreign bytes, one target after the other. Needs a nightly compiler.
#[derive(Debug, clap::Args)]
pub(crate) struct Fuzz {
    /// Seconds for each target.
    #[arg(long, default_value_t = 600)]
    time: u32,
    /// Only this target.
    #[arg(long, value_parser = TARGETS)]
    target: Option<String>,
}

pub(crate) fn run(args: &Fuzz, workspace: &Workspace) -> Result<()> {
    let Fuzz { time, target } = args;
    let program = install(workspace)?;
    let seeds = workspace.root.join("fuzz").join("corpus");
    let mut command = workspace.cargo(&["run", "--quiet", "--package", "fuzzing", "--"]);
    run_shown(command.arg(&seeds)).context("failed to write the seeds")?;
    for name in TARGETS.into_iter().filter(|name| target.as_ref().is_none_or(|it| it == name)) {
        println!("=== {name} for {time} s");
        run_shown(&mut cargo_fuzz("build", name, &program, workspace))
            .with_context(|| format!("failed to build the target {name}"))?;
        fuzz(name, *time, &program, &seeds, workspace)
            .with_context(|| format!("the target {name} found something, see above"))?;
    }
    Ok(())
}

fn fuzz(
    target: &str,
    time: u32,
    program: &Path,
    seeds: &Path,
    workspace: &Workspace,
) -> Result<()> {
    let mut command = cargo_fuzz("run", target, program, workspace);
    command.arg(seeds.join(target)).arg("--").arg(format!("-max_total_time={time}"));
    command.arg(format!("-timeout={SECONDS_PER_INPUT}"));
    let words = seeds.join(format!("{target}.dict"));
    // libFuzzer does not begin with an empty one: certificates have no words.
    if words.metadata().is_ok_and(|it| it.len() > 0) {
        command.arg(format!("-dict={}", words.display()));
    }
    command.arg("-print_final_stats=1");
    run_shown(&mut command)
}

fn cargo_fuzz(verb: &str, target: &str, program: &Path, workspace: &Workspace) -> Command {
    let mut command = workspace.command(program);
    // Else it would use the toolchain of this workspace, which cannot instrument.
    command.env("RUSTUP_TOOLCHAIN", "nightly").env("CARGO", "cargo");
    command.args([verb, "--fuzz-dir", "fuzz", "--target-dir", "target/fuzz", target]);
    command
}

/// The path of cargo-fuzz below `target/tools`.
fn install(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.tools().join(format!("cargo-fuzz-{CARGO_FUZZ}"));
    let program = folder.join("bin").join("cargo-fuzz");
    if !is_executable(&program) {
        let mut command = workspace.cargo(&["install", "cargo-fuzz", "--locked"]);
        command.args(["--version", CARGO_FUZZ, "--root"]).arg(&folder);
        run_shown(&mut command).context("failed to install cargo-fuzz")?;
    }
    Ok(program)
}
