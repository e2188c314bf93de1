//! What a fence leaves of a scope, and which host a caller means.

use std::{collections::BTreeSet, sync::Arc};

use model::{Hostname, Proxy, Shared};
use snapshot::{Dispatch, DispatchTarget, FencingSettings, Reader, Snapshot};

use crate::{Client, Visible, Written, fixture, outbound::plan_outbound};

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

fn visible(snapshot: &Snapshot) -> (Client, Visible) {
    fixture::visible(&proxy(), snapshot)
}

/// Hosts of listeners, and of services that only clusters are for.
fn fenced(snapshot: &Snapshot, asked: &[&str]) -> (Vec<String>, Vec<String>) {
    let (client, fenced) = fixture::told(&proxy(), snapshot, asked);
    assert!(client.fence.is_some(), "it is fenced");
    let listener = &fenced.listeners[0];
    let ports: Vec<u16> = listener.open_ports.http.iter().copied().collect();
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

/// What has the short name of another, which is told without it.
const ALIKE: &str = "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: alike, namespace: shop}
spec:
  hosts: [cart.shop]
  ports: [{name: http, number: 80, protocol: HTTP}]
";

#[test]
fn hosts_that_are_written_alike_are_told_together() {
    let rule = "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: alike, namespace: shop}
spec: {hosts: [web.shop], http: [{route: [{destination: {host: store.data.svc.cluster.local}}]}]}
";
    let snapshot = fixture::snapshot(&format!("{MESH}{ALIKE}{rule}"));
    let both = ["cart.shop", "cart.shop.svc.cluster.local"];
    for asked in both {
        let mut served = fenced(&snapshot, &[asked]).0;
        served.sort();
        assert_eq!(served, both, "{asked}");
    }
    let (served, led_to) = fenced(&snapshot, &["web.shop.svc.cluster.local"]);
    assert_eq!(served, ["web.shop.svc.cluster.local"]);
    assert_eq!(led_to, ["store.data.svc.cluster.local"], "by the rule for the short name");
}

#[test]
fn a_declared_host_brings_the_rule_whose_wildcard_covers_it() {
    let mesh = MESH.to_owned()
        + "
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: wild, namespace: shop}
spec:
  hosts: ['*.wild.internal', other.internal]
  http: [{route: [{destination: {host: web}}]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: wilder, namespace: shop}
spec:
  hosts: ['*.internal']
  http: [{route: [{destination: {host: web}}]}]
---
apiVersion: microservice.slime.io/v1alpha1
kind: ServiceFence
metadata: {name: web, namespace: shop}
spec: {enable: true, host: {a.wild.internal: {}}}
";
    let told = |mesh: &str| {
        let labels = [("app", "web")].into_iter().collect();
        let proxy = Proxy { labels, ..proxy() };
        let (_, fenced) = fixture::told(&proxy, &fixture::snapshot(mesh), &[]);
        let listener = &fenced.listeners[0];
        let hosts = listener.rules.iter().flat_map(|rule| rule.hosts.iter());
        let told = hosts.filter(|host| !listener.untold.rule_hosts.contains(*host));
        told.map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(told(&mesh), ["*.wild.internal"], "the closest one");
    let named = mesh.replace("hosts: [named.internal]", "hosts: [a.wild.internal]");
    assert_eq!(told(&named), ["a.wild.internal"]);
}

#[test]
fn a_fence_keeps_where_a_sidecar_sends_what_is_unknown() {
    let sidecar = "---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: shop}
spec: {outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: web, port: {number: 80}}}}
";
    let (served, led_to) = fenced(&fixture::snapshot(&format!("{MESH}{sidecar}")), &[]);
    assert!(served.is_empty());
    assert_eq!(led_to, ["web.shop.svc.cluster.local"]);
}

