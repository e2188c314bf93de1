//! Builds the OpenTelemetry collector that the tests run, with Go, from `xtask/otelcol`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::workspace::{Workspace, is_executable, run_shown};

/// The version in `xtask/otelcol/go.mod`; the tidy tests compare the two.
const VERSION: &str = "0.162.0";

pub(super) fn setup(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.tools().join(format!("otelcol-{VERSION}"));
    let binary = folder.join("otelcol");
    if is_executable(&binary) {
        eprintln!("setup: OpenTelemetry collector {VERSION} is in place");
        return Ok(binary);
    }
    if workspace.find_program("go").is_none() {
        bail!("there is no `go` on PATH, which builds the OpenTelemetry collector");
    }
    eprintln!("setup: building the OpenTelemetry collector {VERSION}");
    build(workspace, &folder)?;
    Ok(binary)
}

/// Without optimisation, since it takes longer to build than it ever runs.
fn build(workspace: &Workspace, folder: &Path) -> Result<()> {
    let scratch = workspace.tools().join(".otelcol-partial");
    if scratch.exists() {
        fs::remove_dir_all(&scratch).context("failed to clear an interrupted run")?;
    }
    let mut go = workspace.command("go");
    go.current_dir(workspace.root.join("xtask").join("otelcol"))
        // What go.mod and go.sum say, with the compiler that is here.
        .envs([("GOTOOLCHAIN", "local"), ("CGO_ENABLED", "0")])
        .args(["build", "-mod=readonly", "-trimpath", "-gcflags=all=-N -l -dwarf=false"])
        .arg(format!("-ldflags=-s -w -X main.version={VERSION}"))
        .arg("-o")
        .arg(scratch.join("otelcol"))
        .arg(".");
    run_shown(&mut go).context("failed to build the OpenTelemetry collector")?;
    run_shown(workspace.command(scratch.join("otelcol")).arg("--version"))
        .context("the OpenTelemetry collector does not run here")?;
    if folder.exists() {
        fs::remove_dir_all(folder).context("failed to clear a broken collector")?;
    }
    // The rename is the commit: until here, no run takes the tool for made.
    fs::rename(&scratch, folder).context("failed to put the collector in place")
}
