//! What a fence leaves of a scope, and which host a caller means.

use std::collections::BTreeSet;

use model::{Hostname, Proxy, Shared};
use snapshot::{Change, Features, Index, Reader, Snapshot};

use super::{full_names, without_port};
use crate::{Client, Scope, fixture};

const MESH: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {meltemi.io/scope: on-demand}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {clusterIP: 10.0.0.2, ports: [{name: http, port: 80}, {name: grpc, port: 9000}]}
---
apiVersion: v1
kind: Service
metadata: {name: cart-v2, namespace: shop}
spec: {clusterIP: 10.0.0.3, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: store, namespace: data}
spec: {clusterIP: None, ports: [{name: http, port: 8080}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside, namespace: shop}
spec:
  hosts: ['*.example.com']
  ports: [{name: http, number: 80, protocol: HTTP}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: hidden, namespace: data}
spec:
  hosts: [hidden.internal]
  exportTo: ['.']
  ports: [{name: http, number: 80, protocol: HTTP}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: cart, namespace: shop}
spec:
  hosts: [cart]
  http: [{route: [{destination: {host: cart-v2}}]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: named, namespace: shop}
spec:
  hosts: [named.internal]
  http: [{route: [{destination: {host: web}}]}]
";

fn proxy() -> Proxy {
    Proxy { loads_on_demand: true, ..fixture::proxy("shop") }
}

fn visible(snapshot: &Snapshot) -> (Client, Scope) {
    let reader = Reader::new(snapshot);
    let client = Client::reduce(&proxy(), &reader);
    let scope = Scope::select(&client, &reader);
    (client, scope)
}

/// Hosts of listeners, and of services that only clusters are for.
fn fenced(snapshot: &Snapshot, asked: &[&str]) -> (Vec<String>, Vec<String>) {
    let (client, scope) = visible(snapshot);
    let asked: BTreeSet<Hostname> = asked.iter().map(|host| Hostname::new(host)).collect();
    let fenced = scope.fenced(&client, &asked, &Reader::new(snapshot)).expect("it is fenced");
    let listener = &fenced.listeners[0];
    let ports: Vec<u16> = listener.open_ports.iter().copied().collect();
    assert_eq!(ports, [80, 8080, 9000], "all ports stay open");
    let name = |it: &Shared<model::Service>| it.hostname().to_string();
    let served: Vec<String> = listener.services.iter().map(name).collect();
    let led_to = fenced.services.iter().map(name).filter(|it| !served.contains(it)).collect();
    (served, led_to)
}

#[test]
fn nothing_is_left_before_the_first_call() {
    let (served, led_to) = fenced(&fixture::snapshot(MESH), &[]);
    assert!(served.is_empty() && led_to.is_empty(), "{served:?} {led_to:?}");
}

#[test]
fn a_host_brings_what_its_rules_lead_to() {
    let (served, led_to) = fenced(&fixture::snapshot(MESH), &["cart.shop.svc.cluster.local"]);
    assert_eq!(served, ["cart.shop.svc.cluster.local"]);
    assert_eq!(led_to, ["cart-v2.shop.svc.cluster.local"]);
}

#[test]
fn a_host_that_only_a_rule_knows_can_be_asked_for() {
    let (served, led_to) = fenced(&fixture::snapshot(MESH), &["named.internal"]);
    assert!(served.is_empty());
    assert_eq!(led_to, ["web.shop.svc.cluster.local"]);
}

#[test]
fn what_was_learned_is_there_from_the_start() {
    let (objects, _) = api::parse_documents("mesh.yaml", MESH.as_bytes());
    let mut index = Index::new(Default::default(), Features::default(), "cluster.local");
    let hosts: BTreeSet<Hostname> = ["web.shop.svc.cluster.local".into()].into();
    let learned = Change::Learned(proxy().workload(), Some(Shared::new(hosts)));
    index.apply(objects.into_iter().map(Change::Put).chain([learned]));
    let (served, _) = fenced(&index.snapshot(), &[]);
    assert_eq!(served, ["web.shop.svc.cluster.local"]);
}

#[test]
fn a_caller_means_what_it_may_see() {
    let snapshot = fixture::snapshot(MESH);
    let (client, scope) = visible(&snapshot);
    let cart = Some("cart.shop.svc.cluster.local");
    let cases = [
        ("cart", 80, cart),
        ("Cart:80", 80, cart),
        ("cart.shop.svc.cluster.local.", 80, cart),
        ("10.0.0.2", 9000, cart),
        ("cart", 8080, None),
        ("store.data", 8080, Some("store.data.svc.cluster.local")),
        ("store-0.store.data.svc", 8080, Some("store.data.svc.cluster.local")),
        ("api.example.com", 80, Some("*.example.com")),
        ("named.internal", 80, Some("named.internal")),
        ("hidden.internal", 80, None),
        ("nobody", 80, None),
        ("", 80, None),
    ];
    for (written, port, expected) in cases {
        let found = scope.find_host(written, port, &client.dns_domain);
        assert_eq!(found.as_ref().map(Hostname::as_str), expected, "{written} on {port}");
    }
}

#[test]
fn an_unknown_host_is_answered_for_all_like_it() {
    let snapshot = fixture::snapshot(MESH);
    let (client, scope) = visible(&snapshot);
    let cases = [
        ("www.google.org", "*.org"),
        ("www.google.com", "*.google.com"),
        ("nobody", "*y"),
        ("kart", "kart"),
        ("xcart", "xcart"),
        ("nobody.shop:80", "*y.shop"),
        ("a.b.internal", "*.b.internal"),
        ("10.9.9.9", "*.9"),
    ];
    for (written, expected) in cases {
        let domain = scope.unknown_domain(written, 80, &client.dns_domain);
        assert_eq!(domain, expected, "{written}");
        assert!(scope.is_unknown(&domain, 80, &client.dns_domain), "{domain}");
    }
    assert!(!scope.is_unknown("*.com", 80, &client.dns_domain));
}

#[test]
fn a_host_is_read_without_its_port() {
    let cases = [
        ("web", "web"),
        ("web:80", "web"),
        ("web.shop:8080", "web.shop"),
        ("[::1]:80", "::1"),
        ("::1", "::1"),
        ("web:http", "web:http"),
    ];
    for (written, expected) in cases {
        assert_eq!(without_port(written), expected, "{written}");
    }
}

#[test]
fn short_names_are_tried_as_a_resolver_does() {
    let tried = full_names("web", "shop.svc.cluster.local");
    let expected = [
        "web",
        "web.shop.svc.cluster.local",
        "web.svc.cluster.local",
        "web.cluster.local",
        "web.local",
    ];
    assert_eq!(tried, expected);
}
