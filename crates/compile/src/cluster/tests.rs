mod balancing;
mod envoy_accepts;
mod limits;
mod mutual;
mod resolution;
mod tls;

use expect_test::{Expect, expect};
use model::{Protocol, ProxyKind};
use snapshot::{Features, OutboundPolicy, Reader, Snapshot};

use super::{compile_cluster, select_cluster, special_clusters};
use crate::{Client, Compiled, fixture};

/// `cart.shop` with an HTTP, a gRPC, an undeclared, a TCP and a UDP port.
const CART: &str = "
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec:
  clusterIP: 10.1.0.1
  selector: {app: cart}
  ports:
  - {name: http, port: 80}
  - {name: grpc, port: 90}
  - {name: web, port: 100}
  - {name: tcp, port: 110}
  - {name: dns, port: 53, protocol: UDP}
---
";
const HOST: &str = "cart.shop.svc.cluster.local";

/// A DestinationRule `shop/cart` with this policy, on one line.
fn rule(policy: &str) -> String {
    format!(
        "{CART}
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: cart, namespace: shop}}
spec:
  host: cart
  trafficPolicy: {policy}
"
    )
}

fn compile(
    snapshot: &Snapshot,
    client: &Client,
    host: &str,
    port: u16,
    subset: &str,
) -> Option<Compiled> {
    let reader = Reader::new(snapshot);
    let service = *reader.services_named(&host.into()).first().expect("the service exists");
    let input = select_cluster(service, port, subset, client, &reader);
    assert_eq!(input, select_cluster(service, port, subset, client, &reader));
    compile_cluster(&input)
}

fn render(compiled: Option<Compiled>) -> String {
    let Some(compiled) = compiled else { return "no cluster\n".to_owned() };
    let mut out = fixture::render(&compiled.resource);
    for finding in compiled.diagnostics.iter() {
        out.push_str(&format!("{finding}\n"));
    }
    out
}

/// What a rendering has more than, and what it lacks of, the cluster without any rule.
fn difference(plain: &str, other: &str) -> String {
    let added = other.lines().filter(|line| !plain.lines().any(|it| it == *line));
    let removed = plain.lines().filter(|line| !other.lines().any(|it| it == *line));
    let added = added.map(|line| format!("+{line}\n"));
    removed.map(|line| format!("-{line}\n")).chain(added).collect()
}

/// Compares the cluster of a port under a policy with the one without.
#[track_caller]
fn check_policy(policy: &str, port: u16, expected: Expect) {
    let client = fixture::client("shop");
    let plain = render(compile(&fixture::snapshot(CART), &client, HOST, port, ""));
    let ruled = render(compile(&fixture::snapshot(&rule(policy)), &client, HOST, port, ""));
    let config = "/apis/networking.istio.io/v1/namespaces/shop/destination-rule/cart";
    let ruled = ruled.replace(&format!("      config: {config}\n"), "");
    expected.assert_eq(&difference(&plain, &ruled));
}

#[track_caller]
fn check_cluster(yaml: &str, client: &Client, host: &str, port: u16, expected: Expect) {
    expected.assert_eq(&render(compile(&fixture::snapshot(yaml), client, host, port, "")));
}

fn router(namespace: &str) -> Client {
    Client { kind: ProxyKind::Router, ..fixture::client(namespace) }
}

