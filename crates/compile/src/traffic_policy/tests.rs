use std::fmt::Write;

use expect_test::{Expect, expect};
use snapshot::Reader;

use super::{Policy, Rules, select_rules};
use crate::fixture;

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {clusterIP: 10.1.0.1, ports: [{name: http, port: 80}, {name: grpc, port: 90}]}
---
";

fn describe(policy: &Policy<'_>) -> String {
    let mut out = String::new();
    if let Some(simple) = policy.load_balancer.and_then(|it| it.simple) {
        write!(out, " {simple:?}").unwrap();
    }
    if let Some(tcp) = policy.connection_pool.and_then(|it| it.tcp.as_ref()) {
        write!(out, " connections={}", tcp.max_connections).unwrap();
    }
    if policy.outlier_detection.is_some() {
        out.push_str(" ejects");
    }
    if let Some(tls) = policy.tls {
        write!(out, " {:?}", tls.mode).unwrap();
    }
    if let Some(budget) = policy.retry_budget {
        write!(out, " budget={}", budget.percent.unwrap_or_default()).unwrap();
    }
    out
}

#[track_caller]
fn check(rules: &str, namespace: &str, expected: Expect) {
    let snapshot = fixture::snapshot(&format!("{SERVICE}{rules}"));
    let reader = Reader::new(&snapshot);
    let services = reader.services_named(&"cart.shop.svc.cluster.local".into());
    let rules = select_rules(services[0], &fixture::client(namespace), &reader);
    let mut out = String::new();
    for origin in rules.origins() {
        writeln!(out, "{origin}").unwrap();
    }
    let subsets = rules.subsets();
    let names = subsets.iter().map(|(name, labels)| (&**name, labels.to_string()));
    for (name, labels) in std::iter::once(("", String::new())).chain(names) {
        writeln!(out, "subset `{name}` {labels}").unwrap();
        for port in [80, 90] {
            writeln!(out, "  {port}:{}", describe(&rules.policy(port, name))).unwrap();
        }
    }
    expected.assert_eq(&out);
}

#[test]
fn a_subset_overrides_block_by_block_and_a_port_replaces_its_blocks_together() {
    let rules = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: cart, namespace: shop}
spec:
  host: cart
  trafficPolicy:
    loadBalancer: {simple: ROUND_ROBIN}
    connectionPool: {tcp: {maxConnections: 5}}
    tls: {mode: SIMPLE}
    retryBudget: {percent: 30}
    portLevelSettings:
    - port: {number: 90}
      connectionPool: {tcp: {maxConnections: 7}}
  subsets:
  - name: v1
    labels: {version: v1}
    trafficPolicy:
      loadBalancer: {simple: RANDOM}
  - name: v2
    labels: {version: v2}
    trafficPolicy:
      outlierDetection: {consecutive5xxErrors: 3}
      portLevelSettings:
      - port: {number: 80}
        loadBalancer: {simple: LEAST_REQUEST}
";
    check(
        rules,
        "shop",
        expect![[r#"
        DestinationRule shop/cart
        subset `` 
          80: RoundRobin connections=5 Simple budget=30
          90: connections=7 budget=30
        subset `v1` version=v1
          80: Random connections=5 Simple budget=30
          90: Random connections=7 budget=30
        subset `v2` version=v2
          80: LeastRequest budget=30
          90: connections=7 ejects budget=30
    "#]],
    );
}

#[test]
fn rules_for_one_host_act_as_one_and_the_first_wins() {
    let rules = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: first, namespace: shop, creationTimestamp: 2024-01-01T00:00:00Z}
spec: {host: cart, subsets: [{name: v1, labels: {version: v1}}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: second, namespace: shop, creationTimestamp: 2024-02-01T00:00:00Z}
spec:
  host: cart
  trafficPolicy: {tls: {mode: DISABLE}}
  subsets: [{name: v1, labels: {version: other}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: third, namespace: shop, creationTimestamp: 2024-03-01T00:00:00Z}
spec: {host: cart, trafficPolicy: {tls: {mode: SIMPLE}}}
";
    check(
        rules,
        "web",
        expect![[r#"
        DestinationRule shop/first
        DestinationRule shop/second
        DestinationRule shop/third
        subset `` 
          80: Disable
          90: Disable
        subset `v1` version=v1
          80: Disable
          90: Disable
        subset `v2` version=v2
          80: Disable
          90: Disable
    "#]],
    );
}

#[test]
fn the_rule_of_the_clients_namespace_stands_alone() {
    let rules = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: own, namespace: web}
spec: {host: cart.shop.svc.cluster.local, trafficPolicy: {loadBalancer: {simple: RANDOM}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: theirs, namespace: shop}
spec: {host: cart, trafficPolicy: {tls: {mode: SIMPLE}}}
";
    check(
        rules,
        "web",
        expect![[r#"
        DestinationRule web/own
        subset `` 
          80: Random
          90: Random
    "#]],
    );
}

#[test]
fn the_mesh_fills_in_what_no_rule_says() {
    let mesh = "defaultTrafficPolicy: {connectionPool: {tcp: {maxConnections: 7}}, \
        outlierDetection: {interval: 1s}}";
    let (parsed, findings) = api::parse_mesh_config("mesh.yaml", mesh.as_bytes());
    assert!(findings.is_empty(), "{findings:?}");
    let Some(api::Spec::MeshConfig(config)) = parsed.map(|object| object.spec) else {
        panic!("no MeshConfig")
    };
    let rule = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: cart, namespace: shop}
spec:
  host: cart
  trafficPolicy:
    connectionPool: {tcp: {maxConnections: 1}}
    portLevelSettings: [{port: {number: 90}, tls: {mode: DISABLE}}]
";
    let snapshot = fixture::snapshot(&format!("{SERVICE}{rule}"));
    let reader = Reader::new(&snapshot);
    let service = reader.services_named(&"cart.shop.svc.cluster.local".into())[0];
    let rules = select_rules(service, &fixture::client("shop"), &reader);
    let rules = Rules { defaults: config.default_traffic_policy.clone(), ..rules };
    assert_eq!(describe(&rules.policy(80, "")), " connections=1 ejects");
    assert_eq!(describe(&rules.policy(90, "")), " connections=7 ejects Disable");
}
