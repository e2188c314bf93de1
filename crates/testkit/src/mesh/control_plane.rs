//! The process of a control plane.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::time::{self, Instant};

use crate::{
    http::{Client, Request},
    ports,
};

const POLL: Duration = Duration::from_millis(10);
/// A loaded machine starts the debug build in well under this.
const START: Duration = Duration::from_secs(60);

/// How to start a control plane.
#[derive(Clone, Debug)]
pub struct ControlPlaneSettings {
    pub binary: PathBuf,
    /// The folder that is served.
    pub objects: PathBuf,
    pub mesh_config: Option<PathBuf>,
    /// Its own.
    pub settings: Option<PathBuf>,
    /// Where the authority is; without one, nobody has an identity.
    pub identity: Option<PathBuf>,
    pub environment: Vec<(String, String)>,
    pub xds_address: SocketAddr,
    pub admin_address: SocketAddr,
    log: PathBuf,
}

impl ControlPlaneSettings {
    /// Free ports; the log goes to `folder`.
    #[must_use]
    pub fn new(binary: impl AsRef<Path>, objects: &Path, folder: &Path) -> Self {
        let address = || SocketAddr::from(([127, 0, 0, 1], ports::free_port()));
        Self {
            binary: binary.as_ref().to_owned(),
            objects: objects.to_owned(),
            mesh_config: None,
            settings: None,
            identity: None,
            environment: Vec::new(),
            xds_address: address(),
            admin_address: address(),
            log: folder.join("control-plane.log"),
        }
    }

    /// Starts it, and waits until it is ready.
    pub async fn start(&self) -> Result<ControlPlane> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(&self.binary);
        command.arg("serve").arg("--config").arg(&self.objects);
        if let Some(path) = &self.mesh_config {
            command.arg("--mesh-config").arg(path);
        }
        if let Some(path) = &self.settings {
            command.arg("--settings").arg(path);
        }
        if let Some(path) = &self.identity {
            command.arg("--identity-directory").arg(path);
        }
        let child = command
            .args(["--xds-address", &self.xds_address.to_string()])
            .args(["--admin-address", &self.admin_address.to_string()])
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("failed to start {}", self.binary.display()))?;
        let mut control_plane =
            ControlPlane { child, admin: self.admin_address, log: self.log.clone() };
        control_plane.wait_ready().await?;
        Ok(control_plane)
    }
}

/// A running control plane. It is killed when this is dropped.
#[derive(Debug)]
pub struct ControlPlane {
    child: Child,
    admin: SocketAddr,
    log: PathBuf,
}

impl ControlPlane {
    async fn wait_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + START;
        let ready = self.request("/ready");
        while !Client::new().send(&ready).await.is_ok_and(|it| it.status.is_success()) {
            if let Some(status) = self.child.try_wait()? {
                bail!("the control plane ended with {status}:\n{}", self.log());
            }
            ensure!(Instant::now() < deadline, "it is not ready:\n{}", self.log());
            time::sleep(POLL).await;
        }
        Ok(())
    }

    /// `GET path` on the admin address, which answers to no other name than its own.
    fn request(&self, path: &str) -> Request {
        Request::get(self.admin, &self.admin.to_string(), path)
    }

    /// The JSON at a path of the admin address.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let answer = Client::new().send(&self.request(path)).await?;
        ensure!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.text());
        serde_json::from_slice(&answer.body).with_context(|| format!("{path} is not JSON"))
    }

    /// Its metrics, in the text form of Prometheus.
    pub async fn metrics(&self) -> Result<String> {
        let answer = Client::new().send(&self.request("/metrics")).await?;
        Ok(answer.text())
    }

    /// What it has logged, also before a restart.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        // Both fail only if the process has ended already, which is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
