//! `bench client`: the same load on a server that somebody else runs.
//!
//! Any ADS server that takes Istio's nodes. Only what the streams see is known, and the CPU and
//! memory of a process on this machine if its number is given.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use tokio::{net, time};
use xds::{
    Protocol,
    client::{AdsClient, ClientSettings},
};

use crate::{
    client::{Command, Fleet, FleetSettings, Goal, Kind, ProxyIdentity},
    proc,
    progress::Progress,
    report::{Case, Unit},
    statistics::{as_float, from_count, milliseconds, percentile},
};

/// Streams to a server that is running already.
#[derive(Debug, clap::Args)]
pub(crate) struct Attach {
    /// Where the server listens in plaintext, `host:port`.
    #[arg(long)]
    server: String,
    #[arg(long, default_value_t = 100)]
    pub(crate) streams: usize,
    /// Speak the state of the world, and not delta.
    #[arg(long)]
    sotw: bool,
    /// Namespaces (`ns-0`, `ns-1` …) that the proxies are spread over.
    #[arg(long, default_value_t = 10)]
    namespaces: usize,
    /// Hold the streams for so many seconds and say what they are sent.
    #[arg(long, default_value_t = 0)]
    hold: u64,
    /// Then close all connections and come back with what was held.
    #[arg(long)]
    reconnect: bool,
    /// The server's process on this machine: its CPU and memory are measured too.
    #[arg(long)]
    process: Option<u32>,
}

/// After this long without a response, something is over.
const QUIET: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(600);

impl Attach {
    pub(crate) async fn run(&self, progress: &Progress) -> Result<Vec<Case>> {
        let server = self.resolve().await?;
        let protocol = if self.sotw { Protocol::Sotw } else { Protocol::Delta };
        self.probe(server, protocol).await?;
        let settings = FleetSettings { server, protocol, lags: None, patience: PATIENCE };
        let mut fleet = Fleet::new(settings);
        let mut cases = Vec::new();

        let mut cold = Case::new(format!("{} streams: cold", self.streams));
        let (start, cpu) = (Instant::now(), self.cpu()?);
        fleet.open((0..self.streams).map(|index| self.proxy(index)));
        let synced = fleet.wait("cold sync", progress, Goal::Synced).await?;
        self.add_times(start, &synced, &mut cold);
        self.add_process(cpu, &mut cold)?;
        self.add_sent(&fleet, &mut cold);
        cases.push(cold);
        fleet.wait_quiet(QUIET).await?;

        if self.hold > 0 {
            fleet.reset();
            progress.say(format_args!("the streams are held for {} s", self.hold));
            let cpu = self.cpu()?;
            time::sleep(Duration::from_secs(self.hold)).await;
            let mut held = Case::new(format!("{} streams: held for {} s", self.streams, self.hold));
            self.add_process(cpu, &mut held)?;
            self.add_sent(&fleet, &mut held);
            cases.push(held);
        }
        if self.reconnect {
            fleet.reset();
            let mut again = Case::new(format!("{} streams: reconnect", self.streams));
            let (start, cpu) = (Instant::now(), self.cpu()?);
            fleet.command_all(Command::Reconnect).await;
            let back = fleet.wait("reconnect", progress, Goal::Reconnected).await?;
            let last = fleet.wait_quiet(QUIET).await?;
            // A server that sends nothing leaves the last response where it was: before.
            let last = last.filter(|last| back.last().is_none_or(|back| last > back));
            let times: Vec<Instant> = back.into_iter().chain(last).collect();
            self.add_times(start, &times, &mut again);
            self.add_process(cpu, &mut again)?;
            self.add_sent(&fleet, &mut again);
            cases.push(again);
        }
        Ok(cases)
    }

    async fn resolve(&self) -> Result<SocketAddr> {
        let mut found = net::lookup_host(&self.server)
            .await
            .with_context(|| format!("failed to resolve {}", self.server))?;
        found.next().with_context(|| format!("{} has no address", self.server))
    }

    /// A full client says what is wrong, where the cheap ones only see the end of a stream.
    async fn probe(&self, server: SocketAddr, protocol: Protocol) -> Result<()> {
        let settings = ClientSettings::new(server, protocol, self.proxy(0).node());
        let mut client = AdsClient::connect_with(&settings).await?;
        client.subscribe(Kind::Cluster.type_url(), [], Default::default()).await?;
        let response = time::timeout(PATIENCE, client.next_response());
        response.await.context("the server does not answer")??;
        Ok(())
    }

    fn proxy(&self, index: usize) -> ProxyIdentity {
        let namespace = format!("ns-{}", index % self.namespaces.max(1));
        let address = u32::from(Ipv4Addr::new(10, 130, 0, 0));
        let offset = u32::try_from(index).unwrap_or_default();
        ProxyIdentity {
            name: format!("pod-{index}"),
            workload: format!("pod-{namespace}"),
            namespace,
            address: Ipv4Addr::from(address + offset),
        }
    }

    fn cpu(&self) -> Result<f64> {
        self.process.map_or(Ok(0.0), |process| proc::cpu(&process.to_string()))
    }

    fn add_times(&self, start: Instant, sorted: &[Instant], case: &mut Case) {
        let times: Vec<f64> = sorted.iter().map(|time| milliseconds(*time - start)).collect();
        for (name, percent) in [("first", 0), ("half", 50), ("p99", 99), ("last", 100)] {
            case.add(name, percentile(&times, percent), Unit::Milliseconds);
        }
    }

    fn add_process(&self, cpu_before: f64, case: &mut Case) -> Result<()> {
        if let Some(process) = self.process {
            let resident = proc::resident(&process.to_string())?;
            case.add("server CPU", self.cpu()? - cpu_before, Unit::CpuSeconds);
            case.add("memory", from_count(resident.now) / 1e3, Unit::Megabytes);
            case.add("peak", from_count(resident.peak) / 1e3, Unit::Megabytes);
        }
        Ok(())
    }

    fn add_sent(&self, fleet: &Fleet, case: &mut Case) {
        for (kind, name) in Kind::ALL.into_iter().zip(["CDS", "EDS", "LDS", "RDS", "VHDS"]) {
            let streams = as_float(self.streams.max(1));
            let responses = from_count(fleet.sum(|seen| seen.responses[kind as usize]));
            let bytes = from_count(fleet.sum(|seen| seen.bytes[kind as usize]));
            case.add(&format!("{name} responses a stream"), responses / streams, Unit::Count);
            case.add(&format!("{name} a stream"), bytes / 1e3 / streams, Unit::Kilobytes);
        }
        let failures = from_count(fleet.sum(|seen| seen.failures));
        case.add("failed connections", failures, Unit::Count);
    }
}
