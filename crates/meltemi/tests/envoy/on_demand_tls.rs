//! A fenced workload opens TLS connections, which it does not end itself, to hosts that it was not told of.

use std::{net::SocketAddr, time::Duration};

use serde_json::json;
use testkit::{
    certs::CertificateAuthority,
    http::{Backend, BackendSettings, Client, Request, TlsSettings},
    ports,
};

use crate::{
    fence,
    on_demand_tcp::learned,
    shop::{Shop, ShopSettings, egress, eventually, require},
    tls::{TLS_PORT, entry},
};

const REGISTRY_ONLY: &str = "outboundTrafficPolicy: {mode: REGISTRY_ONLY}";
const SECURE: &str = "secure.example";
const OTHER: &str = "other.example";
const OTHER_FILE: &str = "other.yaml";

/// Two services without an address on one port, where the sidecar listens for all addresses.
struct Outside {
    shop: Shop,
    port: u16,
    secure: Backend,
    other: Backend,
}

impl Outside {
    async fn start(mode: &str, rule: &str) -> Self {
        let [secure, other] = [outside(SECURE).await, outside(OTHER).await];
        let port = ports::free_port();
        let yaml = service("secure", port, &secure) + rule;
        let fence = fence::told_of_web(mode);
        let entry = service("other", port, &other);
        let files = [(fence::FILE, &*fence), (OTHER_FILE, &*entry)];
        let anywhere = SocketAddr::from(([0, 0, 0, 0], port));
        let egress = egress(anywhere, "TLS", "*.example");
        let shop = Shop::start_with(ShopSettings {
            yaml: &yaml,
            egress: &egress,
            files: &files,
            mesh_config: REGISTRY_ONLY,
            ..ShopSettings::default()
        })
        .await;
        shop.wait_listening(SocketAddr::from(([127, 0, 0, 1], port))).await;
        Self { shop, port, secure, other }
    }

    fn request(&self, server_name: &str) -> Request {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        Request::get(address, server_name, "/").tls(TlsSettings::new(server_name))
    }

    /// The service that a connection of its own leads to, if it leads anywhere.
    async fn call(&self, server_name: &str) -> Option<String> {
        let answer = Client::new().send(&self.request(server_name)).await.ok()?;
        answer.backend().map(str::to_owned)
    }

    async fn calls(&self, server_name: &str, expected: Option<&str>) {
        eventually(async || {
            let answer = self.call(server_name).await;
            require(answer.as_deref() == expected, format!("{server_name}: {answer:?}"))
        })
        .await;
    }

    async fn has_cluster(&self, host: &str) -> bool {
        let clusters = self.shop.envoy.admin_get("/clusters").await.unwrap().text();
        clusters.contains(&format!("outbound|{}||{host}::", self.port))
    }
}

fn service(name: &str, port: u16, backend: &Backend) -> String {
    let yaml = entry(name, backend.name(), "TLS", backend.address());
    yaml.replace(&format!("number: {TLS_PORT}"), &format!("number: {port}"))
}

async fn outside(host: &str) -> Backend {
    let authority = CertificateAuthority::new("outside").unwrap();
    let leaf = authority.leaf(&[host]).unwrap();
    let settings = BackendSettings {
        address: ports::loopback_socket(TLS_PORT),
        tls: Some(authority.server_config(&leaf).unwrap()),
        ..BackendSettings::new(host)
    };
    Backend::start_with(settings).await.unwrap()
}

#[tokio::test]
async fn a_connection_waits_for_the_service_of_its_server_name() {
    let outside = Outside::start("on-demand", "").await;
    assert_eq!(outside.call("nobody.example").await, None, "it is nobody's name");
    assert!(!outside.has_cluster(SECURE).await, "it was told of before it was called");
    // Where names go, their case has no meaning.
    let client = Client::keep_alive();
    let first = client.send(&outside.request("Secure.Example")).await.unwrap();
    assert_eq!(first.backend(), Some(SECURE));
    assert!(outside.has_cluster(SECURE).await && !outside.has_cluster(OTHER).await);
    assert_eq!(learned(&outside.shop).await, [(SECURE.to_owned(), json!(["request"]))]);
    assert_eq!(outside.call(OTHER).await.as_deref(), Some(OTHER));
    outside.shop.mesh.expect_synced(1).await.unwrap();
    // What drains is gone after two seconds; what was learned since leaves running connections alone.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let again = client.send(&outside.request("Secure.Example")).await.unwrap();
    assert_eq!(again.backend(), Some(SECURE));
    assert_eq!(outside.secure.connections(), 1);
    assert_eq!(outside.call(SECURE).await.as_deref(), Some(SECURE));
}

#[tokio::test]
async fn a_service_that_was_asked_for_goes_and_comes_back() {
    let outside = Outside::start("on-demand", "").await;
    let yaml = service("other", outside.port, &outside.other);
    for _ in 0..3 {
        assert_eq!(outside.call(OTHER).await.as_deref(), Some(OTHER));
        outside.shop.mesh.remove(OTHER_FILE).unwrap();
        outside.calls(OTHER, None).await;
        outside.shop.mesh.write(OTHER_FILE, &yaml).unwrap();
        outside.calls(OTHER, Some(OTHER)).await;
    }
}

#[tokio::test]
async fn without_a_control_plane_a_connection_ends_and_later_ones_recover() {
    let mut outside = Outside::start("on-demand", "").await;
    assert_eq!(outside.call(SECURE).await.as_deref(), Some(SECURE));
    outside.shop.mesh.kill();
    assert_eq!(outside.call(OTHER).await, None, "nobody can tell of it");
    assert_eq!(outside.call(SECURE).await.as_deref(), Some(SECURE));
    outside.shop.mesh.restart().await.unwrap();
    outside.calls(OTHER, Some(OTHER)).await;
    assert_eq!(outside.call(SECURE).await.as_deref(), Some(SECURE));
    outside.shop.mesh.expect_synced(1).await.unwrap();
}

#[tokio::test]
async fn where_nothing_waits_a_server_name_is_learned_and_the_next_connection_meshed() {
    let outside = Outside::start("learned", "").await;
    assert_eq!(outside.call("nobody.example").await, None, "it is nobody's name");
    assert_eq!(outside.call(SECURE).await, None, "it was told of before it was called");
    outside.calls(SECURE, Some(SECURE)).await;
    assert_eq!(learned(&outside.shop).await, [(SECURE.to_owned(), json!(["access-log"]))]);
    outside.shop.mesh.expect_synced(1).await.unwrap();
}

/// The service of the name would be the wrong one.
#[tokio::test]
async fn where_a_rule_says_where_a_server_name_goes_nothing_waits() {
    let rule = "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: secure, namespace: shop}
spec:
  hosts: [secure.example]
  tls:
  - match: [{sniHosts: [secure.example]}]
    route: [{destination: {host: other.example}}]
";
    let outside = Outside::start("on-demand", rule).await;
    assert_eq!(outside.call(SECURE).await, None);
    outside.calls(SECURE, Some(OTHER)).await;
    assert_eq!(outside.secure.connections(), 0);
}
