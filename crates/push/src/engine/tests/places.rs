//! Only services whose rules ask for it are split by where a proxy runs.

use model::Kind;

use super::stage::{Stage, Work, puts, sidecar};
use crate::ResourceKind;

const MESH: &str = "
apiVersion: v1
kind: Service
metadata: {name: near, namespace: shop}
spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: near-1, namespace: shop, labels: {kubernetes.io/service-name: near}}
addressType: IPv4
ports: [{name: http, port: 80}]
endpoints: [{addresses: [10.0.1.1], zone: z1}, {addresses: [10.0.1.2], zone: z2}]
---
apiVersion: v1
kind: Service
metadata: {name: far, namespace: shop}
spec: {clusterIP: 10.96.0.2, ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: far-1, namespace: shop, labels: {kubernetes.io/service-name: far}}
addressType: IPv4
ports: [{name: http, port: 80}]
endpoints: [{addresses: [10.0.2.1], zone: z1}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: near, namespace: shop}
spec:
  host: near
  trafficPolicy: {outlierDetection: {}, loadBalancer: {localityLbSetting: {enabled: true}}}";

const NEAR: &str = "outbound|80||near.shop.svc.cluster.local";
const FAR: &str = "outbound|80||far.shop.svc.cluster.local";

/// Proxies of one class in two places, the first place twice.
fn mesh(yaml: &str) -> Stage {
    let mut stage = Stage::new(puts(yaml));
    stage.connect(sidecar("10.9.0.1", "shop", &[], "/z1"));
    stage.connect(sidecar("10.9.0.2", "shop", &[], "/z1"));
    stage.connect(sidecar("10.9.0.3", "shop", &[], "/z2"));
    stage
}

fn assignment(stage: &Stage, stream: u64, name: &str) -> u64 {
    stage.contents(stream)[&(ResourceKind::Endpoint, name.into())]
}

#[test]
fn assignments_differ_only_where_a_rule_asks_for_the_place() {
    let stage = mesh(MESH);
    assert_eq!(assignment(&stage, 1, NEAR), assignment(&stage, 2, NEAR));
    assert_ne!(assignment(&stage, 1, NEAR), assignment(&stage, 3, NEAR));
    assert_eq!(assignment(&stage, 1, FAR), assignment(&stage, 3, FAR));
    let facets = |stream: u64| stage.engine.streams[&stream].facets.clone();
    assert_eq!(facets(1), facets(2));
    assert_eq!(facets(1)[0], facets(3)[0], "all but the assignments is shared");
}

#[test]
fn without_such_a_rule_the_place_makes_no_difference() {
    let stage = mesh(MESH.split_once("apiVersion: networking").unwrap().0);
    let facets = |stream: u64| stage.engine.streams[&stream].facets.clone();
    assert_eq!(facets(1), facets(3));
}

#[test]
fn endpoints_of_a_placed_service_cost_one_job_a_place() {
    let mut stage = mesh(MESH);
    let near = MESH.split("---").nth(1).unwrap().replace("10.0.1.2]", "10.0.1.3]");
    let work = stage.put(&near);
    assert_eq!((work.compiled, work.notified), (2, 3), "{work}");
    let far = MESH.split("---").nth(3).unwrap().replace("10.0.2.1]", "10.0.2.2]");
    let work = stage.put(&far);
    assert_eq!(work, Work { jobs: 1, compiled: 1, hosts: 0, notified: 3 });
}

#[test]
fn a_service_becomes_placed_and_common_again() {
    let mut stage = mesh(MESH);
    let before: Vec<_> = (1..=3).map(|stream| stage.contents(stream)).collect();
    stage.delete(Kind::DestinationRule, "shop", "near");
    assert_eq!(assignment(&stage, 1, NEAR), assignment(&stage, 3, NEAR));
    stage.put(MESH.rsplit("---").next().unwrap());
    let after: Vec<_> = (1..=3).map(|stream| stage.contents(stream)).collect();
    assert_eq!(before, after);
}
