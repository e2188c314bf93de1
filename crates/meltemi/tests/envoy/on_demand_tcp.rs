//! A fenced workload opens connections to what it was not told of: they are learned.
//!
//! Nothing redirects connections here, so that one to an unknown destination arrives at the listener
//! of its port and can only be refused; elsewhere it passes through, with the same report.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use envoy::config::core::v3::Node;
use prost::Message;
use serde_json::{Value, json};
use testkit::{
    http::{Request, TcpBackend, tcp_exchange},
    ports,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    fence,
    shop::{
        Instance, PORT, Shop, ShopSettings, backend, eventually, require, send, service, service_on,
    },
};

/// What cannot become HTTP.
const BYTES: &[u8] = b"\0hello";
const TIMEOUT: Duration = Duration::from_secs(10);

/// A service of bytes with an address of its own, at which the sidecar listens on a port that nobody else has.
struct Store {
    backend: TcpBackend,
    address: SocketAddr,
    host: String,
}

impl Store {
    async fn start(name: &str) -> Self {
        let port = ports::free_port();
        let backend = TcpBackend::start(name, ports::loopback_socket(port)).await.unwrap();
        let host = format!("{name}.shop.svc.cluster.local");
        Self { backend, address: (Ipv4Addr::LOCALHOST, port).into(), host }
    }

    /// Its protocol is detected: such a port is open to a fenced workload.
    fn yaml(&self, name: &str) -> String {
        let address = self.backend.address();
        let instance = Instance { version: "v1", address, node: None };
        let selector = format!("spec:\n  selector: {{app: {name}}}");
        let service = service_on(name, ("data", self.address.port()), &[instance]);
        service.replace(&selector, &format!("{selector}\n  clusterIP: {}", self.address.ip()))
    }

    fn cluster(&self) -> String {
        format!("outbound|{}||{}", self.address.port(), self.host)
    }

    /// Whether a connection gets to the service.
    async fn is_reached(&self) -> bool {
        let answer = tcp_exchange(self.address, BYTES, TIMEOUT).await;
        answer.is_ok_and(|answer| answer.ends_with(BYTES))
    }
}

/// Each at its own address, as without a Sidecar.
fn egress(stores: &[(&str, &Store)]) -> String {
    let hosts: Vec<String> =
        stores.iter().map(|(_, store)| format!("shop/{}", store.host)).collect();
    format!("  - hosts: [{}]\n", hosts.join(", "))
}

async fn start(stores: &[(&str, &Store)], yaml: &str) -> Shop {
    let services = stores.iter().map(|(name, store)| store.yaml(name)).collect::<String>();
    let egress = egress(stores);
    let yaml = format!("{services}{yaml}");
    let fence = fence::namespace("on-demand");
    let files = [(fence::FILE, &*fence)];
    let settings =
        ShopSettings { yaml: &yaml, egress: &egress, files: &files, ..ShopSettings::default() };
    let shop = Shop::start_with(settings).await;
    for (_, store) in stores {
        shop.wait_listening(store.address).await;
    }
    shop
}

/// The learned hosts of the client, with what saw them.
pub(crate) async fn learned(shop: &Shop) -> Vec<(String, Value)> {
    let path = "/debug/scope/edges?workload=shop/client";
    let edges = shop.mesh.control_plane().get(path).await.unwrap();
    let items = edges["items"].as_array().cloned().unwrap_or_default();
    items
        .iter()
        .filter(|it| it["sensors"] != json!(["declared"]))
        .map(|it| (it["host"].as_str().unwrap().to_owned(), it["sensors"].clone()))
        .collect()
}

