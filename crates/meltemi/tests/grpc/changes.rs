//! What changes of files do to an application that runs.

use anyhow::{Result, ensure};

use crate::{
    application::{Application, Order, Outcome},
    shop::{Shop, TARGET, backend, only, rule, service, subsets},
};

const HOST: &str = "greeter.shop.svc.cluster.local";

#[tokio::test]
async fn a_new_endpoint_is_called_and_one_that_went_is_not() -> Result<()> {
    let mut shop = Shop::start("").await?;
    let order = Order::new(TARGET, 20);
    shop.application.call(&order).await?.answered()?;
    let v3 = backend("v3").await?;
    let endpoints = [(&shop.v2, "v2", "r/2/b"), (&v3, "v3", "r/2/b")];
    shop.mesh.write("service.yaml", &service(&endpoints))?;
    let moved = |backends: Vec<&str>| backends == ["v2", "v3"];
    let outcome = shop.application.call_until(&order, |it| it.answered().is_ok_and(moved)).await?;
    outcome.answered()?;
    shop.wait_synced(1).await
}

#[tokio::test]
async fn the_nearest_endpoints_are_called_while_there_are_any() -> Result<()> {
    let policy = "  trafficPolicy: {outlierDetection: {interval: 10s}}";
    let mut shop = Shop::start(&subsets(policy)).await?;
    let order = Order::new(TARGET, 20);
    assert_eq!(shop.application.call(&order).await?.answered()?, ["v1"]);
    let Shop { mesh, mut application, v1, v2 } = shop;
    drop(v1);
    application.call_until(&order, |it| it.of("v2") == 20).await?;
    drop(v2);
    mesh.expect_synced(1).await
}

#[tokio::test]
async fn subsets_come_and_go_without_a_failed_call() -> Result<()> {
    let mut shop = Shop::start(&(subsets("") + &only("v1"))).await?;
    let order = Order::new(TARGET, 20);
    shop.application.call(&order).await?.answered()?;
    let without_v2 = subsets("").replace("  - {name: v2, labels: {version: v2}}\n", "");
    for round in 0..5 {
        // The rule first or the subset first: the order of the files does not matter.
        let to_v2 = subsets("") + &only("v2");
        shop.mesh.write("rules.yaml", &to_v2)?;
        let there = |it: &Outcome| !it.errors.is_empty() || it.of("v2") == 20;
        let outcome = shop.application.call_until(&order, there).await?;
        ensure!(outcome.errors.is_empty(), "round {round}: {outcome:?}");
        shop.mesh.write("rules.yaml", &(without_v2.clone() + &only("v1")))?;
        let back = |it: &Outcome| !it.errors.is_empty() || it.of("v1") == 20;
        let outcome = shop.application.call_until(&order, back).await?;
        ensure!(outcome.errors.is_empty(), "round {round}: {outcome:?}");
    }
    shop.wait_synced(1).await
}

#[tokio::test]
async fn calls_go_on_while_the_control_plane_is_away() -> Result<()> {
    let mut shop = Shop::start(&(subsets("") + &only("v1"))).await?;
    let order = Order::new(TARGET, 20);
    shop.application.call(&order).await?.answered()?;
    shop.mesh.kill();
    shop.application.call(&order).await?.answered()?;
    shop.mesh.write("rules.yaml", &(subsets("") + &only("v2")))?;
    shop.mesh.restart().await?;
    let outcome =
        shop.application.call_until(&order, |it| !it.errors.is_empty() || it.of("v2") == 20);
    outcome.await?.answered()?;
    Ok(())
}

#[tokio::test]
async fn a_rule_for_chosen_callers_is_for_them_alone() -> Result<()> {
    let rules = subsets("")
        + &rule(&format!(
            "
- match: [{{sourceLabels: {{app: web}}}}]
  route: [{{destination: {{host: {HOST}, subset: v2}}}}]
- route: [{{destination: {{host: {HOST}, subset: v1}}}}]
"
        ));
    let mut shop = Shop::start(&rules).await?;
    let order = Order::new(TARGET, 10);
    assert_eq!(shop.application.call(&order).await?.answered()?, ["v1"]);
    let labels = ["--label", "app=web"];
    let mut other = Application::start(&shop.mesh, "web-2.shop", &labels).await?;
    assert_eq!(other.call(&order).await?.answered()?, ["v2"]);
    shop.wait_synced(2).await
}
