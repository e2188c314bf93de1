//! What proxies report, and that turning it on and off disturbs no connection.

use std::collections::BTreeMap;

use testkit::{
    EnvoyProcess,
    http::{Client, Request, TcpBackend, tcp_exchange},
    mesh::ProxySettings,
    ports,
};

use crate::shop::{
    Instance, Shop, ShopSettings, backend, egress, eventually, require, service, service_on,
};

const BYTES: u16 = 9000;

/// A Telemetry in a namespace with this text below `spec`.
fn telemetry(namespace: &str, spec: &str) -> String {
    format!(
        "apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {{name: {namespace}, namespace: {namespace}}}
spec: {spec}
"
    )
}

/// How often listeners changed.
async fn listener_changes(envoy: &EnvoyProcess) -> BTreeMap<String, u64> {
    let filter = r"^listener_manager\.listener_(modified|in_place_updated|added|removed)$";
    envoy.stats(filter).await.unwrap()
}

/// How many connections were ever made to the listener of `web`.
async fn connections(envoy: &EnvoyProcess) -> BTreeMap<String, u64> {
    envoy.stats(r"^http\.outbound_.*downstream_cx_(total|destroy)$").await.unwrap()
}

fn lines(envoy: &EnvoyProcess, word: &str) -> usize {
    envoy.stdout().lines().filter(|line| line.contains(word)).count()
}

/// Sends requests on a connection until one of them is logged, or is not.
async fn until_logged(shop: &Shop, client: &Client, path: &str, wanted: bool) {
    let mut number = 0;
    eventually(async || {
        number += 1;
        let path = format!("/{path}-{number}");
        let answer = client.send(&shop.request(&path)).await?;
        require(answer.status.is_success(), answer.status)?;
        // The log is written a moment after the answer; what comes later on the same connection
        // is written later.
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        let logged = lines(&shop.envoy, &format!("{path} ")) > 0;
        require(logged == wanted, format!("logged: {logged}"))
    })
    .await;
}

#[tokio::test]
async fn logs_are_turned_on_and_off_while_connections_stay() {
    let backend = TcpBackend::start("b", ports::loopback_socket(BYTES)).await.unwrap();
    let instance = Instance { version: "v1", address: backend.address(), node: None };
    let bytes = ports::loopback_socket(BYTES);
    let shop = Shop::start_with(ShopSettings {
        versions: &["v1"],
        yaml: &service_on("bytes", ("tcp", BYTES), &[instance]),
        egress: &egress(bytes, "TCP", "bytes.shop.svc.cluster.local"),
        ..ShopSettings::default()
    })
    .await;
    shop.wait_listening(bytes).await;
    let client = Client::keep_alive();
    until_logged(&shop, &client, "silent", false).await;
    let before = (listener_changes(&shop.envoy).await, connections(&shop.envoy).await);
    let logs = "{accessLogging: [{providers: [{name: envoy}]}]}";
    for (namespace, word) in [("istio-system", "mesh"), ("shop", "namespace")] {
        shop.mesh.write("telemetry.yaml", &telemetry(namespace, logs)).unwrap();
        until_logged(&shop, &client, word, true).await;
        shop.mesh.remove("telemetry.yaml").unwrap();
        until_logged(&shop, &client, &format!("after-{word}"), false).await;
    }
    let own =
        "{selector: {matchLabels: {app: client}}, accessLogging: [{providers: [{name: envoy}]}]}";
    shop.mesh.write("telemetry.yaml", &telemetry("shop", own)).unwrap();
    until_logged(&shop, &client, "workload", true).await;
    tcp_exchange(bytes, b"hello", std::time::Duration::from_secs(10)).await.unwrap();
    eventually(async || require(lines(&shop.envoy, "bytes.shop") > 0, "the bytes are not logged"))
        .await;
    shop.mesh.write("telemetry.yaml", &telemetry("shop", &own.replace("client", "else"))).unwrap();
    until_logged(&shop, &client, "else", false).await;
    let after = (listener_changes(&shop.envoy).await, connections(&shop.envoy).await);
    assert_eq!(after, before);
    shop.mesh.expect_synced(1).await.unwrap();
}

/// The mark of a service is in its routes, so that nothing but them changes for its callers, and the
/// value that has them look for it.
#[tokio::test]
async fn calls_to_one_service_are_logged_while_connections_stay() {
    let other = backend("other").await;
    let yaml = service("other", &[Instance::new("v1", &other)]);
    let settings = ShopSettings { versions: &["v1"], yaml: &yaml, ..ShopSettings::default() };
    let shop = Shop::start_with(settings).await;
    let client = Client::keep_alive();
    until_logged(&shop, &client, "silent", false).await;
    let count = async || {
        let filter =
            r"^(cluster_manager\.cds|listener_manager\.lds|http\..*\.rds\..*)\.update_success$";
        let mut counts = shop.envoy.stats(filter).await.unwrap();
        let routes: u64 =
            counts.extract_if(.., |name, _| name.contains(".rds.")).map(|it| it.1).sum();
        (counts, listener_changes(&shop.envoy).await, routes)
    };
    let (before, connected) = (count().await, connections(&shop.envoy).await);
    let plain = service("web", &[Instance::new("v1", &shop.web[0])]);
    let marked = |mark: &str| {
        let annotation = format!("shop, annotations: {{meltemi.io/access-log: {mark}}}}}");
        plain.replacen("shop}", &annotation, 1)
    };
    shop.rewrite_web(&marked("envoy"));
    until_logged(&shop, &client, "loud", true).await;
    let request = Request::get(shop.address, "other", "/elsewhere");
    assert!(client.send(&request).await.unwrap().status.is_success());
    // Who logs everything and the service too writes one line.
    let all = "{accessLogging: [{providers: [{name: envoy}]}]}";
    shop.mesh.write("telemetry.yaml", &telemetry("shop", all)).unwrap();
    eventually(async || {
        client.send(&Request::get(shop.address, "other", "/everywhere")).await?;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        require(lines(&shop.envoy, "/everywhere ") > 0, "not all are logged yet")
    })
    .await;
    client.send(&shop.request("/once")).await.unwrap();
    shop.mesh.remove("telemetry.yaml").unwrap();
    shop.rewrite_web(&marked("'false'"));
    until_logged(&shop, &client, "silent-again", false).await;
    assert_eq!(lines(&shop.envoy, "/elsewhere "), 0, "other services are silent");
    assert_eq!(lines(&shop.envoy, "/once "), 1);
    let after = count().await;
    assert_eq!((&after.0, &after.1), (&before.0, &before.1), "no cluster and no listener was sent");
    assert_eq!(after.2, before.2 + 2, "the routes were sent when the mark came and when it went");
    assert_eq!(connections(&shop.envoy).await, connected);
    shop.mesh.expect_synced(1).await.unwrap();
}

