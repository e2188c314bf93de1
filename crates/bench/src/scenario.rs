//! What is measured, in order, for one number of streams and one protocol.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::time;
use xds::Protocol;

use crate::{
    mesh::MeshSize,
    output::{Figure, Memory, Scenario, protocol_name},
    progress::Progress,
    server::{MeasuredServer, own_cpu},
    stream::Kind,
    streams::{PATIENCE, Streams},
};

/// What to measure.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) meltemi: PathBuf,
    pub(crate) mesh: MeshSize,
    /// How often a change is made.
    pub(crate) rounds: usize,
}

/// After this long without a response, a change is over.
const QUIET: Duration = Duration::from_millis(200);

/// The figures of `count` streams.
pub(crate) async fn run(plan: &Plan, count: usize, protocol: Protocol) -> Result<Vec<Figure>> {
    let progress = Progress::new(format_args!("{count} streams, {}", protocol_name(protocol)));
    let folder = tempfile::Builder::new().prefix("meltemi-bench-").tempdir()?;
    let config = folder.path().join("config");
    std::fs::create_dir(&config)?;
    plan.mesh.write(&config)?;
    let mut bench = Bench::start(plan, count, protocol, &folder, progress).await?;
    let figures = bench.run().await;
    let figures = figures.with_context(|| format!("{count} streams, {protocol}"));
    if figures.is_err() {
        eprintln!("{}", bench.server.log_tail());
    }
    let mut figures = figures?;
    drop(bench);
    figures.push(memory(plan, count, protocol, &folder, progress).await?);
    Ok(figures)
}

struct Bench<'a> {
    plan: &'a Plan,
    count: usize,
    protocol: Protocol,
    config: PathBuf,
    progress: Progress,
    server: MeasuredServer,
    streams: Streams,
}

/// The state before a measurement.
struct Meter {
    start: Instant,
    server_cpu: f64,
    client_cpu: f64,
    sent_bytes: u64,
}

/// Times from the start of a measurement, one for each stream, sorted.
struct Times(Vec<Duration>);

impl Times {
    fn new(start: Instant, times: &[Instant]) -> Self {
        Self(times.iter().map(|time| time.saturating_duration_since(start)).collect())
    }

    fn median(&self) -> Duration {
        self.0.get(self.0.len() / 2).copied().unwrap_or_default()
    }

    fn last(&self) -> Duration {
        self.0.last().copied().unwrap_or_default()
    }
}

impl<'a> Bench<'a> {
    async fn start(
        plan: &'a Plan,
        count: usize,
        protocol: Protocol,
        folder: &TempDir,
        progress: Progress,
    ) -> Result<Self> {
        let config = folder.path().join("config");
        let log = folder.path().join("meltemi.log");
        let server = MeasuredServer::start(&plan.meltemi, &config, &log).await?;
        progress.say("the control plane is ready");
        Ok(Self { plan, count, protocol, config, progress, server, streams: Streams::new() })
    }

    async fn run(&mut self) -> Result<Vec<Figure>> {
        let mut figures = vec![self.cold().await?];
        let mesh = self.plan.mesh;
        let endpoint = |config: &PathBuf, round| mesh.change_endpoint(config, round);
        figures.push(self.change(Scenario::Endpoint, Kind::Endpoint, endpoint).await?);
        let route = |config: &PathBuf, round| mesh.change_route(config, round);
        figures.push(self.change(Scenario::Route, Kind::Route, route).await?);
        figures.push(self.reconnect().await?);
        let failures = self.streams.sum(|seen| seen.failures.into());
        if failures > 0 {
            self.progress.say(format_args!("{failures} connections failed and were opened again"));
        }
        Ok(figures)
    }

    async fn meter(&self) -> Result<Meter> {
        let counters = self.server.counters().await?;
        Ok(Meter {
            server_cpu: self.server.cpu()?,
            client_cpu: own_cpu()?,
            sent_bytes: counters.sent_bytes,
            start: Instant::now(),
        })
    }

    /// The figure of what happened since `meter`, `rounds` times.
    async fn figure(
        &self,
        scenario: Scenario,
        meter: &Meter,
        times: &[Times],
        resources: u64,
    ) -> Result<Figure> {
        let now = self.meter().await?;
        let rounds = times.len().max(1);
        // Counts of a bench are far below 2^52.
        #[expect(clippy::cast_precision_loss)]
        let per_round = |value: f64| value / rounds as f64;
        let rounds = rounds as u64;
        let milliseconds = |pick: fn(&Times) -> Duration| {
            let mut values: Vec<Duration> = times.iter().map(pick).collect();
            values.sort_unstable();
            values.get(values.len() / 2).map_or(0.0, |value| value.as_secs_f64() * 1e3)
        };
        Ok(Figure {
            scenario,
            streams: self.count,
            protocol: protocol_name(self.protocol).to_owned(),
            median_ms: milliseconds(Times::median),
            last_ms: milliseconds(Times::last),
            server_cpu_s: per_round(now.server_cpu - meter.server_cpu),
            client_cpu_s: per_round(now.client_cpu - meter.client_cpu),
            sent_bytes: (now.sent_bytes - meter.sent_bytes) / rounds,
            resources: resources / rounds,
            memory: None,
        })
    }

