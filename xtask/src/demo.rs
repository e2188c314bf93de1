//! Builds the demo and the control plane, and becomes the demo.

use std::{os::unix::process::CommandExt, process::Command};

use anyhow::{Error, Result};

use crate::{
    passed_on::PassedOn,
    setup::{self, Tools},
    workspace::{Workspace, run_shown},
};

/// Comes back only with an error: the process is the demo from then on, and Ctrl-C is its own.
pub(crate) fn run(args: &PassedOn, workspace: &Workspace) -> Error {
    let prepared = setup::run(workspace).and_then(|tools| prepare(workspace, &tools));
    match prepared {
        Ok(mut command) => command.args(&args.arguments).exec().into(),
        Err(error) => error,
    }
}

/// Builds everything and gives the command that runs the demo.
pub(crate) fn prepare(workspace: &Workspace, tools: &Tools) -> Result<Command> {
    run_shown(&mut workspace.cargo(&["build", "--package", "meltemi", "--package", "demo"]))?;
    let mut command = workspace.cargo(&["run", "--quiet", "--package", "demo", "--"]);
    command.env("ENVOY_BIN", &tools.envoy);
    Ok(command)
}
