//! Builds the bench and the control plane, and becomes the bench.

use std::{ffi::OsString, os::unix::process::CommandExt, process::Command};

use anyhow::{Error, Result};

use crate::{
    passed_on::PassedOn,
    setup,
    workspace::{Workspace, run_shown},
};

/// Comes back only with an error: the process is the bench from then on.
pub(crate) fn run(args: &PassedOn, workspace: &Workspace) -> Error {
    match command(args, workspace) {
        Ok(mut command) => command.exec().into(),
        Err(error) => error,
    }
}

/// What becomes of the arguments.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    /// Measure, with Envoys or with an istiod beside if that is asked for.
    Measure { profile: Profile, arguments: Vec<OsString>, envoy: bool, istiod: bool },
    /// Only calculate: no control plane is needed.
    Model { arguments: Vec<OsString> },
}

impl Plan {
    /// `--model` and `--istiod` are ours: the bench has a subcommand, and wants a path.
    fn of(arguments: &[OsString]) -> Self {
        let has = |name: &str| arguments.iter().any(|argument| argument == name);
        let without = |name: &str| {
            let rest = arguments.iter().filter(|argument| *argument != name);
            rest.cloned().collect::<Vec<_>>()
        };
        let is_model = arguments.first().is_some_and(|first| first == "model");
        if is_model || has("--model") {
            let mut arguments = without("--model");
            if !is_model {
                arguments.insert(0, "model".into());
            }
            return Self::Model { arguments };
        }
        let profile = if has("--quick") { Profile::Dev } else { Profile::Release };
        let names_row = |argument: &OsString| {
            let text = argument.to_string_lossy();
            text.rsplit('=').next().is_some_and(|row| row.starts_with("lazy-"))
        };
        let envoy = has("--lazy") || arguments.iter().any(names_row);
        Self::Measure { profile, arguments: without("--istiod"), envoy, istiod: has("--istiod") }
    }
}

fn command(args: &PassedOn, workspace: &Workspace) -> Result<Command> {
    match Plan::of(&args.arguments) {
        Plan::Model { arguments } => {
            let mut command = workspace.cargo(&["run", "--quiet", "--package", "bench", "--"]);
            command.args(arguments);
            Ok(command)
        }
        Plan::Measure { profile, arguments, envoy, istiod } => {
            let envoy = envoy.then(|| setup::envoy(workspace)).transpose()?;
            let istiod = istiod.then(|| setup::istiod(workspace)).transpose()?;
            let mut command = prepare(workspace, profile)?;
            command.args(arguments);
            if let Some(path) = envoy {
                command.env("ENVOY_BIN", path);
            }
            if let Some(path) = istiod {
                command.arg("--istiod").arg(path);
            }
            Ok(command)
        }
    }
}

/// How the control plane is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(arguments: &[&str]) -> Plan {
        Plan::of(&arguments.iter().map(OsString::from).collect::<Vec<_>>())
    }

    fn texts(arguments: &[&str]) -> Vec<OsString> {
        arguments.iter().map(OsString::from).collect()
    }

    #[test]
    fn istiod_is_built_only_when_asked_for() {
        let profile = Profile::Release;
        let arguments = texts(&["--only", "cold"]);
        let expected = Plan::Measure { profile, arguments, envoy: false, istiod: false };
        assert_eq!(plan(&["--only", "cold"]), expected);
        let profile = Profile::Dev;
        let arguments = texts(&["--quick", "-o", "json"]);
        let expected = Plan::Measure { profile, arguments, envoy: false, istiod: true };
        assert_eq!(plan(&["--quick", "--istiod", "-o", "json"]), expected);
    }

    #[test]
    fn envoys_are_installed_for_lazy_rows() {
        for arguments in [&["--lazy"][..], &["--only", "lazy-first"], &["--only=lazy-first"]] {
            let Plan::Measure { envoy, .. } = plan(arguments) else { panic!("it measures") };
            assert!(envoy, "{arguments:?}");
        }
    }

    #[test]
    fn the_model_is_a_subcommand() {
        let expected = Plan::Model { arguments: texts(&["model", "--pods", "7"]) };
        assert_eq!(plan(&["--model", "--pods", "7"]), expected);
        assert_eq!(plan(&["model", "--pods", "7"]), expected);
    }
}
