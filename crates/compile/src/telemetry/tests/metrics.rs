//! What metrics are labelled with.

use envoy::config::accesslog::v3::AccessLog;
use expect_test::expect;
use serde_json::Value;
use snapshot::Reader;

use super::{
    super::{Side, http_logs, select_telemetry, tcp_logs},
    mesh, proxy, yaml,
};
use crate::{Client, fixture, inbound::select_inbound};

/// The proxy's own service.
pub(super) const SERVICE: &str = "
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {clusterIP: 10.96.1.1, selector: {app: cart}, ports: [{name: http, port: 80}, {name: tcp, port: 81}]}
---
apiVersion: v1
kind: Pod
metadata: {name: cart-1, namespace: shop, labels: {app: cart}}
status: {phase: Running, podIP: 10.9.9.9}
";

/// What the labels of requests are written from.
fn labels(logs: &[AccessLog]) -> String {
    let values: Value = serde_json::from_str(&yaml(logs)).unwrap();
    let tags = values.as_array().unwrap().last().unwrap();
    let tags = tags["typed_config"]["counters"][0]["stat"]["tags"].as_array().unwrap();
    let line = |tag: &Value| {
        format!("{} {}\n", tag["name"].as_str().unwrap(), tag["value_format"].as_str().unwrap())
    };
    tags.iter().map(line).collect()
}

/// A connection is counted as opened when it gets through; all else waits for its end.
#[test]
fn logs_are_not_told_of_connections_that_begin() {
    let log = "  accessLogging: [{providers: [{name: json}]}]";
    let filters = |defaults: &str| {
        let snapshot = fixture::snapshot(&mesh(defaults, &[("shop", "log", log)]));
        let reader = Reader::new(&snapshot);
        let client = Client::reduce(&proxy(false), &reader);
        let telemetry = select_telemetry(Side::Client, &client, &reader).0;
        let logs: Value = serde_json::from_str(&yaml(&tcp_logs(&telemetry, None))).unwrap();
        let logs = logs.as_array().unwrap();
        logs.iter().map(|log| format!("{} {}\n", log["name"], log["filter"])).collect::<String>()
    };
    expect![[r#"
        "envoy.access_loggers.file" {"log_type_filter":{"exclude":true,"types":["TcpUpstreamConnected"]}}
        "envoy.access_loggers.stats" {"or_filter":{"filters":[{"log_type_filter":{"types":["TcpUpstreamConnected"]}},{"extension_filter":{"name":"envoy.access_loggers.extension_filters.cel","typed_config":{"@type":"type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter","expression":"!has(upstream.local_address)"}}}]}}
        "envoy.access_loggers.stats" {"log_type_filter":{"exclude":true,"types":["TcpUpstreamConnected"]}}
    "#]].assert_eq(&filters("{metrics: [prometheus]}"));
    expect![[r#"
        "envoy.access_loggers.file" null
    "#]]
    .assert_eq(&filters("{}"));
}

#[test]
fn no_label_is_an_expression() {
    let yaml = mesh("{metrics: [prometheus]}", &[]) + SERVICE;
    let snapshot = fixture::snapshot(&yaml);
    let reader = Reader::new(&snapshot);
    let proxy = proxy(true);
    let client = Client::reduce(&proxy, &reader);
    let input = select_inbound(&proxy, &client, &reader);
    let server = labels(&http_logs(&input.port_telemetry[&80], None));
    expect![[r#"
        connection_security_policy %DOWNSTREAM_PEER_URI_SAN%
        destination_app cart
        destination_canonical_revision latest
        destination_canonical_service cart
        destination_cluster Kubernetes
        destination_principal %DOWNSTREAM_LOCAL_URI_SAN%
        destination_service cart.shop.svc.cluster.local
        destination_service_name cart
        destination_service_namespace shop
        destination_version unknown
        destination_workload unknown
        destination_workload_namespace shop
        grpc_response_status %GRPC_STATUS_NUMBER%
        reporter destination
        request_protocol %REQ(CONTENT-TYPE)%
        response_code %RESPONSE_CODE%
        response_flags %RESPONSE_FLAGS%
        source_app unknown
        source_canonical_revision unknown
        source_canonical_service unknown
        source_cluster unknown
        source_principal %DOWNSTREAM_PEER_URI_SAN%
        source_version unknown
        source_workload unknown
        source_workload_namespace %FILTER_STATE(meltemi.source_workload_namespace:PLAIN)%
    "#]]
    .assert_eq(&server);
    let client = labels(&http_logs(&select_telemetry(Side::Client, &client, &reader).0, None));
    expect![[r#"
        connection_security_policy unknown
        destination_app %COALESCE({"operators":[{"command":"METADATA","param":"UPSTREAM_HOST:istio:app"},{"command":"METADATA","param":"UPSTREAM_HOST:istio:service"}]})%
        destination_canonical_revision %METADATA(UPSTREAM_HOST:istio:revision)%
        destination_canonical_service %METADATA(UPSTREAM_HOST:istio:service)%
        destination_cluster %METADATA(UPSTREAM_HOST:istio:cluster)%
        destination_principal %UPSTREAM_PEER_URI_SAN%
        destination_service %METADATA(CLUSTER:istio:host)%
        destination_service_name %METADATA(CLUSTER:istio:name)%
        destination_service_namespace %METADATA(CLUSTER:istio:namespace)%
        destination_version %COALESCE({"operators":[{"command":"METADATA","param":"UPSTREAM_HOST:istio:version"},{"command":"METADATA","param":"UPSTREAM_HOST:istio:revision"}]})%
        destination_workload %COALESCE({"operators":[{"command":"METADATA","param":"UPSTREAM_HOST:istio:name"},{"command":"METADATA","param":"UPSTREAM_HOST:istio:service"}]})%
        destination_workload_namespace %METADATA(CLUSTER:istio:namespace)%
        grpc_response_status %GRPC_STATUS_NUMBER%
        reporter source
        request_protocol %REQ(CONTENT-TYPE)%
        response_code %RESPONSE_CODE%
        response_flags %RESPONSE_FLAGS%
        source_app %FILTER_STATE(meltemi.source_app:PLAIN)%
        source_canonical_revision %FILTER_STATE(meltemi.source_canonical_revision:PLAIN)%
        source_canonical_service %FILTER_STATE(meltemi.source_canonical_service:PLAIN)%
        source_cluster Kubernetes
        source_principal %UPSTREAM_LOCAL_URI_SAN%
        source_version %FILTER_STATE(meltemi.source_version:PLAIN)%
        source_workload %FILTER_STATE(meltemi.source_workload:PLAIN)%
        source_workload_namespace shop
    "#]]
    .assert_eq(&client);
    assert!(!server.contains("CEL") && !client.contains("CEL"));
}
