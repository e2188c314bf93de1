//! The control plane as a process, and what it says of itself over its admin port.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use testkit::{
    child::{ChildProcess, ChildSettings},
    http::{Client, Request},
    ports,
};
use tokio::time;

use crate::shop::Shop;

const POLL: Duration = Duration::from_millis(3);
/// A debug build on a loaded machine starts and answers in well under this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Where people look first; used if nobody else is there.
const XDS_PORT: u16 = 15010;
pub(crate) const ADMIN_PORT: u16 = 15014;

/// A control plane, running or killed.
#[derive(Debug)]
pub(crate) struct Plane {
    settings: ChildSettings,
    child: Option<ChildProcess>,
    client: Client,
    pub(crate) xds: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// What the control plane had done at one time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    at: Instant,
    /// Bytes sent, so far.
    bytes: u64,
}

/// How a change came to the proxies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Live {
    /// From the mark until every proxy had acknowledged all that it should have.
    pub(crate) took: Duration,
    pub(crate) bytes: u64,
}

impl Plane {
    /// Prepares a control plane for the files of `shop`; [`Plane::start`] runs it.
    pub(crate) fn new(binary: &Path, shop: &Shop) -> Self {
        let [xds, admin] = [XDS_PORT, ADMIN_PORT]
            .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free_port_like(port))));
        let arguments: [OsString; 11] = [
            "serve".into(),
            "--config".into(),
            shop.config().into(),
            "--mesh-config".into(),
            shop.mesh_config().into(),
            "--identity-directory".into(),
            shop.authority().into(),
            "--xds-address".into(),
            xds.to_string().into(),
            "--admin-address".into(),
            admin.to_string().into(),
        ];
        let settings = ChildSettings {
            program: binary.to_owned(),
            arguments: arguments.into(),
            log: shop.folder().join("meltemi.log"),
        };
        Self { settings, child: None, client: Client::new(), xds, admin }
    }

    /// Starts the process and waits until it is ready.
    pub(crate) async fn start(&mut self) -> Result<Duration> {
        let start = Instant::now();
        let mut child = ChildProcess::start(&self.settings)?;
        loop {
            let ready = Request::get(self.admin, &self.admin.to_string(), "/ready");
            if self.client.send(&ready).await.is_ok_and(|answer| answer.status.is_success()) {
                self.child = Some(child);
                return Ok(start.elapsed());
            }
            if let Some(status) = child.ended()? {
                bail!("the control plane ended with {status}:\n{}", child.log_tail());
            }
            ensure!(
                start.elapsed() < PATIENCE,
                "the control plane is not ready after {PATIENCE:?}:\n{}",
                child.log_tail()
            );
            time::sleep(POLL).await;
        }
    }

    /// Ends the process with SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(child) = self.child.take() {
            child.kill();
        }
    }

    /// The binary, for further commands.
    pub(crate) fn binary(&self) -> &Path {
        &self.settings.program
    }

    pub(crate) fn log(&self) -> &PathBuf {
        &self.settings.log
    }

    async fn text(&self, path: &str) -> Result<String> {
        let request = Request::get(self.admin, &self.admin.to_string(), path);
        let answer = self.client.send(&request.timeout(PATIENCE * 2)).await;
        let answer = answer.with_context(|| format!("the control plane did not answer {path}"))?;
        ensure!(answer.status.is_success(), "{path} answered {}", answer.status);
        Ok(answer.text())
    }

    async fn json(&self, path: &str) -> Result<Value> {
        serde_json::from_str(&self.text(path).await?)
            .with_context(|| format!("{path} did not answer with JSON"))
    }

    async fn bytes(&self) -> Result<u64> {
        let metrics = self.text("/metrics").await?;
        let mut values =
            metrics.lines().filter_map(|line| line.strip_prefix("meltemi_xds_sent_bytes_total "));
        let value = values.next().context("/metrics has no meltemi_xds_sent_bytes_total")?;
        value.trim().parse().context("meltemi_xds_sent_bytes_total is not a number")
    }

    /// Remembers the state before a change.
    pub(crate) async fn mark(&self) -> Result<Mark> {
        Ok(Mark { bytes: self.bytes().await?, at: Instant::now() })
    }

    /// A mark of a control plane that has done nothing yet.
    pub(crate) fn mark_of_nothing() -> Mark {
        Mark { at: Instant::now(), bytes: 0 }
    }

    /// Waits until every one of `count` proxies has acknowledged the files as they are now.
    pub(crate) async fn wait_live(&self, mark: &Mark, count: usize) -> Result<Live> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let report = self.wait_once(PATIENCE).await?;
            let took = mark.at.elapsed();
            ensure!(report["outcome"] == "live", "the change is not live: {report}");
            let connected = report["total"].as_u64().unwrap_or_default();
            if connected >= count as u64 {
                return Ok(Live { took, bytes: self.bytes().await?.saturating_sub(mark.bytes) });
            }
            ensure!(
                Instant::now() < deadline,
                "only {connected} of {count} proxies are connected after {PATIENCE:?}"
            );
            time::sleep(POLL).await;
        }
    }

    /// Which proxies hold back what for so long, and why.
    pub(crate) async fn held_back(&self, time: Duration) -> Result<Vec<String>> {
        let report = self.wait_once(time).await?;
        let waiting = report["waiting"].as_array().into_iter().flatten();
        let lines = waiting.flat_map(|proxy| {
            let reasons = proxy["heldBack"].as_array().into_iter().flatten();
            reasons.map(|reason| format!("{}: {}", text(&proxy["proxy"]), text(reason)))
        });
        Ok(lines.collect())
    }

    /// What `meltemi wait` asks: is the content of the files, as it is now, live everywhere?
    async fn wait_once(&self, timeout: Duration) -> Result<Value> {
        let answer = self.text(&format!("/api/wait?timeout={}", timeout.as_millis())).await?;
        let last = answer.lines().last().context("/api/wait said nothing")?;
        serde_json::from_str(last).context("/api/wait did not answer with JSON")
    }

    /// What each connected proxy has proven to be.
    pub(crate) async fn identities(&self) -> Result<BTreeMap<String, String>> {
        let list = self.json("/debug/proxies").await?;
        let items = list["items"].as_array().context("/debug/proxies has no `items`")?;
        Ok(items.iter().map(|item| (text(&item["proxy"]), text(&item["identity"]))).collect())
    }

    /// The versions of a secret that the connected proxies have acknowledged.
    pub(crate) async fn secret_versions(&self, name: &str) -> Result<BTreeMap<String, String>> {
        let mut versions = BTreeMap::new();
        for proxy in self.identities().await?.into_keys() {
            let dump = self.json(&format!("/debug/config_dump?proxy={proxy}")).await?;
            let resources = dump["resources"].as_array().into_iter().flatten();
            let mut secrets = resources.filter(|it| it["type"] == "secret" && it["name"] == name);
            let version = secrets.next().map(|it| text(&it["acknowledged"])).unwrap_or_default();
            versions.insert(proxy, version);
        }
        Ok(versions)
    }

    /// Places and messages of what is wrong with the files.
    pub(crate) async fn findings(&self) -> Result<Vec<(String, String)>> {
        let list = self.json("/debug/findings").await?;
        let items = list["items"].as_array().context("/debug/findings has no `items`")?;
        let pair = |item: &Value| (text(&item["location"]), text(&item["message"]));
        Ok(items.iter().map(pair).collect())
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
