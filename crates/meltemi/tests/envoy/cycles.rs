//! A subset comes and goes a thousand times under load, edited in the wrong order each time.

use std::time::Duration;

use testkit::{
    http::{Client, Load, LoadSettings, Request},
    mesh::{ProxyProtocol, ProxySettings},
};

use crate::shop::{Shop, ShopSettings, eventually, require};

/// Both directions of a cycle: the subset comes, the subset goes.
const CYCLES: usize = 1_000;
/// Of the load; what waits for the effect of a change sends requests of its own.
const PER_SECOND: u32 = 300;

/// A rule that leads to one subset.
fn route(subset: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: web, namespace: shop}}
spec:
  hosts: [web]
  http: [{{route: [{{destination: {{host: web, subset: {subset}}}}}]}}]
"
    )
}

/// The subset v1 and further ones.
fn subsets(names: &[&str]) -> String {
    let own = |name: &&str| format!("  - {{name: {name}, labels: {{version: {name}}}}}\n");
    let list: String = names.iter().map(own).collect();
    format!(
        "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: web, namespace: shop}}
spec:
  host: web
  subsets:
{list}"
    )
}

async fn start(protocol: ProxyProtocol) -> Shop {
    let proxy = ProxySettings::sidecar("client.shop").protocol(protocol);
    Shop::start_with(ShopSettings {
        versions: &["v1", "v2"],
        // Two files, so that they can be edited apart.
        files: &[("route.yaml", &route("v1")), ("subsets.yaml", &subsets(&["v1"]))],
        proxy: Some(proxy),
        ..ShopSettings::default()
    })
    .await
}

/// Sends requests until `backend` answers one; all must be answered by somebody. Says how many.
async fn wait_answered_by(client: &Client, request: &Request, backend: &str) -> u64 {
    let mut sent = 0;
    eventually(async || {
        let response = client.send(request).await.unwrap();
        sent += 1;
        assert_eq!(response.status, 200, "{}", response.text());
        let answered = response.backend().unwrap_or_default();
        require(answered == backend, format!("{answered} answers, not {backend}"))
    })
    .await;
    sent
}

async fn cycle(protocol: ProxyProtocol, cycles: usize) {
    let shop = start(protocol).await;
    let mesh = &shop.mesh;
    let request = shop.request("/");
    let settings = LoadSettings::new(request.clone(), PER_SECOND);
    let limit = Duration::from_secs(600);
    let load = Load::start(LoadSettings { client: Client::keep_alive(), limit, ..settings });
    let client = Client::keep_alive();
    let mut probes = 0;
    for _ in 0..cycles {
        shop.taken_in(|mesh| mesh.write("route.yaml", &route("v2"))).await;
        mesh.write("subsets.yaml", &subsets(&["v1", "v2"])).unwrap();
        probes += wait_answered_by(&client, &request, "web-v2").await;
        shop.taken_in(|mesh| mesh.write("subsets.yaml", &subsets(&["v1"]))).await;
        mesh.write("route.yaml", &route("v1")).unwrap();
        probes += wait_answered_by(&client, &request, "web-v1").await;
    }
    let report = load.stop().await;
    println!("{cycles} cycles, {} requests and {probes} probes", report.sent);
    report.expect_no_failure().unwrap();
    eventually(async || mesh.expect_synced(1).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subset_comes_and_goes_a_thousand_times_without_a_failed_request() {
    cycle(ProxyProtocol::Delta, CYCLES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_of_the_world_is_as_safe() {
    cycle(ProxyProtocol::Sotw, CYCLES / 20).await;
}
