//! A file that cannot be read holds up nobody but itself.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::time;

use super::routes::ROUTE;
use crate::{plane::PATIENCE, run::Demo};

const NEIGHBOUR: &str = "routes/catalog.yaml";
const LOOK: Duration = Duration::from_secs(2);

pub(super) async fn break_file(demo: &mut Demo) -> Result<()> {
    let step = demo.begin("break a file, and change its neighbour");
    let good = demo.shop.read(ROUTE)?;
    let broken = good.replacen("weight: 50", "weight: [50", 1);
    demo.write(ROUTE, &broken)?;
    let wanted = broken.lines().position(|line| line.contains("[50")).map(|line| line + 1);
    let findings = wait_findings(demo, |findings| !findings.is_empty()).await?;
    for (place, message) in &findings {
        demo.report.say(format_args!("finding: {place}: {message}"));
    }
    let line = wanted.context("nothing was broken")?;
    // The parser may notice it where the next line begins.
    let places = [line, line + 1].map(|line| format!("config/{ROUTE}:{line}"));
    let named = findings.iter().any(|(at, _)| places.iter().any(|place| at.starts_with(place)));
    demo.report.check(named, format!("the finding names {ROUTE} and its line"));
    let mark = demo.plane.mark().await?;
    let neighbour = demo.shop.read(NEIGHBOUR)?;
    demo.write(NEIGHBOUR, &neighbour.replace("timeout: 5s", "timeout: 4s"))?;
    let live = demo.wait_live(&mark).await?;
    demo.watch(LOOK).await;
    demo.end(step, Some(live));
    Ok(())
}

pub(super) async fn mend_file(demo: &mut Demo) -> Result<()> {
    let step = demo.begin("mend the file");
    let broken = demo.shop.read(ROUTE)?;
    demo.write(ROUTE, &broken.replace("weight: [50", "weight: 50"))?;
    let findings = wait_findings(demo, <[_]>::is_empty).await?;
    demo.report.check(findings.is_empty(), format!("no finding about {ROUTE}"));
    demo.watch(LOOK).await;
    demo.end(step, None);
    Ok(())
}

/// Waits until the findings about the file are as wanted, or for so long that they never will be.
async fn wait_findings(
    demo: &Demo,
    wanted: impl Fn(&[(String, String)]) -> bool,
) -> Result<Vec<(String, String)>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut findings = demo.plane.findings().await?;
        let folder = format!("{}/", demo.shop.folder().display());
        for (place, _) in &mut findings {
            *place = place.replacen(&folder, "", 1);
        }
        findings.retain(|(place, _)| place.contains(ROUTE));
        if wanted(&findings) || Instant::now() > deadline {
            return Ok(findings);
        }
        time::sleep(Duration::from_millis(5)).await;
    }
}
