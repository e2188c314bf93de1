//! Runs cargo-deny over `deny.toml`, where it is installed.

use anyhow::{Result, bail};

use crate::workspace::{Workspace, run_shown};

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    if workspace.find_program("cargo-deny").is_none() {
        bail!("cargo-deny is not on PATH; `cargo install --locked cargo-deny` builds it");
    }
    run_shown(&mut workspace.cargo(&["deny", "check", "bans", "licenses", "sources"]))
}
