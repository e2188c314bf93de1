//! Where instances come from, beside pods: entries, workloads, names to resolve, the HTTP proxy.

use testkit::{
    http::{Client, Request},
    ports,
};

use crate::shop::{Shop, ShopSettings, backend, destination_rule, eventually, require, send};

#[tokio::test]
async fn workloads_are_selected_by_their_labels() {
    let (first, second) = (backend("first").await, backend("second").await);
    let workload = |name: &str, address: std::net::IpAddr| {
        format!(
            "---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: {name}, namespace: shop}}
spec: {{address: {address}, labels: {{app: vm}}}}
"
        )
    };
    let entry = "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: vm, namespace: shop}
spec:
  hosts: [vm.example]
  resolution: STATIC
  location: MESH_INTERNAL
  ports: [{number: 7080, name: http, protocol: HTTP}]
  workloadSelector: {labels: {app: vm}}
";
    let first_entry = workload("first", first.address().ip());
    let shop = Shop::start(&[], &format!("{entry}{first_entry}")).await;
    let request = Request::get(shop.address, "vm.example", "/");
    assert_eq!(send(&request).await.backend(), Some("first"));
    shop.mesh.write("second.yaml", &workload("second", second.address().ip())).unwrap();
    eventually(async || {
        let response = send(&request).await;
        require(response.backend() == Some("second"), "the second gets nothing")
    })
    .await;
}

#[tokio::test]
async fn names_are_resolved_by_the_proxy() {
    let instance = backend("named").await;
    let entry = format!(
        "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: named, namespace: shop}}
spec:
  hosts: [named.example]
  resolution: DNS
  location: MESH_EXTERNAL
  ports: [{{number: 7080, name: http, protocol: HTTP}}]
  endpoints: [{{address: '{}'}}]
",
        instance.address().ip()
    );
    let shop = Shop::start(&[], &entry).await;
    let response = send(&Request::get(shop.address, "named.example", "/")).await;
    assert_eq!(response.backend(), Some("named"), "{}", response.text());
}

/// Envoy refuses the endpoints of all services for one name among those that it is sent.
#[tokio::test]
async fn a_name_beside_addresses_harms_nobody() {
    let first = backend("first").await;
    let entry = |name: &str, resolution: &str, address: &str| {
        format!(
            "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: shop}}
spec:
  hosts: [mixed.example]
  resolution: {resolution}
  location: MESH_EXTERNAL
  ports: [{{number: 7080, name: http, protocol: HTTP}}]
  endpoints: [{{address: {address}}}]
"
        )
    };
    let entries = entry("a", "STATIC", &first.address().ip().to_string())
        + &entry("b", "DNS", "elsewhere.example");
    let shop = Shop::start(&["v1"], &entries).await;
    let response = send(&Request::get(shop.address, "mixed.example", "/")).await;
    assert_eq!(response.backend(), Some("first"), "{}", response.text());
    assert_eq!(shop.get("/").await.backend(), Some("web-v1"));
}

#[tokio::test]
async fn the_http_proxy_leads_to_every_service() {
    let proxy = ports::loopback_socket(7090);
    let port = ports::free_port();
    let shop = Shop::start_with(ShopSettings {
        versions: &["v1"],
        egress: &format!(
            "  - {{port: {{number: {port}, protocol: HTTP_PROXY, name: proxy}}, bind: {}, \
             captureMode: NONE, hosts: ['shop/*']}}\n",
            proxy.ip()
        ),
        ..ShopSettings::default()
    })
    .await;
    let proxy = std::net::SocketAddr::new(proxy.ip(), port);
    shop.wait_listening(proxy).await;
    let request = Request::get(
        proxy,
        "web.shop.svc.cluster.local:7080",
        "http://web.shop.svc.cluster.local:7080/a",
    );
    assert_eq!(send(&request).await.echo().unwrap().path, "/a");
}

#[tokio::test]
async fn a_connection_serves_as_many_requests_as_a_policy_says() {
    let policy = "  trafficPolicy: {connectionPool: {http: {maxRequestsPerConnection: 1}}}";
    for (policy, connections) in [("", 1), (policy, 5)] {
        let yaml = if policy.is_empty() { String::new() } else { destination_rule(policy) };
        let shop = Shop::start(&["v1"], &yaml).await;
        let client = Client::keep_alive();
        for _ in 0..5 {
            client.send(&shop.request("/")).await.unwrap();
        }
        assert_eq!(shop.web[0].connections(), connections, "{policy}");
    }
}
