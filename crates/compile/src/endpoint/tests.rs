use std::fmt::Write;

use envoy::{
    Resource,
    config::{
        cluster::v3::{
            Cluster,
            cluster::{
                CommonLbConfig,
                common_lb_config::{LocalityConfigSpecifier, LocalityWeightedLbConfig},
            },
        },
        core::v3::{HealthStatus, address, socket_address::PortSpecifier},
        endpoint::v3::{ClusterLoadAssignment, lb_endpoint::HostIdentifier},
    },
    type_url,
};
use expect_test::{Expect, expect};
use model::{Labels, Locality};
use prost::Message;
use snapshot::Reader;

use super::{Place, compile_endpoints, select_endpoints};
use crate::{Compiled, filters::testing::validate, fixture};

const HOST: &str = "cart.shop.svc.cluster.local";

/// `cart.shop` with two ports.
const CART: &str = "
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {clusterIP: 10.1.0.1, ports: [{name: http, port: 80}, {name: admin, port: 81}]}
---
";

fn entry(address: &str, locality: &str, labels: &str, more: &str) -> String {
    format!("  - {{address: {address}, locality: {locality}, labels: {labels}{more}}}\n")
}

/// A static ServiceEntry with endpoints in two regions, and a rule with this policy.
fn mesh(policy: &str) -> String {
    let endpoints = [
        entry("10.0.0.1", "a/1/x", "{app: cart, version: v1}", ""),
        entry("10.0.0.2", "a/1/y", "{app: cart, version: v2}", ", weight: 3"),
        entry("10.0.0.3", "a/2", "{app: cart, version: v1}", ""),
        entry("10.0.0.4", "b/1", "{app: cart, version: v1}", ""),
        entry("10.0.0.5", "c/1", "{app: cart, version: v1}", ""),
    ];
    let endpoints = endpoints.concat();
    let policy = if policy.is_empty() { "{retryBudget: {percent: 20}}" } else { policy };
    format!(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: cart, namespace: shop}}
spec:
  hosts: [cart.example.com]
  resolution: STATIC
  ports: [{{name: http, number: 80, targetPort: 8080, protocol: HTTP}}]
  endpoints:
{endpoints}---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: cart, namespace: shop}}
spec:
  host: cart.example.com
  trafficPolicy: {policy}
  subsets: [{{name: v1, labels: {{version: v1}}}}]
"
    )
}

/// Who asks: where it runs, and its labels.
struct Asker {
    locality: &'static str,
    node: &'static str,
    labels: Labels,
}

impl Asker {
    fn at(locality: &'static str) -> Self {
        Self { locality, node: "node-1", labels: Labels::default() }
    }
}

fn compile(yaml: &str, host: &str, port: u16, subset: &str, asker: &Asker) -> Compiled {
    let snapshot = fixture::snapshot(yaml);
    let reader = Reader::new(&snapshot);
    let service = reader.services_named(&host.into())[0];
    let place = Place {
        locality: Locality::parse(asker.locality),
        node_name: asker.node.into(),
        labels: asker.labels.clone(),
    };
    let client = fixture::client("shop");
    compile_endpoints(&select_endpoints(service, port, subset, &client, &place, &reader))
}

/// `priority weight locality: address[*weight][ health]…`
fn render(compiled: &Compiled) -> String {
    let bytes = compiled.resource.decode_bytes();
    let assignment = ClusterLoadAssignment::decode(bytes).expect("the encoding is valid");
    assert_eq!(assignment.cluster_name, **compiled.resource.name());
    let mut out = format!("{}\n", assignment.cluster_name);
    for group in &assignment.endpoints {
        let locality = group.locality.clone().unwrap_or_default();
        let weight = group.load_balancing_weight.unwrap_or_default();
        write!(out, "  P{} w{weight} ", group.priority).unwrap();
        write!(out, "{}/{}/{}:", locality.region, locality.zone, locality.sub_zone).unwrap();
        for endpoint in &group.lb_endpoints {
            let Some(HostIdentifier::Endpoint(host)) = &endpoint.host_identifier else { continue };
            let address = host.address.as_ref().and_then(|it| it.address.clone());
            match address {
                Some(address::Address::SocketAddress(socket)) => {
                    let Some(PortSpecifier::PortValue(port)) = socket.port_specifier else {
                        continue;
                    };
                    write!(out, " {}:{port}", socket.address).unwrap();
                }
                Some(address::Address::Pipe(pipe)) => write!(out, " {}", pipe.path).unwrap(),
                other => write!(out, " {other:?}").unwrap(),
            }
            match endpoint.load_balancing_weight {
                Some(1) | None => {}
                Some(weight) => write!(out, "*{weight}").unwrap(),
            }
            if endpoint.health_status() != HealthStatus::Unknown {
                write!(out, " {}", endpoint.health_status().as_str_name()).unwrap();
            }
        }
        out.push('\n');
    }
    out
}