#[test]
fn a_service_with_an_address_is_found_by_eds() {
    check_cluster(
        CART,
        &fixture::client("shop"),
        HOST,
        80,
        expect![[r#"
            alt_stat_name: outbound|80||cart.shop.svc.cluster.local;
            circuit_breakers:
              thresholds:
                - max_connections: 4294967295
                  max_pending_requests: 4294967295
                  max_requests: 4294967295
                  max_retries: 4294967295
                  retry_budget:
                    budget_percent:
                      value: 20.0
                    min_retry_concurrency: 3
                  track_remaining: true
            common_lb_config:
              healthy_panic_threshold: {}
            connect_timeout: 10s
            eds_cluster_config:
              eds_config:
                ads: {}
                initial_fetch_timeout: 0s
                resource_api_version: V3
              service_name: outbound|80||cart.shop.svc.cluster.local
            lb_policy: LEAST_REQUEST
            metadata:
              filter_metadata:
                istio:
                  default_original_port: 80.0
                  host: cart.shop.svc.cluster.local
                  name: cart
                  namespace: shop
                  services:
                    - host: cart.shop.svc.cluster.local
                      name: cart
                      namespace: shop
            name: outbound|80||cart.shop.svc.cluster.local
            type: EDS
        "#]],
    );
}

#[test]
fn the_protocol_of_the_port_decides_the_version_of_http() {
    let snapshot = fixture::snapshot(CART);
    let client = fixture::client("shop");
    let plain = render(compile(&snapshot, &client, HOST, 80, ""));
    let other = |client: &Client, port: u16| {
        let other = render(compile(&snapshot, client, HOST, port, ""));
        difference(&plain, &other.replace(&port.to_string(), "80"))
    };
    expect![[r#"
        +typed_extension_protocol_options:
        +  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        +    @type: type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        +    explicit_http_config:
        +      http2_protocol_options: {}
    "#]]
    .assert_eq(&other(&client, 90));
    expect![[r#"
        +typed_extension_protocol_options:
        +  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        +    @type: type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        +    use_downstream_protocol_config:
        +      http2_protocol_options: {}
        +      http_protocol_options: {}
    "#]]
    .assert_eq(&other(&client, 100));
    expect![[""]].assert_eq(&other(&client, 110));
    expect![[""]].assert_eq(&other(&router("shop"), 100));
    assert_eq!(Protocol::parse_port_name("web"), Protocol::Unsupported);
}

#[test]
fn a_udp_port_an_unknown_port_and_an_unknown_subset_have_no_cluster() {
    let snapshot = fixture::snapshot(CART);
    let client = fixture::client("shop");
    assert!(compile(&snapshot, &client, HOST, 53, "").is_none());
    assert!(compile(&snapshot, &client, HOST, 81, "").is_none());
    assert!(compile(&snapshot, &client, HOST, 80, "v1").is_none());
}

#[test]
fn a_subset_has_its_own_name_and_policy() {
    let yaml = rule("{loadBalancer: {simple: RANDOM}}")
        + "  subsets: [{name: v1, labels: {version: v1}, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}}]\n";
    let snapshot = fixture::snapshot(&yaml);
    let client = fixture::client("shop");
    let whole = render(compile(&snapshot, &client, HOST, 80, ""));
    let subset = render(compile(&snapshot, &client, HOST, 80, "v1"));
    expect![[r#"
        -alt_stat_name: outbound|80||cart.shop.svc.cluster.local;
        -  service_name: outbound|80||cart.shop.svc.cluster.local
        -lb_policy: RANDOM
        -name: outbound|80||cart.shop.svc.cluster.local
        +alt_stat_name: outbound|80|v1|cart.shop.svc.cluster.local;
        +  service_name: outbound|80|v1|cart.shop.svc.cluster.local
        +      subset: v1
        +name: outbound|80|v1|cart.shop.svc.cluster.local
    "#]]
    .assert_eq(&difference(&whole, &subset));
}

#[test]
fn sidecars_have_clusters_for_what_the_mesh_does_not_know() {
    let snapshot = fixture::snapshot("");
    let client = fixture::client("shop");
    let names = |client: &Client, policy| -> Vec<String> {
        let all = special_clusters(client, snapshot.mesh(), policy);
        all.map(|it| it.compile().resource.name().to_string()).collect()
    };
    let dynamic = OutboundPolicy::AllowAnyDynamicDns;
    let expected = ["BlackHoleCluster", "PassthroughCluster", "AllowAnyDynamicDNSCluster"];
    assert_eq!(names(&client, dynamic), expected);
    assert_eq!(names(&client, OutboundPolicy::RegistryOnly), expected[..2]);
    assert_eq!(names(&router("shop"), dynamic), expected[..1]);
    let all = special_clusters(&client, snapshot.mesh(), dynamic);
    let text: String = all.map(|it| fixture::render(&it.compile().resource) + "---\n").collect();
    expect![[r#"
        alt_stat_name: BlackHoleCluster;
        connect_timeout: 10s
        name: BlackHoleCluster
        type: STATIC
        ---
        alt_stat_name: PassthroughCluster;
        circuit_breakers:
          thresholds:
            - max_connections: 4294967295
              max_pending_requests: 4294967295
              max_requests: 4294967295
              max_retries: 4294967295
              retry_budget:
                budget_percent:
                  value: 20.0
                min_retry_concurrency: 3
              track_remaining: true
        connect_timeout: 10s
        lb_policy: CLUSTER_PROVIDED
        name: PassthroughCluster
        type: ORIGINAL_DST
        typed_extension_protocol_options:
          envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
            @type: type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
            common_http_protocol_options:
              idle_timeout: 300s
            use_downstream_protocol_config:
              http2_protocol_options: {}
              http_protocol_options: {}
        ---
        alt_stat_name: AllowAnyDynamicDNSCluster;
        circuit_breakers:
          thresholds:
            - max_connections: 4294967295
              max_pending_requests: 4294967295
              max_requests: 4294967295
              max_retries: 4294967295
              retry_budget:
                budget_percent:
                  value: 20.0
                min_retry_concurrency: 3
              track_remaining: true
        cluster_type:
          name: envoy.clusters.dynamic_forward_proxy
          typed_config:
            @type: type.googleapis.com/envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig
            allow_insecure_cluster_options: true
            dns_cache_config:
              dns_lookup_family: V4_PREFERRED
              name: dynamic_dns
        connect_timeout: 10s
        lb_policy: CLUSTER_PROVIDED
        name: AllowAnyDynamicDNSCluster
        typed_extension_protocol_options:
          envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
            @type: type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
            common_http_protocol_options:
              idle_timeout: 300s
            use_downstream_protocol_config:
              http2_protocol_options: {}
              http_protocol_options: {}
        ---
    "#]].assert_eq(&text);
}

#[test]
fn eds_of_headless_services_is_a_switch() {
    let yaml = "
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: None, ports: [{name: tcp, port: 5432}]}
";
    let switch = ("PILOT_ENABLE_EDS_FOR_HEADLESS_SERVICES".to_owned(), "true".to_owned());
    let features = Features([switch].into());
    for (snapshot, eds) in
        [(fixture::snapshot(yaml), false), (fixture::snapshot_with(yaml, features), true)]
    {
        let reader = Reader::new(&snapshot);
        let service = reader.services_named(&"db.shop.svc.cluster.local".into())[0];
        let input = select_cluster(service, 5432, "", &fixture::client("shop"), &reader);
        assert_eq!(input.is_eds(), eds);
        let input = select_cluster(service, 5432, "", &router("shop"), &reader);
        assert!(input.is_eds(), "a gateway has no original destination");
    }
}