/// A server that speaks first would wait for its caller in the listener that others have for all addresses.
#[test]
fn a_service_of_bytes_on_a_port_of_others_is_told_from_the_start() {
    let bytes = |name: &str, ports: &str| {
        format!(
            "---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: data}}
spec: {{clusterIP: 10.0.8.1, ports: [{ports}]}}
"
        )
    };
    let shared = bytes("first", "{name: tcp-db, port: 80}, {name: http, port: 8443}");
    // By the one before it.
    let further = bytes("second", "{name: mongo, port: 8443}");
    let apart = bytes("apart", "{name: tcp, port: 9999}");
    let mesh = format!("{MESH}{shared}{further}{apart}");
    let told = |mode: &str, learned: &[&str]| -> Vec<String> {
        let mesh = mesh.replace("scope: on-demand", &format!("scope: {mode}"));
        let snapshot = fixture::learned_snapshot(&mesh, &proxy(), learned);
        let scope = fixture::told(&proxy(), &snapshot, &[]).1;
        let names = scope.listeners[0].services.iter().map(|it| it.hostname().to_string());
        names.map(|it| it.split('.').next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(told("on-demand", &[]), ["first", "second"]);
    assert!(told("learned", &[]).is_empty(), "nothing is reported: no port is open");
    assert_eq!(told("learned", &["web.shop.svc.cluster.local"]), ["first", "second", "web"]);
    let without = format!("{MESH}{apart}");
    assert!(looks_again(&without, &mesh), "one comes");
    assert!(looks_again(&mesh, &without), "and goes");
    assert!(!looks_again(MESH, &without), "it is on a port of its own");
}

/// Requests are reported and dispatched by what their listener does with unknown hosts.
#[test]
fn ports_of_http_are_open_where_something_is_done_with_unknown_hosts() {
    let open = |mode: &str, reports: bool, dispatches: bool| -> Vec<u16> {
        let mut proxy = fixture::proxy("shop");
        if reports {
            let mut metadata = (*proxy.metadata).clone();
            metadata.insert("MELTEMI_REPORTS".to_owned(), "xds-grpc".into());
            proxy.metadata = metadata.into();
        }
        let dispatch = Dispatch {
            name: "all".to_owned(),
            domains: vec!["*".to_owned()],
            domain_regex: None,
            target: DispatchTarget::Passthrough,
        };
        let dispatches = if dispatches { vec![dispatch] } else { Vec::new() };
        let fencing = FencingSettings { dispatches, ..FencingSettings::default() };
        let mesh = MESH.replace("scope: on-demand", &format!("scope: {mode}"));
        let snapshot = fixture::fencing_snapshot(&mesh, fencing);
        let scope = fixture::told(&proxy, &snapshot, &[]).1;
        scope.listeners[0].open_ports.http.iter().copied().collect()
    };
    let all = [80, 8080, 9000];
    for mode in ["learned", "passthrough", "gateway"] {
        assert!(open(mode, false, false).is_empty(), "{mode}");
        assert_eq!(open(mode, true, false), all, "{mode}: a call is reported");
    }
    assert!(open("declared", true, false).is_empty(), "it learns nothing");
    for mode in ["declared", "learned", "passthrough", "gateway"] {
        assert_eq!(open(mode, false, true), all, "{mode}: dispatched");
    }
}

/// Whoever calls there finds somebody who says no.
#[test]
fn a_place_that_a_sidecar_names_stays_open() {
    let sidecar = "---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: shop}
spec:
  egress:
  - {port: {number: 80, protocol: HTTP, name: http}, bind: 127.0.0.1, captureMode: NONE, hosts: ['./*']}
  - {port: {number: 3128, protocol: HTTP_PROXY, name: proxy}, bind: 127.0.0.1, captureMode: NONE, hosts: ['./*']}
  - hosts: ['./*']
";
    for (mode, expected) in [
        ("declared", &["127.0.0.1_80"][..]),
        // Nobody learns what is called where nobody listens.
        ("learned", &["127.0.0.1_3128", "127.0.0.1_80"]),
    ] {
        assert_eq!(bound(mode, sidecar), expected, "{mode}");
    }
}

/// Listeners at places of their own that a class with this Sidecar is told of before its first call.
fn bound(mode: &str, sidecar: &str) -> Vec<String> {
    let mesh = MESH.replace("scope: on-demand", &format!("scope: {mode}"));
    let snapshot = fixture::snapshot(&format!("{mesh}{sidecar}"));
    let (client, scope) = fixture::told(&proxy(), &snapshot, &[]);
    let plan = plan_outbound(&scope, &client, &Reader::new(&snapshot));
    let bound = plan.listeners.iter().filter(|it| !it.bind.starts_with("0."));
    bound.map(|it| it.name.to_string()).collect()
}

#[test]
fn where_no_service_can_be_asked_for_a_class_has_all() {
    let place = |port: &str, bind: &str, host: &str| {
        format!(
            "---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: default, namespace: shop}}
spec:
  egress:
  - {{port: {port}, bind: '{bind}', captureMode: NONE, hosts: ['{host}']}}
  - hosts: ['./*']
"
        )
    };
    let local = "127.0.0.1";
    let cases = [
        place("{number: 3128, protocol: HTTP_PROXY, name: proxy}", local, "./*"),
        place("{number: 9000, protocol: TCP, name: tcp}", local, "./cart.shop.svc.cluster.local"),
        place("{number: 80, protocol: MONGO, name: db}", local, "./web.shop.svc.cluster.local"),
        place("{number: 0, protocol: HTTP, name: http}", "unix:///run/web.sock", "./*"),
    ];
    for sidecar in cases {
        let expected = bound("full", &sidecar);
        assert_eq!(expected.len(), 1, "{sidecar}");
        for mode in ["on-demand", "learned", "gateway"] {
            assert_eq!(bound(mode, &sidecar), expected, "{mode}: {sidecar}");
        }
    }
    let asked = place("{number: 9000, protocol: HTTP, name: http}", local, "./web.*");
    assert_eq!(
        bound("on-demand", &asked),
        ["127.0.0.1_9000"],
        "also where no service has the port"
    );
}

#[test]
fn what_was_learned_is_there_from_the_start() {
    let snapshot = fixture::learned_snapshot(MESH, &proxy(), &["web.shop.svc.cluster.local"]);
    let (served, _) = fenced(&snapshot, &[]);
    assert_eq!(served, ["web.shop.svc.cluster.local"]);
}

#[test]
fn a_caller_means_what_it_may_see() {
    let snapshot = fixture::snapshot(MESH);
    let (client, visible) = visible(&snapshot);
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
        let found =
            visible.find_hosts(Written { host: written, port, dns_domain: &client.dns_domain });
        assert_eq!(found.first().map(Hostname::as_str), expected, "{written} on {port}");
    }
}

fn on_80<'a>(host: &'a str, client: &'a Client) -> Written<'a> {
    Written { host, port: 80, dns_domain: &client.dns_domain }
}

#[test]
fn an_unknown_host_is_answered_for_all_like_it() {
    let snapshot = fixture::snapshot(MESH);
    let (client, visible) = visible(&snapshot);
    let cases = [
        ("www.google.org", "*.org"),
        ("www.google.com", "*.google.com"),
        ("nobody", "*y"),
        ("kart", "kart"),
        ("xcart", "xcart"),
        ("nobody.shop:80", "*y.shop"),
        ("a.b.internal", "*.b.internal"),
        ("10.9.9.9", "*.9"),
        // With the dot of the root, by which services are called as well.
        ("www.example.org.:80", "*.org."),
        ("nobody.", "*y."),
    ];
    for (written, expected) in cases {
        let domain = visible.unknown_domain(on_80(written, &client));
        assert_eq!(domain, expected, "{written}");
        assert!(visible.is_unknown(on_80(&domain, &client)), "{domain}");
    }
    assert_eq!(visible.unknown_domain(on_80("[::1]:80", &client)), "*]");
    assert!(!visible.is_unknown(on_80("*.com", &client)), "what is below is known");
    assert!(!visible.is_unknown(on_80("*y.example.com", &client)), "what is above is known");
}

#[test]
fn an_address_in_brackets_is_answered_apart_from_those_of_services() {
    let mesh = MESH.replace("clusterIP: 10.0.0.2", "clusterIP: 'fd00:2::1'");
    let (client, visible) = visible(&fixture::snapshot(&mesh));
    for (written, expected) in
        [("[::1]", "[::1]"), ("[::7]:80", "*7]"), ("[fd00:2:0::1]", "*0::1]")]
    {
        let domain = visible.unknown_domain(on_80(written, &client));
        assert_eq!(domain, expected, "{written}");
        assert!(visible.is_unknown(on_80(&domain, &client)), "{domain}");
    }
    assert!(!visible.is_unknown(on_80("*1]", &client)));
    let found = visible.find_hosts(on_80("[fd00:2::1]:80", &client));
    assert_eq!(found, ["cart.shop.svc.cluster.local".into()]);
}

#[test]
fn a_rule_may_be_for_an_address() {
    let rule = "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: addresses, namespace: shop}
spec: {hosts: [10.7.7.7, 'fd00:7::7'], http: [{route: [{destination: {host: web}}]}]}
";
    let snapshot = fixture::snapshot(&format!("{MESH}{rule}"));
    let (client, visible) = visible(&snapshot);
    for (written, host) in [("10.7.7.7:80", "10.7.7.7"), ("[fd00:7::7]", "fd00:7::7")] {
        assert_eq!(visible.find_hosts(on_80(written, &client)), [host.into()], "{written}");
        assert_eq!(fenced(&snapshot, &[host]).1, ["web.shop.svc.cluster.local"], "{host}");
    }
    assert_eq!(visible.unknown_domain(on_80("10.7.7.8", &client)), "*.8");
    assert_eq!(visible.unknown_domain(on_80("[::7]", &client)), "[::7]");
    assert!(!visible.is_unknown(on_80("*.7", &client)));
}

/// What a workload is told with `before`, and whether that is looked at again with `after`.
fn looks_again(before: &str, after: &str) -> bool {
    let (before, after) = (fixture::snapshot(before), fixture::snapshot(after));
    let (client, old) = visible(&before);
    let fence = client.fence.as_ref().expect("it is fenced");
    let asked = ["cart.shop.svc.cluster.local".into()].into();
    let fenced = old.fenced(fence, &asked, &Reader::new(&before));
    let new = visible(&after).1;
    let change = new.since(&old);
    let again = fenced.depends_on(fence, &new, &change);
    if !again {
        let anew = new.fenced(fence, &asked, &Reader::new(&after));
        assert_eq!(fenced.scope, anew.scope, "{change:?}");
    }
    again
}

#[test]
fn only_what_a_workload_is_told_of_is_looked_at_again() {
    let service = |name: &str, port: u16| {
        format!(
            "
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: other}}
spec: {{clusterIP: 10.0.9.9, ports: [{{name: http, port: {port}}}]}}
"
        )
    };
    let rule = |host: &str| {
        format!(
            "
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: further, namespace: shop}}
spec: {{hosts: ['{host}'], http: [{{route: [{{destination: {{host: cart}}}}]}}]}}
"
        )
    };
    let with = |more: &str| MESH.to_owned() + more;
    let more = with(&service("new", 80));
    assert!(!looks_again(MESH, MESH));
    assert!(!looks_again(MESH, &more), "a service on a port that is open");
    assert!(!looks_again(&more, MESH), "and it goes");
    assert!(looks_again(MESH, &with(&service("new", 81))), "a port that was closed");
    assert!(!looks_again(MESH, &with(&rule("web"))));
    assert!(looks_again(MESH, &with(&rule("cart"))));
    assert!(looks_again(MESH, &with(ALIKE)), "it has a name of the host");
    assert!(looks_again(MESH, &with(&rule("cart.shop"))), "and so has this");
    assert!(looks_again(MESH, &with(&rule("*.shop.svc.cluster.local"))));
    assert!(looks_again(MESH, &MESH.replace("10.0.0.2", "10.0.0.7")), "the host itself");
    assert!(looks_again(MESH, &MESH.replace("10.0.0.3", "10.0.0.7")), "what its rule leads to");
    assert!(!looks_again(MESH, &MESH.replace("10.0.0.1,", "10.0.0.7,")));
}

