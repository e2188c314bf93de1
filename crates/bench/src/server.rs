//! The control plane that is measured: a process, its CPU time, its memory and its counters.

use std::{
    ffi::OsString,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use testkit::{
    child::{ChildProcess, ChildSettings},
    http::{Client, Request},
    ports,
};
use tokio::time;

const POLL: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(60);
/// `USER_HZ`, the unit of CPU times in `/proc`: 100 on every Linux that we run on.
const TICKS: f64 = 100.0;

/// A running control plane. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct MeasuredServer {
    child: ChildProcess,
    client: Client,
    pub(crate) xds: SocketAddr,
    admin: SocketAddr,
}

/// What the server's own counters say, since its start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ServerCounters {
    pub(crate) requests: u64,
    pub(crate) sent_bytes: u64,
}

impl MeasuredServer {
    /// Starts `binary` on the files in `config` and waits until it is ready.
    pub(crate) async fn start(binary: &Path, config: &Path, log: &Path) -> Result<Self> {
        let [xds, admin] =
            [(); 2].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free_port())));
        let arguments: [OsString; 9] = [
            "serve".into(),
            "--config".into(),
            config.into(),
            "--xds-address".into(),
            xds.to_string().into(),
            "--admin-address".into(),
            admin.to_string().into(),
            "--log".into(),
            "warn".into(),
        ];
        let child = ChildProcess::start(&ChildSettings {
            program: binary.to_owned(),
            arguments: arguments.into(),
            log: log.to_owned(),
        })?;
        let mut server = Self { child, client: Client::keep_alive(), xds, admin };
        let deadline = Instant::now() + PATIENCE;
        while server.get("/ready").await.is_err() {
            if let Some(status) = server.child.ended()? {
                bail!("the control plane ended with {status}:\n{}", server.child.log_tail());
            }
            let tail = || server.child.log_tail();
            ensure!(Instant::now() < deadline, "the control plane is not ready:\n{}", tail());
            time::sleep(POLL).await;
        }
        Ok(server)
    }

    async fn get(&self, path: &str) -> Result<String> {
        let answer =
            self.client.send(&Request::get(self.admin, &self.admin.to_string(), path)).await?;
        ensure!(answer.status.is_success(), "{path} answered {}", answer.status);
        Ok(answer.text())
    }

    pub(crate) async fn counters(&self) -> Result<ServerCounters> {
        let metrics = self.get("/metrics").await?;
        let value = |name: &str| {
            let mut values = metrics.lines().filter_map(|line| line.strip_prefix(name));
            let value = values.find_map(|rest| rest.trim().parse().ok());
            value.with_context(|| format!("/metrics has no {name}"))
        };
        Ok(ServerCounters {
            requests: value("meltemi_xds_requests_total ")?,
            sent_bytes: value("meltemi_xds_sent_bytes_total ")?,
        })
    }

    /// The last lines of its log.
    pub(crate) fn log_tail(&self) -> String {
        self.child.log_tail()
    }

    /// CPU seconds of the server since its start.
    pub(crate) fn cpu(&self) -> Result<f64> {
        cpu(&self.child.id().to_string())
    }

    /// Resident memory of the server, in kB.
    pub(crate) fn memory(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.with_context(|| format!("{path} has no VmRSS"))
    }
}

/// CPU seconds of this process since its start.
pub(crate) fn own_cpu() -> Result<f64> {
    cpu("self")
}

/// User and system time of all threads, in seconds.
fn cpu(process: &str) -> Result<f64> {
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
    // The second field is the name, in parentheses, and may hold anything.
    let (_, rest) = text.rsplit_once(')').with_context(|| format!("{path} has no name"))?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u32>().ok());
    let (user, system) = (ticks(11), ticks(12));
    let ticks = user.zip(system).with_context(|| format!("{path} has no CPU times"))?;
    Ok(f64::from(ticks.0 + ticks.1) / TICKS)
}
