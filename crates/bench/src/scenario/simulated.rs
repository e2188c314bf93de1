//! Streams without sockets, in a process of their own, whose memory is then theirs.

use std::process::Stdio;

use anyhow::{Result, ensure};
use tokio::process::Command;

use super::Context;
use crate::report::Case;

pub(super) async fn run(context: &Context) -> Result<Vec<Case>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("simulate").stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
    let size = |name: &str, full: usize, quick: usize| {
        [format!("--{name}"), context.pick(full, quick).to_string()]
    };
    command.args(size("streams", 100_000, 200)).args(size("services", 1_000, 20));
    let output = command.output().await?;
    ensure!(output.status.success(), "the simulation ended with {}", output.status);
    Ok(vec![serde_json::from_slice(&output.stdout)?])
}
