//! A control plane with its files and its streams, for the length of one measurement.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use tempfile::TempDir;
use xds::Protocol;

use super::Context;
use crate::{
    client::{Fleet, FleetSettings, Goal, Lags},
    mesh::{MeshFiles, MeshSize, RouteScope},
    proc::{self, Resident},
    report::{Case, Unit},
    server::MeasuredServer,
    statistics::{as_float, from_count, milliseconds, percentile},
};

/// After this long without a response, something is over.
pub(super) const QUIET: Duration = Duration::from_millis(200);
/// A wait that takes longer than this fails.
const PATIENCE: Duration = Duration::from_secs(300);

/// What there is to measure on.
#[derive(Clone, Debug)]
pub(super) struct PlaneSettings {
    pub(super) mesh: MeshSize,
    pub(super) protocol: Protocol,
    pub(super) lags: Option<Arc<Lags>>,
    /// Fences around all workloads, each of which declares so many services.
    pub(super) fenced: Option<usize>,
}

impl PlaneSettings {
    pub(super) fn delta(services: usize, endpoints: usize) -> Self {
        let route_scope = RouteScope::Everybody;
        let (workloads, backends) = (20, None);
        let mesh = MeshSize { services, endpoints, workloads, route_scope, backends };
        Self { mesh, protocol: Protocol::Delta, lags: None, fenced: None }
    }
}

/// Everything ends in the order of the fields.
pub(super) struct Plane<'a> {
    pub(super) context: &'a Context,
    pub(super) fleet: Fleet,
    pub(super) server: MeasuredServer,
    pub(super) files: MeshFiles,
    /// Of the server, when it was ready.
    pub(super) idle: Resident,
    _folder: TempDir,
}

/// The state before a measurement.
pub(super) struct Meter {
    pub(super) start: Instant,
    server_cpu: f64,
    client_cpu: f64,
    sent_bytes: u64,
}

/// What was used since.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    pub(super) server_cpu: f64,
    pub(super) client_cpu: f64,
    pub(super) sent_bytes: u64,
}

/// When streams had something, from the start of a measurement, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    pub(super) first: f64,
    pub(super) half: f64,
    pub(super) p99: f64,
    pub(super) last: f64,
}

impl Times {
    pub(super) fn new(start: Instant, sorted: &[Instant]) -> Self {
        let sorted: Vec<f64> =
            sorted.iter().map(|time| milliseconds(time.saturating_duration_since(start))).collect();
        let [first, half, p99, last] = [0, 50, 99, 100].map(|percent| percentile(&sorted, percent));
        Self { first, half, p99, last }
    }
}

/// A new folder that is gone when it is dropped.
pub(super) fn temporary_folder() -> Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("meltemi-bench-").tempdir()?)
}

impl<'a> Plane<'a> {
    /// Starts the control plane and waits until it is ready.
    pub(super) async fn start(context: &'a Context, settings: &PlaneSettings) -> Result<Self> {
        let folder = temporary_folder()?;
        let files = MeshFiles::write(settings.mesh, folder.path())?;
        if let Some(services) = settings.fenced {
            files.write_fences(services)?;
        }
        let log = folder.path().join("server.log");
        let mut server = MeasuredServer::start(&context.meltemi, &files.folder, &log)?;
        server.wait_ready().await?;
        Self::on(context, settings, server, files, folder)
    }

    /// Measures a server that is ready.
    pub(super) fn on(
        context: &'a Context,
        settings: &PlaneSettings,
        server: MeasuredServer,
        files: MeshFiles,
        folder: TempDir,
    ) -> Result<Self> {
        let PlaneSettings { protocol, lags, .. } = settings.clone();
        let server_address = server.xds;
        let fleet = Fleet::new(FleetSettings {
            server: server_address,
            protocol,
            lags,
            patience: PATIENCE,
        });
        let idle = server.resident()?;
        server.forget_peak();
        Ok(Self { context, fleet, server, files, idle, _folder: folder })
    }

    pub(super) async fn meter(&self) -> Result<Meter> {
        let sent_bytes = self.server.counters().await?.sent_bytes;
        Ok(Meter {
            sent_bytes,
            server_cpu: self.server.cpu()?,
            client_cpu: proc::cpu("self")?,
            start: Instant::now(),
        })
    }

    pub(super) async fn used(&self, meter: &Meter) -> Result<Used> {
        let (server_cpu, client_cpu) = (self.server.cpu()?, proc::cpu("self")?);
        let sent_bytes = self.server.counters().await?.sent_bytes;
        Ok(Used {
            server_cpu: server_cpu - meter.server_cpu,
            client_cpu: client_cpu - meter.client_cpu,
            sent_bytes: sent_bytes.saturating_sub(meter.sent_bytes),
        })
    }

    /// Opens `count` further streams.
    pub(super) fn open(&mut self, count: usize) {
        let (start, mesh) = (self.fleet.len(), self.files.size);
        self.fleet.open((start..start + count).map(|index| mesh.proxy(index)));
    }

    /// Opens `count` streams at once and waits until they have everything.
    pub(super) async fn cold(&mut self, count: usize, case: &mut Case) -> Result<()> {
        let meter = self.meter().await?;
        self.open(count);
        let progress = &self.context.progress;
        let synced = self.fleet.wait("cold sync", progress, Goal::Synced).await;
        let synced = synced.inspect_err(|_| eprintln!("{}", self.server.log_tail()))?;
        let used = self.used(&meter).await?;
        let times = Times::new(meter.start, &synced);
        case.add_times(&times);
        case.add_used(&used);
        let streams = as_float(count);
        case.add("CPU a stream", used.server_cpu * 1e3 / streams, Unit::CpuMilliseconds);
        let bytes = self.fleet.sum(|seen| seen.bytes.iter().sum());
        case.add("sent a stream", from_count(bytes) / 1e3 / streams, Unit::Kilobytes);
        self.fleet.wait_quiet(QUIET).await?;
        self.add_memory(case)?;
        progress.say(format_args!("cold sync of {count} streams: {:.0} ms", times.last));
        Ok(())
    }

    /// Memory of the server over what it was when it was ready: now, and at most.
    pub(super) fn add_memory(&self, case: &mut Case) -> Result<()> {
        let Resident { now, peak } = self.server.resident()?;
        let over = |value: u64| from_count(value.saturating_sub(self.idle.now)) / 1e3;
        case.add("idle", from_count(self.idle.now) / 1e3, Unit::Megabytes);
        case.add("memory over idle", over(now), Unit::Megabytes);
        case.add("peak over idle", over(peak), Unit::Megabytes);
        Ok(())
    }
}

impl Case {
    pub(super) fn add_times(&mut self, times: &Times) {
        let Times { first, half, p99, last } = *times;
        for (name, value) in [("first", first), ("half", half), ("p99", p99), ("last", last)] {
            self.add(name, value, Unit::Milliseconds);
        }
    }

    pub(super) fn add_used(&mut self, used: &Used) {
        self.add("server CPU", used.server_cpu, Unit::CpuSeconds);
        self.add("client CPU", used.client_cpu, Unit::CpuSeconds);
    }
}
