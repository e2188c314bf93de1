//! Runs the real Envoy with a bootstrap, and reads what it says over its admin port.
//!
//! - Each process has a folder, an admin port and shared memory of its own: any number at once.
//! - It is killed when the value is dropped.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{self, Instant};

use crate::{
    http::{Client, Request, Response},
    tools,
};

/// The files in the folder of a process.
const LOG: &str = "envoy.log";
const STDOUT: &str = "stdout";
const POLL: Duration = Duration::from_millis(20);
/// While it starts; what a start takes is measured.
const START_POLL: Duration = Duration::from_millis(5);
/// A loaded machine starts an Envoy in well under this.
const START: Duration = Duration::from_secs(60);

/// How to start an Envoy. The bootstrap needs no `admin`.
#[derive(Clone, Debug)]
pub struct EnvoySettings {
    /// YAML, or JSON as a subset of it.
    pub bootstrap: String,
    /// Worker threads.
    pub concurrency: u32,
    /// As of `--log-level`.
    pub log_level: String,
    /// How long a listener that went away drains.
    pub drain: Duration,
    /// By default the kernel picks one, and Envoy writes it to a file.
    pub admin_port: u16,
    /// Further arguments of the command line.
    pub arguments: Vec<OsString>,
}

impl EnvoySettings {
    #[must_use]
    pub fn new(bootstrap: &str) -> Self {
        Self {
            bootstrap: bootstrap.to_owned(),
            concurrency: 1,
            log_level: "info".to_owned(),
            drain: Duration::from_secs(2),
            admin_port: 0,
            arguments: Vec::new(),
        }
    }

    /// Starts Envoy and waits for its admin port; it may still be waiting for configuration.
    pub async fn start(self) -> Result<EnvoyProcess> {
        let folder = tempfile::Builder::new().prefix("meltemi-envoy-").tempdir()?;
        let admin_file = folder.path().join("admin-address");
        let bootstrap = folder.path().join("bootstrap.yaml");
        fs::write(&bootstrap, &self.bootstrap)?;
        let binary = tools::envoy_bin();
        // Laid over every bootstrap.
        let address = format!("{{address: 127.0.0.1, port_value: {}}}", self.admin_port);
        let admin = format!("admin: {{address: {{socket_address: {address}}}}}");
        // Without hot restart there is no base id to collide, and no shared memory to leave behind.
        let child = Command::new(&binary)
            .args(["--disable-hot-restart", "--config-yaml", &admin, "--config-path"])
            .arg(&bootstrap)
            .arg("--admin-address-path")
            .arg(&admin_file)
            .args(["--log-level", &self.log_level])
            .args(["--concurrency", &self.concurrency.to_string()])
            .args(["--drain-time-s", &self.drain.as_secs().to_string()])
            .args(["--drain-strategy", "immediate"])
            // Tests read access logs; by default they are written after ten seconds.
            .args(["--file-flush-interval-msec", "50"])
            .args(&self.arguments)
            .stdin(Stdio::null())
            // Where access logs to standard output go.
            .stdout(File::create(folder.path().join(STDOUT))?)
            // Not `--log-path`: that leaves out what Envoy says before it has read its arguments.
            .stderr(File::create(folder.path().join(LOG))?)
            .spawn()
            .with_context(|| format!("failed to start {}", binary.display()))?;
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut process = EnvoyProcess { child, folder, admin: unknown, client: Client::new() };
        process.admin = process.wait_admin(&admin_file).await?;
        Ok(process)
    }
}

/// A running Envoy.
#[derive(Debug)]
pub struct EnvoyProcess {
    child: Child,
    folder: TempDir,
    admin: SocketAddr,
    client: Client,
}

impl EnvoyProcess {
    /// Starts Envoy with the default settings.
    ///
    /// # Errors
    ///
    /// If Envoy ends, for example because it refuses the bootstrap; the error has its last words.
    pub async fn start(bootstrap: &str) -> Result<Self> {
        EnvoySettings::new(bootstrap).start().await
    }

    async fn wait_admin(&mut self, file: &Path) -> Result<SocketAddr> {
        let deadline = Instant::now() + START;
        loop {
            // Envoy writes the file in one go, but an empty one can be seen before.
            if let Ok(text) = fs::read_to_string(file)
                && let Ok(address) = text.trim().parse()
            {
                return Ok(address);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("envoy ended with {status}:\n{}", self.log_tail());
            }
            ensure!(Instant::now() < deadline, "envoy has no admin port:\n{}", self.log_tail());
            time::sleep(START_POLL).await;
        }
    }

