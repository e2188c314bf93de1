//! An instance crashes, is taken out, and comes back.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::{run::Demo, shop::INSTANCES};

const NAME: &str = "catalog-2";
const FILE: &str = "instances/catalog-2.yaml";
const LOOK: Duration = Duration::from_secs(2);

/// Callers retry, and eject it, before anybody has told the control plane.
pub(super) async fn kill(demo: &mut Demo) -> Result<()> {
    let step = demo.begin("kill catalog-2: nobody tells the control plane for 2 s");
    demo.fleet.kill_instance(NAME);
    demo.watch(LOOK).await;
    let mark = demo.plane.mark().await?;
    demo.remove(FILE)?;
    let live = demo.wait_live(&mark).await?;
    let tally = demo.watch(LOOK).await;
    let count = tally.count("catalog-1");
    demo.report.check(count > 0 && tally.count(NAME) == 0, format!("catalog-1 serves all {count}"));
    demo.end(step, Some(live));
    Ok(())
}

pub(super) async fn bring_back(demo: &mut Demo) -> Result<()> {
    let step = demo.begin("bring catalog-2 back");
    let instance = INSTANCES.iter().find(|instance| instance.name == NAME);
    let instance = instance.context("the shop has no such instance")?;
    let mark = demo.plane.mark().await?;
    demo.fleet.start_instance(instance, &demo.shop, &demo.plane)?;
    demo.wait_live(&mark).await?;
    demo.fleet.wait_ready().await?;
    let mark = demo.plane.mark().await?;
    demo.write(FILE, &demo.shop.original(FILE)?)?;
    let live = demo.wait_live(&mark).await?;
    let tally = demo.watch(LOOK).await;
    let count = tally.count(NAME);
    demo.report.check(count > 0, format!("catalog-2 serves {count} of {} requests", tally.ended));
    demo.end(step, Some(live));
    Ok(())
}