const UNKNOWN: [&str; 13] = [
    "*.org",
    "*y.shop",
    "*.b.internal",
    "*.9",
    "*.shop.svc.cluster.local",
    "Kart",
    "web-0.new",
    "web-0.new.data",
    "*y.shop.svc.cluster.local.",
    "a.b.internal",
    "xcart",
    "[2001:db8::9]:80",
    "*]",
];

/// Of these domains those that a change touches, if nothing defined them on that port before. What is for
/// something now must be among them.
#[track_caller]
fn touched(port: u16, before: &str, after: &str) -> Vec<String> {
    let (before, after) = (fixture::snapshot(before), fixture::snapshot(after));
    let ((client, old), new) = (visible(&before), visible(&after).1);
    let written = |host| Written { port, ..on_80(host, &client) };
    let unknown = UNKNOWN.into_iter().filter(|host| old.is_unknown(written(host)));
    let unknown: BTreeSet<Arc<str>> = unknown.map(Into::into).collect();
    let change = new.since(&old);
    let touched = new.changed_names(&change, &client.dns_domain).touched(&unknown);
    for domain in unknown.iter().filter(|it| !touched.contains(it)) {
        assert!(new.is_unknown(written(domain)), "{domain}: {change:?}");
    }
    touched.iter().map(ToString::to_string).collect()
}

