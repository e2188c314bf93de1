//! What happens when an instance fails: retries, timeouts, faults, limits, ejection.

use std::time::Duration;

use http::Method;
use testkit::http::{Behaviour, Client, Fault};

use crate::shop::{Shop, destination_rule, eventually, require, send, virtual_service};

/// With which another try goes to the other one of two instances for sure.
const IN_TURN: &str = "  trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}";

const ROUTE: &str = "route: [{destination: {host: web}}]";

/// The only route of `web` with these further fields.
fn rule(fields: &str) -> String {
    virtual_service(&format!("  http: [{{{ROUTE}, {fields}}}]"))
}

/// A statistic of the cluster of `web`, summed over its subsets.
async fn cluster_stat(shop: &Shop, name: &str) -> u64 {
    let stats = shop.envoy.stats(&format!(r"^cluster\.outbound.*web\.shop.*{name}$")).await;
    stats.unwrap().values().sum()
}

#[tokio::test]
async fn a_failed_request_is_sent_to_another_instance() {
    let rule = rule("retries: {attempts: 1, retryOn: '503'}");
    let shop = Shop::start(&["v1", "v2"], &(destination_rule(IN_TURN) + &rule)).await;
    shop.web[0].set_behaviour(Behaviour::status(503));
    assert_eq!(shop.count(&shop.request("/"), 20).await, [0, 20]);
    assert!(shop.web[0].requests() > 0, "the failing instance was tried");
    shop.web[0].set_behaviour(Behaviour::status(500));
    assert!(shop.count(&shop.request("/"), 20).await[0] > 0, "another error is passed on");
}

#[tokio::test]
async fn what_the_application_answers_is_passed_on_unless_a_rule_says_otherwise() {
    let shop = Shop::start(&["v1"], "").await;
    for status in [500, 503] {
        shop.web[0].set_behaviour(Behaviour::status(status));
        assert_eq!(shop.get("/").await.status, status);
    }
    assert_eq!(shop.received(), [2]);
}

#[tokio::test]
async fn a_closed_port_is_passed_over() {
    let mut shop = Shop::start(&["v1", "v2"], &destination_rule(IN_TURN)).await;
    drop(shop.web.remove(0));
    assert_eq!(shop.count(&shop.request("/"), 20).await, [20]);
}

