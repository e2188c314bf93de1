//! Connections of a fenced proxy that wait for the service of their server name.

use expect_test::expect;
use model::Proxy;
use snapshot::Reader;

use crate::{
    Compiled,
    filters::testing::{render_listener, validate},
    fixture,
    outbound::{compile_listener, plan_outbound},
};

const MESH: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {meltemi.io/scope: on-demand}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: names, namespace: shop}
spec:
  hosts: [one.example, two.example, ruled.example, by.wild.example, '*.more.example']
  resolution: NONE
  ports: [{number: 443, name: tls, protocol: TLS}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: mixed, namespace: shop}
spec:
  hosts: [mixed.example]
  resolution: DNS
  ports: [{number: 8443, name: tls, protocol: TLS}, {number: 9443, name: https, protocol: HTTPS}]
---
apiVersion: v1
kind: Service
metadata: {name: addressed, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: tls, port: 443}, {name: tls-2, port: 8443}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ruled, namespace: shop}
spec:
  hosts: [ruled.example, '*.wild.example']
  tls: [{match: [{sniHosts: [ruled.example]}], route: [{destination: {host: one.example}}]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: http, namespace: shop}
spec:
  hosts: [two.example]
  http: [{timeout: 1s, route: [{destination: {host: two.example}}]}]
";

fn compiled(mesh: &str, asked: &[&str]) -> Vec<Compiled> {
    let proxy = Proxy { loads_on_demand: true, ..fixture::proxy("shop") };
    let snapshot = fixture::snapshot(mesh);
    let (client, scope) = fixture::told(&proxy, &snapshot, asked);
    let plan = plan_outbound(&scope, &client, &Reader::new(&snapshot));
    let compiled: Vec<Compiled> = plan.listeners.iter().map(compile_listener).collect();
    validate(&compiled, &[]);
    compiled.into_iter().filter(|it| !it.resource.name().starts_with("virtual")).collect()
}

#[test]
fn names_wait_but_for_wildcards_and_where_rules_decide() {
    let rendered: String = compiled(MESH, &[]).iter().map(render_listener).collect();
    expect![[r#"
        0.0.0.0_443 0.0.0.0:443 tls_inspector
          sni=one.example sni=two.example -> set_filter_state, tcp PassthroughCluster
          default [PassthroughFilterChain] -> tcp PassthroughCluster
        0.0.0.0_8443 0.0.0.0:8443 tls_inspector
          sni=mixed.example -> set_filter_state, tcp PassthroughCluster
          default [PassthroughFilterChain] -> tcp PassthroughCluster
        0.0.0.0_9443 0.0.0.0:9443 tls_inspector
          sni=mixed.example -> set_filter_state, tcp PassthroughCluster
          default [PassthroughFilterChain] -> tcp PassthroughCluster
    "#]]
    .assert_eq(&rendered);
}

/// Connections that run are cut where a listener changes.
#[test]
fn a_service_that_is_told_changes_nothing() {
    let told = |asked: &[&str]| {
        let listeners = compiled(MESH, asked).into_iter();
        listeners.map(|it| it.resource.decode_bytes()).collect::<Vec<_>>()
    };
    assert_eq!(told(&["two.example"]), told(&[]));
}

/// Where a policy says more of its connections, it has a chain of its own, beside the one of all names.
#[test]
fn a_policy_for_connections_takes_a_chain_of_its_own() {
    let policy = "---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: two, namespace: shop}
spec: {host: two.example, trafficPolicy: {connectionPool: {tcp: {idleTimeout: 5s}}}}
";
    let listener = &compiled(&format!("{MESH}{policy}"), &["two.example", "one.example"])[0];
    expect![[r#"
        0.0.0.0_443 0.0.0.0:443 tls_inspector
          sni=two.example tls -> tcp outbound|443||two.example idle=5s
          sni=one.example sni=two.example -> set_filter_state, tcp PassthroughCluster
          default [PassthroughFilterChain] -> tcp PassthroughCluster
    "#]]
    .assert_eq(&render_listener(listener));
}

#[test]
fn the_cluster_is_named_after_the_server_name() {
    let listener = &compiled(MESH, &[])[0];
    expect![[r#"
        address:
          socket_address:
            address: 0.0.0.0
            port_value: 443
        bind_to_port: false
        continue_on_listener_filters_timeout: true
        default_filter_chain:
          filter_chain_match: {}
          filters:
            - name: envoy.filters.network.tcp_proxy
              typed_config:
                @type: type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
                cluster: PassthroughCluster
                stat_prefix: PassthroughCluster
          name: PassthroughFilterChain
          transport_socket_connect_timeout: 15s
        filter_chains:
          - filter_chain_match:
              server_names:
                - one.example
                - two.example
            filters:
              - name: envoy.filters.network.set_filter_state
                typed_config:
                  @type: type.googleapis.com/envoy.extensions.filters.network.set_filter_state.v3.Config
                  on_new_connection:
                    - factory_key: envoy.tcp_proxy.cluster
                      format_string:
                        omit_empty_values: true
                        text_format_source:
                          inline_string: outbound|443||%REQUESTED_SERVER_NAME%
                      object_key: envoy.tcp_proxy.cluster
                      skip_if_empty: true
              - name: envoy.filters.network.tcp_proxy
                typed_config:
                  @type: type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
                  cluster: PassthroughCluster
                  on_demand:
                    odcds_config:
                      ads: {}
                      initial_fetch_timeout: 0s
                      resource_api_version: V3
                    timeout: 5s
                  stat_prefix: on-demand-443
            transport_socket_connect_timeout: 15s
        listener_filters:
          - name: envoy.filters.listener.tls_inspector
            typed_config:
              @type: type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector
              initial_read_buffer_size: 512
        listener_filters_timeout: 0s
        name: 0.0.0.0_443
        traffic_direction: OUTBOUND
    "#]].assert_eq(&fixture::render(&listener.resource));
}

#[test]
fn too_many_names_do_not_wait() {
    let many = |count: usize| {
        let hosts: Vec<String> = (0..count).map(|number| format!("h{number}.example")).collect();
        let hosts = hosts.join(", ");
        format!(
            "
apiVersion: v1
kind: Namespace
metadata: {{name: shop, labels: {{meltemi.io/scope: on-demand}}}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: names, namespace: shop}}
spec: {{hosts: [{hosts}], resolution: DNS, ports: [{{number: 443, name: tls, protocol: TLS}}]}}
"
        )
    };
    let names = |count: usize| render_listener(&compiled(&many(count), &[])[0]).contains("sni=");
    assert!(names(1_000));
    assert!(!names(1_001));
}
