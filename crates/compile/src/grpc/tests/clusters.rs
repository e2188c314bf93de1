//! What gRPC's client knows of services and their endpoints.

use envoy::config::{cluster::v3::Cluster, endpoint::v3::ClusterLoadAssignment};
use expect_test::{Expect, expect};
use model::Locality;
use prost::Message;
use snapshot::Reader;

use super::{SERVICES, client, route, service};
use crate::{
    Scope,
    cluster::{compile_cluster, select_cluster, special_clusters},
    endpoint::{Place, compile_endpoints, select_endpoints},
    fixture,
};

fn policy(policy: &str) -> String {
    format!(
        "{SERVICES}apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: cart, namespace: shop}}
spec: {{host: cart, trafficPolicy: {policy}}}
"
    )
}

#[track_caller]
fn check_policy(yaml: &str, expected: Expect) {
    let snapshot = fixture::snapshot(yaml);
    let reader = Reader::new(&snapshot);
    let service = service(&snapshot, "cart.shop.svc.cluster.local");
    let input = select_cluster(&service, 80, "", &client(), &reader);
    let compiled = compile_cluster(&input).expect("a cluster");
    let mut out = fixture::render(&compiled.resource);
    for finding in compiled.diagnostics.iter() {
        out.push_str(&format!("{finding}\n"));
    }
    expected.assert_eq(&out);
}

