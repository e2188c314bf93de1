//! Changes while everything runs: objects, the control plane itself, broken files.

use std::collections::BTreeMap;

use testkit::{
    EnvoyProcess,
    http::{Client, Load, LoadSettings, Request},
    mesh::{ProxyProtocol, ProxySettings},
};

use crate::shop::{
    Instance, Shop, ShopSettings, backend, destination_rule, eventually, require, send, service,
    virtual_service,
};

async fn start(protocol: ProxyProtocol, versions: &[&str], yaml: &str) -> Shop {
    let proxy = Some(ProxySettings::sidecar("client.shop").protocol(protocol));
    Shop::start_with(ShopSettings { versions, yaml, proxy, ..ShopSettings::default() }).await
}

fn load(shop: &Shop) -> Load {
    let settings = LoadSettings::new(shop.request("/"), 100);
    Load::start(LoadSettings { client: Client::keep_alive(), ..settings })
}

/// How often each kind of configuration was taken in.
async fn updates(envoy: &EnvoyProcess) -> BTreeMap<String, u64> {
    envoy.stats(r"(cds|lds|rds.*|cluster.*)\.update_(success|rejected)$").await.unwrap()
}

/// Instances come and go under load, and nothing fails.
async fn instances_come_and_go(protocol: ProxyProtocol) {
    let shop = start(protocol, &["v1"], "").await;
    let load = load(&shop);
    let second = backend("web-v2").await;
    let first = Instance::new("v1", &shop.web[0]);
    let both = [first, Instance::new("v2", &second)];
    shop.rewrite_web(&service("web", &both));
    eventually(async || require(second.requests() > 0, "the new instance gets nothing")).await;
    shop.rewrite_web(&service("web", &both[1..]));
    eventually(async || {
        let before = shop.web[0].requests();
        for _ in 0..10 {
            shop.get("/").await;
        }
        require(shop.web[0].requests() == before, "the old instance still gets requests")
    })
    .await;
    load.stop().await.expect_no_failure().unwrap();
    shop.mesh.expect_synced(1).await.unwrap();
}

#[tokio::test]
async fn instances_come_and_go_over_delta() {
    instances_come_and_go(ProxyProtocol::Delta).await;
}

#[tokio::test]
async fn instances_come_and_go_over_sotw() {
    instances_come_and_go(ProxyProtocol::Sotw).await;
}

/// A connection that has grown old is replaced under load, and nothing is sent again.
#[tokio::test]
async fn connections_grow_old() {
    let shop = Shop::start_with(ShopSettings {
        versions: &["v1"],
        environment: &[("MELTEMI_MAX_CONNECTION_AGE", "2s")],
        ..ShopSettings::default()
    })
    .await;
    eventually(async || shop.mesh.expect_synced(1).await).await;
    let load = load(&shop);
    let before = updates(&shop.envoy).await;
    eventually(async || {
        let sent_away = "meltemi_xds_connections_sent_away_total{reason=\"age\"} ";
        let metrics = send(&Request::get(shop.mesh.admin_address(), "localhost", "/metrics")).await;
        let metrics = metrics.text();
        let count = metrics.lines().find_map(|line| line.strip_prefix(sent_away)?.parse().ok());
        require(count >= Some(3_u64), format!("{count:?} connections have ended"))
    })
    .await;
    // The proxy has gone to a connection of its own each time, not back to the one that it had.
    let connections = shop.envoy.stat("cluster.xds-grpc.upstream_cx_total").await.unwrap();
    assert!(connections >= 3, "{connections} connections");
    load.stop().await.expect_no_failure().unwrap();
    assert_eq!(updates(&shop.envoy).await, before);
    eventually(async || shop.mesh.expect_synced(1).await).await;
}