#[tokio::test]
async fn a_rule_says_what_is_retried_and_how_often() {
    let rule = "
  http:
  - match: [{uri: {prefix: /never}}]
    retries: {attempts: 0}
    route: [{destination: {host: web}}]
  - retries: {attempts: 4, retryOn: '5xx'}
    route: [{destination: {host: web}}]
";
    let shop = Shop::start(&["v1"], &virtual_service(rule)).await;
    shop.web[0].set_behaviour(Behaviour::status(503));
    assert_eq!(shop.get("/never").await.status, 503);
    assert_eq!(shop.received(), [1]);
    shop.web[0].set_behaviour(Behaviour::status(500));
    assert_eq!(shop.get("/").await.status, 500);
    assert_eq!(shop.received(), [1 + 5]);
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_answered_504() {
    let shop = Shop::start(&["v1"], &rule("timeout: 0.2s")).await;
    shop.web[0].set_behaviour(Behaviour::fault(Fault::Hang));
    let response = shop.get("/").await;
    assert_eq!(
        (response.status.as_u16(), response.text().as_str()),
        (504, "upstream request timeout")
    );
    assert_eq!(cluster_stat(&shop, "upstream_rq_timeout").await, 1);
}

#[tokio::test]
async fn a_try_that_takes_too_long_is_followed_by_another() {
    let fields = "retries: {attempts: 3, perTryTimeout: 0.2s, retryOn: 'gateway-error'}";
    let shop = Shop::start(&["v1", "v2"], &(destination_rule(IN_TURN) + &rule(fields))).await;
    shop.web[0].set_behaviour(Behaviour::fault(Fault::Hang));
    assert_eq!(shop.count(&shop.request("/"), 6).await, [0, 6]);
    assert!(cluster_stat(&shop, "upstream_rq_per_try_timeout").await > 0);
}

#[tokio::test]
async fn faults_are_injected_where_a_rule_says() {
    let rule = format!(
        "
  http:
  - match: [{{headers: {{fail: {{exact: abort}}}}}}]
    fault: {{abort: {{httpStatus: 418, percentage: {{value: 100}}}}}}
    {ROUTE}
  - match: [{{headers: {{fail: {{exact: delay}}}}}}]
    fault: {{delay: {{fixedDelay: 0.05s, percentage: {{value: 100}}}}}}
    {ROUTE}
  - match: [{{headers: {{fail: {{exact: never}}}}}}]
    fault: {{abort: {{httpStatus: 418, percentage: {{value: 0}}}}}}
    {ROUTE}
  - {ROUTE}
"
    );
    let shop = Shop::start(&["v1"], &virtual_service(&rule)).await;
    let fail = |how: &str| shop.request("/").header("fail", how);
    assert_eq!(send(&fail("abort")).await.status, 418);
    assert_eq!(shop.received(), [0]);
    for how in ["delay", "never", "not"] {
        assert_eq!(send(&fail(how)).await.status, 200, "{how}");
    }
    let stats = shop.envoy.stats(r"\.fault\.(aborts|delays)_injected$").await.unwrap();
    let total = |suffix: &str| -> u64 {
        stats.iter().filter(|(name, _)| name.ends_with(suffix)).map(|(_, value)| value).sum()
    };
    assert_eq!((total("aborts_injected"), total("delays_injected")), (1, 1), "{stats:?}");
}

#[tokio::test]
async fn a_full_connection_pool_refuses_further_requests() {
    let policy = "
  trafficPolicy:
    connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1}}
";
    let shop = Shop::start(&["v1"], &destination_rule(policy)).await;
    shop.web[0].set_behaviour(Behaviour::fault(Fault::Hang));
    // One takes the connection, one waits for it.
    let open = || {
        let request = shop.request("/").timeout(Duration::from_secs(120));
        tokio::spawn(async move { Client::new().send(&request).await })
    };
    let first = open();
    eventually(async || require(shop.web[0].requests() == 1, "no request has come")).await;
    let second = open();
    eventually(async || {
        let waiting = cluster_stat(&shop, "upstream_rq_pending_active").await;
        require(waiting == 1, "no request waits for the connection")
    })
    .await;
    let third = shop.get("/").await;
    assert_eq!((third.status.as_u16(), third.header("x-envoy-overloaded")), (503, Some("true")));
    assert_eq!(cluster_stat(&shop, "upstream_rq_pending_overflow").await, 1);
    assert_eq!(shop.received(), [1]);
    first.abort();
    second.abort();
}

#[tokio::test]
async fn an_instance_that_keeps_failing_is_ejected() {
    let policy = "
  trafficPolicy:
    outlierDetection: {consecutive5xxErrors: 2, baseEjectionTime: 300s, maxEjectionPercent: 100}
";
    let shop = Shop::start(&["v1", "v2"], &destination_rule(policy)).await;
    shop.web[0].set_behaviour(Behaviour::status(500));
    let client = Client::keep_alive();
    eventually(async || {
        client.send(&shop.request("/")).await.unwrap();
        let ejected = cluster_stat(&shop, "outlier_detection.ejections_active").await;
        require(ejected == 1, "nothing is ejected")
    })
    .await;
    let before = shop.web[0].requests();
    assert_eq!(shop.count(&shop.request("/"), 20).await, [0, 20]);
    assert_eq!(shop.web[0].requests(), before);
}

#[tokio::test]
async fn a_request_that_changes_things_is_not_repeated_once_it_was_received() {
    let shop = Shop::start(&["v1"], "").await;
    shop.web[0].set_behaviour(Behaviour::fault(Fault::Close));
    let response = send(&shop.request("/").method(Method::POST)).await;
    assert_eq!(response.status, 503);
    assert_eq!(shop.received(), [1]);
}
