//! Finds the Prometheus that the tests run: `PROMETHEUS_BIN`, else Debian's package unpacked under
//! `target/tools`, else `PATH`.
//!
//! Nothing is installed: the package is fetched by `apt-get download`, which checks it against the
//! signed lists, and unpacked.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::workspace::{Workspace, is_executable, run_shown};

/// Of Prometheus; Debian's own revision of the package may be any. `crates/testkit/src/tools.rs`
/// names it too, and the tidy tests compare the two.
const VERSION: &str = "2.42.0";

pub(super) fn setup(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(path) = &workspace.prometheus_override {
        if !is_executable(path) {
            bail!("PROMETHEUS_BIN names {}, which is not an executable file", path.display());
        }
        eprintln!("setup: prometheus from PROMETHEUS_BIN, {}", path.display());
        return Ok(path.clone());
    }
    let folder = workspace.tools().join(format!("prometheus-{VERSION}"));
    let pinned = folder.join("prometheus");
    if is_executable(&pinned) {
        eprintln!("setup: prometheus {VERSION} is in place");
        return Ok(pinned);
    }
    let Err(error) = fetch(workspace, &folder) else { return Ok(pinned) };
    let Some(found) = workspace.find_program("prometheus") else {
        return Err(error.context(format!(
            "failed to fetch prometheus {VERSION} from Debian, and there is none on PATH; \
             install one and set PROMETHEUS_BIN"
        )));
    };
    eprintln!("setup: WARNING: failed to fetch prometheus {VERSION}: {error:#}");
    eprintln!("setup: WARNING: using {} from PATH instead, of any version", found.display());
    Ok(found)
}

fn fetch(workspace: &Workspace, folder: &Path) -> Result<()> {
    eprintln!("setup: fetching prometheus {VERSION} (a Debian package of about 20 MB)");
    let scratch = workspace.tools().join(".prometheus-partial");
    if scratch.exists() {
        fs::remove_dir_all(&scratch).context("failed to clear an interrupted run")?;
    }
    let download = scratch.join("download");
    fs::create_dir_all(&download).context("failed to make a folder for the package")?;
    let package = format!("prometheus={VERSION}*");
    let apt = || {
        let mut apt = workspace.command("apt-get");
        // Root would fetch as another user, who may not write here.
        apt.current_dir(&download).args(["--quiet", "-o", "APT::Sandbox::User=root"]);
        apt
    };
    // The machine may have no lists, or lists from before the package was replaced.
    if run_shown(apt().arg("download").arg(&package)).is_err() {
        let state = scratch.join("apt");
        let own = |mut apt: Command| -> Result<Command> {
            for folder in ["lists/partial", "cache/archives/partial"] {
                let folder = state.join(folder);
                fs::create_dir_all(&folder).context("failed to make a folder for apt")?;
            }
            apt.arg("-o").arg(format!("Dir::State={}", state.display()));
            apt.arg("-o").arg(format!("Dir::Cache={}", state.join("cache").display()));
            apt.args(["-o", "Dir::State::status=/var/lib/dpkg/status"]);
            Ok(apt)
        };
        eprintln!("setup: the lists of packages do not do, fetching lists of our own");
        run_shown(own(apt())?.arg("update")).context("failed to fetch the lists of packages")?;
        run_shown(own(apt())?.arg("download").arg(&package))
            .with_context(|| format!("failed to download `{package}`"))?;
    }
    let entries = fs::read_dir(&download).context("failed to list what was downloaded")?;
    let mut files = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let deb = files.find(|path| path.extension().is_some_and(|it| it == "deb"));
    let deb = deb.context("apt-get has downloaded no package")?;
    let tree = scratch.join("tree");
    run_shown(workspace.command("dpkg-deb").arg("--extract").arg(deb).arg(&tree))
        .context("failed to unpack the package")?;

    let made = scratch.join("made");
    fs::create_dir_all(&made).context("failed to make a folder for prometheus")?;
    for program in ["prometheus", "promtool"] {
        fs::rename(tree.join("usr/bin").join(program), made.join(program))
            .with_context(|| format!("the package does not hold usr/bin/{program}"))?;
    }
    let mut version = workspace.command(made.join("prometheus"));
    run_shown(version.arg("--version")).context("prometheus does not run here")?;
    if folder.exists() {
        fs::remove_dir_all(folder).context("failed to clear a broken prometheus")?;
    }
    // The rename is the commit: until here, no run takes the tool for made.
    fs::rename(&made, folder).context("failed to put prometheus in place")?;
    fs::remove_dir_all(&scratch).context("failed to remove the scratch folder")
}
