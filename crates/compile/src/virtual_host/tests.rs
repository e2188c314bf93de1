use std::sync::Arc;

use envoy::config::route::v3::RouteConfiguration;
use expect_test::{Expect, expect};
use model::{Hostname, Shared};
use prost::Message as _;
use snapshot::Reader;

use super::{VirtualHostInput, compile_virtual_host};
use crate::{
    Client, RouteName, Scope, compile_route, fixture, route_config::RouteInput, select_route,
};

const ENTRY: &str = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: e, namespace: shop}
spec:
  hosts: [api.shop.corp.example.com]
  addresses: ['2001:db8::1', 10.1.1.1]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}
---
";

fn select(yaml: &str, client: &Client) -> RouteInput {
    let snapshot = fixture::snapshot(yaml);
    let reader = Reader::new(&snapshot);
    let scope = Scope::select(client, &reader);
    select_route(&RouteName::Port(80), &scope, client, &reader)
}

fn find(input: &RouteInput, hostname: &str) -> Shared<VirtualHostInput> {
    let found = input.virtual_hosts.iter().find(|it| it.hostname == Hostname::new(hostname));
    found.expect("the host is there").clone()
}

#[track_caller]
fn check(client: &Client, expected: Expect) {
    let compiled = compile_virtual_host(&find(&select(ENTRY, client), "api.shop.corp.example.com"));
    expected.assert_eq(&compiled.domains.join(" "));
}

#[test]
fn addresses_are_those_of_the_families_of_the_proxy() {
    let client = fixture::client("shop");
    check(&client, expect!["api.shop.corp.example.com api.shop.corp.example.com. 10.1.1.1"]);
    let both = Client { ipv6: true, ..client.clone() };
    check(
        &both,
        expect!["api.shop.corp.example.com api.shop.corp.example.com. [2001:db8::1] 10.1.1.1"],
    );
}

#[test]
fn names_are_shortened_by_the_domain_that_they_share_with_the_proxy() {
    let client = |domain: &str| Client { dns_domain: domain.into(), ..fixture::client("shop") };
    check(
        &client("shop.corp.example.com"),
        expect!["api.shop.corp.example.com api.shop.corp.example.com. api 10.1.1.1"],
    );
    check(
        &client("other.corp.example.com"),
        expect![
            "api.shop.corp.example.com api.shop.corp.example.com. api.shop api.shop.corp 10.1.1.1"
        ],
    );
    check(
        &client("local"),
        expect!["api.shop.corp.example.com api.shop.corp.example.com. 10.1.1.1"],
    );
}

#[test]
fn proxies_share_a_host_that_asks_for_nothing_of_theirs() {
    let one = fixture::client("shop");
    let labels = [("app", "web")].into_iter().collect();
    let other = Client { labels, namespace: "bank".into(), ..one.clone() };
    let hosts = |client| find(&select(ENTRY, client), "cart.shop.svc.cluster.local");
    assert_eq!(hosts(&one), hosts(&other));
    let rule = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: r, namespace: shop}
spec:
  hosts: [cart]
  http:
  - match: [{sourceLabels: {app: web}}]
    directResponse: {status: 200}
  - directResponse: {status: 201}
";
    let yaml = format!("{ENTRY}{rule}");
    let hosts = |client| find(&select(&yaml, client), "cart.shop.svc.cluster.local");
    assert_ne!(hosts(&one), hosts(&other));
}

#[test]
fn configuration_holds_the_encoded_hosts_themselves() {
    let input = select(ENTRY, &fixture::client("shop"));
    let mut encoded = Vec::new();
    let compiled = compile_route(&input, &mut |host| {
        let compiled = Arc::new(compile_virtual_host(host));
        encoded.push(compiled.bytes.clone());
        compiled
    });
    assert_eq!(encoded.len(), 2);
    for bytes in encoded {
        let mut chunks = compiled.resource.body().chunks().iter();
        assert!(chunks.any(|chunk| chunk.as_ptr() == bytes.as_ptr()));
    }
    let config = RouteConfiguration::decode(compiled.resource.decode_bytes()).unwrap();
    let names: Vec<&str> = config.virtual_hosts.iter().map(|it| it.name.as_str()).collect();
    let expected = ["api.shop.corp.example.com:80", "cart.shop.svc.cluster.local:80", "allow_any"];
    assert_eq!(names, expected);
    assert_eq!(config.validate_clusters, Some(false));
    assert_eq!(config.max_direct_response_body_size_bytes, Some(1_048_576));
    assert!(config.ignore_port_in_host_matching);
    assert!(config.virtual_hosts.iter().all(|host| host.include_request_attempt_count));
}