#[track_caller]
fn check(policy: &str, subset: &str, asker: &Asker, expected: Expect) {
    let compiled = compile(&mesh(policy), "cart.example.com", 80, subset, asker);
    expected.assert_eq(&render(&compiled));
}

const EJECTS: &str = "outlierDetection: {interval: 1s}";

#[test]
fn an_endpoint_carries_its_workload() {
    let compiled = compile(&mesh(""), "cart.example.com", 80, "v1", &Asker::at(""));
    let text = fixture::render(&compiled.resource);
    let first: Vec<&str> = text.lines().take(22).collect();
    expect![[r#"
        cluster_name: outbound|80|v1|cart.example.com
        endpoints:
          - lb_endpoints:
              - endpoint:
                  address:
                    socket_address:
                      address: 10.0.0.1
                      port_value: 8080
                load_balancing_weight: 1
                metadata:
                  filter_metadata:
                    istio:
                      revision: v1
                      service: cart
                      workload: cart;shop;cart;v1;Kubernetes
            load_balancing_weight: 1
            locality:
              region: a
              sub_zone: x
              zone: 1
          - lb_endpoints:
              - endpoint:
    "#]]
    .assert_eq(&(first.join("\n") + "\n"));
}

#[test]
fn localities_are_alike_without_ejection() {
    check(
        "",
        "",
        &Asker::at("a/1/x"),
        expect![[r#"
        outbound|80||cart.example.com
          P0 w1 a/1/x: 10.0.0.1:8080
          P0 w3 a/1/y: 10.0.0.2:8080*3
          P0 w1 a/2/: 10.0.0.3:8080
          P0 w1 b/1/: 10.0.0.4:8080
          P0 w1 c/1/: 10.0.0.5:8080
    "#]],
    );
}

#[test]
fn a_subset_keeps_the_endpoints_with_its_labels() {
    check(
        "",
        "v1",
        &Asker::at("a/1/x"),
        expect![[r#"
        outbound|80|v1|cart.example.com
          P0 w1 a/1/x: 10.0.0.1:8080
          P0 w1 a/2/: 10.0.0.3:8080
          P0 w1 b/1/: 10.0.0.4:8080
          P0 w1 c/1/: 10.0.0.5:8080
    "#]],
    );
    check(
        "",
        "unknown",
        &Asker::at("a/1/x"),
        expect![[r#"
        outbound|80|unknown|cart.example.com
    "#]],
    );
}

#[test]
fn with_ejection_the_nearest_locality_comes_first() {
    let policy = format!("{{{EJECTS}}}");
    check(
        &policy,
        "",
        &Asker::at("a/1/x"),
        expect![[r#"
        outbound|80||cart.example.com
          P0 w1 a/1/x: 10.0.0.1:8080
          P1 w3 a/1/y: 10.0.0.2:8080*3
          P2 w1 a/2/: 10.0.0.3:8080
          P3 w1 b/1/: 10.0.0.4:8080
          P3 w1 c/1/: 10.0.0.5:8080
    "#]],
    );
    check(
        &policy,
        "",
        &Asker::at("b/2"),
        expect![[r#"
        outbound|80||cart.example.com
          P0 w1 b/1/: 10.0.0.4:8080
          P1 w1 a/1/x: 10.0.0.1:8080
          P1 w3 a/1/y: 10.0.0.2:8080*3
          P1 w1 a/2/: 10.0.0.3:8080
          P1 w1 c/1/: 10.0.0.5:8080
    "#]],
    );
    check(
        &policy,
        "",
        &Asker::at(""),
        expect![[r#"
        outbound|80||cart.example.com
          P0 w1 a/1/x: 10.0.0.1:8080
          P0 w3 a/1/y: 10.0.0.2:8080*3
          P0 w1 a/2/: 10.0.0.3:8080
          P0 w1 b/1/: 10.0.0.4:8080
          P0 w1 c/1/: 10.0.0.5:8080
    "#]],
    );
}

#[test]
fn a_region_fails_over_to_the_one_that_is_named() {
    let setting = "loadBalancer: {localityLbSetting: {failover: [{from: a, to: c}]}}";
    check(
        &format!("{{{EJECTS}, {setting}}}"),
        "",
        &Asker::at("a/1/x"),
        expect![[r#"
        outbound|80||cart.example.com
          P0 w1 a/1/x: 10.0.0.1:8080
          P1 w3 a/1/y: 10.0.0.2:8080*3
          P2 w1 a/2/: 10.0.0.3:8080
          P3 w1 c/1/: 10.0.0.5:8080
          P4 w1 b/1/: 10.0.0.4:8080
    "#]],
    );
}

#[test]
fn traffic_is_distributed_by_shares() {
    let policy = "{loadBalancer: {localityLbSetting: {distribute: \
        [{from: 'a/*', to: {'a/1/*': 70, 'a/*': 20, 'b/1': 10}}]}}}";
    check(
        policy,
        "",
        &Asker::at("a/2"),
        expect![[r#"
        outbound|80||cart.example.com
          P0 w18 a/1/x: 10.0.0.1:8080
          P0 w53 a/1/y: 10.0.0.2:8080*3
          P0 w20 a/2/: 10.0.0.3:8080
          P0 w10 b/1/: 10.0.0.4:8080
    "#]],
    );
    check(
        policy,
        "",
        &Asker::at("b/1"),
        expect![[r#"
        outbound|80||cart.example.com
          P0 w1 a/1/x: 10.0.0.1:8080
          P0 w3 a/1/y: 10.0.0.2:8080*3
          P0 w1 a/2/: 10.0.0.3:8080
          P0 w1 b/1/: 10.0.0.4:8080
          P0 w1 c/1/: 10.0.0.5:8080
    "#]],
    );
}

#[test]
fn endpoints_that_share_labels_with_the_client_come_first() {
    let labels = [("version", "v1")].into_iter().collect();
    let asker = Asker { labels, ..Asker::at("a/1/x") };
    let setting = "loadBalancer: {localityLbSetting: {failoverPriority: \
        [topology.kubernetes.io/region, version]}}";
    check(
        &format!("{{{EJECTS}, {setting}}}"),
        "",
        &asker,
        expect![[r#"
        outbound|80||cart.example.com
          P0 w1 a/1/x: 10.0.0.1:8080
          P0 w1 a/2/: 10.0.0.3:8080
          P1 w3 a/1/y: 10.0.0.2:8080*3
          P2 w1 b/1/: 10.0.0.4:8080
          P2 w1 c/1/: 10.0.0.5:8080
    "#]],
    );
    let fixed = "loadBalancer: {localityLbSetting: {failoverPriority: ['version=v2']}}";
    check(
        &format!("{{{EJECTS}, {fixed}}}"),
        "",
        &asker,
        expect![[r#"
        outbound|80||cart.example.com
          P0 w3 a/1/y: 10.0.0.2:8080*3
          P1 w1 a/1/x: 10.0.0.1:8080
          P1 w1 a/2/: 10.0.0.3:8080
          P1 w1 b/1/: 10.0.0.4:8080
          P1 w1 c/1/: 10.0.0.5:8080
    "#]],
    );
}

#[test]
fn localities_can_be_switched_off() {
    let policy = format!("{{{EJECTS}, loadBalancer: {{localityLbSetting: {{enabled: false}}}}}}");
    check(
        &policy,
        "",
        &Asker::at("a/1/x"),
        expect![[r#"
        outbound|80||cart.example.com
          P0 w1 a/1/x: 10.0.0.1:8080
          P0 w3 a/1/y: 10.0.0.2:8080*3
          P0 w1 a/2/: 10.0.0.3:8080
          P0 w1 b/1/: 10.0.0.4:8080
          P0 w1 c/1/: 10.0.0.5:8080
    "#]],
    );
}

fn slice(distribution: &str) -> String {
    let service = CART.replace("spec: {", &format!("spec: {{{distribution} "));
    format!(
        "{service}
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: cart-1, namespace: shop, labels: {{kubernetes.io/service-name: cart}}}}
addressType: IPv4
ports: [{{name: http, port: 8080}}]
endpoints:
- {{addresses: [10.0.0.1], nodeName: node-1, zone: z1}}
- {{addresses: [10.0.0.2], nodeName: node-2, zone: z1}}
- {{addresses: [10.0.0.3], nodeName: node-3, zone: z2, conditions: {{ready: false}}}}
"
    )
}

#[test]
fn an_endpoint_that_is_not_ready_is_marked() {
    let compiled = compile(&slice(""), HOST, 80, "", &Asker::at(""));
    expect![[r#"
        outbound|80||cart.shop.svc.cluster.local
          P0 w2 /z1/: 10.0.0.1:8080 10.0.0.2:8080
          P0 w1 /z2/: 10.0.0.3:8080 UNHEALTHY
    "#]]
    .assert_eq(&render(&compiled));
}

#[test]
fn an_endpoint_that_is_not_ready_is_left_out_where_panic_could_use_it() {
    let rule = "---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: cart, namespace: shop}
spec: {host: cart, trafficPolicy: {outlierDetection: {minHealthPercent: 10}}}
";
    let compiled = compile(&(slice("") + rule), HOST, 80, "", &Asker::at(""));
    expect![[r#"
        outbound|80||cart.shop.svc.cluster.local
          P0 w2 /z1/: 10.0.0.1:8080 10.0.0.2:8080
    "#]]
    .assert_eq(&render(&compiled));
}

#[test]
fn a_port_that_no_endpoint_serves_has_none() {
    let compiled = compile(&slice(""), HOST, 81, "", &Asker::at(""));
    expect![[r#"
        outbound|81||cart.shop.svc.cluster.local
    "#]]
    .assert_eq(&render(&compiled));
}

#[test]
fn a_node_local_service_has_the_endpoints_of_the_node() {
    let yaml = slice("internalTrafficPolicy: Local,");
    expect![[r#"
        outbound|80||cart.shop.svc.cluster.local
          P0 w1 /z1/: 10.0.0.1:8080
    "#]]
    .assert_eq(&render(&compile(&yaml, HOST, 80, "", &Asker::at(""))));
}

#[test]
fn a_traffic_distribution_prefers_neighbours_without_ejection() {
    let yaml = slice("trafficDistribution: PreferSameNode,");
    expect![[r#"
        outbound|80||cart.shop.svc.cluster.local
          P0 w1 /z1/: 10.0.0.1:8080
          P1 w1 /z1/: 10.0.0.2:8080
          P2 w1 /z2/: 10.0.0.3:8080 UNHEALTHY
    "#]]
    .assert_eq(&render(&compile(&yaml, HOST, 80, "", &Asker::at("/z1"))));
}

#[test]
fn a_socket_is_a_pipe() {
    let yaml = mesh("").replace("address: 10.0.0.1", "address: 'unix:///run/cart.sock'");
    let yaml = yaml.replace("locality: a/1/x, ", "");
    expect![[r#"
        outbound|80||cart.example.com
          P0 w1 //: /run/cart.sock
          P0 w3 a/1/y: 10.0.0.2:8080*3
          P0 w1 a/2/: 10.0.0.3:8080
          P0 w1 b/1/: 10.0.0.4:8080
          P0 w1 c/1/: 10.0.0.5:8080
    "#]]
    .assert_eq(&render(&compile(&yaml, "cart.example.com", 80, "", &Asker::at(""))));
}

/// Envoy would refuse the assignments of all services for one name.
#[test]
fn an_endpoint_with_a_name_is_left_out_and_reported() {
    let later = "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: later, namespace: shop}
spec:
  hosts: [cart.example.com]
  resolution: DNS
  ports: [{name: http, number: 80, targetPort: 8080, protocol: HTTP}]
  endpoints: [{address: a.example.com}, {address: 10.0.0.9}, {address: b.example.com}]
";
    let yaml = mesh("") + later;
    let merged = compile(&yaml, "cart.example.com", 80, "", &Asker::at(""));
    let listed = slice("").replace("IPv4", "FQDN").replace("[10.0.0.3]", "[c.example.com]");
    let listed = compile(&listed, HOST, 80, "", &Asker::at(""));
    let findings = |compiled: &Compiled| {
        compiled.diagnostics.iter().map(|it| format!("{it}\n")).collect::<String>()
    };
    expect![[r#"
        outbound|80||cart.example.com
          P0 w1 //: 10.0.0.9:8080
          P0 w1 a/1/x: 10.0.0.1:8080
          P0 w3 a/1/y: 10.0.0.2:8080*3
          P0 w1 a/2/: 10.0.0.3:8080
          P0 w1 b/1/: 10.0.0.4:8080
          P0 w1 c/1/: 10.0.0.5:8080
        warning[MEL0323] ServiceEntry shop/cart: the endpoint `a.example.com` of `cart.example.com` is left out (give all ServiceEntries of the host the same resolution)
        warning[MEL0323] ServiceEntry shop/cart: the endpoint `b.example.com` of `cart.example.com` is left out (give all ServiceEntries of the host the same resolution)
        outbound|80||cart.shop.svc.cluster.local
        warning[MEL0323] Service shop/cart: the endpoint `10.0.0.1` of `cart.shop.svc.cluster.local` is left out (list addresses in its EndpointSlices)
        warning[MEL0323] Service shop/cart: the endpoint `10.0.0.2` of `cart.shop.svc.cluster.local` is left out (list addresses in its EndpointSlices)
        warning[MEL0323] Service shop/cart: the endpoint `c.example.com` of `cart.shop.svc.cluster.local` is left out (list addresses in its EndpointSlices)
    "#]]
        .assert_eq(&(render(&merged) + &findings(&merged) + &render(&listed) + &findings(&listed)));
}

#[test]
fn weights_beyond_what_envoy_adds_up_are_scaled_down() {
    let yaml = mesh("").replace("weight: 3", "weight: 4294967295");
    expect![[r#"
        outbound|80||cart.example.com
          P0 w1 a/1/x: 10.0.0.1:8080
          P0 w1431655765 a/1/y: 10.0.0.2:8080*1431655765
          P0 w1 a/2/: 10.0.0.3:8080
          P0 w1 b/1/: 10.0.0.4:8080
          P0 w1 c/1/: 10.0.0.5:8080
    "#]]
    .assert_eq(&render(&compile(&yaml, "cart.example.com", 80, "", &Asker::at(""))));
}

/// A cluster that holds the assignment itself: Envoy checks both in the same way.
fn static_cluster(compiled: &Compiled, number: usize) -> Compiled {
    let bytes = compiled.resource.decode_bytes();
    let weighted = LocalityConfigSpecifier::LocalityWeightedLbConfig(LocalityWeightedLbConfig {});
    let cluster = Cluster {
        name: format!("{number}"),
        load_assignment: Some(ClusterLoadAssignment::decode(bytes).expect("a valid encoding")),
        common_lb_config: Some(CommonLbConfig {
            locality_config_specifier: Some(weighted),
            ..CommonLbConfig::default()
        }),
        ..Cluster::default()
    };
    Compiled::new(Resource::from_message(cluster.name.clone(), type_url::CLUSTER, &cluster))
}

#[test]
fn a_real_envoy_accepts_priorities_weights_and_sockets() {
    let host = "cart.example.com";
    let priority = "loadBalancer: {localityLbSetting: {failoverPriority: \
        [topology.kubernetes.io/region, version], failover: [{from: a, to: c}]}}";
    let shares = "{loadBalancer: {localityLbSetting: {distribute: \
        [{from: 'a/*', to: {'a/1/*': 70, 'a/*': 20, 'b/1': 10}}]}}}";
    let meshes = [
        mesh(&format!("{{{EJECTS}}}")),
        mesh(&format!("{{{EJECTS}, {priority}}}")),
        mesh(shares),
        mesh("").replace("weight: 3", "weight: 4294967295"),
        mesh("").replace("address: 10.0.0.1", "address: 'unix:///run/cart.sock'"),
    ];
    let mut clusters: Vec<Compiled> = Vec::new();
    for yaml in &meshes {
        let compiled = compile(yaml, host, 80, "", &Asker::at("a/1/x"));
        clusters.push(static_cluster(&compiled, clusters.len()));
    }
    let compiled =
        compile(&slice("trafficDistribution: PreferClose,"), HOST, 80, "", &Asker::at("/z1"));
    clusters.push(static_cluster(&compiled, clusters.len()));
    validate(&[], &clusters);
}