#[test]
fn only_domains_that_a_change_may_be_about_are_looked_at_again() {
    let service = |name: &str, address: &str| {
        format!(
            "
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec: {{clusterIP: '{address}', ports: [{{name: http, port: 80}}]}}
"
        )
    };
    let rule = |hosts: &str| {
        format!(
            "
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: further, namespace: shop}}
spec: {{hosts: {hosts}, http: [{{route: [{{destination: {{host: cart}}}}]}}]}}
"
        )
    };
    let check = |before: &str, after: &str, expected: &[&str]| {
        assert_eq!(touched(80, before, after), expected, "{after}");
    };
    let with = |more: &str| MESH.to_owned() + more;
    check(MESH, MESH, &[]);
    check(MESH, &with(&service("far", "10.0.9.8")), &[]);
    check(MESH, &with(&rule("[www.example.net]")), &[]);
    check(
        MESH,
        &with(&service("nobody", "10.0.9.9")),
        &["*.9", "*y.shop", "*y.shop.svc.cluster.local."],
    );
    check(MESH, &with(&service("kart", "2001:db8::9")), &["*]", "Kart", "[2001:db8::9]:80"]);
    check(MESH, &with(&service("new", "None")), &["web-0.new"]);
    check(&with(&service("new", "None")), MESH, &[]);
    check(MESH, &with(&rule("[www.y.org]")), &["*.org"]);
    check(MESH, &with(&rule("['*.internal']")), &["*.b.internal", "a.b.internal"]);
    check(MESH, &with(&rule("['*.b.internal']")), &["*.b.internal", "a.b.internal"]);
    // The rule was there before; that it is about a service that speaks HTTP on this port is new.
    let ruled = with(&rule("[a.b.internal, kart]"));
    let served = ruled.clone() + &service("kart", "10.0.9.8").replace("80}", "8081}");
    assert_eq!(touched(8081, &ruled, &served), ["Kart", "a.b.internal"]);
}
