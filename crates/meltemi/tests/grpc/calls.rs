//! What rules do to calls.

use anyhow::{Context, Result, ensure};

use crate::{
    application::{Order, Outcome},
    shop::{Shop, TARGET, only, rule, subsets},
};

const HOST: &str = "greeter.shop.svc.cluster.local";

#[tokio::test]
async fn every_name_of_a_service_is_resolved_and_called() -> Result<()> {
    let mut shop = Shop::start("").await?;
    for target in [
        TARGET,
        "xds:///greeter.shop:9080",
        "xds:///greeter.shop.svc:9080",
        "xds:///greeter.shop.svc.cluster.local:9080",
    ] {
        // gRPC calls only those whose connection is there, which one may be before the other.
        let is_done = |it: &Outcome| !it.errors.is_empty() || it.backends.len() == 2;
        let outcome = shop.application.call_until(&Order::new(target, 10), is_done).await?;
        assert_eq!(outcome.answered()?, ["v1", "v2"], "{target}");
    }
    shop.wait_synced(4).await
}

#[tokio::test]
async fn a_name_that_nobody_has_fails_and_disturbs_no_other() -> Result<()> {
    let mut shop = Shop::start("").await?;
    let order = Order { timeout: 2.0, ..Order::new("xds:///nobody:9080", 1) };
    let outcome = shop.application.call(&order).await?;
    assert_eq!((outcome.backends.len(), outcome.errors.len()), (0, 1), "{outcome:?}");
    shop.application.call(&Order::new(TARGET, 10)).await?.answered()?;
    Ok(())
}

#[tokio::test]
async fn calls_are_shared_by_weight_and_sent_by_header() -> Result<()> {
    let rules = subsets("")
        + &rule(&format!(
            "
- match: [{{headers: {{x-user: {{exact: jason}}}}}}]
  route: [{{destination: {{host: {HOST}, subset: v2}}}}]
- match: [{{uri: {{exact: /other.Service/Hello}}}}]
  route: [{{destination: {{host: {HOST}, subset: v2}}}}]
- match: [{{withoutHeaders: {{x-share: {{}}}}}}]
  route: [{{destination: {{host: {HOST}, subset: v1}}}}]
- route:
  - {{destination: {{host: {HOST}, subset: v1}}, weight: 80}}
  - {{destination: {{host: {HOST}, subset: v2}}, weight: 20}}
"
        ));
    let mut shop = Shop::start(&rules).await?;
    let plain = shop.application.call(&Order::new(TARGET, 20)).await?;
    assert_eq!(plain.answered()?, ["v1"]);
    let jason = Order { metadata: &[("x-user", "jason")], ..Order::new(TARGET, 20) };
    assert_eq!(shop.application.call(&jason).await?.answered()?, ["v2"]);
    let shared = Order { metadata: &[("x-share", "1")], ..Order::new(TARGET, 500) };
    let outcome = shop.application.call(&shared).await?;
    outcome.answered()?;
    // 500 calls with a share of 0.2: six standard deviations are 54.
    ensure!((46..=154).contains(&outcome.of("v2")), "not a fifth: {outcome:?}");
    shop.wait_synced(1).await
}

#[tokio::test]
async fn timeouts_faults_and_answers_end_calls() -> Result<()> {
    let rules = subsets("")
        + &rule(&format!(
            "
- match: [{{headers: {{x-case: {{exact: abort}}}}}}]
  fault: {{abort: {{percentage: {{value: 100}}, grpcStatus: RESOURCE_EXHAUSTED}}}}
  route: [{{destination: {{host: {HOST}}}}}]
- match: [{{headers: {{x-case: {{exact: slow}}}}}}]
  timeout: 0.2s
  fault: {{delay: {{percentage: {{value: 100}}, fixedDelay: 20s}}}}
  route: [{{destination: {{host: {HOST}}}}}]
- match: [{{headers: {{x-case: {{exact: redirect}}}}}}]
  redirect: {{uri: /x}}
- route: [{{destination: {{host: {HOST}}}}}]
"
        ));
    let mut shop = Shop::start(&rules).await?;
    shop.application.call(&Order::new(TARGET, 4)).await?.answered()?;
    for (case, status) in [
        ("abort", "RESOURCE_EXHAUSTED"),
        ("slow", "DEADLINE_EXCEEDED"),
        ("redirect", "UNAVAILABLE"),
    ] {
        let order = Order { metadata: &[("x-case", case)], ..Order::new(TARGET, 2) };
        let outcome = shop.application.call(&order).await?;
        let expected = outcome.errors.keys().all(|error| error.starts_with(status));
        ensure!(outcome.backends.is_empty() && expected, "{case}: {outcome:?}");
    }
    shop.wait_synced(1).await
}

