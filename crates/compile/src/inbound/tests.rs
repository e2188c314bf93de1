//! Golden tests: a mesh, and the incoming side of the sidecar at 10.9.9.9 in the namespace `shop`.

use std::{collections::BTreeMap, fmt::Write};

use envoy::config::{
    cluster::v3::{Cluster, cluster::ClusterDiscoveryType},
    core::v3::{Address, address, socket_address::PortSpecifier},
    endpoint::v3::lb_endpoint::HostIdentifier,
};
use expect_test::{Expect, expect};
use model::{Interception, Proxy};
use prost::Message;
use snapshot::{Features, Reader};

use crate::{
    Client, Compiled,
    filters::testing::{render_listener, validate},
    fixture,
    inbound::{InboundInput, compile_inbound_clusters, compile_inbound_listeners, select_inbound},
};

mod mutual;
mod sidecars;

struct Case<'a> {
    mesh: &'a str,
    proxy: Proxy,
    features: Features,
}

impl<'a> Case<'a> {
    fn new(mesh: &'a str) -> Self {
        Self { mesh, proxy: fixture::proxy("shop"), features: Features::default() }
    }

    fn select(&self) -> InboundInput {
        let snapshot = fixture::snapshot_with(self.mesh, self.features.clone());
        let reader = Reader::new(&snapshot);
        let client = Client::reduce(&self.proxy, &reader);
        select_inbound(&self.proxy, &client, &reader)
    }

    /// Compiles everything, has Envoy judge it, and renders it.
    #[track_caller]
    fn check(&self, expected: Expect) {
        let input = self.select();
        let listeners = compile_inbound_listeners(&input);
        let clusters = compile_inbound_clusters(&input);
        validate(&listeners, &clusters);
        let mut out: String = listeners.iter().map(render_listener).collect();
        out.extend(clusters.iter().map(render_cluster));
        expected.assert_eq(&out);
    }
}

#[track_caller]
fn check(mesh: &str, expected: Expect) {
    Case::new(mesh).check(expected);
}

fn render_cluster(compiled: &Compiled) -> String {
    let cluster = Cluster::decode(compiled.resource.decode_bytes()).unwrap();
    let kind = match cluster.cluster_discovery_type {
        Some(ClusterDiscoveryType::Type(4)) => "original_dst",
        Some(ClusterDiscoveryType::Type(0)) => "static",
        _ => "?",
    };
    let mut out = format!("{} {kind}", cluster.name);
    let endpoints = cluster.load_assignment.iter().flat_map(|it| &it.endpoints);
    for endpoint in endpoints.flat_map(|locality| &locality.lb_endpoints) {
        if let Some(HostIdentifier::Endpoint(endpoint)) = &endpoint.host_identifier {
            write!(out, " {}", render_address(endpoint.address.as_ref().unwrap())).unwrap();
        }
    }
    if let Some(bind) = cluster.upstream_bind_config {
        write!(out, " from {}", bind.source_address.unwrap().address).unwrap();
    }
    if !cluster.typed_extension_protocol_options.is_empty() {
        out.push_str(" with protocol options");
    }
    out.push('\n');
    out
}

fn render_address(address: &Address) -> String {
    match address.address.as_ref().unwrap() {
        address::Address::SocketAddress(socket) => match socket.port_specifier {
            Some(PortSpecifier::PortValue(port)) => format!("{}:{port}", socket.address),
            _ => socket.address.clone(),
        },
        address::Address::Pipe(pipe) => pipe.path.clone(),
        address::Address::EnvoyInternalAddress(_) => "internal".to_owned(),
    }
}

fn features(pairs: &[(&str, &str)]) -> Features {
    let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Features(pairs.collect::<BTreeMap<_, _>>())
}

/// A service whose ports are 10000 higher at the pod.
const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, creationTimestamp: '2002-01-01T00:00:00Z'}
spec:
  clusterIP: 10.0.0.1
  ports:
  - {name: http, port: 80}
  - {name: grpc, port: 81}
  - {name: tcp, port: 90}
  - {name: unknown, port: 91}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports:
