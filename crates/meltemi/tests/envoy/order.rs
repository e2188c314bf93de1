//! Make before break, as a client sees it: what is written by mistake or too early breaks nothing.

use testkit::{Mesh, http::Request, mesh::ProxySettings};

use crate::shop::{
    Instance, PORT, Shop, ShopSettings, backend, destination_rule, eventually, require, send,
    service, virtual_service,
};

const SUBSETS: &str = "subsets.yaml";
const RULE: &str = "rule.yaml";

fn subsets(names: &[&str]) -> String {
    let own = |name: &&str| format!("  - {{name: {name}, labels: {{version: {name}}}}}\n");
    destination_rule(&format!("  subsets:\n{}", names.iter().map(own).collect::<String>()))
}

fn rule(subset: &str) -> String {
    virtual_service(&format!(
        "  http: [{{route: [{{destination: {{host: web, subset: {subset}}}}}]}}]"
    ))
}

/// A service outside of the mesh, at an address where nobody listens.
fn entry(name: &str) -> String {
    format!(
        "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: shop}}
spec:
  hosts: [{name}.example]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{{number: {PORT}, name: http, protocol: HTTP}}]
  endpoints: [{{address: 127.0.0.9}}]
"
    )
}

/// A second host on the same port, answered by the proxy itself with `status`.
fn neighbour(status: u16) -> String {
    let rule = format!(
        "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: neighbour, namespace: shop}}
spec:
  hosts: [neighbour.example]
  http: [{{directResponse: {{status: {status}}}}}]
"
    );
    entry("neighbour") + &rule
}

async fn start() -> Shop {
    Shop::start_with(ShopSettings {
        versions: &["v1", "v2"],
        files: &[
            (SUBSETS, &subsets(&["v1"])),
            (RULE, &rule("v1")),
            ("neighbour.yaml", &neighbour(201)),
        ],
        ..ShopSettings::default()
    })
    .await
}

/// Changes what the neighbour answers, and waits for it: what was written before is served then,
/// as far as it will be.
async fn change_neighbour(shop: &Shop, status: u16) {
    shop.mesh.write("neighbour.yaml", &neighbour(status)).unwrap();
    eventually(async || {
        let answer = send(&Request::get(shop.address, "neighbour.example", "/")).await;
        require(answer.status == status, answer.status)
    })
    .await;
}

async fn answered_by(shop: &Shop, backend: &str) {
    eventually(async || {
        let response = shop.get("/").await;
        assert_eq!(response.status, 200);
        require(response.backend() == Some(backend), format!("{:?}", response.backend()))
    })
    .await;
}

#[tokio::test]
async fn a_rule_for_a_subset_to_come_waits_and_its_neighbours_do_not() {
    let shop = start().await;
    shop.mesh.write(RULE, &rule("v2")).unwrap();
    change_neighbour(&shop, 202).await;
    assert_eq!(shop.count(&shop.request("/"), 20).await, [20, 0]);
    shop.mesh.write(SUBSETS, &subsets(&["v1", "v2"])).unwrap();
    answered_by(&shop, "web-v2").await;
    eventually(async || shop.mesh.expect_synced(1).await).await;
}

#[tokio::test]
async fn a_subset_that_a_rule_still_names_goes_on_serving() {
    let shop = start().await;
    shop.mesh.write(SUBSETS, &subsets(&["v2"])).unwrap();
    change_neighbour(&shop, 202).await;
    assert_eq!(shop.count(&shop.request("/"), 20).await, [20, 0]);
    shop.mesh.write(RULE, &rule("v2")).unwrap();
    answered_by(&shop, "web-v2").await;
    eventually(async || {
        let clusters = shop.envoy.admin_get("/clusters").await?.text();
        require(!clusters.contains("|v1|"), "the old subset is still there")
    })
    .await;
}

#[tokio::test]
async fn a_service_that_a_rule_still_names_goes_on_serving() {
    let shop = start().await;
    let second = backend("other").await;
    let instance = Instance::new("v1", &second);
    shop.mesh.write("other.yaml", &service("other", &[instance])).unwrap();
    let lead_there = rule("v1").replace("host: web, subset: v1", "host: other");
    shop.mesh.write(RULE, &lead_there).unwrap();
    answered_by(&shop, "other").await;
    shop.taken_in(|mesh| mesh.remove("other.yaml")).await;
    change_neighbour(&shop, 202).await;
    assert_eq!(shop.get("/").await.backend(), Some("other"));
    shop.mesh.write(RULE, &rule("v1")).unwrap();
    answered_by(&shop, "web-v1").await;
}

#[tokio::test]
async fn a_subset_that_is_kept_loses_the_instances_that_its_service_loses() {
    let shop = start().await;
    let all = subsets(&["v1", "all"]).replace("{version: all}", "{app: web}");
    shop.mesh.write(SUBSETS, &all).unwrap();
    shop.mesh.write(RULE, &rule("all")).unwrap();
    answered_by(&shop, "web-v2").await;
    shop.taken_in(|mesh| mesh.write(SUBSETS, &subsets(&["v1"]))).await;
    shop.rewrite_web(&service("web", &[Instance::new("v1", &shop.web[0])]));
    eventually(async || {
        let answers = shop.count(&shop.request("/"), 20).await;
        require(answers == [20, 0], format!("{answers:?}"))
    })
    .await;
}

/// TLS settings that Envoy refuses, for it reads the file and we do not.
fn refused() -> String {
    destination_rule("  trafficPolicy: {tls: {mode: SIMPLE, caCertificates: /does/not/exist.pem}}")
        .replace("host: web", "host: pay.example")
        .replace("name: web, namespace", "name: pay, namespace")
}

async fn refusal(mesh: &Mesh) -> String {
    mesh.expect_synced(2).await.err().map(|error| error.to_string()).unwrap_or_default()
}

#[tokio::test]
async fn what_envoy_refuses_is_shown_and_holds_up_nothing_else() {
    let shop = start().await;
    let settings = ProxySettings::sidecar("other.elsewhere");
    let _other = shop.mesh.proxy(&settings).await.unwrap();
    shop.mesh.write("pay.yaml", &entry("pay")).unwrap();
    shop.mesh.write("policy.yaml", &refused()).unwrap();
    eventually(async || {
        let why = refusal(&shop.mesh).await;
        require(why.contains("/does/not/exist.pem") && why.contains("pay.example"), why)
    })
    .await;
    shop.mesh.write(SUBSETS, &subsets(&["v1", "v2"])).unwrap();
    shop.mesh.write(RULE, &rule("v2")).unwrap();
    answered_by(&shop, "web-v2").await;
    shop.mesh.remove("policy.yaml").unwrap();
    eventually(async || shop.mesh.expect_synced(2).await).await;
}