#[tokio::test]
async fn only_retries_that_are_asked_for_are_made() -> Result<()> {
    let mut shop = Shop::start("").await?;
    shop.v1.set_status(14);
    let outcome = shop.application.call(&Order::new(TARGET, 20)).await?;
    ensure!(outcome.of("v2") > 0 && !outcome.errors.is_empty(), "{outcome:?}");
    let asked = rule(&format!(
        "
- retries: {{attempts: 3, retryOn: unavailable}}
  route: [{{destination: {{host: {HOST}}}}}]
"
    ));
    shop.mesh.write("rules.yaml", &asked)?;
    let order = Order::new(TARGET, 20);
    let outcome = shop.application.call_until(&order, |it| it.errors.is_empty()).await?;
    assert_eq!(outcome.answered()?, ["v2"]);
    shop.wait_synced(1).await
}

#[tokio::test]
async fn every_setting_of_a_cluster_is_accepted() -> Result<()> {
    let mut shop = Shop::start(&(subsets("") + &only("v1"))).await?;
    let order = Order::new(TARGET, 10);
    shop.application.call(&order).await?.answered()?;
    let policies = [
        "{loadBalancer: {simple: LEAST_REQUEST, warmup: {duration: 10s}}}",
        "{loadBalancer: {simple: RANDOM}}",
        "{loadBalancer: {consistentHash: {httpHeaderName: x-user, ringHash: {minimumRingSize: 64}}}}",
        "{loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 65537}}}}",
        "{connectionPool: {tcp: {maxConnections: 3}, http: {http2MaxRequests: 9, maxRetries: 2}}}",
        "{outlierDetection: {consecutive5xxErrors: 3, interval: 1s, maxEjectionPercent: 100}}",
        "{outlierDetection: {}, loadBalancer: {localityLbSetting: {failover: [{from: r, to: s}]}}}",
    ];
    for (turn, policy) in policies.into_iter().enumerate() {
        // The other version answers when the new rules have arrived.
        let version = if turn % 2 == 0 { "v2" } else { "v1" };
        let rules = subsets(&format!("  trafficPolicy: {policy}")) + &only(version);
        shop.mesh.write("rules.yaml", &rules)?;
        let moved = shop.application.call_until(&order, |it| it.of(version) == 10).await;
        moved.with_context(|| policy.to_owned())?;
        shop.wait_synced(1).await.with_context(|| policy.to_owned())?;
    }
    Ok(())
}

#[tokio::test]
async fn a_hash_keeps_a_key_at_its_endpoint() -> Result<()> {
    let hash = "  trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user}}}";
    let mut shop = Shop::start(&subsets(hash)).await?;
    let mut seen = std::collections::BTreeSet::new();
    // The backends have other ports each time, and the ring is another: of so many users, all are
    // at one of two endpoints once in 2^49 times.
    for user in 0..50 {
        let user = format!("user-{user}");
        let order = Order { metadata: &[("x-user", &user)], ..Order::new(TARGET, 4) };
        let outcome = shop.application.call(&order).await?;
        let backends = outcome.answered()?;
        assert_eq!(backends.len(), 1, "{user}: {outcome:?}");
        seen.insert(backends[0].to_owned());
    }
    assert_eq!(seen.len(), 2, "all users are at one endpoint");
    Ok(())
}

#[tokio::test]
async fn calls_that_must_be_encrypted_fail() -> Result<()> {
    let mut shop = Shop::start(&subsets("  trafficPolicy: {tls: {mode: SIMPLE}}")).await?;
    let order = Order { timeout: 3.0, ..Order::new(TARGET, 1) };
    let outcome = shop.application.call(&order).await?;
    ensure!(outcome.backends.is_empty() && outcome.errors.len() == 1, "{outcome:?}");
    assert_eq!((shop.v1.requests(), shop.v2.requests()), (0, 0));
    Ok(())
}