- {name: http, port: 10080}
- {name: grpc, port: 10081}
- {name: tcp, port: 10090}
- {name: unknown, port: 10091}
endpoints:
- {addresses: [10.1.0.1], conditions: {ready: true}}
- {addresses: [10.9.9.9], conditions: {ready: true}}
";

#[test]
fn each_port_of_the_pod_has_its_chains() {
    check(
        SERVICE,
        expect![[r#"
            virtualInbound 0.0.0.0:15006 bound original_dst tls_inspector(off for 15006) http_inspector(off for 10080,10081,10090,15006)
              [virtualInbound-blackhole] :15006 -> tcp BlackHoleCluster
              [virtualInbound-catchall-http] tls istio-http/1.0,istio-http/1.1,istio-h2 mutual(default) -> http inline InboundPassthroughCluster inbound|http|0
              [virtualInbound-catchall-http] raw_buffer http/1.1,h2c -> http inline InboundPassthroughCluster inbound|http|0
              [virtualInbound] tls istio-peer-exchange,istio mutual(default) -> tcp InboundPassthroughCluster
              [virtualInbound] raw_buffer -> tcp InboundPassthroughCluster
              [virtualInbound] tls -> tcp InboundPassthroughCluster
              [0.0.0.0_10080] :10080 tls istio,istio-peer-exchange,istio-http/1.0,istio-http/1.1,istio-h2 mutual(default) -> http inline inbound|10080|| inbound|http|80
              [0.0.0.0_10080] :10080 raw_buffer -> http inline inbound|10080|| inbound|http|80
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
            InboundPassthroughCluster original_dst from 127.0.0.6 with protocol options
            inbound|10080|| original_dst from 127.0.0.6
            inbound|10081|| original_dst from 127.0.0.6 with protocol options
            inbound|10090|| original_dst from 127.0.0.6
            inbound|10091|| original_dst from 127.0.0.6 with protocol options
        "#]],
    );
}

#[test]
fn a_pod_without_services_passes_everything_through() {
    check(
        "",
        expect![[r#"
            virtualInbound 0.0.0.0:15006 bound original_dst tls_inspector(off for 15006) http_inspector(off for 15006)
              [virtualInbound-blackhole] :15006 -> tcp BlackHoleCluster
              [virtualInbound-catchall-http] tls istio-http/1.0,istio-http/1.1,istio-h2 mutual(default) -> http inline InboundPassthroughCluster inbound|http|0
              [virtualInbound-catchall-http] raw_buffer http/1.1,h2c -> http inline InboundPassthroughCluster inbound|http|0
              [virtualInbound] tls istio-peer-exchange,istio mutual(default) -> tcp InboundPassthroughCluster
              [virtualInbound] raw_buffer -> tcp InboundPassthroughCluster
              [virtualInbound] tls -> tcp InboundPassthroughCluster
            InboundPassthroughCluster original_dst from 127.0.0.6 with protocol options
        "#]],
    );
}

#[test]
fn tproxy_keeps_the_callers_address() {
    let mut case = Case::new("");
    case.proxy.interception = Interception::Tproxy;
    case.check(expect![[r#"
        virtualInbound 0.0.0.0:15006 bound transparent original_dst original_src tls_inspector(off for 15006) http_inspector(off for 15006)
          [virtualInbound-blackhole] :15006 -> tcp BlackHoleCluster
          [virtualInbound-catchall-http] tls istio-http/1.0,istio-http/1.1,istio-h2 mutual(default) -> http inline InboundPassthroughCluster inbound|http|0
          [virtualInbound-catchall-http] raw_buffer http/1.1,h2c -> http inline InboundPassthroughCluster inbound|http|0
          [virtualInbound] tls istio-peer-exchange,istio mutual(default) -> tcp InboundPassthroughCluster
          [virtualInbound] raw_buffer -> tcp InboundPassthroughCluster
          [virtualInbound] tls -> tcp InboundPassthroughCluster
        InboundPassthroughCluster original_dst from 127.0.0.6 with protocol options
    "#]]);
}

#[test]
fn without_interception_the_application_has_its_ports_itself() {
    let mut case = Case::new(SERVICE);
    case.proxy.interception = Interception::None;
    case.check(expect![[r#"
        InboundPassthroughCluster original_dst from 127.0.0.6 with protocol options
    "#]]);
}

#[test]
fn the_oldest_service_decides_what_is_spoken() {
    let older = "
apiVersion: v1
kind: Service
metadata: {name: old, namespace: shop, creationTimestamp: '2001-01-01T00:00:00Z'}
spec: {clusterIP: 10.0.0.2, ports: [{name: tcp, port: 8080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: old-1, namespace: shop, labels: {kubernetes.io/service-name: old}}
addressType: IPv4
ports: [{name: tcp, port: 10080}]
endpoints: [{addresses: [10.9.9.9], conditions: {ready: true}}]
";
    check(
        &format!("{SERVICE}---{older}"),
        expect![[r#"
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
              warning[MEL0335] Service shop/web: port 10080 of the workload is already served as Tcp for old.shop.svc.cluster.local (give both services the same protocol)
            InboundPassthroughCluster original_dst from 127.0.0.6 with protocol options
            inbound|10080|| original_dst from 127.0.0.6
            inbound|10081|| original_dst from 127.0.0.6 with protocol options
            inbound|10090|| original_dst from 127.0.0.6
            inbound|10091|| original_dst from 127.0.0.6 with protocol options
        "#]],
    );
}

#[test]
fn services_of_other_namespaces_do_not_reach_in() {
    check(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: thief, namespace: other}
spec:
  hosts: [thief.example.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 10.9.9.9}]
",
        expect![[r#"
            virtualInbound 0.0.0.0:15006 bound original_dst tls_inspector(off for 15006) http_inspector(off for 15006)
              [virtualInbound-blackhole] :15006 -> tcp BlackHoleCluster
              [virtualInbound-catchall-http] tls istio-http/1.0,istio-http/1.1,istio-h2 mutual(default) -> http inline InboundPassthroughCluster inbound|http|0
              [virtualInbound-catchall-http] raw_buffer http/1.1,h2c -> http inline InboundPassthroughCluster inbound|http|0
              [virtualInbound] tls istio-peer-exchange,istio mutual(default) -> tcp InboundPassthroughCluster
              [virtualInbound] raw_buffer -> tcp InboundPassthroughCluster
              [virtualInbound] tls -> tcp InboundPassthroughCluster
            InboundPassthroughCluster original_dst from 127.0.0.6 with protocol options
        "#]],
    );
}

#[test]
fn pods_of_one_workload_have_equal_inputs() {
    let case = Case::new(SERVICE);
    let mut other = Case::new(SERVICE);
    other.proxy.addresses = ["10.1.0.1".parse().unwrap()].into();
    assert_eq!(case.select(), other.select());
}

#[test]
fn localhost_mode_goes_to_loopback() {
    let mesh = "
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: 'inboundTrafficPolicy: {mode: LOCALHOST}'}
";
    let only_clusters = Case::new(&format!("{SERVICE}---{mesh}")).select();
    let clusters = compile_inbound_clusters(&only_clusters);
    let out: String = clusters.iter().map(render_cluster).collect();
    expect![[r#"
        InboundPassthroughCluster original_dst from 127.0.0.6 with protocol options
        inbound|10080|| static 127.0.0.1:10080
        inbound|10081|| static 127.0.0.1:10081 with protocol options
        inbound|10090|| static 127.0.0.1:10090
        inbound|10091|| static 127.0.0.1:10091 with protocol options
    "#]]
    .assert_eq(&out);
}

#[test]
fn connections_may_be_spread_over_loopback_addresses() {
    let mut case = Case::new(SERVICE);
    case.features = features(&[("MELTEMI_INBOUND_LOOPBACK_ADDRESSES", "3")]);
    let clusters = compile_inbound_clusters(&case.select());
    validate(&[], &clusters);
    let out: String = clusters.iter().map(render_cluster).collect();
    expect![[r#"
        InboundPassthroughCluster original_dst from 127.0.0.6 with protocol options
        inbound|10080|| static 127.0.0.1:10080 127.0.0.2:10080 127.0.0.3:10080 from 127.0.0.6
        inbound|10081|| static 127.0.0.1:10081 127.0.0.2:10081 127.0.0.3:10081 from 127.0.0.6 with protocol options
        inbound|10090|| static 127.0.0.1:10090 127.0.0.2:10090 127.0.0.3:10090 from 127.0.0.6
        inbound|10091|| static 127.0.0.1:10091 127.0.0.2:10091 127.0.0.3:10091 from 127.0.0.6 with protocol options
    "#]].assert_eq(&out);
}

#[test]
fn http10_is_detected_too() {
    let mut case = Case::new("");
    case.features = features(&[("PILOT_HTTP10", "true")]);
    case.check(expect![[r#"
        virtualInbound 0.0.0.0:15006 bound original_dst tls_inspector(off for 15006) http_inspector(off for 15006)
          [virtualInbound-blackhole] :15006 -> tcp BlackHoleCluster
          [virtualInbound-catchall-http] tls istio-http/1.0,istio-http/1.1,istio-h2 mutual(default) -> http inline InboundPassthroughCluster inbound|http|0
          [virtualInbound-catchall-http] raw_buffer http/1.0,http/1.1,h2c -> http inline InboundPassthroughCluster inbound|http|0
          [virtualInbound] tls istio-peer-exchange,istio mutual(default) -> tcp InboundPassthroughCluster
          [virtualInbound] raw_buffer -> tcp InboundPassthroughCluster
          [virtualInbound] tls -> tcp InboundPassthroughCluster
        InboundPassthroughCluster original_dst from 127.0.0.6 with protocol options
    "#]]);
}

#[test]
fn policies_stand_in_front_of_every_chain() {
    check(
        "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: allow, namespace: istio-system}
spec: {rules: [{from: [{source: {principals: ['*']}}]}, {to: [{operation: {ports: ['1']}}]}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny, namespace: shop}
spec: {action: DENY, rules: [{to: [{operation: {paths: ['/a/{*}', '/b*'], notHosts: [x]}}]}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ask, namespace: shop}
spec: {action: CUSTOM, provider: {name: guard}, rules: [{}]}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens, namespace: shop}
spec: {jwtRules: [{issuer: a, jwksUri: 'https://a/keys'}, {issuer: b, jwks: nothing}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: guard, namespace: shop}
spec:
  hosts: [guard.example]
  ports: [{number: 9000, name: grpc, protocol: GRPC}]
  resolution: STATIC
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    extensionProviders:
    - {name: guard, envoyExtAuthzGrpc: {service: guard.example, port: 9000}}
",
        expect![[r#"
            virtualInbound 0.0.0.0:15006 bound original_dst tls_inspector(off for 15006) http_inspector(off for 15006)
              [virtualInbound-blackhole] :15006 -> tcp BlackHoleCluster
              [virtualInbound-catchall-http] tls istio-http/1.0,istio-http/1.1,istio-h2 mutual(default) -> rbac, ext_authz, jwt_authn, rbac, rbac, http inline InboundPassthroughCluster inbound|http|0
              [virtualInbound-catchall-http] raw_buffer http/1.1,h2c -> rbac, ext_authz, jwt_authn, rbac, rbac, http inline InboundPassthroughCluster inbound|http|0
              [virtualInbound] tls istio-peer-exchange,istio mutual(default) -> rbac, ext_authz, rbac, rbac, tcp InboundPassthroughCluster
              [virtualInbound] raw_buffer -> rbac, ext_authz, rbac, rbac, tcp InboundPassthroughCluster
              [virtualInbound] tls -> rbac, ext_authz, rbac, rbac, tcp InboundPassthroughCluster
              warning[MEL0263] RequestAuthentication shop/tokens spec.jwtRules[1].jwks: `jwks` holds no keys (its tokens are refused until it does)
            InboundPassthroughCluster original_dst from 127.0.0.6 with protocol options
        "#]],
    );
}
