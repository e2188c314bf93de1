//! Clusters of ServiceEntries and of services without an address.

use expect_test::expect;

use super::{check_cluster, compile, fixture, render, router};
use crate::Client;

fn entry(resolution: &str, more: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: bank, namespace: shop}}
spec:
  hosts: [api.bank.com]
  location: MESH_EXTERNAL
  resolution: {resolution}
  ports: [{{name: https, number: 443, protocol: TLS}}]
{more}
"
    )
}

#[test]
fn a_dns_entry_is_resolved_by_envoy() {
    let yaml = entry("DNS", "");
    check_cluster(
        &yaml,
        &fixture::client("shop"),
        "api.bank.com",
        443,
        expect![[r#"
            alt_stat_name: outbound|443||api.bank.com;
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
              name: envoy.cluster.dns
              typed_config:
                @type: type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster
                dns_jitter: 0.100s
                dns_lookup_family: V4_ONLY
                dns_refresh_rate: 60s
                respect_dns_ttl: true
            connect_timeout: 10s
            lb_policy: LEAST_REQUEST
            load_assignment:
              cluster_name: outbound|443||api.bank.com
              endpoints:
                - lb_endpoints:
                    - endpoint:
                        address:
                          socket_address:
                            address: api.bank.com
                            port_value: 443
                      load_balancing_weight: 1
                      metadata:
                        filter_metadata:
                          istio:
                            app: unknown
                            service: bank
                            workload: bank;shop;bank;latest;Kubernetes
                  load_balancing_weight: 1
                  locality: {}
            metadata:
              filter_metadata:
                istio:
                  default_original_port: 443.0
                  external: true
                  host: api.bank.com
                  name: api.bank.com
                  namespace: shop
                  services:
                    - host: api.bank.com
                      name: api.bank.com
                      namespace: shop
            name: outbound|443||api.bank.com
        "#]],
    );
}

#[test]
fn a_round_robin_entry_takes_one_name_and_the_family_of_the_proxy() {
    let yaml =
        entry("DNS_ROUND_ROBIN", "  endpoints: [{address: a.bank.com}, {address: b.bank.com}]");
    let client = Client { ipv4: false, ipv6: true, ..fixture::client("shop") };
    check_cluster(
        &yaml,
        &client,
        "api.bank.com",
        443,
        expect![[r#"
            alt_stat_name: outbound|443||api.bank.com;
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
              name: envoy.cluster.dns
              typed_config:
                @type: type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster
                all_addresses_in_single_endpoint: true
                dns_jitter: 0.100s
                dns_lookup_family: V6_ONLY
                dns_refresh_rate: 60s
                respect_dns_ttl: true
            connect_timeout: 10s
            lb_policy: LEAST_REQUEST
            load_assignment:
              cluster_name: outbound|443||api.bank.com
              endpoints:
                - lb_endpoints:
                    - endpoint:
                        address:
                          socket_address:
                            address: a.bank.com
                            port_value: 443
                      load_balancing_weight: 1
                      metadata:
                        filter_metadata:
                          istio:
                            app: unknown
                            service: bank
                            workload: bank;shop;bank;latest;Kubernetes
                  load_balancing_weight: 1
                  locality: {}
            metadata:
              filter_metadata:
                istio:
                  default_original_port: 443.0
                  external: true
                  host: api.bank.com
                  name: api.bank.com
                  namespace: shop
                  services:
                    - host: api.bank.com
                      name: api.bank.com
                      namespace: shop
            name: outbound|443||api.bank.com
            warning[MEL0321] ServiceEntry shop/bank: only the first endpoint of `outbound|443||api.bank.com` is used (use the resolution `DNS` to use all of them)
        "#]],
    );
}

#[test]
fn an_entry_without_resolution_goes_where_the_caller_goes() {
    let snapshot = fixture::snapshot(&entry("NONE", ""));
    let client = fixture::client("shop");
    let text = render(compile(&snapshot, &client, "api.bank.com", 443, ""));
    assert_eq!(kind(&text), ["lb_policy: CLUSTER_PROVIDED", "type: ORIGINAL_DST"]);
    let text = render(compile(&snapshot, &router("shop"), "api.bank.com", 443, ""));
    assert_eq!(kind(&text), ["lb_policy: LEAST_REQUEST", "type: EDS"]);
}

fn kind(text: &str) -> Vec<&str> {
    text.lines().filter(|it| it.starts_with("type") || it.starts_with("lb_policy")).collect()
}

#[test]
fn a_service_as_people_write_it_has_no_address_and_is_balanced_all_the_same() {
    let service = |address: &str| {
        format!(
            "
apiVersion: v1
kind: Service
metadata: {{name: db, namespace: shop}}
spec: {{{address}ports: [{{name: tcp, port: 5432}}]}}
"
        )
    };
    let host = "db.shop.svc.cluster.local";
    for (address, expected) in [("", "type: EDS"), ("clusterIP: None, ", "type: ORIGINAL_DST")] {
        let snapshot = fixture::snapshot(&service(address));
        let text = render(compile(&snapshot, &fixture::client("shop"), host, 5432, ""));
        assert!(kind(&text).contains(&expected), "`{address}`: {text}");
    }
}

#[test]
fn a_wildcard_is_resolved_per_request() {
    let yaml = entry("DYNAMIC_DNS", "").replace("api.bank.com", "'*.bank.com'");
    check_cluster(
        &yaml,
        &fixture::client("shop"),
        "*.bank.com",
        443,
        expect![[r#"
            alt_stat_name: outbound|443||*.bank.com;
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
            metadata:
              filter_metadata:
                istio:
                  default_original_port: 443.0
                  external: true
                  host: *.bank.com
                  name: *.bank.com
                  namespace: shop
                  services:
                    - host: *.bank.com
                      name: *.bank.com
                      namespace: shop
            name: outbound|443||*.bank.com
        "#]],
    );
}

#[test]
fn an_alias_has_no_cluster() {
    let yaml = "
apiVersion: v1
kind: Service
metadata: {name: bank, namespace: shop}
spec: {type: ExternalName, externalName: api.bank.com, ports: [{name: http, port: 80}]}
";
    let host = "bank.shop.svc.cluster.local";
    check_cluster(
        yaml,
        &fixture::client("shop"),
        host,
        80,
        expect![[r#"
        no cluster
    "#]],
    );
}
