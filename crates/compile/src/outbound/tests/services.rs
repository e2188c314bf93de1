//! One listener for each way to reach a service.

use expect_test::expect;

use crate::outbound::tests::{Case, check, features};

#[test]
fn http_services_share_the_listener_of_their_port() {
    check(
        "
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: stock, namespace: shop}
spec: {clusterIP: 10.0.0.2, ports: [{name: grpc, port: 80}]}
",
        expect![[r#"
            0.0.0.0_80 0.0.0.0:80 tls_inspector http_inspector
              raw_buffer http/1.1,h2c -> http rds 80
              default [PassthroughFilterChain] -> tcp PassthroughCluster
        "#]],
    );
}

#[test]
fn tcp_and_tls_services_have_listeners_of_their_own() {
    check(
        "
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: tcp, port: 3306}, {name: tls, port: 443}]}
",
        expect![[r#"
            10.0.0.1_3306 10.0.0.1:3306
              -> tcp outbound|3306||db.shop.svc.cluster.local
            10.0.0.1_443 10.0.0.1:443
              -> tcp outbound|443||db.shop.svc.cluster.local
        "#]],
    );
}

#[test]
fn undeclared_protocols_are_detected() {
    check(
        "
apiVersion: v1
kind: Service
metadata: {name: any, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: unknown, port: 81}]}
",
        expect![[r#"
            10.0.0.1_81 10.0.0.1:81 tls_inspector http_inspector
              raw_buffer http/1.1,h2c -> http rds any.shop.svc.cluster.local:81
              default -> tcp outbound|81||any.shop.svc.cluster.local
        "#]],
    );
}

#[test]
fn udp_and_external_names_have_no_listener() {
    check(
        "
apiVersion: v1
kind: Service
metadata: {name: dns, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: dns, port: 53, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: other, namespace: shop}
spec: {type: ExternalName, externalName: example.com, ports: [{name: http, port: 80}]}
",
        expect![""],
    );
}