/// The control plane is killed and started anew under load; the proxy keeps what it has, and is
/// sent only what changed meanwhile.
async fn control_plane_is_killed(protocol: ProxyProtocol) {
    let yaml = destination_rule("  subsets: [{name: v1, labels: {version: v1}}]")
        + &virtual_service("  http: [{route: [{destination: {host: web, subset: v1}}]}]");
    let mut shop = start(protocol, &["v1", "v2"], &yaml).await;
    eventually(async || shop.mesh.expect_synced(1).await).await;
    let load = load(&shop);
    let before = updates(&shop.envoy).await;
    shop.mesh.kill();
    let disconnected = "control_plane.connected_state";
    eventually(async || {
        let connected = shop.envoy.stat(disconnected).await?;
        require(connected == 0, "the proxy has not noticed")
    })
    .await;
    assert_eq!(shop.get("/").await.backend(), Some("web-v1"));
    shop.mesh.restart().await.unwrap();
    eventually(async || shop.mesh.expect_synced(1).await).await;
    assert_eq!(updates(&shop.envoy).await, before, "nothing changed, so nothing is sent");
    let metrics = shop.mesh.control_plane().metrics().await.unwrap();
    assert!(metrics.contains("\nmeltemi_xds_responses_total 0\n"), "{metrics}");

    let changed = shop.mesh.read("mesh.yaml").unwrap().replace("{version: v1}", "{version: v2}");
    shop.mesh.write("mesh.yaml", &changed).unwrap();
    eventually(async || {
        let response = shop.get("/").await;
        require(response.backend() == Some("web-v2"), format!("{:?} answers", response.backend()))
    })
    .await;
    load.stop().await.expect_no_failure().unwrap();
}

#[tokio::test]
async fn a_killed_control_plane_goes_unnoticed_over_delta() {
    control_plane_is_killed(ProxyProtocol::Delta).await;
}

#[tokio::test]
async fn a_killed_control_plane_goes_unnoticed_over_sotw() {
    control_plane_is_killed(ProxyProtocol::Sotw).await;
}

#[tokio::test]
async fn what_changed_while_the_control_plane_was_away_is_made_up_for() {
    let mut shop = start(ProxyProtocol::Delta, &["v1", "v2"], "").await;
    shop.mesh.kill();
    shop.rewrite_web(&service("web", &[Instance::new("v2", &shop.web[1])]));
    assert_eq!(shop.get("/").await.status, 200);
    shop.mesh.restart().await.unwrap();
    eventually(async || {
        let answers = shop.count(&shop.request("/"), 10).await;
        require(answers == [0, 10], format!("{answers:?}"))
    })
    .await;
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_its_repair_does() {
    let shop = start(ProxyProtocol::Delta, &["v1", "v2"], "").await;
    let subsets = destination_rule(
        "  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]",
    );
    let rule = |subset: &str| {
        let route =
            format!("  http: [{{route: [{{destination: {{host: web, subset: {subset}}}}}]}}]");
        subsets.clone() + &virtual_service(&route)
    };
    shop.mesh.write("rule.yaml", &rule("v1")).unwrap();
    let answered_by = async |version: &str| {
        eventually(async || {
            let response = shop.get("/").await;
            require(response.backend() == Some(version), format!("{:?}", response.backend()))
        })
        .await;
    };
    eventually(async || {
        let answers = shop.count(&shop.request("/"), 10).await;
        require(answers == [10, 0], format!("{answers:?}"))
    })
    .await;
    shop.mesh.write("rule.yaml", &rule("v2").replace("http: [", "http: {[")).unwrap();
    eventually(async || {
        let result = shop.mesh.expect_no_errors().await;
        require(result.is_err(), "the broken file is not reported")
    })
    .await;
    assert_eq!(shop.count(&shop.request("/"), 10).await, [10, 0]);
    shop.mesh.write("rule.yaml", &rule("v2")).unwrap();
    answered_by("web-v2").await;
    shop.mesh.expect_no_errors().await.unwrap();
    shop.mesh.remove("rule.yaml").unwrap();
    answered_by("web-v1").await;
}
