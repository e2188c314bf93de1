//! `tcp` and `tls` rules of VirtualServices, and DestinationRules for connections.

use expect_test::{Expect, expect};

use crate::outbound::tests::check;

const SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: tcp, port: 3306}, {name: tls, port: 443}]}
---
apiVersion: v1
kind: Service
metadata: {name: other, namespace: shop}
spec: {clusterIP: None, ports: [{name: tcp, port: 3307}]}
";

#[track_caller]
fn check_rule(rule: &str, expected: Expect) {
    check(&format!("{SERVICES}---{rule}"), expected);
}

#[test]
fn tcp_connections_are_shared_out_by_weight() {
    check_rule(
        "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: db, namespace: shop}
spec:
  hosts: [db]
  tcp:
  - route:
    - {destination: {host: db, subset: v1}, weight: 80}
    - {destination: {host: other}, weight: 20}
    - {destination: {host: db, subset: v3}, weight: 0}
",
        expect![[r#"
            10.0.0.1_3306 10.0.0.1:3306
              -> tcp outbound|3306|v1|db.shop.svc.cluster.local=80 outbound|3307||other.shop.svc.cluster.local=20 stat=db.shop
            10.0.0.1_443 10.0.0.1:443
              -> tcp outbound|443||db.shop.svc.cluster.local
        "#]],
    );
}

#[test]
fn subnets_come_before_the_rest() {
    check_rule(
        "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: db, namespace: shop}
spec:
  hosts: [db]
  tcp:
  - match: [{destinationSubnets: [10.2.0.0/16, 10.3.0.0/16]}]
    route: [{destination: {host: db, subset: near}}]
  - match: [{port: 9999}]
    route: [{destination: {host: db, subset: never}}]
  - match: [{sourceLabels: {app: nobody}}]
    route: [{destination: {host: db, subset: never}}]
  - match: [{gateways: [shop/edge]}]
    route: [{destination: {host: db, subset: never}}]
  - match: [{port: 3306, sourceNamespace: shop}]
    route: [{destination: {host: db, subset: far}}]
",
        expect![[r#"
            10.0.0.1_3306 10.0.0.1:3306
              10.2.0.0/16 10.3.0.0/16 -> tcp outbound|3306|near|db.shop.svc.cluster.local
              default -> tcp outbound|3306|far|db.shop.svc.cluster.local
            10.0.0.1_443 10.0.0.1:443
              -> tcp outbound|443||db.shop.svc.cluster.local
        "#]],
    );
}

#[test]
fn server_names_choose_the_route() {
    check_rule(
        "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: db, namespace: shop}
spec:
  hosts: [db, '*.example.com']
  tls:
  - match: [{sniHosts: [a.example.com, b.example.com], port: 443}]
    route: [{destination: {host: db, subset: v1}}]
  - match: [{sniHosts: [b.example.com, '*.example.com']}]
    route: [{destination: {host: db, subset: v2}}]
",
        expect![[r#"
            10.0.0.1_3306 10.0.0.1:3306
              -> tcp outbound|3306||db.shop.svc.cluster.local
            10.0.0.1_443 10.0.0.1:443 tls_inspector
              sni=a.example.com sni=b.example.com -> tcp outbound|443|v1|db.shop.svc.cluster.local
              sni=*.example.com -> tcp outbound|443|v2|db.shop.svc.cluster.local
              default [PassthroughFilterChain] -> tcp PassthroughCluster
        "#]],
    );
}

#[test]
fn connection_policies_reach_the_proxy() {
    check_rule(
        "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: db, namespace: shop}
spec:
  host: db
  trafficPolicy:
    connectionPool: {tcp: {idleTimeout: 30s}}
    loadBalancer: {consistentHash: {useSourceIp: true}}
    portLevelSettings:
    - {port: {number: 443}, connectionPool: {tcp: {idleTimeout: 60s}}}
",
        expect![[r#"
            10.0.0.1_3306 10.0.0.1:3306
              -> tcp outbound|3306||db.shop.svc.cluster.local idle=30s hash=source_ip
            10.0.0.1_443 10.0.0.1:443
              -> tcp outbound|443||db.shop.svc.cluster.local idle=60s
        "#]],
    );
}

#[test]
fn bytes_go_through_a_tunnel_and_not_for_ever() {
    check_rule(
        "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: db, namespace: shop}
spec:
  host: db
  trafficPolicy:
    tunnel: {protocol: CONNECT, targetHost: db.example.com, targetPort: 3306}
    connectionPool: {tcp: {maxConnectionDuration: 60s}}
  subsets:
  - name: v1
    trafficPolicy: {tunnel: {protocol: POST, targetHost: 10.2.3.4, targetPort: 443}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: db, namespace: shop}
spec:
  hosts: [db]
  tls:
  - match: [{sniHosts: [db.shop.svc.cluster.local]}]
    route: [{destination: {host: db, subset: v1}}]
",
        expect![[r#"
            10.0.0.1_3306 10.0.0.1:3306
              -> tcp outbound|3306||db.shop.svc.cluster.local most=60s CONNECT db.example.com:3306
            10.0.0.1_443 10.0.0.1:443 tls_inspector
              sni=db.shop.svc.cluster.local -> tcp outbound|443|v1|db.shop.svc.cluster.local most=60s POST 10.2.3.4:443
              default [PassthroughFilterChain] -> tcp PassthroughCluster
        "#]],
    );
}
