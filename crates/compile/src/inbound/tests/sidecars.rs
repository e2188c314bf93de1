//! Ingress listeners of Sidecars.

use expect_test::{Expect, expect};
use model::Interception;

use crate::{
    filters::testing::validate,
    fixture,
    inbound::{
        compile_inbound_clusters,
        tests::{Case, SERVICE, check, features},
    },
};

fn mesh(spec: &str) -> String {
    format!(
        "{SERVICE}---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: default, namespace: shop}}
spec:
{spec}"
    )
}

#[track_caller]
fn check_sidecar(spec: &str, expected: Expect) {
    check(&mesh(spec), expected);
}

#[test]
fn they_replace_the_services() {
    check_sidecar(
        "
  ingress:
  - {port: {number: 9080, protocol: HTTP, name: a}}
  - {port: {number: 9081, protocol: TCP, name: b}, bind: 0.0.0.0, defaultEndpoint: '127.0.0.1:8081'}
  - {port: {number: 9082, protocol: HTTP2, name: c}, defaultEndpoint: '0.0.0.0:8082'}
  - {port: {number: 9083, protocol: HTTP, name: d}, defaultEndpoint: 'unix:///var/run/app.sock'}
",
        expect![[r#"
            virtualInbound 0.0.0.0:15006 bound original_dst tls_inspector(off for 15006) http_inspector(off for 9080,9081,9082,9083,15006)
              [virtualInbound-blackhole] :15006 -> tcp BlackHoleCluster
              [virtualInbound-catchall-http] tls istio-http/1.0,istio-http/1.1,istio-h2 mutual(default) -> http inline InboundPassthroughCluster inbound|http|0
              [virtualInbound-catchall-http] raw_buffer http/1.1,h2c -> http inline InboundPassthroughCluster inbound|http|0
              [virtualInbound] tls istio-peer-exchange,istio mutual(default) -> tcp InboundPassthroughCluster
              [virtualInbound] raw_buffer -> tcp InboundPassthroughCluster
              [virtualInbound] tls -> tcp InboundPassthroughCluster
              [10.9.9.9_9080] :9080 tls istio,istio-peer-exchange,istio-http/1.0,istio-http/1.1,istio-h2 mutual(default) -> http inline inbound|9080|| inbound|http|9080
              [10.9.9.9_9080] :9080 raw_buffer -> http inline inbound|9080|| inbound|http|9080
              [0.0.0.0_9081] :9081 tls istio,istio-peer-exchange,istio-http/1.0,istio-http/1.1,istio-h2 mutual(default) -> tcp inbound|9081||
              [0.0.0.0_9081] :9081 tls -> tcp inbound|9081||
              [0.0.0.0_9081] :9081 raw_buffer -> tcp inbound|9081||
              [10.9.9.9_9082] :9082 tls istio,istio-peer-exchange,istio-http/1.0,istio-http/1.1,istio-h2 mutual(default) -> http inline inbound|9082|| inbound|http|9082
              [10.9.9.9_9082] :9082 raw_buffer -> http inline inbound|9082|| inbound|http|9082
              [10.9.9.9_9083] :9083 tls istio,istio-peer-exchange,istio-http/1.0,istio-http/1.1,istio-h2 mutual(default) -> http inline inbound|9083|| inbound|http|9083
              [10.9.9.9_9083] :9083 raw_buffer -> http inline inbound|9083|| inbound|http|9083
            InboundPassthroughCluster original_dst from 127.0.0.6 with protocol options
            inbound|9080|| original_dst from 127.0.0.6
            inbound|9081|| static 127.0.0.1:8081
            inbound|9082|| static 10.9.9.9:8082 with protocol options
            inbound|9083|| static /var/run/app.sock
        "#]],
    );
}

#[test]
fn they_may_be_merged_with_the_services() {
    let mesh =
        mesh("  ingress: [{port: {number: 10080, protocol: TCP, name: a}, bind: 0.0.0.0}]\n");
    let mut case = Case::new(&mesh);
    case.features = features(&[("PILOT_ALLOW_SIDECAR_SERVICE_INBOUND_LISTENER_MERGE", "true")]);
    case.check(expect![[r#"
        virtualInbound 0.0.0.0:15006 bound original_dst tls_inspector(off for 15006) http_inspector(off for 10080,10081,10090,15006)
          [virtualInbound-blackhole] :15006 -> tcp BlackHoleCluster
          [virtualInbound-catchall-http] tls istio-http/1.0,istio-http/1.1,istio-h2 mutual(default) -> http inline InboundPassthroughCluster inbound|http|0
          [virtualInbound-catchall-http] raw_buffer http/1.1,h2c -> http inline InboundPassthroughCluster inbound|http|0
          [virtualInbound] tls istio-peer-exchange,istio mutual(default) -> tcp InboundPassthroughCluster
          [virtualInbound] raw_buffer -> tcp InboundPassthroughCluster
          [virtualInbound] tls -> tcp InboundPassthroughCluster
          [0.0.0.0_10080] :10080 tls istio,istio-peer-exchange,istio-http/1.0,istio-http/1.1,istio-h2 mutual(default) -> tcp inbound|10080||
          [0.0.0.0_10080] :10080 tls -> tcp inbound|10080||
          [0.0.0.0_10080] :10080 raw_buffer -> tcp inbound|10080||
          [0.0.0.0_10081] :10081 tls istio,istio-peer-exchange,istio-http/1.0,istio-http/1.1,istio-h2 mutual(default) -> http inline inbound|10081|| inbound|http|81
          [0.0.0.0_10081] :10081 raw_buffer -> http inline inbound|10081|| inbound|http|81
          [0.0.0.0_10090] :10090 tls istio,istio-peer-exchange,istio-http/1.0,istio-http/1.1,istio-h2 mutual(default) -> tcp inbound|10090||
          [0.0.0.0_10090] :10090 tls -> tcp inbound|10090||
          [0.0.0.0_10090] :10090 raw_buffer -> tcp inbound|10090||
          [0.0.0.0_10091] :10091 tls istio-http/1.0,istio-http/1.1,istio-h2 mutual(default) -> http inline inbound|10091|| inbound|http|91
          [0.0.0.0_10091] :10091 raw_buffer http/1.1,h2c -> http inline inbound|10091|| inbound|http|91
          [0.0.0.0_10091] :10091 tls istio-peer-exchange,istio mutual(default) -> tcp inbound|10091||
          [0.0.0.0_10091] :10091 raw_buffer -> tcp inbound|10091||
          [0.0.0.0_10091] :10091 tls -> tcp inbound|10091||
          warning[MEL0335] Service shop/web: port 10080 of the workload is already served as Tcp for default.shop (give both services the same protocol)
        InboundPassthroughCluster original_dst from 127.0.0.6 with protocol options
        inbound|10080|| original_dst from 127.0.0.6
        inbound|10081|| original_dst from 127.0.0.6 with protocol options
        inbound|10090|| original_dst from 127.0.0.6
        inbound|10091|| original_dst from 127.0.0.6 with protocol options
    "#]]);
}

#[test]
fn capture_mode_none_binds_really() {
    check_sidecar(
        "
  ingress:
  - {port: {number: 9080, protocol: HTTP, name: a}, captureMode: NONE, defaultEndpoint: '127.0.0.1:8080'}
",
        expect![[r#"
            virtualInbound 0.0.0.0:15006 bound original_dst tls_inspector(off for 15006) http_inspector(off for 15006)
              [virtualInbound-blackhole] :15006 -> tcp BlackHoleCluster
              [virtualInbound-catchall-http] tls istio-http/1.0,istio-http/1.1,istio-h2 mutual(default) -> http inline InboundPassthroughCluster inbound|http|0
              [virtualInbound-catchall-http] raw_buffer http/1.1,h2c -> http inline InboundPassthroughCluster inbound|http|0
              [virtualInbound] tls istio-peer-exchange,istio mutual(default) -> tcp InboundPassthroughCluster
              [virtualInbound] raw_buffer -> tcp InboundPassthroughCluster
              [virtualInbound] tls -> tcp InboundPassthroughCluster
            10.9.9.9_9080 10.9.9.9:9080 bound tls_inspector(off for all but 9080)
              [10.9.9.9_9080] :9080 tls istio,istio-peer-exchange,istio-http/1.0,istio-http/1.1,istio-h2 mutual(default) -> http inline inbound|9080|| inbound|http|9080
              [10.9.9.9_9080] :9080 raw_buffer -> http inline inbound|9080|| inbound|http|9080
            InboundPassthroughCluster original_dst from 127.0.0.6 with protocol options
            inbound|9080|| static 127.0.0.1:8080
        "#]],
    );
}

#[test]
fn without_interception_they_are_all_there_is() {
    let mesh = mesh(
        "  ingress: [{port: {number: 80, protocol: HTTP, name: a}, defaultEndpoint: '127.0.0.1:8080'}]\n",
    );
    let mut case = Case::new(&mesh);
    case.proxy.interception = Interception::None;
    case.check(expect![[r#"
        10.9.9.9_80 10.9.9.9:80 bound tls_inspector(off for all but 80)
          [10.9.9.9_80] :80 tls istio,istio-peer-exchange,istio-http/1.0,istio-http/1.1,istio-h2 mutual(default) -> http inline inbound|80|| inbound|http|80
          [10.9.9.9_80] :80 raw_buffer -> http inline inbound|80|| inbound|http|80
        InboundPassthroughCluster original_dst from 127.0.0.6 with protocol options
        inbound|80|| static 127.0.0.1:8080
    "#]]);
    case.proxy.unprivileged = true;
    assert_eq!(case.select().findings.len(), 1);
}

#[test]
fn connections_to_the_application_are_limited() {
    let spec = "
  inboundConnectionPool: {tcp: {maxConnections: 5}}
  ingress:
  - {port: {number: 9080, protocol: HTTP, name: a}}
  - port: {number: 9081, protocol: GRPC, name: b}
    connectionPool:
      tcp: {maxConnections: 3, connectTimeout: 2s, tcpKeepalive: {time: 30s}}
      http: {http1MaxPendingRequests: 4, http2MaxRequests: 6, maxRequestsPerConnection: 7,
        maxRetries: 8, idleTimeout: 9s, maxConcurrentStreams: 10}
";
    let text = mesh(spec);
    let case = Case::new(&text);
    let input = case.select();
    let clusters = compile_inbound_clusters(&input);
    validate(&[], &clusters);
    let named = |name: &str| {
        let found = clusters.iter().find(|it| **it.resource.name() == *name);
        fixture::render(&found.expect("the cluster is there").resource)
    };
    expect![[r#"
        alt_stat_name: inbound|9080||;
        circuit_breakers:
          thresholds:
            - max_connections: 5
              max_pending_requests: 4294967295
              max_requests: 4294967295
              max_retries: 4294967295
              track_remaining: true
        connect_timeout: 10s
        lb_policy: CLUSTER_PROVIDED
        name: inbound|9080||
        type: ORIGINAL_DST
        upstream_bind_config:
          source_address:
            address: 127.0.0.6
            port_value: 0
    "#]]
    .assert_eq(&named("inbound|9080||"));
    expect![[r#"
        alt_stat_name: inbound|9081||;
        circuit_breakers:
          thresholds:
            - max_connections: 3
              max_pending_requests: 4
              max_requests: 6
              max_retries: 8
              track_remaining: true
        connect_timeout: 2s
        lb_policy: CLUSTER_PROVIDED
        name: inbound|9081||
        type: ORIGINAL_DST
        typed_extension_protocol_options:
          envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
            @type: type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
            common_http_protocol_options:
              idle_timeout: 9s
              max_requests_per_connection: 7
            explicit_http_config:
              http2_protocol_options:
                max_concurrent_streams: 10
        upstream_bind_config:
          source_address:
            address: 127.0.0.6
            port_value: 0
        upstream_connection_options:
          tcp_keepalive:
            keepalive_time: 30
    "#]]
    .assert_eq(&named("inbound|9081||"));
}
