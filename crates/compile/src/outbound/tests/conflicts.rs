//! Services that want the same address and port.

use expect_test::{Expect, expect};

use crate::outbound::tests::check;

/// ServiceEntries without addresses on port 5000, the oldest first, one for each protocol.
#[track_caller]
fn check_protocols(protocols: &[&str], expected: Expect) {
    let documents = protocols.iter().enumerate().map(|(index, protocol)| {
        format!(
            "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: s{index}, namespace: shop, creationTimestamp: '200{index}-01-01T00:00:00Z'}}
spec:
  hosts: [s{index}.example.com]
  ports: [{{number: 5000, name: port, protocol: {protocol}}}]
  resolution: DNS
"
        )
    });
    check(&documents.collect::<Vec<_>>().join("---"), expected);
}

#[test]
fn http_over_tcp_is_detected() {
    check_protocols(
        &["TCP", "HTTP"],
        expect![[r#"
        0.0.0.0_5000 0.0.0.0:5000 tls_inspector http_inspector
          raw_buffer http/1.1,h2c -> http rds 5000
          default -> tcp outbound|5000||s0.example.com
    "#]],
    );
}

#[test]
fn tcp_over_http_is_detected() {
    check_protocols(
        &["HTTP", "TCP"],
        expect![[r#"
        0.0.0.0_5000 0.0.0.0:5000 tls_inspector http_inspector
          raw_buffer http/1.1,h2c -> http rds 5000
          default -> tcp outbound|5000||s1.example.com
    "#]],
    );
}

#[test]
fn the_older_tcp_service_keeps_the_port() {
    check_protocols(
        &["TCP", "TCP"],
        expect![[r#"
        0.0.0.0_5000 0.0.0.0:5000
          -> tcp outbound|5000||s0.example.com
        warning[MEL0330] ServiceEntry shop/s1: not reachable through `0.0.0.0_5000`: its connections cannot be told from those of an older service (give it another port or an address of its own)
    "#]],
    );
}

#[test]
fn tls_services_are_told_apart() {
    check_protocols(
        &["TLS", "TLS", "HTTP"],
        expect![[r#"
        0.0.0.0_5000 0.0.0.0:5000 tls_inspector http_inspector
          sni=s0.example.com -> tcp outbound|5000||s0.example.com
          sni=s1.example.com -> tcp outbound|5000||s1.example.com
          raw_buffer http/1.1,h2c -> http rds 5000
          default [PassthroughFilterChain] -> tcp PassthroughCluster
    "#]],
    );
}

#[test]
fn mongo_never_mixes() {
    check_protocols(
        &["MONGO", "HTTP"],
        expect![[r#"
        0.0.0.0_5000 0.0.0.0:5000
          -> tcp outbound|5000||s0.example.com
        warning[MEL0330] ServiceEntry shop/s1: not reachable through `0.0.0.0_5000`: its protocol cannot be told from theirs (give it another port or an address of its own)
    "#]],
    );
    check_protocols(
        &["HTTP", "MYSQL"],
        expect![[r#"
        0.0.0.0_5000 0.0.0.0:5000 tls_inspector http_inspector
          raw_buffer http/1.1,h2c -> http rds 5000
          default [PassthroughFilterChain] -> tcp PassthroughCluster
        warning[MEL0330] ServiceEntry shop/s1: not reachable through `0.0.0.0_5000`: its protocol cannot be told from theirs (give it another port or an address of its own)
    "#]],
    );
}

#[test]
fn undeclared_over_tcp_adds_http() {
    check(
        "
apiVersion: v1
kind: Service
metadata: {name: a, namespace: shop, creationTimestamp: '2001-01-01T00:00:00Z'}
spec: {clusterIP: 10.0.0.1, ports: [{name: tcp, port: 81}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: b, namespace: shop, creationTimestamp: '2002-01-01T00:00:00Z'}
spec:
  hosts: [b.example.com]
  addresses: [10.0.0.1]
  ports: [{number: 81, name: unknown}]
  resolution: DNS
",
        expect![[r#"
            10.0.0.1_81 10.0.0.1:81 tls_inspector http_inspector
              raw_buffer http/1.1,h2c -> http rds b.example.com:81
              default -> tcp outbound|81||a.shop.svc.cluster.local
        "#]],
    );
}
