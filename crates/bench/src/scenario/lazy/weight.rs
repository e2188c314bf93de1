//! What an Envoy holds and how it starts, when it is told of everything and of what it calls.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tokio::time;

use super::{Context, FULL, ON_DEMAND, Sidecar, World, callers, calls::called};
use crate::{
    proc,
    report::{Case, Unit},
    statistics::{from_count, median},
};

/// An Envoy gives memory back that its start has needed.
const SETTLE: [Duration; 2] = [Duration::from_secs(5), Duration::from_millis(100)];

pub(in crate::scenario) async fn run(context: &Context) -> Result<Vec<Case>> {
    let world = World::start(context, [FULL, ON_DEMAND].into_iter().flat_map(|it| callers(it, 1)));
    let world = world.await?;
    let mut cases = Vec::new();
    for (caller, name) in world.callers.iter().zip(["everything", "fenced"]) {
        let mut case = Case::new(name);
        let before = world.server.counters().await?.sent_bytes;
        let sidecar = world.sidecar(caller).await?;
        world.call_each(caller, called(&world)).await?;
        let sent = world.server.counters().await?.sent_bytes - before;
        case.add("first start", sidecar.start.as_secs_f64(), Unit::Seconds);
        add_weight(context, &sidecar, &mut case).await?;
        case.add("sent", from_count(sent) / 1e3, Unit::Kilobytes);
        drop(sidecar);
        // A workload that starts again is known, and compiled for.
        let mut starts = Vec::new();
        for _ in 0..context.pick(5, 1) {
            let again = world.sidecar(caller).await?;
            world.call_each(caller, called(&world)).await?;
            starts.push(again.start.as_secs_f64());
        }
        case.add("start", median(starts), Unit::Seconds);
        let summary = case.get("memory").unwrap_or_default();
        context.progress.say(format_args!("{name}: {summary:.0} MB"));
        cases.push(case);
    }
    let mut ratios = Case::new("fenced against everything");
    for name in ["memory", "heap", "start", "first start", "sent"] {
        let [everything, fenced] = [&cases[0], &cases[1]].map(|case| case.get(name));
        let (everything, fenced) = everything.zip(fenced).context("a figure is missing")?;
        ratios.add(name, fenced / everything, Unit::Times);
    }
    cases.push(ratios);
    Ok(cases)
}

async fn add_weight(context: &Context, sidecar: &Sidecar, case: &mut Case) -> Result<()> {
    let [full, quick] = SETTLE;
    time::sleep(context.pick(full, quick)).await;
    let resident = proc::resident(&sidecar.envoy.id().to_string())?.now;
    case.add("memory", from_count(resident) / 1e3, Unit::Megabytes);
    // The statistic of the same name is seconds old.
    let memory: Value = serde_json::from_slice(&sidecar.envoy.admin_get("/memory").await?.body)?;
    let heap = memory["allocated"].as_str().and_then(|bytes| bytes.parse::<u64>().ok());
    let heap = heap.context("the Envoy does not say what it has allocated")?;
    case.add("heap", from_count(heap) / 1e6, Unit::Megabytes);
    let clusters = sidecar.envoy.stat("cluster_manager.active_clusters").await?;
    case.add("clusters", from_count(clusters), Unit::Count);
    let listeners = sidecar.envoy.stat("listener_manager.total_listeners_active").await?;
    case.add("listeners", from_count(listeners), Unit::Count);
    Ok(())
}
