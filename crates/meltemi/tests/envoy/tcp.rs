//! Connections of bytes: to a service, by weight, and to another one.

use std::{net::SocketAddr, time::Duration};

use testkit::{
    http::{TcpBackend, tcp_exchange},
    ports,
};

use crate::shop::{Instance, Shop, ShopSettings, egress, eventually, require, service_on};

/// The port of the service.
const BYTES: u16 = 9000;

/// Sends `hello` and returns who answered it.
async fn ask(address: SocketAddr) -> String {
    let answer = tcp_exchange(address, b"hello", Duration::from_secs(10)).await.unwrap();
    let text = String::from_utf8(answer).unwrap();
    text.strip_suffix("\nhello").unwrap_or_else(|| panic!("`{text}`")).to_owned()
}

/// `bytes` with the instances v1 and v2, and this text below `spec` of a rule for it.
async fn start(rule: &str) -> (Shop, SocketAddr, Vec<TcpBackend>) {
    let mut backends = Vec::new();
    for name in ["v1", "v2"] {
        backends.push(TcpBackend::start(name, ports::loopback_socket(BYTES)).await.unwrap());
    }
    let instances = ["v1", "v2"].into_iter().zip(&backends);
    let instances: Vec<Instance<'_>> = instances
        .map(|(version, it)| Instance { version, address: it.address(), node: None })
        .collect();
    let address = ports::loopback_socket(BYTES);
    let yaml = format!(
        "{}---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: bytes, namespace: shop}}
spec:
  host: bytes
  subsets: [{{name: v1, labels: {{version: v1}}}}, {{name: v2, labels: {{version: v2}}}}]
---
{rule}",
        service_on("bytes", ("tcp", BYTES), &instances)
    );
    let shop = Shop::start_with(ShopSettings {
        yaml: &yaml,
        egress: &egress(address, "TCP", "bytes.shop.svc.cluster.local"),
        ..ShopSettings::default()
    })
    .await;
    shop.wait_listening(address).await;
    (shop, address, backends)
}

fn rule(routes: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: bytes, namespace: shop}}
spec:
  hosts: [bytes]
  tcp:
  - route:
{routes}"
    )
}

#[tokio::test]
async fn bytes_reach_every_instance() {
    let (_shop, address, backends) = start("").await;
    for _ in 0..20 {
        ask(address).await;
    }
    assert!(backends.iter().all(|it| it.connections() > 0));
}

#[tokio::test]
async fn connections_are_split_by_weight() {
    let routes = "    - {destination: {host: bytes, subset: v1}, weight: 25}
    - {destination: {host: bytes, subset: v2}, weight: 75}
";
    let (_shop, address, _backends) = start(&rule(routes)).await;
    let mut first = 0;
    for _ in 0..200 {
        first += usize::from(ask(address).await == "v1");
    }
    // Five standard deviations around 50.
    assert!((20..=80).contains(&first), "{first} of 200");
}

#[tokio::test]
async fn connections_follow_a_rule_that_changes() {
    let (shop, address, _backends) =
        start(&rule("    - destination: {host: bytes, subset: v1}\n")).await;
    assert_eq!(ask(address).await, "v1");
    shop.mesh
        .write(
            "rule.yaml",
            &rule("    - destination: {host: bytes, subset: v2}\n")
                .replace("name: bytes, n", "name: a, n"),
        )
        .unwrap();
    eventually(async || {
        let name = ask(address).await;
        require(name == "v2", format!("{name} answers"))
    })
    .await;
}
