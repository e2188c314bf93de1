//! Which chains of a fenced proxy report what leaves by them.

use std::fmt::Write;

use envoy::{
    config::{
        accesslog::v3::AccessLog,
        listener::v3::{Listener, filter::ConfigType},
    },
    extensions::filters::network::{
        http_connection_manager::v3::HttpConnectionManager, tcp_proxy::v3::TcpProxy,
    },
    json::{FieldNames, typed_to_json},
};
use expect_test::{Expect, expect};
use model::Proxy;
use prost::Message;
use serde_json::json;
use snapshot::Reader;

use super::Case;
use crate::{
    Compiled,
    filters::testing::{render_listener, validate},
    fixture,
    outbound::{OutboundPlan, compile_listener, plan_outbound},
};

const SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}, {name: tcp, port: 9000}]}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: shop}
spec:
  egress:
  - {port: {number: 3128, protocol: HTTP_PROXY, name: proxy}, bind: 127.0.0.1, captureMode: NONE, hosts: ['./*']}
  - hosts: ['./*']
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {meltemi.io/scope: MODE}}
";

fn proxy() -> Proxy {
    let mut proxy = fixture::proxy("shop");
    let mut metadata = (*proxy.metadata).clone();
    metadata.insert("MELTEMI_REPORTS".to_owned(), json!("xds-grpc"));
    proxy.metadata = metadata.into();
    proxy.loads_on_demand = true;
    proxy
}

fn reports(logs: &[AccessLog]) -> Vec<AccessLog> {
    let is_report = |log: &&AccessLog| {
        let text = typed_to_json(*log, FieldNames::Proto).to_string();
        text.contains("meltemi.unknown-destinations") && text.contains("xds-grpc")
    };
    logs.iter().filter(is_report).cloned().collect()
}

/// What each chain writes to the control plane, by listener and chain.
fn find(proxy: Proxy, mode: &str) -> Vec<(String, Vec<AccessLog>)> {
    let mesh = SERVICES.replace("MODE", mode);
    find_in(&Case { proxy, ..Case::new(&mesh) }.plan())
}

fn find_in(plan: &OutboundPlan) -> Vec<(String, Vec<AccessLog>)> {
    let compiled: Vec<Compiled> = plan.listeners.iter().map(compile_listener).collect();
    validate(&compiled, &[]);
    let mut found = Vec::new();
    for listener in &compiled {
        let listener = Listener::decode(listener.resource.decode_bytes()).unwrap();
        let chains = listener.filter_chains.iter().chain(&listener.default_filter_chain);
        for filter in chains.flat_map(|chain| &chain.filters) {
            let Some(ConfigType::TypedConfig(any)) = &filter.config_type else { continue };
            let (kind, logs) =
                match (any.unpack::<TcpProxy>(), any.unpack::<HttpConnectionManager>()) {
                    (Ok(proxy), _) => (proxy.stat_prefix, proxy.access_log),
                    (_, Ok(manager)) => ("http".to_owned(), manager.access_log),
                    _ => continue,
                };
            found.push((format!("{} {kind}", listener.name), reports(&logs)));
        }
    }
    found
}

fn render(found: Vec<(String, Vec<AccessLog>)>) -> String {
    let mut out = String::new();
    for (chain, reports) in found {
        writeln!(out, "{chain}: {}", if reports.is_empty() { "-" } else { "reports" }).unwrap();
    }
    out
}

#[track_caller]
fn check(proxy: Proxy, mode: &str, expected: Expect) {
    expected.assert_eq(&render(find(proxy, mode)));
}