#[test]
fn a_cluster_has_only_what_grpc_reads() {
    check_policy(
        SERVICES,
        expect![[r#"
        eds_cluster_config:
          eds_config:
            ads: {}
            resource_api_version: V3
          service_name: outbound|80||cart.shop.svc.cluster.local
        name: outbound|80||cart.shop.svc.cluster.local
        type: EDS
    "#]],
    );
    check_policy(
        &policy(
            "{connectionPool: {http: {http2MaxRequests: 7}}, loadBalancer: {simple: LEAST_REQUEST}}",
        ),
        expect![[r#"
            circuit_breakers:
              thresholds:
                - max_requests: 7
            eds_cluster_config:
              eds_config:
                ads: {}
                resource_api_version: V3
              service_name: outbound|80||cart.shop.svc.cluster.local
            load_balancing_policy:
              policies:
                - typed_extension_config:
                    name: envoy.load_balancing_policies.wrr_locality
                    typed_config:
                      @type: type.googleapis.com/envoy.extensions.load_balancing_policies.wrr_locality.v3.WrrLocality
                      endpoint_picking_policy:
                        policies:
                          - typed_extension_config:
                              name: envoy.load_balancing_policies.least_request
                              typed_config:
                                @type: type.googleapis.com/envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest
                          - typed_extension_config:
                              name: envoy.load_balancing_policies.round_robin
                              typed_config:
                                @type: type.googleapis.com/envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin
            name: outbound|80||cart.shop.svc.cluster.local
            type: EDS
        "#]],
    );
}

#[test]
fn ejection_goes_by_the_calls_of_an_interval() {
    let ejection = "{outlierDetection: {consecutive5xxErrors: 3, interval: 5s, \
        baseEjectionTime: 10s, maxEjectionPercent: 50}}";
    check_policy(
        &policy(ejection),
        expect![[r#"
        eds_cluster_config:
          eds_config:
            ads: {}
            resource_api_version: V3
          service_name: outbound|80||cart.shop.svc.cluster.local
        name: outbound|80||cart.shop.svc.cluster.local
        outlier_detection:
          base_ejection_time: 10s
          enforcing_failure_percentage: 100
          enforcing_success_rate: 0
          failure_percentage_minimum_hosts: 1
          failure_percentage_request_volume: 3
          failure_percentage_threshold: 99
          interval: 5s
          max_ejection_percent: 50
        type: EDS
        warning[MEL0350] DestinationRule shop/cart trafficPolicy.outlierDetection: gRPC clients without a proxy count failed calls per interval, not in a row
    "#]],
    );
}

#[test]
fn a_hash_makes_a_ring_and_its_key_a_policy() {
    check_policy(
        &policy("{loadBalancer: {consistentHash: {useSourceIp: true, maglev: {}}}}"),
        expect![[r#"
            eds_cluster_config:
              eds_config:
                ads: {}
                resource_api_version: V3
              service_name: outbound|80||cart.shop.svc.cluster.local
            lb_policy: RING_HASH
            name: outbound|80||cart.shop.svc.cluster.local
            ring_hash_lb_config:
              minimum_ring_size: 1024
            type: EDS
            warning[MEL0350] DestinationRule shop/cart trafficPolicy.loadBalancer.consistentHash.maglev: it has no effect on gRPC clients without a proxy
        "#]],
    );
    let compiled = route(&policy("{loadBalancer: {consistentHash: {useSourceIp: true}}}"));
    let text = fixture::render(&compiled.resource);
    assert!(text.contains("io.grpc.channel_id"), "{text}");
}

#[test]
fn nothing_goes_out_unencrypted_where_encryption_is_asked_for() {
    let yaml = format!(
        "{}---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: cart-1, namespace: shop, labels: {{kubernetes.io/service-name: cart}}}}
addressType: IPv4
ports: [{{name: grpc, port: 8080}}]
endpoints: [{{addresses: [10.0.0.1]}}]
",
        policy("{tls: {mode: SIMPLE}}")
    );
    let assignment = assignment(&yaml, "cart.shop.svc.cluster.local");
    assert_eq!(assignment.endpoints, []);
}

fn assignment(yaml: &str, host: &str) -> ClusterLoadAssignment {
    let snapshot = fixture::snapshot(yaml);
    let reader = Reader::new(&snapshot);
    let place = Place { locality: Locality::parse("a/1/x"), ..Place::default() };
    let service = service(&snapshot, host);
    let input = select_endpoints(&service, 80, "", &client(), &place, &reader);
    let compiled = compile_endpoints(&input);
    ClusterLoadAssignment::decode(compiled.resource.decode_bytes()).expect("an assignment")
}

fn entry(resolution: &str, endpoints: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: cart, namespace: shop}}
spec:
  hosts: [cart.example.com]
  resolution: {resolution}
  ports: [{{name: grpc, number: 80, targetPort: 8080, protocol: GRPC}}]
  endpoints: [{endpoints}]
"
    )
}

#[test]
fn addresses_come_once_and_priorities_without_gaps() {
    let yaml = entry(
        "STATIC",
        "{address: 10.0.0.1, locality: a/1/x}, {address: 10.0.0.1, locality: b/1}, \
         {address: 'unix:///run/x', locality: a/1}, {address: 10.0.0.3, locality: c/1}, \
         {address: 10.0.0.2}",
    ) + "---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: cart, namespace: shop}
spec: {host: cart.example.com, trafficPolicy: {outlierDetection: {interval: 1s}}}
";
    let assignment = assignment(&yaml, "cart.example.com");
    let groups: Vec<(u32, String, usize)> = assignment
        .endpoints
        .iter()
        .map(|group| {
            let locality = group.locality.as_ref().expect("gRPC refuses a group without one");
            assert!(group.load_balancing_weight.is_some_and(|weight| weight > 0));
            (group.priority, locality.region.clone(), group.lb_endpoints.len())
        })
        .collect();
    let expected = [(0, "a".to_owned(), 1), (1, String::new(), 1), (1, "c".to_owned(), 1)];
    assert_eq!(groups, expected);
}

#[test]
fn a_resolved_service_has_one_name() {
    let cluster = |yaml: &str| {
        let snapshot = fixture::snapshot(yaml);
        let service = service(&snapshot, "cart.example.com");
        let input = select_cluster(&service, 80, "", &client(), &Reader::new(&snapshot));
        let compiled = compile_cluster(&input).expect("a cluster");
        let cluster = Cluster::decode(compiled.resource.decode_bytes()).expect("a cluster");
        (cluster, input.is_eds(), compiled.diagnostics.len())
    };
    let (one, eds, findings) = cluster(&entry("DNS", "{address: a.example.com}"));
    let count = |it: &Cluster| it.load_assignment.as_ref().map(|it| it.endpoints.len());
    assert_eq!((count(&one), eds, findings), (Some(1), false, 0));
    let (two, eds, findings) =
        cluster(&entry("DNS", "{address: a.example.com}, {address: b.example.com}"));
    assert_eq!((count(&two), eds, findings), (Some(1), false, 1));
    let (plain, eds, _) = cluster(&entry("DNS", "{address: 10.0.0.1}, {address: 10.0.0.2}"));
    assert_eq!((count(&plain), eds), (None, true));
}

#[test]
fn there_are_no_clusters_beside_those_of_services() {
    let snapshot = fixture::snapshot(SERVICES);
    let reader = Reader::new(&snapshot);
    let policy = Scope::select(&client(), &reader).outbound_policy;
    assert_eq!(special_clusters(&client(), reader.mesh(), policy).count(), 0);
}
