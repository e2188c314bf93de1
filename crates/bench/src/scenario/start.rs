//! From the start of the process until one stream has everything.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::{net::TcpStream, time};
use xds::Protocol;

use super::{
    Context,
    plane::{PlaneSettings, QUIET, temporary_folder},
};
use crate::{
    client::{Fleet, FleetSettings, Goal, Kind},
    mesh::{EntriesMesh, MeshFiles},
    proc::Resident,
    report::{Case, Unit},
    server::MeasuredServer,
    statistics::{from_count, median, milliseconds},
};

const POLL: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(600);

/// A server with its first stream.
pub(super) struct Started {
    fleet: Fleet,
    server: MeasuredServer,
    pub(super) figures: Figures,
}

/// What a start took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figures {
    complete_s: f64,
    cpu: f64,
    resident: Resident,
    bytes: u64,
}

async fn start(
    context: &Context,
    config: &std::path::Path,
    settings: &PlaneSettings,
) -> Result<Started> {
    let log = config.with_extension("log");
    let server = MeasuredServer::start(&context.meltemi, config, &log)?;
    first_stream(context, server, settings).await
}

/// Connects one stream to a server that has just been started.
pub(super) async fn first_stream(
    context: &Context,
    mut server: MeasuredServer,
    settings: &PlaneSettings,
) -> Result<Started> {
    // A proxy that starts together with the plane would try again and again.
    while TcpStream::connect(server.xds).await.is_err() {
        server.require_running()?;
        ensure!(server.started.elapsed() < PATIENCE, "nobody listens:\n{}", server.log_tail());
        time::sleep(POLL).await;
    }
    let (address, protocol) = (server.xds, Protocol::Delta);
    let settings_of_fleet =
        FleetSettings { server: address, protocol, lags: None, patience: PATIENCE };
    let mut fleet = Fleet::new(settings_of_fleet);
    fleet.open([settings.mesh.proxy(0)]);
    let synced = fleet.wait("start", &context.progress, Goal::Synced).await?;
    let complete = synced.first().map_or(Duration::ZERO, |time| *time - server.started);
    let complete_s = complete.as_secs_f64();
    let (cpu, resident) = (server.cpu()?, server.resident()?);
    let bytes = fleet.sum(|seen| seen.bytes.iter().sum());
    context.progress.say(format_args!("the first stream is complete after {complete_s:.2} s"));
    let figures = Figures { complete_s, cpu, resident, bytes };
    Ok(Started { fleet, server, figures })
}

pub(super) fn add_figures(starts: &[Figures], case: &mut Case) {
    let pick = |pick: fn(&Figures) -> f64| median(starts.iter().map(pick).collect());
    case.add("first stream complete", pick(|it| it.complete_s), Unit::Seconds);
    let best = starts.iter().map(|it| it.complete_s).fold(f64::INFINITY, f64::min);
    case.add("best", best, Unit::Seconds);
    case.add("server CPU", pick(|it| it.cpu), Unit::CpuSeconds);
    case.add("memory", pick(|it| from_count(it.resident.now) / 1e3), Unit::Megabytes);
    case.add("peak", pick(|it| from_count(it.resident.peak) / 1e3), Unit::Megabytes);
    case.add("sent", pick(|it| from_count(it.bytes) / 1e3), Unit::Kilobytes);
}

pub(super) async fn run(context: &Context) -> Result<Vec<Case>> {
    let settings = PlaneSettings::delta(context.pick(2_000, 20), context.pick(50, 2));
    let folder = temporary_folder()?;
    let files = MeshFiles::write(settings.mesh, folder.path())?;
    let mut starts = Vec::new();
    for _ in 0..context.pick(3, 1) {
        starts.push(start(context, &files.folder, &settings).await?.figures);
    }
    let mut case = Case::new("one stream");
    add_figures(&starts, &mut case);
    Ok(vec![case])
}

pub(super) async fn run_entries(context: &Context) -> Result<Vec<Case>> {
    let settings = PlaneSettings::delta(1, 1);
    let (services, workloads) = context.pick((30_000, 100_000), (30, 100));
    let mut cases = Vec::new();
    for namespaces in [10, 1] {
        let folder = temporary_folder()?;
        let mesh = EntriesMesh { services, workloads, namespaces };
        let config = mesh.write(folder.path())?;
        let started = start(context, &config, &settings).await?;
        let mut case = Case::new(match namespaces {
            1 => "all in one namespace".to_owned(),
            _ => format!("{namespaces} namespaces"),
        });
        let mut times = Vec::new();
        let Started { fleet, server, .. } = &started;
        let rounds = context.pick(5, 2);
        let before = server.cpu()?;
        for round in 1..=rounds {
            fleet.wait_quiet(QUIET).await?;
            fleet.reset();
            let put = mesh.stage_change(&config, round)?;
            let begin = Instant::now();
            put()?;
            let goal = Goal::First(Kind::Endpoint);
            let arrived = fleet.wait("one WorkloadEntry changes", &context.progress, goal).await?;
            times.extend(arrived.first().map(|time| milliseconds(*time - begin)));
        }
        fleet.wait_quiet(QUIET).await?;
        let cpu = (server.cpu()? - before) / f64::from(rounds);
        add_figures(&[started.figures], &mut case);
        case.add("one WorkloadEntry changes", median(times), Unit::Milliseconds);
        case.add("CPU of the change", cpu, Unit::CpuSeconds);
        cases.push(case);
    }
    Ok(cases)
}
