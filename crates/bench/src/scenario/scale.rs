//! As many streams as one machine holds.

use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::time;

use super::{
    Context,
    plane::{Plane, PlaneSettings, QUIET, Times},
};
use crate::{
    client::Goal,
    report::{Case, Unit},
    statistics::{as_float, from_count},
};

/// What allocators are given to hand memory back.
const REST: Duration = Duration::from_secs(3);

/// Memory with one stream of each workload, and then with many more.
pub(super) async fn run_memory(context: &Context) -> Result<Vec<Case>> {
    let settings = PlaneSettings::delta(context.pick(1_000, 20), context.pick(10, 2));
    let count = context.streams(10_000, 40);
    let mut plane = Plane::start(context, &settings).await?;
    let first = settings.mesh.workloads;
    plane.cold(first, &mut Case::default()).await?;
    let rest = context.pick(REST, QUIET);
    time::sleep(rest).await;
    let one_each = plane.server.resident()?.now;
    let mut case = Case::new(format!("{count} streams of {first} workloads"));
    plane.cold(count - first, &mut case).await?;
    time::sleep(rest).await;
    let all = plane.server.resident()?.now;
    case.add("with one of each", from_count(one_each) / 1e3, Unit::Megabytes);
    case.add("with all", from_count(all) / 1e3, Unit::Megabytes);
    let each = from_count(all.saturating_sub(one_each)) / as_float(count - first);
    case.add("memory a stream", each, Unit::Kilobytes);
    // Some of that is what the first sync left behind; what a second one adds is not.
    plane.reconnect(&mut Case::default()).await?;
    time::sleep(rest).await;
    let again = plane.server.resident()?.now;
    let each = from_count(again.saturating_sub(one_each)) / as_float(count - first);
    case.add("memory a stream after a reconnect", each, Unit::Kilobytes);
    Ok(vec![case])
}

/// A plane that everybody connects to at once.
pub(super) async fn run_many(context: &Context) -> Result<Vec<Case>> {
    let settings = PlaneSettings::delta(context.pick(1_000, 20), context.pick(10, 2));
    let count = context.streams(20_000, 50);
    let mut plane = Plane::start(context, &settings).await?;
    let mut case = Case::new(format!("{count} streams"));
    let meter = plane.meter().await?;
    plane.open(count);
    let progress = &context.progress;
    let connected = plane.fleet.wait("connecting", progress, Goal::Connected).await?;
    let connected = Times::new(meter.start, &connected);
    case.add("all connected", connected.last / 1e3, Unit::Seconds);
    let synced = plane.fleet.wait("cold sync", progress, Goal::Synced).await?;
    case.add("all in sync", Times::new(meter.start, &synced).last / 1e3, Unit::Seconds);
    let used = plane.used(&meter).await?;
    case.add_used(&used);
    case.add("sent", from_count(used.sent_bytes) / 1e6, Unit::Megabytes);
    case.add("time-outs", from_count(plane.fleet.sum(|seen| seen.timeouts)), Unit::Count);
    case.add("failed connections", from_count(plane.fleet.sum(|seen| seen.failures)), Unit::Count);
    plane.fleet.wait_quiet(QUIET).await?;
    let resident = plane.server.resident()?;
    case.add("memory", from_count(resident.now) / 1e3, Unit::Megabytes);
    case.add("peak", from_count(resident.peak) / 1e3, Unit::Megabytes);
    let begun = Instant::now();
    let mut endpoint = Case::default();
    plane
        .change(super::change::Change::Endpoint, (context.pick(3, 1), count), &mut endpoint)
        .await?;
    case.add(
        "one endpoint changes: last",
        endpoint.get("last").unwrap_or_default(),
        Unit::Milliseconds,
    );
    progress.say(format_args!("changes took {:?}", begun.elapsed()));
    Ok(vec![case])
}
