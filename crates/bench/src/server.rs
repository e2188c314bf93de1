//! A server that is measured: a process, its CPU time, its memory and its counters.

use std::{
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use testkit::{
    child::{ChildProcess, ChildSettings},
    http::{Client, Request},
    ports,
};
use tokio::{net::TcpStream, time};

use crate::proc::{self, Resident};

const POLL: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(120);

/// istiod reads its settings before it begins. Without a limit of connects a second (25 on two
/// cores) nothing but that limit would be measured; certificates are not compared.
const ISTIOD_SETTINGS: [&str; 3] =
    ["PILOT_MAX_REQUESTS_PER_SECOND=100000", "ENABLE_CA_SERVER=false", "PILOT_CERT_PROVIDER=none"];

/// A running server. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct MeasuredServer {
    child: ChildProcess,
    settings: ChildSettings,
    process: String,
    client: Client,
    pub(crate) xds: SocketAddr,
    /// Where counters are; only a control plane has them.
    admin: Option<SocketAddr>,
    /// When it was started.
    pub(crate) started: Instant,
}

/// What the server's own counters say, since its start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ServerCounters {
    pub(crate) requests: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) compiled: u64,
    pub(crate) jobs: u64,
    pub(crate) notified: u64,
}

impl ServerCounters {
    fn parse(metrics: &str) -> Result<Self> {
        let value = |name: &str| {
            let mut values = metrics.lines().filter_map(|line| line.strip_prefix(name));
            let value = values.find_map(|rest| rest.trim().parse().ok());
            value.with_context(|| format!("/metrics has no {name}"))
        };
        Ok(Self {
            requests: value("meltemi_xds_requests_total ")?,
            sent_bytes: value("meltemi_xds_sent_bytes_total ")?,
            compiled: value("meltemi_engine_compiled_total ")?,
            jobs: value("meltemi_engine_jobs_total ")?,
            notified: value("meltemi_engine_notified_total ")?,
        })
    }
}

impl MeasuredServer {
    /// Starts the control plane `binary` on the files in `config`; it may not be ready yet.
    pub(crate) fn start(binary: &Path, config: &Path, log: &Path) -> Result<Self> {
        Self::start_with(binary, config, log, &[])
    }

    /// As [`Self::start`], with further arguments.
    pub(crate) fn start_with(
        binary: &Path,
        config: &Path,
        log: &Path,
        further: &[OsString],
    ) -> Result<Self> {
        let admin = free_address();
        let arguments: [OsString; 7] = [
            "serve".into(),
            "--config".into(),
            config.into(),
            "--admin-address".into(),
            admin.to_string().into(),
            "--log".into(),
            "warn".into(),
        ];
        let mut arguments = Vec::from(arguments);
        arguments.extend_from_slice(further);
        Self::start_child(binary, arguments, log, Some(admin))
    }

    /// Starts an istiod, as `xtask/istiod` builds it, on the same files. `environment` are further
    /// settings of it.
    pub(crate) fn start_istiod(
        binary: &Path,
        config: &Path,
        log: &Path,
        environment: &[&str],
    ) -> Result<Self> {
        let settings = ISTIOD_SETTINGS.iter().chain(environment).map(OsString::from);
        let mut arguments: Vec<OsString> = settings.collect();
        arguments.extend([binary.into(), "--config".into(), config.into()]);
        Self::start_child(Path::new("/usr/bin/env"), arguments, log, None)
    }

    /// Starts this program as a server that only replays what is in `recording`.
    pub(crate) fn start_replay(recording: &Path, log: &Path) -> Result<Self> {
        let binary = std::env::current_exe()?;
        let arguments = vec!["replay".into(), recording.into()];
        Self::start_child(&binary, arguments, log, None)
    }

    fn start_child(
        binary: &Path,
        mut arguments: Vec<OsString>,
        log: &Path,
        admin: Option<SocketAddr>,
    ) -> Result<Self> {
        let xds = free_address();
        arguments.extend(["--xds-address".into(), xds.to_string().into()]);
        let (program, log) = (binary.to_owned(), log.to_owned());
        Self::run(ChildSettings { program, arguments, log }, xds, admin)
    }

