//! Builds the istiod that `cargo xtask bench --istiod` compares with, with Go, from `xtask/istiod`.
//!
//! No test needs it, and `cargo xtask setup` does not make it: it takes minutes and a gigabyte of modules.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::workspace::{Workspace, is_executable, run_shown};

/// The version of `istio.io/istio` in `xtask/istiod/go.mod`; the tidy tests compare the two.
const VERSION: &str = "0.0.0-20260827124520-eed52ebb66ad";

pub(super) fn setup(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.tools().join(format!("istiod-{VERSION}"));
    let binary = folder.join("istiod");
    if is_executable(&binary) {
        eprintln!("setup: istiod {VERSION} is in place");
        return Ok(binary);
    }
    if workspace.find_program("go").is_none() {
        bail!("there is no `go` on PATH, which builds istiod");
    }
    eprintln!("setup: building istiod {VERSION}, which takes some minutes");
    build(workspace, &folder)?;
    Ok(binary)
}

/// With optimisation: it is measured.
fn build(workspace: &Workspace, folder: &Path) -> Result<()> {
    let scratch = workspace.tools().join(".istiod-partial");
    if scratch.exists() {
        fs::remove_dir_all(&scratch).context("failed to clear an interrupted run")?;
    }
    let mut go = workspace.command("go");
    go.current_dir(workspace.root.join("xtask").join("istiod"))
        // What go.mod and go.sum say, with the compiler that is here.
        .envs([("GOTOOLCHAIN", "local"), ("CGO_ENABLED", "0")])
        // One package at a time: some of them take a gigabyte to compile.
        .args(["build", "-p=1", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags=-s -w"])
        .arg("-o")
        .arg(scratch.join("istiod"))
        .arg(".");
    run_shown(&mut go).context("failed to build istiod")?;
    if folder.exists() {
        fs::remove_dir_all(folder).context("failed to clear a broken istiod")?;
    }
    // The rename is the commit: until here, no run takes the tool for made.
    fs::rename(&scratch, folder).context("failed to put istiod in place")
}