#[tokio::test]
async fn a_line_has_istios_order() {
    let settings = ShopSettings {
        versions: &["v1"],
        mesh_config: "accessLogFile: /dev/stdout",
        ..ShopSettings::default()
    };
    let shop = Shop::start_with(settings).await;
    shop.get("/a?b=c").await;
    eventually(async || require(lines(&shop.envoy, "/a?b=c") == 1, "it is not logged")).await;
    let line = shop.envoy.stdout();
    let line = line.lines().find(|line| line.contains("/a?b=c")).unwrap();
    let [begin, rest] = line.split("] ").collect::<Vec<_>>()[..] else { panic!("{line}") };
    assert!(begin.starts_with("[20"), "{line}");
    assert!(rest.starts_with("\"GET /a?b=c HTTP/1.1\" 200 - via_upstream - \"-\" 0 "), "{line}");
    let cluster = "outbound|7080||web.shop.svc.cluster.local";
    let quoted: Vec<&str> = rest.split('"').collect();
    assert_eq!(quoted[quoted.len() - 4], "web", "{line}");
    assert!(rest.ends_with(" - default") && rest.contains(&format!("\" {cluster} 127.")), "{line}");
}

/// A proxy whose bootstrap was not made here has no layer for switches: what it has is in its
/// listeners.
#[tokio::test]
async fn a_proxy_without_switches_logs_too() {
    let mut proxy = ProxySettings::sidecar("client.shop");
    let metadata = serde_json::json!({"NAMESPACE": "shop", "INTERCEPTION_MODE": "NONE",
        "CLUSTER_ID": "Kubernetes", "LABELS": {"app": "client"}});
    proxy.node.insert("metadata".to_owned(), metadata);
    let settings =
        ShopSettings { versions: &["v1"], proxy: Some(proxy), ..ShopSettings::default() };
    let shop = Shop::start_with(settings).await;
    let client = Client::new();
    until_logged(&shop, &client, "silent", false).await;
    let logs = "{accessLogging: [{providers: [{name: envoy}], filter: {expression: \"request.url_path.startsWith('/loud')\"}}]}";
    shop.mesh.write("telemetry.yaml", &telemetry("shop", logs)).unwrap();
    until_logged(&shop, &client, "loud", true).await;
    until_logged(&shop, &client, "silent-again", false).await;
}

/// The names and labels that Istio's dashboards ask for, from a stock Envoy.
#[tokio::test]
async fn metrics_have_istios_names_and_labels() {
    let shop = Shop::start_with(ShopSettings {
        versions: &["v1"],
        mesh_config: "defaultProviders: {metrics: [prometheus]}",
        ..ShopSettings::default()
    })
    .await;
    for _ in 0..3 {
        shop.get("/").await;
    }
    let text = eventually(async || {
        let text = shop.envoy.admin_get("/stats/prometheus").await?.text();
        let buckets = "istio_request_duration_milliseconds_bucket{";
        require(text.lines().any(|line| line.starts_with(buckets)), "no histogram yet")?;
        Ok::<_, anyhow::Error>(text)
    })
    .await;
    let line = text.lines().find(|line| line.starts_with("istio_requests_total{"));
    let line = line.unwrap_or_else(|| panic!("no requests: {}", shop.envoy.log_tail()));
    let (labels, value) = line["istio_requests_total{".len()..].split_once("} ").unwrap();
    assert_eq!(value, "3", "{line}");
    let mut labels: Vec<&str> = labels.split("\",").collect();
    labels.sort_unstable();
    expect_test::expect![[r#"
        connection_security_policy="unknown"
        destination_app="web"
        destination_canonical_revision="v1"
        destination_canonical_service="web"
        destination_cluster="Kubernetes"
        destination_principal="unknown"
        destination_service="web.shop.svc.cluster.local"
        destination_service_name="web"
        destination_service_namespace="shop"
        destination_version="v1"
        destination_workload="web-0"
        destination_workload_namespace="shop"
        reporter="source"
        request_protocol="http"
        response_code="200"
        response_flags="-"
        source_app="client"
        source_canonical_revision="latest"
        source_canonical_service="client"
        source_cluster="Kubernetes"
        source_principal="unknown"
        source_version="unknown"
        source_workload="unknown"
        source_workload_namespace="shop""#]]
    .assert_eq(&labels.join("\"\n"));
    for name in ["istio_request_bytes", "istio_response_bytes"] {
        assert!(text.contains(&format!("# TYPE {name} histogram")), "{name}");
    }
}
