//! Makes the tools that the tests need under `target/tools`, without root.
//!
//! - Idempotent, and safe against an interrupted run: a tool is made under a name that nobody
//!   reads, or marked as made by the last write.
//! - Two runs at once wait for each other.
//! - Everything fetched is pinned: by version and hash in `requirements*.txt`, and in the `go.mod` and
//!   `go.sum` of `otelcol` and `istiod`; what comes from Debian by version and the signatures that apt checks.

mod collector;
mod envoy;
mod istiod;
mod prometheus;
mod python;

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};

use crate::workspace::Workspace;

/// The tools, ready to run.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    pub(crate) envoy: PathBuf,
    pub(crate) python: PathBuf,
    pub(crate) collector: PathBuf,
    pub(crate) prometheus: PathBuf,
}

pub(crate) fn run(workspace: &Workspace) -> Result<Tools> {
    let _lock = lock(workspace)?;
    Ok(Tools {
        envoy: envoy::setup(workspace)?,
        python: python::setup(workspace)?,
        collector: collector::setup(workspace)?,
        prometheus: prometheus::setup(workspace)?,
    })
}

/// The Envoy alone, for the bench.
pub(crate) fn envoy(workspace: &Workspace) -> Result<PathBuf> {
    let _lock = lock(workspace)?;
    envoy::setup(workspace)
}

/// The istiod of the bench, which no test needs.
pub(crate) fn istiod(workspace: &Workspace) -> Result<PathBuf> {
    let _lock = lock(workspace)?;
    istiod::setup(workspace)
}

/// Held while tools are made.
fn lock(workspace: &Workspace) -> Result<fs::File> {
    let tools = workspace.tools();
    fs::create_dir_all(&tools).with_context(|| format!("failed to make {}", tools.display()))?;
    let lock = fs::File::create(tools.join(".lock")).context("failed to make the setup lock")?;
    lock.lock().context("failed to wait for another setup")?;
    Ok(lock)
}