const HEADLESS: &str = "
apiVersion: v1
kind: Service
metadata: {name: set, namespace: shop}
spec: {clusterIP: None, ports: [{name: tcp, port: 9042}, {name: raft, port: 7000}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: set-1, namespace: shop, labels: {kubernetes.io/service-name: set}}
addressType: IPv4
ports: [{name: tcp, port: 9042}, {name: raft, port: 7000}]
endpoints:
- {addresses: [10.1.0.1], conditions: {ready: true}}
- {addresses: [10.9.9.9], conditions: {ready: true}}
";

#[test]
fn headless_services_have_a_listener_for_each_pod() {
    check(
        HEADLESS,
        expect![[r#"
        10.1.0.1_7000 10.1.0.1:7000 tls_inspector http_inspector
          raw_buffer http/1.1,h2c -> http rds set.shop.svc.cluster.local:7000
          default -> tcp outbound|7000||set.shop.svc.cluster.local
        10.1.0.1_9042 10.1.0.1:9042
          -> tcp outbound|9042||set.shop.svc.cluster.local
        10.9.9.9_7000 10.9.9.9:7000 tls_inspector http_inspector
          raw_buffer http/1.1,h2c -> http rds set.shop.svc.cluster.local:7000
          default -> tcp outbound|7000||set.shop.svc.cluster.local
        10.9.9.9_9042 10.9.9.9:9042
          -> tcp outbound|9042||set.shop.svc.cluster.local
    "#]],
    );
}

/// Whoever runs in that pod is not sent it.
#[test]
fn a_listener_for_a_pod_names_it() {
    let plan = Case::new(HEADLESS).plan();
    let of_pods = plan.listeners.iter().filter_map(|it| Some(format!("{} {}", it.name, it.pod?)));
    let expected = [
        "10.1.0.1_7000 10.1.0.1",
        "10.1.0.1_9042 10.1.0.1",
        "10.9.9.9_7000 10.9.9.9",
        "10.9.9.9_9042 10.9.9.9",
    ];
    assert_eq!(of_pods.collect::<Vec<_>>(), expected);
}

#[test]
fn headless_services_may_share_one_listener() {
    let mut case = Case::new(HEADLESS);
    case.features = features(&[("PILOT_ENABLE_HEADLESS_FILTER_CHAIN_LISTENER", "true")]);
    case.check(expect![[r#"
        0.0.0.0_7000 0.0.0.0:7000 tls_inspector http_inspector
          10.1.0.1/32 10.9.9.9/32 -> tcp outbound|7000||set.shop.svc.cluster.local
          raw_buffer http/1.1,h2c -> http rds 7000
          default [PassthroughFilterChain] -> tcp PassthroughCluster
        0.0.0.0_9042 0.0.0.0:9042
          10.1.0.1/32 10.9.9.9/32 -> tcp outbound|9042||set.shop.svc.cluster.local
          default [PassthroughFilterChain] -> tcp PassthroughCluster
    "#]]);
}

#[test]
fn a_headless_service_without_pods_takes_no_port() {
    check(
        "
apiVersion: v1
kind: Service
metadata: {name: set, namespace: shop}
spec: {clusterIP: None, ports: [{name: tcp, port: 9042}]}
",
        expect![""],
    );
}

#[test]
fn ranges_are_matched_and_single_addresses_bound() {
    check(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: old, namespace: shop}
spec:
  hosts: [old.example.com]
  addresses: [192.168.0.0/16, 172.16.0.1/32]
  ports: [{number: 5432, name: tcp, protocol: TCP}]
  resolution: NONE
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: tls, namespace: shop}
spec:
  hosts: [tls.example.com]
  addresses: [10.20.0.0/16]
  ports: [{number: 443, name: tls, protocol: TLS}]
  resolution: NONE
",
        expect![[r#"
            0.0.0.0_443 0.0.0.0:443 tls_inspector
              10.20.0.0/16 sni=tls.example.com -> tcp outbound|443||tls.example.com
              default [PassthroughFilterChain] -> tcp PassthroughCluster
            0.0.0.0_5432 0.0.0.0:5432
              192.168.0.0/16 -> tcp outbound|5432||old.example.com
              default [PassthroughFilterChain] -> tcp PassthroughCluster
            172.16.0.1_5432 172.16.0.1:5432
              -> tcp outbound|5432||old.example.com
        "#]],
    );
}

#[test]
fn tls_without_an_address_is_told_by_its_server_name() {
    check(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: a, namespace: shop}
spec:
  hosts: [a.example.com, '*.b.example.com']
  ports: [{number: 443, name: tls, protocol: TLS}]
  resolution: NONE
",
        expect![[r#"
            0.0.0.0_443 0.0.0.0:443 tls_inspector
              sni=*.b.example.com -> tcp outbound|443||*.b.example.com
              sni=a.example.com -> tcp outbound|443||a.example.com
              default [PassthroughFilterChain] -> tcp PassthroughCluster
        "#]],
    );
}

#[test]
fn allocated_addresses_count_only_for_proxies_that_answer_dns() {
    let mesh = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: a, namespace: shop}
spec:
  hosts: [a.example.com]
  ports: [{number: 5432, name: tcp, protocol: TCP}]
  resolution: DNS
";
    check(
        mesh,
        expect![[r#"
        0.0.0.0_5432 0.0.0.0:5432
          -> tcp outbound|5432||a.example.com
    "#]],
    );
    let mut case = Case::new(mesh);
    case.dns_capture = true;
    case.check(expect![[r#"
        240.240.34.73_5432 240.240.34.73:5432
          -> tcp outbound|5432||a.example.com
    "#]]);
}

#[test]
fn ranges_that_envoy_cannot_tell_apart_are_one() {
    let entry = |name: &str, range: &str| {
        format!(
            "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: shop}}
spec:
  hosts: [{name}.example.com]
  addresses: [{range}]
  ports: [{{number: 9000, name: tcp, protocol: TCP}}]
  resolution: NONE
"
        )
    };
    let mesh = [entry("a", "172.16.1.0/16"), entry("b", "172.16.2.0/16")].join("---");
    check(
        &mesh,
        expect![[r#"
        0.0.0.0_9000 0.0.0.0:9000
          172.16.0.0/16 -> tcp outbound|9000||a.example.com
          default [PassthroughFilterChain] -> tcp PassthroughCluster
        warning[MEL0330] ServiceEntry shop/b: not reachable through `0.0.0.0_9000`: its connections cannot be told from those of an older service (give it another port or an address of its own)
    "#]],
    );
}

#[test]
fn each_entry_of_a_host_is_reached_at_its_own_addresses() {
    check(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: one, namespace: shop}
spec:
  hosts: [db.example.com]
  addresses: [10.9.0.1]
  ports: [{number: 9000, name: tcp, protocol: TCP}, {number: 9001, name: tcp-b, protocol: TCP}]
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: two, namespace: shop}
spec:
  hosts: [db.example.com]
  addresses: [10.9.0.2]
  ports: [{number: 9000, name: tcp, protocol: TCP}]
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: zero, namespace: shop}
spec:
  hosts: [db.example.com]
  ports: [{number: 443, name: tls, protocol: TLS}]
  resolution: DNS
",
        expect![[r#"
            0.0.0.0_443 0.0.0.0:443 tls_inspector
              sni=db.example.com -> tcp outbound|443||db.example.com
              default [PassthroughFilterChain] -> tcp PassthroughCluster
            10.9.0.1_9000 10.9.0.1:9000
              -> tcp outbound|9000||db.example.com
            10.9.0.1_9001 10.9.0.1:9001
              -> tcp outbound|9001||db.example.com
            10.9.0.2_9000 10.9.0.2:9000
              -> tcp outbound|9000||db.example.com
        "#]],
    );
}

#[test]
fn the_closest_service_of_a_host_or_a_port_comes_first() {
    let entry = |name: &str, namespace: &str, host: &str, fields: &str| {
        format!(
            "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  hosts: [{host}]
  ports: [{{number: 9000, name: tcp, protocol: TCP}}]
  resolution: DNS
  {fields}
"
        )
    };
    let mesh = [
        entry("a", "other", "a.example.com", ""),
        entry("z", "shop", "z.example.com", "exportTo: ['.']"),
        entry("b", "other", "twice.example.com", "addresses: [10.9.0.1]"),
        entry("c", "shop", "twice.example.com", "addresses: [10.9.0.2]"),
    ];
    check(
        &mesh.join("---"),
        expect![[r#"
        0.0.0.0_9000 0.0.0.0:9000
          -> tcp outbound|9000||z.example.com
        10.9.0.2_9000 10.9.0.2:9000
          -> tcp outbound|9000||twice.example.com
        warning[MEL0330] ServiceEntry other/a: not reachable through `0.0.0.0_9000`: its connections cannot be told from those of an older service (give it another port or an address of its own)
    "#]],
    );
}

#[test]
fn every_name_of_a_service_is_a_server_name() {
    check(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: web, namespace: shop}
spec:
  hosts: [web.example.com]
  ports: [{number: 443, name: tls, protocol: TLS}]
  resolution: DNS
---
apiVersion: v1
kind: Service
metadata: {name: one, namespace: shop}
spec: {type: ExternalName, externalName: web.example.com}
---
apiVersion: v1
kind: Service
metadata: {name: two, namespace: other}
spec: {type: ExternalName, externalName: one.shop.svc.cluster.local}
",
        expect![[r#"
            0.0.0.0_443 0.0.0.0:443 tls_inspector
              sni=web.example.com sni=one.shop.svc.cluster.local sni=one sni=one.shop.svc sni=one.shop sni=two.other.svc.cluster.local sni=two.other sni=two.other.svc -> tcp outbound|443||web.example.com
              default [PassthroughFilterChain] -> tcp PassthroughCluster
        "#]],
    );
}
