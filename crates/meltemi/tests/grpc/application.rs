//! A Python application with gRPC's own xDS client in it.

use std::{collections::BTreeMap, fs, path::Path, process::Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::json;
use testkit::mesh::Mesh;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// Seconds that a call may take on a loaded machine.
const PATIENCE: f64 = 30.0;

/// What came of some calls.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Outcome {
    /// Calls by the backend that answered.
    pub(crate) backends: BTreeMap<String, u32>,
    /// Calls that failed, by status and message.
    pub(crate) errors: BTreeMap<String, u32>,
}

impl Outcome {
    /// How many calls a backend answered.
    pub(crate) fn of(&self, backend: &str) -> u32 {
        self.backends.get(backend).copied().unwrap_or_default()
    }

    /// The backends that answered, none of the calls having failed.
    pub(crate) fn answered(&self) -> Result<Vec<&str>> {
        ensure!(self.errors.is_empty(), "calls failed: {:?}", self.errors);
        Ok(self.backends.keys().map(String::as_str).collect())
    }
}

/// The calls to make.
#[derive(Clone, Debug)]
pub(crate) struct Order<'a> {
    pub(crate) target: &'a str,
    pub(crate) calls: u32,
    pub(crate) metadata: &'a [(&'a str, &'a str)],
    /// Seconds.
    pub(crate) timeout: f64,
}

impl<'a> Order<'a> {
    pub(crate) fn new(target: &'a str, calls: u32) -> Self {
        Self { target, calls, metadata: &[], timeout: PATIENCE }
    }
}

/// The running application. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Application {
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Application {
    /// Starts it as a workload (`name.namespace`), with the bootstrap that the binary prints.
    pub(crate) async fn start(mesh: &Mesh, workload: &str, more: &[&str]) -> Result<Self> {
        let bootstrap = Command::new(env!("CARGO_BIN_EXE_meltemi"))
            .args(["bootstrap", "--kind", "grpc", "--workload", workload])
            .args(["--xds-address", &mesh.xds_address().to_string()])
            .args(more)
            .output()
            .await?;
        let complaint = String::from_utf8_lossy(&bootstrap.stderr).into_owned();
        ensure!(bootstrap.status.success(), "no bootstrap: {complaint}");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/grpc/client.py");
        ensure!(fs::exists(&script)?, "{} is missing", script.display());
        let mut child = Command::new(testkit::tools::python())
            .arg(script)
            .env("GRPC_XDS_BOOTSTRAP_CONFIG", String::from_utf8(bootstrap.stdout)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let input = child.stdin.take().context("no input")?;
        let output = BufReader::new(child.stdout.take().context("no output")?).lines();
        Ok(Self { _child: child, input, output })
    }

    /// Makes some calls, one after the other.
    pub(crate) async fn call(&mut self, order: &Order<'_>) -> Result<Outcome> {
        let metadata: BTreeMap<_, _> = order.metadata.iter().copied().collect();
        let line = json!({
            "target": order.target, "calls": order.calls,
            "metadata": metadata, "timeout": order.timeout,
        });
        self.input.write_all(format!("{line}\n").as_bytes()).await?;
        let answer = self.output.next_line().await?.context("the application has ended")?;
        Ok(serde_json::from_str(&answer)?)
    }

    /// Makes calls until they come out as wanted; fails with the last outcome.
    pub(crate) async fn call_until(
        &mut self,
        order: &Order<'_>,
        wanted: impl Fn(&Outcome) -> bool,
    ) -> Result<Outcome> {
        let mut last = Outcome::default();
        for _ in 0..600 {
            last = self.call(order).await?;
            if wanted(&last) {
                return Ok(last);
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        anyhow::bail!("it never came out as wanted; last: {last:?}")
    }
}
