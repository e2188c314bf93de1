//! Builds the bench and the control plane, and becomes the bench.

use std::{os::unix::process::CommandExt, process::Command};

use anyhow::{Error, Result};

use crate::{
    passed_on::PassedOn,
    workspace::{Workspace, run_shown},
};

/// Comes back only with an error: the process is the bench from then on.
pub(crate) fn run(args: &PassedOn, workspace: &Workspace) -> Error {
    let quick = args.arguments.iter().any(|argument| argument == "--quick");
    match prepare(workspace, if quick { Profile::Dev } else { Profile::Release }) {
        Ok(mut command) => command.args(&args.arguments).exec().into(),
        Err(error) => error,
    }
}

/// How the control plane is built.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Profile {
    /// For a quick run, whose figures mean nothing.
    Dev,
    Release,
}

/// Builds everything and gives the command that runs the bench.
pub(crate) fn prepare(workspace: &Workspace, profile: Profile) -> Result<Command> {
    let profile = match profile {
        Profile::Dev => "dev",
        Profile::Release => "release",
    };
    let profile = ["--profile", profile];
    let mut build = workspace.cargo(&["build", "--package", "meltemi", "--package", "bench"]);
    run_shown(build.args(profile))?;
    let mut command = workspace.cargo(&["run", "--quiet", "--package", "bench"]);
    command.args(profile).arg("--");
    Ok(command)
}
