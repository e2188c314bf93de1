//! Runs the real Prometheus with a configuration, and asks it questions.
//!
//! - Each process has a folder and a port of its own: any number at once.
//! - It is killed when the value is dropped.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{self, Instant};

use crate::{
    http::{Client, Request},
    ports, tools,
};

/// The file that Prometheus is started with, among those that it is given.
pub const CONFIG: &str = "prometheus.yaml";
const LOG: &str = "prometheus.log";
const POLL: Duration = Duration::from_millis(20);
/// A loaded machine starts a Prometheus in well under this.
const START: Duration = Duration::from_secs(60);

/// A running Prometheus.
#[derive(Debug)]
pub struct Prometheus {
    child: Child,
    folder: TempDir,
    address: SocketAddr,
    client: Client,
}

/// A series of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

impl Prometheus {
    /// Starts it with [`CONFIG`] and other files in a folder, by name and content.
    ///
    /// # Errors
    ///
    /// If it refuses a file; the error has its last words.
    pub async fn start(files: &[(&str, &str)]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("meltemi-prometheus-").tempdir()?;
        for (name, content) in files {
            fs::write(folder.path().join(name), content)?;
        }
        let address = SocketAddr::from(([127, 0, 0, 1], ports::free_port()));
        let log = File::create(folder.path().join(LOG))?;
        let binary = tools::prometheus_bin();
        let child = Command::new(&binary)
            .arg(format!("--config.file={}", folder.path().join(CONFIG).display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("failed to start {}", binary.display()))?;
        let mut process = Self { child, folder, address, client: Client::new() };
        process.wait_ready().await?;
        Ok(process)
    }

    async fn wait_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + START;
        let ready = self.request("/-/ready");
        while !self.client.send(&ready).await.is_ok_and(|it| it.status.is_success()) {
            if let Some(status) = self.child.try_wait()? {
                bail!("prometheus ended with {status}:\n{}", self.log());
            }
            ensure!(Instant::now() < deadline, "prometheus is not ready:\n{}", self.log());
            time::sleep(POLL).await;
        }
        Ok(())
    }

    fn request(&self, path: &str) -> Request {
        Request::get(self.address, &self.address.to_string(), path)
    }

    /// The `data` at a path of its HTTP API, for example `/api/v1/targets`.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let answer = self.client.send(&self.request(path)).await?;
        let mut body: Value = serde_json::from_slice(&answer.body)
            .with_context(|| format!("{path} answered {} {}", answer.status, answer.text()))?;
        ensure!(body["status"] == "success", "{path}: {body}");
        Ok(body["data"].take())
    }

    /// What an expression is now, series by series in the order of their labels.
    pub async fn query(&self, expression: &str) -> Result<Vec<Sample>> {
        let query: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let data = self.get(&format!("/api/v1/query?query={query}")).await?;
        ensure!(data["resultType"] == "vector", "`{expression}` gives {data}");
        let series = data["result"].as_array().map_or(&[][..], Vec::as_slice);
        let mut samples = Vec::with_capacity(series.len());
        for one in series {
            let text = one["value"][1].as_str().context("a sample has no value")?;
            samples.push(Sample {
                labels: serde_json::from_value(one["metric"].clone())?,
                value: text.parse().with_context(|| format!("`{text}` is no number"))?,
            });
        }
        samples.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(samples)
    }

    /// The only value that an expression has.
    pub async fn value(&self, expression: &str) -> Result<f64> {
        let samples = self.query(expression).await?;
        let [sample] = &samples[..] else {
            bail!("`{expression}` has {} values: {samples:?}", samples.len());
        };
        Ok(sample.value)
    }

    /// Where it answers: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join(LOG)).unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Both fail only if the process has ended already, which is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `promtool test rules` on a file; the error is what it says.
pub fn test_rules(file: &Path) -> Result<()> {
    let promtool = tools::prometheus_bin().with_file_name("promtool");
    let output = Command::new(&promtool).args(["test", "rules"]).arg(file).output();
    let output = output.with_context(|| format!("failed to start {}", promtool.display()))?;
    let said = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    Ok(())
}
