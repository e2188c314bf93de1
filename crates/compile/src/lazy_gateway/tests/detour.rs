//! The way to the gateway, and past it where it is down.

use expect_test::{Expect, expect};
use model::Proxy;
use snapshot::Reader;

use super::{MESH, caller, cluster, route, told};
use crate::{compile_detour_cluster, fixture};

#[test]
fn pods_of_the_gateway_are_passed_by_at_once() {
    let snapshot = fixture::lazy_snapshot(MESH);
    let host = "lazy-gateway.mesh.svc.cluster.local";
    expect![[r#"
        alt_stat_name: outbound|15080||lazy-gateway.mesh.svc.cluster.local;
        circuit_breakers:
          thresholds:
            - max_connections: 4294967295
              max_pending_requests: 4294967295
              max_requests: 4294967295
              max_retries: 4294967295
              retry_budget:
                budget_percent:
                  value: 20.0
                min_retry_concurrency: 3
              track_remaining: true
        common_lb_config:
          healthy_panic_threshold: {}
        connect_timeout: 1s
        eds_cluster_config:
          eds_config:
            ads: {}
            initial_fetch_timeout: 0s
            resource_api_version: V3
          service_name: outbound|15080||lazy-gateway.mesh.svc.cluster.local
        lb_policy: LEAST_REQUEST
        metadata:
          filter_metadata:
            istio:
              default_original_port: 15080.0
              host: lazy-gateway.mesh.svc.cluster.local
              name: lazy-gateway
              namespace: mesh
              services:
                - host: lazy-gateway.mesh.svc.cluster.local
                  name: lazy-gateway
                  namespace: mesh
        name: outbound|15080||lazy-gateway.mesh.svc.cluster.local
        outlier_detection:
          always_eject_one_host: true
          base_ejection_time: 5s
          consecutive_local_origin_failure: 2
          enforcing_consecutive_5xx: 0
          enforcing_consecutive_gateway_failure: 0
          enforcing_consecutive_local_origin_failure: 100
          enforcing_local_origin_success_rate: 0
          enforcing_success_rate: 0
          interval: 1s
          max_ejection_percent: 100
          split_external_local_origin_errors: true
        type: EDS
        typed_extension_protocol_options:
          envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
            @type: type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
            use_downstream_protocol_config:
              http2_protocol_options: {}
              http_protocol_options: {}
    "#]]
    .assert_eq(&cluster(&caller(), &snapshot, host, 15080));
}

#[track_caller]
fn check_detour(proxy: &Proxy, yaml: &str, expected: Expect) {
    let snapshot = fixture::lazy_snapshot(&format!("{MESH}{yaml}"));
    let (_, scope) = told(proxy, &snapshot);
    let target = scope.detour.as_ref().expect("there is a detour");
    let cluster = compile_detour_cluster(target, Reader::new(&snapshot).mesh());
    let text = fixture::render(&cluster.resource);
    let at = text.find("cluster_type").expect("it has a type");
    expected.assert_eq(&text[at..]);
}

#[test]
fn the_detour_goes_past_a_gateway_that_is_down() {
    check_detour(
        &caller(),
        "",
        expect![[r#"
        cluster_type:
          name: envoy.clusters.composite
          typed_config:
            @type: type.googleapis.com/envoy.extensions.clusters.composite.v3.ClusterConfig
            clusters:
              - name: outbound|15080||lazy-gateway.mesh.svc.cluster.local
              - name: outbound|15080||lazy-gateway.mesh.svc.cluster.local
              - name: PassthroughCluster
        connect_timeout: 10s
        lb_policy: CLUSTER_PROVIDED
        name: LazyGatewayCluster
    "#]],
    );
}

#[test]
fn a_proxy_that_cannot_choose_has_no_way_past_it() {
    check_detour(
        &fixture::proxy("shop"),
        "",
        expect![[r#"
        cluster_type:
          name: envoy.clusters.aggregate
          typed_config:
            @type: type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig
            clusters:
              - outbound|15080||lazy-gateway.mesh.svc.cluster.local
        connect_timeout: 10s
        lb_policy: CLUSTER_PROVIDED
        name: LazyGatewayCluster
    "#]],
    );
}

#[test]
fn where_only_what_is_known_may_be_called_there_is_no_way_past_it() {
    let only = "---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: shop}
spec: {outboundTrafficPolicy: {mode: REGISTRY_ONLY}, egress: [{hosts: ['*/*']}]}
";
    check_detour(
        &caller(),
        only,
        expect![[r#"
        cluster_type:
          name: envoy.clusters.composite
          typed_config:
            @type: type.googleapis.com/envoy.extensions.clusters.composite.v3.ClusterConfig
            clusters:
              - name: outbound|15080||lazy-gateway.mesh.svc.cluster.local
              - name: outbound|15080||lazy-gateway.mesh.svc.cluster.local
        connect_timeout: 10s
        lb_policy: CLUSTER_PROVIDED
        name: LazyGatewayCluster
    "#]],
    );
}

#[test]
fn without_its_service_there_is_no_detour() {
    let snapshot = fixture::lazy_snapshot(&MESH.replace("name: lazy-gateway", "name: other"));
    let (client, scope) = told(&caller(), &snapshot);
    assert!(client.fence.is_some() && scope.detour.is_none());
    expect![[r#"
        allow_any [*] -> PassthroughCluster
        clusters: PassthroughCluster
    "#]]
    .assert_eq(&route(&caller(), &snapshot, "80"));
}
