//! The other side: a sidecar before the application, and what it says of the caller.

use std::net::SocketAddr;

use testkit::{
    http::{Backend, Request},
    mesh::ProxySettings,
    ports,
};

use crate::shop::{Instance, PORT, Shop, ShopSettings, eventually, send, service};

/// A workload `stock` whose sidecar listens on its address, before an application on loopback.
pub(crate) fn ingress(address: SocketAddr, application: SocketAddr) -> String {
    let (ip, port) = (address.ip(), application.port());
    format!(
        "---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: stock, namespace: shop}}
spec:
  workloadSelector: {{labels: {{app: stock}}}}
  ingress:
  - port: {{number: {PORT}, protocol: HTTP, name: http}}
    bind: {ip}
    captureMode: NONE
    defaultEndpoint: 127.0.0.1:{port}
  egress: [{{hosts: ['~/*']}}]
"
    )
}

#[tokio::test]
async fn a_request_passes_both_sidecars() {
    let application = Backend::start("stock").await.unwrap();
    let address = ports::loopback_socket(PORT);
    let instance = Instance { version: "v1", address, node: None };
    let yaml = service("stock", &[instance]) + &ingress(address, application.address());
    let shop = Shop::start_with(ShopSettings { yaml: &yaml, ..ShopSettings::default() }).await;
    let settings = ProxySettings::sidecar("stock.shop");
    let stock =
        shop.mesh.proxy(&ProxySettings { address: address.ip(), ..settings }).await.unwrap();
    shop.wait_listening(address).await;
    let request = Request::get(shop.address, "stock", "/a").header("x-mine", "1");
    let echo = send(&request).await.echo().unwrap();
    assert_eq!((echo.backend.as_str(), echo.host.as_str()), ("stock", "stock"));
    assert_eq!(echo.headers["x-mine"], "1");
    assert!(echo.headers.contains_key("x-request-id"));
    let passed = stock.stats(r"^cluster\.inbound[^.]*\.upstream_rq_200$").await.unwrap();
    assert_eq!(passed.values().sum::<u64>(), 1, "{passed:?}");
    eventually(async || shop.mesh.expect_synced(2).await).await;
}