#[test]
fn what_leaves_by_a_catch_all_is_reported() {
    check(
        proxy(),
        "learned",
        expect![[r#"
        0.0.0.0_80 http: reports
        0.0.0.0_80 PassthroughCluster: reports
        10.0.0.1_9000 outbound|9000||web.shop.svc.cluster.local: -
        127.0.0.1_3128 http: reports
        virtualOutbound BlackHoleCluster: reports
        virtualOutbound PassthroughCluster: reports
    "#]],
    );
}

#[test]
fn what_is_asked_for_needs_no_report() {
    check(
        proxy(),
        "on-demand",
        expect![[r#"
            0.0.0.0_80 http: -
            0.0.0.0_80 PassthroughCluster: reports
            10.0.0.1_9000 outbound|9000||web.shop.svc.cluster.local: -
            127.0.0.1_3128 http: reports
            virtualOutbound BlackHoleCluster: reports
            virtualOutbound PassthroughCluster: reports
        "#]],
    );
}

/// Whatever its Host is called, a request to the address of a service whose protocol is detected is the
/// service's.
#[test]
fn what_may_be_told_by_its_address_is_reported_where_hosts_are_asked_for() {
    let mesh = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}, {name: data, port: 81}]}
---
apiVersion: v1
kind: Service
metadata: {name: pods, namespace: shop}
spec: {clusterIP: None, ports: [{name: data, port: 82}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {meltemi.io/scope: on-demand}}
";
    let snapshot = fixture::snapshot(mesh);
    let (client, scope) = fixture::told(&proxy(), &snapshot, &[]);
    let found = find_in(&plan_outbound(&scope, &client, &Reader::new(&snapshot)));
    let http = found.into_iter().filter(|(chain, _)| chain.ends_with(" http")).collect();
    expect![[r#"
        0.0.0.0_80 http: -
        0.0.0.0_81 http: reports
        0.0.0.0_82 http: -
    "#]]
    .assert_eq(&render(http));
}

#[test]
fn where_nothing_is_learned_nothing_is_reported() {
    for (proxy, mode) in
        [(proxy(), "declared"), (proxy(), "full"), (fixture::proxy("shop"), "learned")]
    {
        let found = find(proxy, mode);
        assert!(found.iter().all(|(_, reports)| reports.is_empty()), "{mode}: {found:?}");
    }
}

#[test]
fn a_report_is_made_once_and_says_the_server_name() {
    let found = find(proxy(), "learned");
    let is_tcp = |it: &&(String, Vec<AccessLog>)| it.0 == "virtualOutbound PassthroughCluster";
    let (_, logs) = found.iter().find(is_tcp).unwrap();
    let text = serde_json::to_string_pretty(&typed_to_json(&logs[0], FieldNames::Proto)).unwrap();
    expect![[r#"
        {
          "filter": {
            "and_filter": {
              "filters": [
                {
                  "runtime_filter": {
                    "percent_sampled": {
                      "numerator": 100
                    },
                    "runtime_key": "meltemi.reports",
                    "use_independent_randomness": true
                  }
                },
                {
                  "or_filter": {
                    "filters": [
                      {
                        "log_type_filter": {
                          "types": [
                            "TcpUpstreamConnected"
                          ]
                        }
                      },
                      {
                        "and_filter": {
                          "filters": [
                            {
                              "log_type_filter": {
                                "types": [
                                  "TcpConnectionEnd"
                                ]
                              }
                            },
                            {
                              "response_flag_filter": {
                                "flags": [
                                  "UH",
                                  "UF"
                                ]
                              }
                            }
                          ]
                        }
                      }
                    ]
                  }
                }
              ]
            }
          },
          "name": "envoy.access_loggers.tcp_grpc",
          "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig",
            "common_config": {
              "buffer_flush_interval": "0.250s",
              "buffer_size_bytes": 16384,
              "custom_tags": [
                {
                  "tag": "server_name",
                  "value": "%REQUESTED_SERVER_NAME%"
                }
              ],
              "grpc_service": {
                "envoy_grpc": {
                  "cluster_name": "xds-grpc"
                }
              },
              "log_name": "meltemi.unknown-destinations",
              "transport_api_version": "V3"
            }
          }
        }"#]].assert_eq(&text);
}

const TLS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {meltemi.io/scope: learned}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: one, namespace: shop}
spec:
  hosts: [one.example]
  resolution: DNS
  ports: [{number: 443, name: tls, protocol: TLS}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: two, namespace: shop}
spec:
  hosts: [two.example]
  resolution: DNS
  ports: [{number: 443, name: tls, protocol: TLS}]
---
apiVersion: v1
kind: Service
metadata: {name: addressed, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: tls, port: 8443}]}
";

/// The listeners of a class that has learned these hosts.
#[track_caller]
fn check_tls(learned: &[&str], expected: Expect) {
    let snapshot = fixture::learned_snapshot(TLS, &proxy(), learned);
    let (client, scope) = fixture::told(&proxy(), &snapshot, &[]);
    assert!(client.fence.is_some(), "it is fenced");
    let plan = plan_outbound(&scope, &client, &Reader::new(&snapshot));
    let compiled: Vec<Compiled> = plan.listeners.iter().map(compile_listener).collect();
    validate(&compiled, &[]);
    expected.assert_eq(&compiled.iter().map(render_listener).collect::<String>());
}

#[test]
fn server_names_are_looked_at_before_one_is_known() {
    check_tls(
        &[],
        expect![[r#"
        0.0.0.0_443 0.0.0.0:443 tls_inspector
          default [PassthroughFilterChain] -> tcp PassthroughCluster
        virtualOutbound 0.0.0.0:15001 bound use_original_dst
          [virtualOutbound-blackhole] :15001 -> tcp BlackHoleCluster
          [virtualOutbound-catchall-tcp] -> tcp PassthroughCluster
    "#]],
    );
    check_tls(
        &["two.example"],
        expect![[r#"
        0.0.0.0_443 0.0.0.0:443 tls_inspector
          sni=two.example -> tcp outbound|443||two.example
          default [PassthroughFilterChain] -> tcp PassthroughCluster
        virtualOutbound 0.0.0.0:15001 bound use_original_dst
          [virtualOutbound-blackhole] :15001 -> tcp BlackHoleCluster
          [virtualOutbound-catchall-tcp] -> tcp PassthroughCluster
    "#]],
    );
}
