//! Changes of every kind while requests run: none of them may be felt.

use std::{net::SocketAddr, time::Duration};

use testkit::{
    EnvoyProcess,
    http::{Client, Load, LoadSettings, Request, TcpBackend, tcp_exchange},
    mesh::{ProxyProtocol, ProxySettings},
    ports,
};

use crate::shop::{
    Instance, Shop, ShopSettings, backend, destination_rule, egress, eventually, require, send,
    service, service_on,
};

const POLICY: &str = "policy.yaml";

async fn start(protocol: ProxyProtocol) -> Shop {
    let proxy = Some(ProxySettings::sidecar("client.shop").protocol(protocol));
    Shop::start_with(ShopSettings { versions: &["v1", "v2"], proxy, ..ShopSettings::default() })
        .await
}

fn load(request: Request) -> Load {
    Load::start(LoadSettings { client: Client::keep_alive(), ..LoadSettings::new(request, 200) })
}

/// Waits until the proxy's configuration of the cluster of `web` has this text.
async fn wait_cluster(envoy: &EnvoyProcess, text: &str) {
    eventually(async || {
        let dump = envoy.admin_get("/config_dump?resource=dynamic_active_clusters").await?.text();
        require(dump.contains(text), format!("no `{text}`"))
    })
    .await;
}

/// A cluster that changes warms anew, and needs its endpoints again.
async fn policies_change(protocol: ProxyProtocol) {
    let shop = start(protocol).await;
    let load = load(shop.request("/"));
    for round in 1..=20 {
        let policy =
            format!("  trafficPolicy: {{connectionPool: {{tcp: {{connectTimeout: {round}s}}}}}}");
        shop.mesh.write(POLICY, &destination_rule(&policy)).unwrap();
        wait_cluster(&shop.envoy, &format!("\"connect_timeout\": \"{round}s\"")).await;
    }
    load.stop().await.expect_no_failure().unwrap();
}

#[tokio::test]
async fn policies_change_over_delta() {
    policies_change(ProxyProtocol::Delta).await;
}

#[tokio::test]
async fn policies_change_over_sotw() {
    policies_change(ProxyProtocol::Sotw).await;
}

#[tokio::test]
async fn a_way_of_balancing_comes_and_goes() {
    let shop = start(ProxyProtocol::Delta).await;
    let load = load(shop.request("/"));
    for _ in 0..5 {
        let policy = "  trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: user}}}";
        shop.mesh.write(POLICY, &destination_rule(policy)).unwrap();
        wait_cluster(&shop.envoy, "RING_HASH").await;
        shop.mesh.remove(POLICY).unwrap();
        wait_cluster(&shop.envoy, "LEAST_REQUEST").await;
    }
    load.stop().await.expect_no_failure().unwrap();
}

#[tokio::test]
async fn a_silent_proxy_holds_up_nobody_else() {
    let shop = start(ProxyProtocol::Delta).await;
    let silent = shop.mesh.proxy(&ProxySettings::sidecar("silent.shop")).await.unwrap();
    silent.pause().unwrap();
    for round in 1..=5 {
        let policy =
            format!("  trafficPolicy: {{connectionPool: {{tcp: {{connectTimeout: {round}s}}}}}}");
        shop.mesh.write(POLICY, &destination_rule(&policy)).unwrap();
        wait_cluster(&shop.envoy, &format!("\"connect_timeout\": \"{round}s\"")).await;
    }
    // A cluster is active at once; that its proxy has acknowledged it is heard a moment later.
    eventually(async || {
        let list = shop.mesh.control_plane().get("/debug/proxies").await?.to_string();
        require(list.contains("STALE") && list.contains("SYNCED"), list)
    })
    .await;
    silent.resume().unwrap();
    eventually(async || shop.mesh.expect_synced(2).await).await;
    wait_cluster(&silent, "\"connect_timeout\": \"5s\"").await;
}

const BYTES: u16 = 9000;

fn tcp_rule(subset: &str) -> String {
    format!(
        "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: bytes, namespace: shop}}
spec:
  hosts: [bytes]
  tcp: [{{route: [{{destination: {{host: bytes, subset: {subset}}}}}]}}]
"
    )
}

fn tcp_subsets(names: &[&str]) -> String {
    let own = |name: &&str| format!("  - {{name: {name}, labels: {{version: {name}}}}}\n");
    destination_rule(&format!("  subsets:\n{}", names.iter().map(own).collect::<String>()))
        .replace("web", "bytes")
}

