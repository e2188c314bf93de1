//! Endpoints change all the time, one service after the other.
//!
//! As a tool does it that follows a registry: every 20 ms it writes the files that have changed
//! since, each beside the folder and then renamed into it. The next file is due by the clock and
//! not by the last one, so that a slow server is not spared.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::time;

use super::{
    Context,
    plane::{Plane, PlaneSettings, QUIET},
};
use crate::{
    client::{Goal, Lags},
    report::{Case, Unit},
    statistics::{as_float, from_count, median, milliseconds},
};

const BATCH: Duration = Duration::from_millis(20);
/// A server under load may tell its streams in rounds of this length, and be silent in between.
const LONGEST_ROUND: Duration = Duration::from_secs(5);
/// The time is cut into so many parts, of which the last two thirds are compared.
const PARTS: usize = 12;

/// What a part of the time took.
struct Part {
    cpu: f64,
    memory: f64,
}

pub(super) async fn run(context: &Context) -> Result<Vec<Case>> {
    let (services, per_second) = context.pick((2_000, 500), (20, 50));
    let duration = context.pick(Duration::from_secs(60), Duration::from_secs(2));
    let mut settings = PlaneSettings::delta(services, context.pick(10, 2));
    let changes = per_second * u32::try_from(duration.as_secs())?;
    let lags = Arc::new(Lags::new(u32::try_from(services)?, changes));
    settings.lags = Some(Arc::clone(&lags));
    let count = context.streams(1_000, 10);
    let mut plane = Plane::start(context, &settings).await?;
    plane.cold(count, &mut Case::default()).await?;
    plane.fleet.reset();
    context.progress.say(format_args!("{per_second} changes a second for {duration:?}"));

    let meter = plane.meter().await?;
    let parts = plane.write_changes(&lags, (changes, per_second)).await?;
    let behind = plane.streams_behind().await?;
    let used = plane.used(&meter).await?;
    let resources = plane.fleet.sum(|seen| seen.resources);

    let mut case = Case::new(format!("{count} streams, {services} services"));
    let (arrived, [half, p99, last]) = lags.permilles([500, 990, 1_000]);
    for (name, lag) in [("lag p50", half), ("lag p99", p99), ("lag, most", last)] {
        case.add(name, milliseconds(lag), Unit::Milliseconds);
    }
    let all = f64::from(changes) * as_float(count);
    case.add("changes seen one by one", from_count(arrived) / all, Unit::Times);
    case.add("streams behind", as_float(behind), Unit::Count);
    let third = parts.len() / 3;
    let growth = |pick: fn(&Part) -> f64| {
        let of = |parts: &[Part]| median(parts.iter().map(pick).collect());
        of(&parts[2 * third..]) / of(&parts[third..2 * third]).max(0.01)
    };
    case.add("CPU growth", growth(|part| part.cpu), Unit::Times);
    case.add("memory growth", growth(|part| part.memory), Unit::Times);
    let seconds = duration.as_secs_f64();
    case.add("server CPU a second", used.server_cpu / seconds, Unit::CpuSeconds);
    case.add("client CPU a second", used.client_cpu / seconds, Unit::CpuSeconds);
    case.add("resources a second", from_count(resources) / seconds, Unit::Count);
    case.add("sent a second", from_count(used.sent_bytes) / 1e6 / seconds, Unit::Megabytes);
    plane.add_memory(&mut case)?;
    Ok(vec![case])
}

impl Plane<'_> {
    async fn write_changes(
        &self,
        lags: &Lags,
        (changes, per_second): (u32, u32),
    ) -> Result<Vec<Part>> {
        let services = u32::try_from(self.files.size.services)?;
        let start = Instant::now();
        let duration = Duration::from_secs(1) * changes / per_second;
        let (mut written, mut parts, mut cpu) = (0, Vec::new(), self.server.cpu()?);
        let mut ticks = time::interval(BATCH);
        while written < changes {
            ticks.tick().await;
            let due = start.elapsed().as_secs_f64() * f64::from(per_second);
            while written < changes && f64::from(written) < due {
                written += 1;
                let service = usize::try_from((written - 1) % services)?;
                let put = self.files.stage_change(service, written)?;
                lags.write(written);
                put()?;
            }
            let parts_due =
                start.elapsed().as_secs_f64() / duration.as_secs_f64() * as_float(PARTS);
            if as_float(parts.len() + 1) <= parts_due {
                let now = self.server.cpu()?;
                let memory = from_count(self.server.resident()?.now);
                parts.push(Part { cpu: now - cpu, memory });
                cpu = now;
            }
        }
        let late = start.elapsed().saturating_sub(duration);
        if late > BATCH * 5 {
            let progress = &self.context.progress;
            progress.say(format_args!("the files were written {late:?} too slowly"));
        }
        Ok(parts)
    }

    /// How many streams hold something else than one that has just connected.
    pub(super) async fn streams_behind(&mut self) -> Result<usize> {
        self.fleet.wait_quiet(LONGEST_ROUND + QUIET).await?;
        self.open(1);
        self.fleet.wait("one more stream", &self.context.progress, Goal::Synced).await?;
        self.fleet.wait_quiet(QUIET).await?;
        let held = self.fleet.each(|seen| seen.fingerprint);
        let fresh = held.last().copied();
        Ok(held.iter().filter(|held| Some(**held) != fresh).count())
    }
}
