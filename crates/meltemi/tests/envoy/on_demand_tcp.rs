//! A fenced workload opens connections to what it was not told of: they are learned.
//!
//! Nothing redirects connections here, so that one to an unknown destination arrives at the listener
//! of its port and can only be refused; elsewhere it passes through, with the same report.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use testkit::{
    http::{TcpBackend, tcp_exchange},
    ports,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::shop::{Instance, Shop, ShopSettings, egress, eventually, require, service_on};

/// The client's namespace is fenced: it is told of nothing until it calls.
const FENCE: &str = "---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {meltemi.io/scope: on-demand}}
";
/// What cannot become HTTP.
const BYTES: &[u8] = b"\0hello";
const TIMEOUT: Duration = Duration::from_secs(10);

/// A service of bytes with an address of its own, at which the sidecar listens.
struct Store {
    backend: TcpBackend,
    address: SocketAddr,
    host: String,
}

impl Store {
    async fn start(name: &str, port: u16) -> Self {
        let backend = TcpBackend::start(name, ports::loopback_socket(port)).await.unwrap();
        let host = format!("{name}.shop.svc.cluster.local");
        Self { backend, address: ports::loopback_socket(port), host }
    }

    /// Its protocol is detected: such a port is open to a fenced workload.
    fn yaml(&self, name: &str) -> String {
        let address = self.backend.address();
        let instance = Instance { version: "v1", address, node: None };
        let selector = format!("spec:\n  selector: {{app: {name}}}");
        let service = service_on(name, ("data", self.address.port()), &[instance]);
        service.replace(&selector, &format!("{selector}\n  clusterIP: {}", self.address.ip()))
    }

    fn egress(&self) -> String {
        egress(self.address, "TCP", &self.host)
    }

    /// Whether a connection gets to the service.
    async fn is_reached(&self) -> bool {
        let answer = tcp_exchange(self.address, BYTES, TIMEOUT).await;
        answer.is_ok_and(|answer| answer.ends_with(BYTES))
    }
}

async fn start(stores: &[(&str, &Store)], yaml: &str) -> Shop {
    let services = stores.iter().map(|(name, store)| store.yaml(name)).collect::<String>();
    let egress = stores.iter().map(|(_, store)| store.egress()).collect::<String>();
    let yaml = format!("{services}{yaml}");
    let files = [("fence.yaml", FENCE)];
    let settings =
        ShopSettings { yaml: &yaml, egress: &egress, files: &files, ..ShopSettings::default() };
    let shop = Shop::start_with(settings).await;
    for (_, store) in stores {
        shop.wait_listening(store.address).await;
    }
    shop
}

/// The learned hosts of the client, with what saw them.
async fn learned(shop: &Shop) -> Vec<(String, Value)> {
    let path = "/debug/scope/edges?workload=shop/client";
    let edges = shop.mesh.control_plane().get(path).await.unwrap();
    let items = edges["items"].as_array().cloned().unwrap_or_default();
    items
        .iter()
        .map(|it| (it["host"].as_str().unwrap().to_owned(), it["sensors"].clone()))
        .collect()
}

#[tokio::test]
async fn a_connection_to_an_unknown_service_is_learned_and_the_next_one_meshed() {
    let (store, other) = (Store::start("store", 9000).await, Store::start("other", 9001).await);
    let shop = start(&[("store", &store), ("other", &other)], "").await;
    assert!(!store.is_reached().await, "it was told of before it was called");
    eventually(async || {
        let why = || async { format!("not learned: {:?}", learned(&shop).await) };
        require(store.is_reached().await, why().await)
    })
    .await;
    let host = "store.shop.svc.cluster.local".to_owned();
    assert_eq!(learned(&shop).await, [(host.clone(), json!(["access-log"]))]);
    // By a cluster of its own, with what follows from that.
    let clusters = shop.envoy.admin_get("/clusters").await.unwrap();
    assert!(clusters.text().contains(&format!("outbound|9000||{host}::")));
    // What is learned later leaves running connections alone.
    let mut running = TcpStream::connect(store.address).await.unwrap();
    running.write_all(BYTES).await.unwrap();
    let mut said = [0; 12];
    running.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"store\n\0hello");
    eventually(async || require(other.is_reached().await, "not learned")).await;
    // What drains is gone after two seconds.
    tokio::time::sleep(Duration::from_secs(3)).await;
    running.write_all(b"b").await.unwrap();
    running.read_exact(&mut said[..1]).await.unwrap();
    assert_eq!(said[0], b'b');
    shop.mesh.expect_synced(1).await.unwrap();
}