#[tokio::test]
async fn connections_of_bytes_survive_subsets_that_come_and_go() {
    let mut backends = Vec::new();
    for name in ["v1", "v2"] {
        backends.push(TcpBackend::start(name, ports::loopback_socket(BYTES)).await.unwrap());
    }
    let instances = ["v1", "v2"].into_iter().zip(&backends);
    let instances: Vec<Instance<'_>> = instances
        .map(|(version, it)| Instance { version, address: it.address(), node: None })
        .collect();
    let address = ports::loopback_socket(BYTES);
    let shop = Shop::start_with(ShopSettings {
        yaml: &service_on("bytes", ("tcp", BYTES), &instances),
        files: &[("rule.yaml", &tcp_rule("v1")), (POLICY, &tcp_subsets(&["v1"]))],
        egress: &egress(address, "TCP", "bytes.shop.svc.cluster.local"),
        ..ShopSettings::default()
    })
    .await;
    shop.wait_listening(address).await;
    let answered_by = async |version: &str| {
        eventually(async || {
            let answer = tcp_exchange(address, b"hello", Duration::from_secs(10)).await.unwrap();
            let answer = String::from_utf8(answer).unwrap();
            assert!(answer.ends_with("\nhello"), "`{answer}`");
            require(answer.starts_with(version), format!("{answer} instead of {version}"))
        })
        .await;
    };
    answered_by("v1").await;
    for _ in 0..10 {
        shop.mesh.write("rule.yaml", &tcp_rule("v2")).unwrap();
        answered_by("v1").await;
        shop.mesh.write(POLICY, &tcp_subsets(&["v1", "v2"])).unwrap();
        answered_by("v2").await;
        shop.mesh.write(POLICY, &tcp_subsets(&["v1"])).unwrap();
        answered_by("v2").await;
        shop.mesh.write("rule.yaml", &tcp_rule("v1")).unwrap();
        answered_by("v1").await;
    }
}

/// The gateway's rule leads to one subset of a service, or to all of it.
fn gateway_rule(host: &str, subset: &str) -> String {
    format!(
        "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: edge, namespace: shop}}
spec:
  hosts: ['*']
  gateways: [edge]
  http: [{{route: [{{destination: {{host: {host}, subset: '{subset}'}}}}]}}]
"
    )
}

const GATEWAY: u16 = 7081;

/// A shop with a gateway for all hosts, and where that listens.
async fn start_gateway(files: &[(&str, &str)]) -> (Shop, EnvoyProcess, SocketAddr) {
    let address = ports::loopback_socket(GATEWAY);
    let yaml = format!(
        "---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: edge, namespace: shop}}
spec:
  selector: {{app: edge}}
  servers: [{{bind: {}, port: {{number: {GATEWAY}, name: http, protocol: HTTP}}, hosts: ['*']}}]
",
        address.ip()
    );
    let settings =
        ShopSettings { versions: &["v1", "v2"], yaml: &yaml, files, ..ShopSettings::default() };
    let shop = Shop::start_with(settings).await;
    let gateway = shop.mesh.proxy(&ProxySettings::gateway("edge.shop")).await.unwrap();
    shop.wait_listening(address).await;
    (shop, gateway, address)
}

/// Sends requests until `backend` answers one; all must be answered by somebody.
async fn answered_by(request: &Request, backend: &str) {
    eventually(async || {
        let response = send(request).await;
        assert_eq!(response.status, 200, "{}", response.text());
        require(response.backend() == Some(backend), format!("{:?}", response.backend()))
    })
    .await;
}

#[tokio::test]
async fn gateways_follow_subsets_that_come_and_go() {
    let subsets = |names: &[&str]| tcp_subsets(names).replace("bytes", "web");
    let files = [("rule.yaml", &*gateway_rule("web", "v1")), (POLICY, &*subsets(&["v1"]))];
    let (shop, _gateway, address) = start_gateway(&files).await;
    let request = Request::get(address, "any.example", "/");
    answered_by(&request, "web-v1").await;
    let load = load(request.clone());
    for _ in 0..20 {
        shop.taken_in(|mesh| mesh.write("rule.yaml", &gateway_rule("web", "v2"))).await;
        answered_by(&request, "web-v1").await;
        shop.mesh.write(POLICY, &subsets(&["v1", "v2"])).unwrap();
        answered_by(&request, "web-v2").await;
        shop.taken_in(|mesh| mesh.write(POLICY, &subsets(&["v1"]))).await;
        answered_by(&request, "web-v2").await;
        shop.mesh.write("rule.yaml", &gateway_rule("web", "v1")).unwrap();
        answered_by(&request, "web-v1").await;
    }
    load.stop().await.expect_no_failure().unwrap();
}

/// A gateway has clusters of those services only that its routes name.
#[tokio::test]
async fn gateways_go_from_service_to_service() {
    let other = backend("other").await;
    let other_service = service("other", &[Instance::new("v1", &other)]);
    let files = [("rule.yaml", &*gateway_rule("web", "")), ("other.yaml", &*other_service)];
    let (shop, gateway, address) = start_gateway(&files).await;
    let request = Request::get(address, "any.example", "/");
    let load = load(request.clone());
    for _ in 0..20 {
        shop.mesh.write("rule.yaml", &gateway_rule("other", "")).unwrap();
        answered_by(&request, "other").await;
        eventually(async || {
            let clusters = gateway.admin_get("/clusters").await?.text();
            require(!clusters.contains("||web."), "it still has clusters of web")
        })
        .await;
        shop.mesh.write("rule.yaml", &gateway_rule("web", "")).unwrap();
        eventually(async || {
            let clusters = gateway.admin_get("/clusters").await?.text();
            require(!clusters.contains("||other."), "it still has clusters of other")
        })
        .await;
    }
    load.stop().await.expect_no_failure().unwrap();
}
