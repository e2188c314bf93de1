//! HTTP/2 and gRPC between proxy and application.

use testkit::{
    http::{GrpcBackend, Request},
    ports,
};

use crate::shop::{Instance, PORT, Shop, destination_rule, send, service_on};

/// What `web` gets when the client speaks HTTP/1.1 and HTTP/2.
async fn protocols(policy: &str) -> [String; 2] {
    let yaml = match policy {
        "" => String::new(),
        policy => destination_rule(&format!(
            "  trafficPolicy: {{connectionPool: {{http: {{{policy}}}}}}}"
        )),
    };
    let shop = Shop::start(&["v1"], &yaml).await;
    let first = send(&shop.request("/")).await.echo().unwrap().protocol;
    let second = send(&shop.request("/").http2()).await.echo().unwrap().protocol;
    [first, second]
}

#[tokio::test]
async fn http2_is_spoken_to_applications_where_a_policy_says_so() {
    assert_eq!(protocols("").await, ["HTTP/1.1", "HTTP/1.1"]);
    assert_eq!(protocols("h2UpgradePolicy: UPGRADE").await, ["HTTP/2.0", "HTTP/2.0"]);
    assert_eq!(protocols("useClientProtocol: true").await, ["HTTP/1.1", "HTTP/2.0"]);
}

/// `calls`, a gRPC service with instances.
async fn grpc(names: &[&str], yaml: &str) -> (Shop, Vec<GrpcBackend>) {
    let mut backends = Vec::new();
    for name in names {
        backends.push(GrpcBackend::start(name, ports::loopback_socket(PORT)).await.unwrap());
    }
    let instances = names.iter().zip(&backends);
    let instances: Vec<Instance<'_>> = instances
        .map(|(version, it)| Instance { version, address: it.address(), node: None })
        .collect();
    let shop = Shop::start(&[], &(service_on("calls", ("grpc", PORT), &instances) + yaml)).await;
    (shop, backends)
}

fn call(shop: &Shop, method: &str) -> Request {
    Request::grpc(shop.address, "calls", method, b"hello")
}

#[tokio::test]
async fn calls_pass_with_message_and_status() {
    let (shop, backends) = grpc(&["v1"], "").await;
    let response = send(&call(&shop, "/shop.Cart/Add")).await;
    assert_eq!((response.grpc_status(), response.backend()), (Some(0), Some("v1")));
    assert_eq!(response.grpc_message().as_deref(), Some(&b"hello"[..]));
    // What the application answers on purpose is its own affair: 14 is "unavailable".
    backends[0].set_status(14);
    let response = send(&call(&shop, "/shop.Cart/Add")).await;
    assert_eq!((response.grpc_status(), backends[0].requests()), (Some(14), 2));
}

#[tokio::test]
async fn calls_are_routed_by_method_and_retried_by_status() {
    let yaml = "---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: calls, namespace: shop}
spec:
  host: calls
  trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: calls, namespace: shop}
spec:
  hosts: [calls]
  http:
  - match: [{uri: {prefix: /shop.Cart/}, headers: {content-type: {prefix: application/grpc}}}]
    route: [{destination: {host: calls, subset: v2}}]
  - match: [{uri: {prefix: /shop.Stock/}}]
    fault: {abort: {grpcStatus: RESOURCE_EXHAUSTED, percentage: {value: 100}}}
    route: [{destination: {host: calls}}]
  - route: [{destination: {host: calls}}]
    retries: {attempts: 2, retryOn: unavailable}
";
    let (shop, backends) = grpc(&["v1", "v2"], yaml).await;
    for _ in 0..5 {
        assert_eq!(send(&call(&shop, "/shop.Cart/Add")).await.backend(), Some("v2"));
    }
    assert_eq!(send(&call(&shop, "/shop.Stock/Take")).await.grpc_status(), Some(8));
    backends[0].set_status(14);
    for _ in 0..10 {
        let response = send(&call(&shop, "/shop.Price/Get")).await;
        assert_eq!((response.grpc_status(), response.backend()), (Some(0), Some("v2")));
    }
    assert!(backends[0].requests() > 0, "the failing instance was tried");
}
