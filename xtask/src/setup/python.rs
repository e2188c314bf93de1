//! Makes the virtual environment that runs gRPC's own xDS client in a test.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::workspace::{Workspace, is_executable, run_shown};

pub(super) fn setup(workspace: &Workspace) -> Result<PathBuf> {
    let requirements = workspace.root.join("xtask").join("requirements.txt");
    let wanted = fs::read(&requirements)
        .with_context(|| format!("failed to read {}", requirements.display()))?;
    let folder = workspace.tools().join("python");
    let python = folder.join("bin").join("python");
    // The stamp is written last, so it is there only after a whole run, and tells which pins.
    let stamp = folder.join("requirements.txt");
    if is_executable(&python) && fs::read(&stamp).is_ok_and(|made| made == wanted) {
        eprintln!("setup: python with gRPC is in place");
        return Ok(python);
    }
    eprintln!("setup: making a python environment with gRPC");
    if folder.exists() {
        fs::remove_dir_all(&folder).context("failed to clear an older environment")?;
    }
    install(workspace, &folder, &requirements)?;
    fs::write(&stamp, wanted).context("failed to mark the environment as made")?;
    Ok(python)
}

fn install(workspace: &Workspace, folder: &Path, requirements: &Path) -> Result<()> {
    run_shown(workspace.command("python3").args(["-m", "venv"]).arg(folder))
        .context("failed to make a virtual environment; Debian has it in `python3-venv`")?;
    let mut pip = workspace.command(folder.join("bin").join("python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"])
        .args(["--only-binary", ":all:", "--require-hashes", "--requirement"])
        .arg(requirements);
    run_shown(&mut pip).context("pip failed to install xtask/requirements.txt")
}