    /// The address of the admin port.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The folder with the bootstrap and the logs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// True until the process ends.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Stops the process without ending it: it answers nobody until [`Self::resume`].
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets a paused process go on.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("envoy has no process id")?, signal)?;
        Ok(())
    }

    /// `GET path` on the admin port, whatever its status.
    pub async fn admin_get(&self, path: &str) -> Result<Response> {
        self.client.send(&Request::get(self.admin, "admin", path)).await
    }

    /// Waits until `/ready` says so: all configuration has come, and the workers run.
    pub async fn wait_ready(&mut self, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        loop {
            if self.admin_get("/ready").await.is_ok_and(|answer| answer.status.is_success()) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("envoy ended with {status}:\n{}", self.log_tail());
            }
            ensure!(Instant::now() < deadline, "envoy is not ready:\n{}", self.log_tail());
            time::sleep(START_POLL).await;
        }
    }

    async fn admin_json(&self, path: &str) -> Result<Value> {
        let answer = self.admin_get(path).await?;
        ensure!(answer.status.is_success(), "{path} answered {}", answer.status);
        serde_json::from_slice(&answer.body).with_context(|| format!("{path} is not JSON"))
    }

    /// `/config_dump` with endpoints.
    pub async fn config_dump(&self) -> Result<Value> {
        self.admin_json("/config_dump?include_eds").await
    }

    /// Counters and gauges whose name matches the regular expression `filter`.
    pub async fn stats(&self, filter: &str) -> Result<BTreeMap<String, u64>> {
        let filter: String = filter.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = self.admin_json(&format!("/stats?format=json&filter={filter}")).await?;
        let stats = answer["stats"].as_array().map_or(&[][..], Vec::as_slice);
        let pairs = stats.iter().filter_map(|stat| {
            // Histograms and text readouts have no number here.
            Some((stat["name"].as_str()?.to_owned(), stat["value"].as_u64()?))
        });
        Ok(pairs.collect())
    }

    /// One counter or gauge; zero if Envoy has none of that name yet.
    pub async fn stat(&self, name: &str) -> Result<u64> {
        let filter = format!("^{}$", name.replace('.', r"\."));
        Ok(self.stats(&filter).await?.get(name).copied().unwrap_or(0))
    }

    /// Waits until the counter or gauge `name` is at least `value`.
    pub async fn wait_stat(&self, name: &str, value: u64, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        loop {
            let now = self.stat(name).await?;
            if now >= value {
                return Ok(());
            }
            let tail = || self.log_tail();
            ensure!(Instant::now() < deadline, "{name} is {now}, not {value}:\n{}", tail());
            time::sleep(POLL).await;
        }
    }

    /// The listeners that are bound, with the ports the kernel picked for port 0.
    pub async fn listeners(&self) -> Result<BTreeMap<String, SocketAddr>> {
        let answer = self.admin_json("/listeners?format=json").await?;
        let statuses = answer["listener_statuses"].as_array().map_or(&[][..], Vec::as_slice);
        let pairs = statuses.iter().filter_map(|status| {
            let socket = &status["local_address"]["socket_address"];
            let ip = socket["address"].as_str()?.parse().ok()?;
            let port = u16::try_from(socket["port_value"].as_u64()?).ok()?;
            Some((status["name"].as_str()?.to_owned(), SocketAddr::new(ip, port)))
        });
        Ok(pairs.collect())
    }

    /// The address of the listener `name`.
    pub async fn listener(&self, name: &str) -> Result<SocketAddr> {
        let listeners = self.listeners().await?;
        let names = || listeners.keys().cloned().collect::<Vec<_>>().join(", ");
        let found = listeners.get(name).copied();
        found.with_context(|| format!("envoy has no listener `{name}`, only {}", names()))
    }

    /// The last lines of Envoy's log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Envoy's whole log.
    #[must_use]
    pub fn log(&self) -> String {
        self.read_file(LOG)
    }

    /// What Envoy wrote to standard output: access logs, if they are sent there.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.read_file(STDOUT)
    }

    fn read_file(&self, name: &str) -> String {
        let bytes = fs::read(self.folder.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for EnvoyProcess {
    fn drop(&mut self) {
        // Both fail only if the process has ended already, which is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks Envoy whether it would start with `config`; the error is what it says of it. A field that
/// it is about to drop counts as refused.
///
/// # Panics
///
/// If Envoy cannot be run at all.
pub fn validate(config: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("config.yaml");
    fs::write(&path, config).expect("a temporary file can be written");
    let output = Command::new(tools::envoy_bin())
        .args(["--mode", "validate", "--disable-hot-restart", "--log-level", "warning"])
        .arg("--config-path")
        .arg(&path)
        .stdin(Stdio::null())
        .output()
        .expect("envoy starts");
    let mut said = String::from_utf8_lossy(&output.stderr).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stdout));
    match output.status.success() && !said.contains("Deprecated field") {
        true => Ok(()),
        false => Err(said),
    }
}
