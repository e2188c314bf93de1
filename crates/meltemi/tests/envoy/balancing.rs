//! Which instance of a service is chosen: hashes and localities.

use std::collections::BTreeSet;

use testkit::{http::Behaviour, mesh::ProxySettings};

use crate::shop::{
    Instance, PORT, Shop, ShopSettings, destination_rule, eventually, require, send, service,
};

#[tokio::test]
async fn one_user_is_always_served_by_the_same_instance() {
    let policy = "  trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: user}}}";
    let shop = Shop::start(&["v1", "v2", "v3"], &destination_rule(policy)).await;
    let mut seen = BTreeSet::new();
    // The ring is another each time: so many users leave one of three instances out once in
    // 10^10 times.
    for user in 0..60 {
        let request = shop.request("/").header("user", &format!("user-{user}"));
        let answers = shop.count(&request, 4).await;
        assert!(answers.contains(&4), "user {user}: {answers:?}");
        seen.insert(answers);
    }
    assert_eq!(seen.len(), 3, "60 users are spread over all instances");
}

#[tokio::test]
async fn a_cookie_keeps_a_user_at_an_instance() {
    let policy = "
  trafficPolicy:
    loadBalancer: {consistentHash: {httpCookie: {name: session, ttl: 60s}, maglev: {tableSize: 65537}}}
";
    let shop = Shop::start(&["v1", "v2", "v3"], &destination_rule(policy)).await;
    let response = shop.get("/").await;
    let cookie = response.header("set-cookie").expect("a new user gets a cookie");
    let cookie = cookie.split(';').next().unwrap_or_default();
    assert!(cookie.starts_with("session="), "{cookie}");
    for _ in 0..10 {
        let again = send(&shop.request("/").header("cookie", cookie)).await;
        assert_eq!(again.backend(), response.backend());
    }
}

#[tokio::test]
async fn a_subset_has_a_policy_of_its_own() {
    let policy = "
  trafficPolicy: {loadBalancer: {simple: RANDOM}}
  subsets:
  - name: all
    trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true}}}
";
    let rule = crate::shop::virtual_service(
        "
  http:
  - match: [{uri: {prefix: /hash}}]
    route: [{destination: {host: web, subset: all}}]
  - route: [{destination: {host: web}}]
",
    );
    let shop = Shop::start(&["v1", "v2", "v3"], &(destination_rule(policy) + &rule)).await;
    let hashed = shop.count(&shop.request("/hash"), 20).await;
    assert!(hashed.contains(&20), "{hashed:?}");
    let random = shop.count(&shop.request("/"), 60).await;
    assert!(random.iter().all(|count| *count > 0), "{random:?}");
}

const OUTLIERS: &str =
    "outlierDetection: {consecutive5xxErrors: 2, baseEjectionTime: 300s, maxEjectionPercent: 100}";

/// Instances in the zones a, b and c; the client is in zone a.
async fn zones(policy: &str, mesh_config: &str) -> Shop {
    let nodes: String = ["a", "b", "c"].into_iter().map(node).collect();
    let proxy = ProxySettings::sidecar("client.shop").locality("north/a");
    Shop::start_with(ShopSettings {
        versions: &["a", "b", "c"],
        zoned: true,
        yaml: &(nodes + &destination_rule(&format!("  trafficPolicy:\n{policy}"))),
        mesh_config,
        proxy: Some(proxy),
        ..ShopSettings::default()
    })
    .await
}

/// A node whose name is its zone. Zone c is in another region.
fn node(zone: &str) -> String {
    let region = if zone == "c" { "south" } else { "north" };
    format!(
        "---
apiVersion: v1
kind: Node
metadata:
  name: {zone}
  labels: {{topology.kubernetes.io/region: {region}, topology.kubernetes.io/zone: {zone}}}
"
    )
}

#[tokio::test]
async fn the_nearest_instances_serve_until_they_fail() {
    let shop = zones(&format!("    {OUTLIERS}"), "").await;
    assert_eq!(shop.count(&shop.request("/"), 20).await, [20, 0, 0]);
    for (failed, next) in [(0, [0, 20, 0]), (1, [0, 0, 20])] {
        shop.web[failed].set_behaviour(Behaviour::status(500));
        eventually(async || {
            let backend = shop.get("/").await.backend().map(str::to_owned);
            require(backend.as_deref() != Some(shop.web[failed].name()), "it still serves")
        })
        .await;
        assert_eq!(shop.count(&shop.request("/"), 20).await, next);
    }
}

#[tokio::test]
async fn instances_that_go_away_are_replaced_by_farther_ones() {
    let shop = zones(&format!("    {OUTLIERS}"), "").await;
    assert_eq!(shop.count(&shop.request("/"), 10).await, [10, 0, 0]);
    let rest: Vec<Instance<'_>> = shop.web[1..]
        .iter()
        .zip(["b", "c"])
        .map(|(it, zone)| Instance::new(zone, it).zoned())
        .collect();
    shop.rewrite_web(&service("web", &rest));
    eventually(async || {
        let response = shop.get("/").await;
        require(response.backend() == Some("web-b"), format!("{:?} answers", response.backend()))
    })
    .await;
    assert_eq!(shop.count(&shop.request("/"), 20).await, [0, 20, 0]);
    assert_eq!(PORT, shop.address.port());
}

#[tokio::test]
async fn without_ejection_localities_do_not_matter() {
    let shop = zones("    tls: {mode: DISABLE}", "").await;
    let answers = shop.count(&shop.request("/"), 60).await;
    assert!(answers.iter().all(|count| *count > 0), "{answers:?}");
}

#[tokio::test]
async fn traffic_is_distributed_by_locality() {
    let policy = "    loadBalancer:
      localityLbSetting: {distribute: [{from: north/a/*, to: {north/a/*: 20, north/b/*: 80}}]}
";
    let shop = zones(policy, "").await;
    let answers = shop.count(&shop.request("/"), 400).await;
    // Six standard deviations around 80.
    assert!((32..=128).contains(&answers[0]) && answers[2] == 0, "{answers:?}");
}
