//! Weights and subsets of reviews.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::{apps::AppKind, run::Demo, shop::Instance};

pub(super) const ROUTE: &str = "routes/reviews.yaml";
const SUBSETS: &str = "routes/reviews-subsets.yaml";
const V3_FILE: &str = "instances/reviews-v3.yaml";
const V3: Instance = Instance {
    name: "reviews-v3",
    app: AppKind::Reviews,
    version: "v3",
    last: 33,
    port: 8082,
    calls: &[("rating", 9084)],
};
const ALL: &[&str] = &["reviews-v1", "reviews-v2", "reviews-v3"];
/// Long enough for some hundred requests.
const LOOK: Duration = Duration::from_secs(4);
/// Between two edits of which the second makes the first whole.
const GAP: Duration = Duration::from_secs(1);
/// With 400 requests, less than one look in 10,000 is off by so much.
const TOLERANCE: f64 = 0.1;

/// The rule for reviews with these weights.
fn route(weights: &[(&str, u32)]) -> String {
    let mut text = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews.shop.svc.cluster.local]
  http:
  - name: split
    route:
"
    .to_owned();
    for (subset, weight) in weights {
        text.push_str(&format!(
            "    - destination: {{host: reviews.shop.svc.cluster.local, subset: {subset}}}
      weight: {weight}
"
        ));
    }
    text
}

/// Looks at the load for a while and compares the share of one version.
async fn check_share(demo: &mut Demo, instance: &str, wanted: f64) {
    let tally = demo.watch(LOOK).await;
    let share = tally.share(instance, ALL);
    let text = format!(
        "{instance} serves {:.0} % of {} requests ({:.0} % wanted)",
        share * 100.0,
        tally.ended,
        wanted * 100.0
    );
    demo.report.check((share - wanted).abs() < TOLERANCE, text);
}

pub(super) async fn steady(demo: &mut Demo) -> Result<()> {
    let step = demo.begin("no change");
    check_share(demo, "reviews-v2", 0.1).await;
    demo.end(step, None);
    Ok(())
}

pub(super) async fn shift_weights(demo: &mut Demo) -> Result<()> {
    let step = demo.begin("shift reviews from 90/10 to 30/70");
    let mark = demo.plane.mark().await?;
    demo.write(ROUTE, &route(&[("v1", 30), ("v2", 70)]))?;
    let live = demo.wait_live(&mark).await?;
    check_share(demo, "reviews-v2", 0.7).await;
    demo.end(step, Some(live));
    Ok(())
}

/// The rule that names the subset is written before the subset is there.
pub(super) async fn add_subset(demo: &mut Demo) -> Result<()> {
    let step = demo.begin("add reviews-v3: first the route, then its subset");
    demo.fleet.start_instance(&V3, &demo.shop, &demo.plane)?;
    let mark = demo.plane.mark().await?;
    demo.write(V3_FILE, &demo.shop.later("reviews-v3.yaml")?)?;
    demo.wait_live(&mark).await?;
    demo.fleet.wait_ready().await?;
    demo.write(ROUTE, &route(&[("v1", 20), ("v2", 30), ("v3", 50)]))?;
    let held_back = demo.plane.held_back(GAP).await?;
    for line in &held_back {
        demo.report.say(format_args!("meltemi wait: {line}"));
    }
    demo.report.check(!held_back.is_empty(), "the route waits for its subset");
    let mark = demo.plane.mark().await?;
    let subsets = demo.shop.read(SUBSETS)?;
    demo.write(SUBSETS, &format!("{subsets}  - name: v3\n    labels: {{version: v3}}\n"))?;
    let live = demo.wait_live(&mark).await?;
    check_share(demo, V3.name, 0.5).await;
    demo.end(step, Some(live));
    Ok(())
}

/// The subset is taken away while the rule still names it.
pub(super) async fn remove_subset(demo: &mut Demo) -> Result<()> {
    let step = demo.begin("remove reviews-v3: first the subset, then its route");
    let subsets = demo.shop.read(SUBSETS)?;
    let (before, _) = subsets.split_once("  - name: v3").context("there is no subset v3")?;
    demo.write(SUBSETS, before)?;
    demo.watch(GAP).await;
    let mark = demo.plane.mark().await?;
    demo.write(ROUTE, &route(&[("v1", 50), ("v2", 50)]))?;
    let live = demo.wait_live(&mark).await?;
    check_share(demo, V3.name, 0.0).await;
    let mark = demo.plane.mark().await?;
    demo.remove(V3_FILE)?;
    demo.wait_live(&mark).await?;
    demo.fleet.kill_instance(V3.name);
    demo.end(step, Some(live));
    Ok(())
}