#[tokio::test]
async fn a_connection_to_an_unknown_service_is_learned_and_the_next_one_meshed() {
    let (store, other) = (Store::start("store").await, Store::start("other").await);
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
    assert!(clusters.text().contains(&format!("{}::", store.cluster())));
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

#[tokio::test]
async fn a_request_without_a_route_is_learned_where_hosts_are_not_asked_for() {
    let cart = backend("cart").await;
    let yaml = service("cart", &[Instance::new("v1", &cart)]);
    // It is not able to ask, and told of nothing.
    let fence = fence::namespace("learned");
    let files = [(fence::FILE, &*fence)];
    let shop = Shop::start_with(ShopSettings {
        versions: &["v1"],
        yaml: &yaml,
        files: &files,
        mesh_config: "outboundTrafficPolicy: {mode: REGISTRY_ONLY}",
        ..ShopSettings::default()
    })
    .await;
    let call =
        async |host: &str| send(&Request::get(shop.address, host, "/")).await.status.as_u16();
    assert_eq!(call("cart").await, 502);
    eventually(async || require(call("cart").await == 200, "not learned")).await;
    let expected = ("cart.shop.svc.cluster.local".to_owned(), json!(["access-log"]));
    assert_eq!(learned(&shop).await, [expected]);
}

/// As whoever answers an application's queries says it.
#[derive(Clone, PartialEq, prost::Message)]
struct QueryReport {
    #[prost(message, optional, tag = "1")]
    node: Option<Node>,
    #[prost(string, repeated, tag = "2")]
    names: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct QueryReportAnswer {
    #[prost(uint32, tag = "1")]
    services: u32,
}

/// How many services were meant, or the code of the refusal.
async fn report(shop: &Shop, node: &str, names: &[&str]) -> Result<u32, u32> {
    let node = Some(Node { id: node.to_owned(), ..Node::default() });
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    let message = QueryReport { node, names }.encode_to_vec();
    let path = "/meltemi.scope.v1.Queries/Report";
    let answer = send(&Request::grpc(shop.mesh.xds_address(), "meltemi", path, &message)).await;
    match answer.grpc_status() {
        Some(0) => {
            let message = answer.grpc_message().unwrap();
            Ok(QueryReportAnswer::decode(message).unwrap().services)
        }
        code => Err(code.unwrap_or_default()),
    }
}

#[tokio::test]
async fn a_name_that_is_looked_up_is_there_before_the_first_connection() {
    let store = Store::start("store").await;
    let known = store.yaml("store").replace("name: data", "name: tcp-data");
    let hidden = "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: hidden, namespace: other}
spec:
  hosts: [hidden.internal]
  exportTo: [.]
  ports: [{number: 9000, name: tcp, protocol: TCP}]
  resolution: STATIC
  endpoints: [{address: 10.9.9.9}]
";
    let (yaml, egress) = (format!("{known}{hidden}"), egress(&[("store", &store)]));
    let fence = fence::namespace("on-demand");
    let files = [(fence::FILE, &*fence)];
    let settings =
        ShopSettings { yaml: &yaml, egress: &egress, files: &files, ..ShopSettings::default() };
    let shop = Shop::start_with(settings).await;
    let knows = async || {
        let clusters = shop.envoy.admin_get("/clusters").await.unwrap();
        clusters.text().contains(&store.cluster())
    };
    assert!(TcpStream::connect(store.address).await.is_err(), "nobody has asked for it");
    let node = "sidecar~127.0.0.1~client.shop~shop.svc.cluster.local";
    let junk: Vec<String> = (0..100).map(|number| format!("junk-{number}.example.com")).collect();
    let junk: Vec<&str> = junk.iter().map(String::as_str).collect();
    assert_eq!(report(&shop, node, &junk).await, Ok(0));
    assert_eq!(report(&shop, node, &["STORE", "store.shop.", "junk"]).await, Ok(1));
    assert!(knows().await, "it is answered before the proxy has it");
    let expected = ("store.shop.svc.cluster.local".to_owned(), json!(["dns"]));
    assert_eq!(learned(&shop).await, [expected]);
    eventually(async || require(store.is_reached().await, "it is not meshed")).await;
    // What another namespace keeps for itself exists, and is not seen all the same.
    assert_eq!(report(&shop, node, &["hidden.internal"]).await, Ok(1));
    let clusters = shop.envoy.admin_get("/clusters").await.unwrap();
    assert!(!clusters.text().contains("hidden.internal"));
    assert_eq!(report(&shop, "nobody", &["store"]).await, Err(3));
    shop.mesh.expect_synced(1).await.unwrap();
}

/// Hosts are asked for, and this one is nobody's: where it leaves says which service was meant.
#[tokio::test]
async fn a_request_to_the_address_of_a_service_is_learned_whatever_its_host() {
    let auto = backend("auto").await;
    let fence = fence::namespace("on-demand");
    let files = [(fence::FILE, &*fence)];
    let settings = ShopSettings { versions: &["v1"], files: &files, ..ShopSettings::default() };
    let shop = Shop::start_with(settings).await;
    let instance = Instance::new("v1", &auto);
    let service = service_on("auto", ("data", PORT), &[instance]);
    // Nothing redirects connections: the listener itself has the address.
    let place = format!("spec:\n  clusterIP: {}", shop.address.ip());
    shop.taken_in(|mesh| mesh.write("auto.yaml", &service.replacen("spec:", &place, 1))).await;
    let request = Request::get(shop.address, "www.elsewhere.example", "/");
    eventually(async || {
        send(&request).await;
        let learned = learned(&shop).await;
        let expected = ("auto.shop.svc.cluster.local".to_owned(), json!(["access-log"]));
        require(learned == [expected], format!("{learned:?}"))
    })
    .await;
}
