//! Runs the generator of the committed files.

use anyhow::Result;

use crate::workspace::{Workspace, run_shown};

#[derive(Debug, clap::Args)]
pub(crate) struct Codegen {
    /// Writes nothing; fails if a committed file is not what the generator makes.
    #[arg(long)]
    pub(crate) check: bool,
}

pub(crate) fn run(args: &Codegen, workspace: &Workspace) -> Result<()> {
    let Codegen { check } = args;
    let mut command = workspace.cargo(&["run", "--quiet", "--package", "envoy-codegen", "--"]);
    if *check {
        command.arg("--check");
    }
    run_shown(&mut command)
}