    async fn cold(&mut self) -> Result<Figure> {
        let meter = self.meter().await?;
        let (mesh, address) = (self.plan.mesh, self.server.xds);
        self.streams.open(0..self.count, &mesh, address, self.protocol);
        let synced = self.streams.wait("cold sync", &self.progress, |seen| seen.synced).await?;
        let times = Times::new(meter.start, &synced);
        let resources = self.streams.sum(|seen| seen.resources as u64);
        let figure = self.figure(Scenario::Cold, &meter, &[times], resources).await?;
        self.progress.say(format_args!("cold sync: {:.0} ms", figure.last_ms));
        self.streams.wait_quiet(QUIET).await?;
        Ok(figure)
    }

    /// Writes a file, several times, and waits until every stream has had the response that says so.
    async fn change(
        &mut self,
        scenario: Scenario,
        kind: Kind,
        write: impl Fn(&PathBuf, usize) -> Result<()>,
    ) -> Result<Figure> {
        let mut rounds = Vec::new();
        let mut resources = 0;
        let meter = self.meter().await?;
        for round in 1..=self.plan.rounds {
            self.streams.reset();
            let start = Instant::now();
            write(&self.config, round)?;
            let name = scenario.title();
            let times = self.streams.wait(name, &self.progress, |seen| seen.first(kind)).await?;
            rounds.push(Times::new(start, &times));
            self.streams.wait_quiet(QUIET).await?;
            resources += self.streams.sum(|seen| seen.resources as u64);
        }
        let figure = self.figure(scenario, &meter, &rounds, resources).await?;
        self.progress.say(format_args!("{}: {:.1} ms", scenario.title(), figure.last_ms));
        Ok(figure)
    }

    /// Every stream comes back with what it has. The server is done when it has read all requests,
    /// and, should it send something, when that has come.
    async fn reconnect(&mut self) -> Result<Figure> {
        self.streams.reset();
        let before = self.server.counters().await?;
        let meter = self.meter().await?;
        self.streams.reconnect().await;
        let sent = |seen: &crate::streams::Seen| seen.reconnected.map(|_| meter.start);
        self.streams.wait("reconnect", &self.progress, sent).await?;
        let requests = self.streams.sum(|seen| seen.reconnected.unwrap_or_default());
        let deadline = Instant::now() + PATIENCE;
        let read = loop {
            let read = self.server.counters().await?.requests - before.requests;
            if read >= requests {
                break Instant::now();
            }
            ensure!(
                Instant::now() < deadline,
                "reconnect: the server has read {read} of {requests} requests"
            );
            time::sleep(Duration::from_millis(2)).await;
        };
        let last = self.streams.wait_quiet(QUIET).await?.map_or(read, |last| last.max(read));
        let resources = self.streams.sum(|seen| seen.resources as u64);
        let times = [Times::new(meter.start, &[last])];
        let figure = self.figure(Scenario::Reconnect, &meter, &times, resources).await?;
        self.progress
            .say(format_args!("reconnect: {:.0} ms, {resources} resources sent", figure.last_ms));
        Ok(figure)
    }
}

/// Memory of the server: with one stream of each workload, and with all of them.
async fn memory(
    plan: &Plan,
    count: usize,
    protocol: Protocol,
    folder: &TempDir,
    progress: Progress,
) -> Result<Figure> {
    let mut bench = Bench::start(plan, count, protocol, folder, progress).await?;
    let idle = bench.server.memory()?;
    let first = plan.mesh.workloads.min(count);
    let address = bench.server.xds;
    let mut held = [0; 2];
    for (held, indices) in held.iter_mut().zip([0..first, first..count]) {
        bench.streams.open(indices, &plan.mesh, address, protocol);
        bench.streams.wait("memory", &progress, |seen| seen.synced).await?;
        bench.streams.wait_quiet(QUIET * 5).await?;
        *held = bench.server.memory()?;
    }
    let [one_each, all] = held;
    let further = (count - first).max(1) as u64;
    let memory = Memory {
        idle_kb: idle,
        one_each_kb: one_each,
        all_kb: all,
        per_stream_kb: all.saturating_sub(one_each) / further,
    };
    progress.say(format_args!("memory: {} kB per further stream", memory.per_stream_kb));
    Ok(Figure { memory: Some(memory), ..Figure::empty(Scenario::Memory, count, protocol) })
}
