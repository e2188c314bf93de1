//! The control plane is killed and comes back: what was called before waits for nothing again.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::{self, Instant};

use super::{Context, ON_DEMAND, PATIENCE, POLL, World, callers, calls::called};
use crate::{
    report::{Case, Unit},
    statistics::{from_count, median, milliseconds},
};

/// What is learned is written down within a second.
const WRITTEN: Duration = Duration::from_secs(3);

pub(in crate::scenario) async fn run(context: &Context) -> Result<Vec<Case>> {
    let mut world = World::start(context, callers(ON_DEMAND, 1)).await?;
    let caller = world.callers[0].clone();
    let sidecar = world.sidecar(&caller).await?;
    let services = called(&world);
    let first = world.call_each(&caller, services.iter().copied()).await?;
    let warm = world.call_each(&caller, services.iter().copied()).await?;
    let typical = median(warm.iter().copied().map(milliseconds).collect());
    let mut before = Case::new("before");
    before.add("questions", from_count(world.server.questions().await?), Unit::Count);
    add_slowest(&mut before, &first, typical);
    time::sleep(WRITTEN).await;

    // The proxy stays, and goes on.
    world.server = world.server.restart()?;
    world.server.wait_ready().await?;
    wait_synced(&world).await?;
    let mut stays = Case::new("the proxy stays");
    let calls = world.call_each(&caller, services.iter().copied()).await?;
    stays.add("questions told again", from_count(world.server.questions().await?), Unit::Count);
    add_slowest(&mut stays, &calls, typical);

    // Both begin anew, as after the loss of a machine.
    drop(sidecar);
    world.server = world.server.restart()?;
    world.server.wait_ready().await?;
    let _sidecar = world.sidecar(&caller).await?;
    let mut anew = Case::new("the proxy is new as well");
    let calls = world.call_each(&caller, services).await?;
    anew.add("questions", from_count(world.server.questions().await?), Unit::Count);
    add_slowest(&mut anew, &calls, typical);
    Ok(vec![before, stays, anew])
}

fn add_slowest(case: &mut Case, calls: &[Duration], typical: f64) {
    let slowest = calls.iter().max().copied().unwrap_or_default();
    let beyond = (milliseconds(slowest) - typical).max(0.0);
    case.add("slowest beyond warm", beyond, Unit::Milliseconds);
}

/// Waits until a proxy has found the control plane again.
async fn wait_synced(world: &World<'_>) -> Result<()> {
    let begin = Instant::now();
    while world.server.synced().await? == 0 {
        ensure!(begin.elapsed() < PATIENCE, "the proxy does not come back");
        time::sleep(POLL).await;
    }
    Ok(())
}