    fn run(settings: ChildSettings, xds: SocketAddr, admin: Option<SocketAddr>) -> Result<Self> {
        let started = Instant::now();
        let child = ChildProcess::start(&settings)?;
        let process = child.id().to_string();
        Ok(Self { child, settings, process, client: Client::keep_alive(), xds, admin, started })
    }

    /// Kills the server and starts it again, at the same addresses; it may not be ready yet.
    pub(crate) fn restart(self) -> Result<Self> {
        let Self { child, settings, xds, admin, .. } = self;
        child.kill();
        Self::run(settings, xds, admin)
    }

    /// Waits until it answers: the control plane when it is ready.
    pub(crate) async fn wait_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let is_ready = match self.admin {
                Some(admin) => self.get(admin, "/ready").await.is_ok(),
                None => TcpStream::connect(self.xds).await.is_ok(),
            };
            if is_ready {
                return Ok(());
            }
            self.require_running()?;
            let tail = || self.child.log_tail();
            ensure!(Instant::now() < deadline, "the server is not ready:\n{}", tail());
            time::sleep(POLL).await;
        }
    }

    /// Fails if it has ended, with what it said.
    pub(crate) fn require_running(&mut self) -> Result<()> {
        if let Some(status) = self.child.ended()? {
            bail!("the server ended with {status}:\n{}", self.child.log_tail());
        }
        Ok(())
    }

    async fn get(&self, admin: SocketAddr, path: &str) -> Result<String> {
        let answer = self.client.send(&Request::get(admin, &admin.to_string(), path)).await?;
        ensure!(answer.status.is_success(), "{path} answered {}", answer.status);
        Ok(answer.text())
    }

    /// Zeros where there are none.
    pub(crate) async fn counters(&self) -> Result<ServerCounters> {
        match self.admin {
            Some(admin) => ServerCounters::parse(&self.get(admin, "/metrics").await?),
            None => Ok(ServerCounters::default()),
        }
    }

    async fn page(&self, path: &str) -> Result<Value> {
        let admin = self.admin.context("the server has no admin port")?;
        Ok(serde_json::from_str(&self.get(admin, path).await?)?)
    }

    /// How many proxies have acknowledged all that they should have.
    pub(crate) async fn synced(&self) -> Result<usize> {
        let list = self.page("/debug/proxies").await?;
        let proxies = list["items"].as_array().into_iter().flatten();
        Ok(proxies.filter(|proxy| proxy["state"] == "SYNCED").count())
    }

    /// How many virtual hosts proxies have asked it for.
    pub(crate) async fn questions(&self) -> Result<u64> {
        let counters = self.page("/debug/counters").await?;
        counters["questions"].as_u64().context("/debug/counters has no `questions`")
    }

    /// The last lines of its log.
    pub(crate) fn log_tail(&self) -> String {
        self.child.log_tail()
    }

    /// CPU seconds of the server since its start.
    pub(crate) fn cpu(&self) -> Result<f64> {
        proc::cpu(&self.process)
    }

    /// Memory of the server.
    pub(crate) fn resident(&self) -> Result<Resident> {
        proc::resident(&self.process)
    }

    /// Makes the peak of its memory begin anew.
    pub(crate) fn forget_peak(&self) {
        proc::forget_peak(&self.process);
    }
}

fn free_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free_port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_among_metrics() {
        let metrics = "# HELP meltemi_xds_requests Requests decoded.\n\
                       meltemi_xds_requests_total 7\nmeltemi_xds_sent_bytes_total 900\n\
                       meltemi_engine_compiled_total 5\nmeltemi_engine_jobs_total 6\n\
                       meltemi_engine_notified_total 4\n# EOF\n";
        let counters = ServerCounters::parse(metrics).unwrap();
        assert_eq!([counters.requests, counters.sent_bytes, counters.compiled], [7, 900, 5]);
        let error = ServerCounters::parse("").unwrap_err();
        assert_eq!(error.to_string(), "/metrics has no meltemi_xds_requests_total ");
    }
}
