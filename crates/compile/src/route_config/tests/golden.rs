use std::{fmt::Write as _, sync::Arc};

use envoy::config::route::v3::{
    RouteConfiguration, route::Action, route_action::ClusterSpecifier, route_match::PathSpecifier,
};
use expect_test::{Expect, expect};
use prost::Message as _;
use snapshot::{Reader, Snapshot};

use crate::{
    Client, Compiled, RouteName, Scope, compile_route, compile_virtual_host, fixture, select_route,
};

pub(super) fn compile(snapshot: &Snapshot, client: &Client, name: &str) -> Compiled {
    let reader = Reader::new(snapshot);
    let scope = Scope::select(client, &reader);
    let name = RouteName::parse(name).expect("the name is valid");
    let input = select_route(&name, &scope, client, &reader);
    assert_eq!(input, select_route(&name, &scope, client, &reader));
    compile_route(&input, &mut |host| Arc::new(compile_virtual_host(host)))
}

pub(super) fn decode(compiled: &Compiled) -> RouteConfiguration {
    RouteConfiguration::decode(compiled.resource.decode_bytes()).expect("the encoding is valid")
}

fn render(compiled: &Compiled) -> String {
    let config = decode(compiled);
    let mut out = format!("{}\n", config.name);
    for host in &config.virtual_hosts {
        writeln!(out, "  {} [{}]", host.name, host.domains.join(" ")).unwrap();
        for route in &host.routes {
            let path = match route.r#match.as_ref().and_then(|it| it.path_specifier.clone()) {
                Some(PathSpecifier::Prefix(prefix)) => format!("{prefix}*"),
                Some(PathSpecifier::Path(path)) => path,
                other => format!("{other:?}"),
            };
            let action = match &route.action {
                Some(Action::Route(action)) => match &action.cluster_specifier {
                    Some(ClusterSpecifier::Cluster(name)) => name.clone(),
                    other => format!("{other:?}"),
                },
                Some(Action::DirectResponse(response)) => response.status.to_string(),
                other => format!("{other:?}"),
            };
            writeln!(out, "    {path} -> {action}").unwrap();
        }
    }
    writeln!(out, "clusters: {}", compiled.clusters.join(" ")).unwrap();
    for finding in compiled.diagnostics.iter() {
        writeln!(out, "{finding}").unwrap();
    }
    out
}

#[track_caller]
fn check(yaml: &str, namespace: &str, name: &str, expected: Expect) {
    let snapshot = fixture::snapshot(yaml);
    let client = Client::reduce(&fixture::proxy(namespace), &Reader::new(&snapshot));
    expected.assert_eq(&render(&compile(&snapshot, &client, name)));
}

const SHOP: &str = "
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec:
  clusterIP: 10.0.0.1
  ports: [{name: http, port: 80}, {name: http-admin, port: 8080}, {name: tcp, port: 90}]
---
apiVersion: v1
kind: Service
metadata: {name: pay, namespace: bank}
spec:
  clusterIP: 10.0.0.2
  ports: [{name: web, port: 80}]
---
";

#[test]
fn each_service_with_http_on_the_port_has_a_host() {
    check(
        SHOP,
        "shop",
        "80",
        expect![[r#"
        80
          cart.shop.svc.cluster.local:80 [cart.shop.svc.cluster.local cart.shop.svc.cluster.local. cart cart.shop.svc cart.shop 10.0.0.1]
            /* -> outbound|80||cart.shop.svc.cluster.local
          pay.bank.svc.cluster.local:80 [pay.bank.svc.cluster.local pay.bank.svc.cluster.local. pay.bank pay.bank.svc 10.0.0.2]
            /* -> outbound|80||pay.bank.svc.cluster.local
          allow_any [*]
            /* -> PassthroughCluster
        clusters: PassthroughCluster outbound|80||cart.shop.svc.cluster.local outbound|80||pay.bank.svc.cluster.local
    "#]],
    );
    check(
        SHOP,
        "shop",
        "8080",
        expect![[r#"
        8080
          cart.shop.svc.cluster.local:8080 [cart.shop.svc.cluster.local cart.shop.svc.cluster.local. cart cart.shop.svc cart.shop 10.0.0.1]
            /* -> outbound|8080||cart.shop.svc.cluster.local
          allow_any [*]
            /* -> PassthroughCluster
        clusters: PassthroughCluster outbound|8080||cart.shop.svc.cluster.local
    "#]],
    );
    check(
        SHOP,
        "shop",
        "90",
        expect![[r#"
        90
          allow_any [*]
            /* -> PassthroughCluster
        clusters: PassthroughCluster
    "#]],
    );
}

#[test]
fn detected_service_has_one_host_for_every_domain() {
    check(
        SHOP,
        "shop",
        "pay.bank.svc.cluster.local:80",
        expect![[r#"
        pay.bank.svc.cluster.local:80
          pay.bank.svc.cluster.local:80 [*]
            /* -> outbound|80||pay.bank.svc.cluster.local
        clusters: outbound|80||pay.bank.svc.cluster.local
    "#]],
    );
    check(
        SHOP,
        "shop",
        "nobody.bank.svc.cluster.local:80",
        expect![[r#"
        nobody.bank.svc.cluster.local:80
        clusters: 
    "#]],
    );
}

#[test]
fn http_proxy_serves_all_ports_with_the_port_in_the_domain() {
    check(
        SHOP,
        "shop",
        "http_proxy",
        expect![[r#"
        http_proxy
          cart.shop.svc.cluster.local:80 [cart.shop.svc.cluster.local cart.shop.svc.cluster.local:80 cart.shop.svc.cluster.local. cart.shop.svc.cluster.local.:80 cart cart:80 cart.shop.svc cart.shop.svc:80 cart.shop cart.shop:80 10.0.0.1 10.0.0.1:80]
            /* -> outbound|80||cart.shop.svc.cluster.local
          cart.shop.svc.cluster.local:8080 [cart.shop.svc.cluster.local:8080 cart.shop.svc.cluster.local.:8080 cart:8080 cart.shop.svc:8080 cart.shop:8080 10.0.0.1:8080]
            /* -> outbound|8080||cart.shop.svc.cluster.local
          pay.bank.svc.cluster.local:80 [pay.bank.svc.cluster.local pay.bank.svc.cluster.local:80 pay.bank.svc.cluster.local. pay.bank.svc.cluster.local.:80 pay.bank pay.bank:80 pay.bank.svc pay.bank.svc:80 10.0.0.2 10.0.0.2:80]
            /* -> outbound|80||pay.bank.svc.cluster.local
          allow_any [*]
            /* -> PassthroughCluster
        clusters: PassthroughCluster outbound|8080||cart.shop.svc.cluster.local outbound|80||cart.shop.svc.cluster.local outbound|80||pay.bank.svc.cluster.local
    "#]],
    );
}

#[test]
fn headless_service_answers_for_the_names_below_it() {
    let yaml = "
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec:
  clusterIP: None
  ports: [{name: http, port: 80}]
";
    check(
        yaml,
        "bank",
        "80",
        expect![[r#"
        80
          db.shop.svc.cluster.local:80 [db.shop.svc.cluster.local db.shop.svc.cluster.local. db.shop db.shop.svc *.db.shop.svc.cluster.local *.db.shop.svc.cluster.local. *.db.shop *.db.shop.svc]
            /* -> outbound|80||db.shop.svc.cluster.local
          allow_any [*]
            /* -> PassthroughCluster
        clusters: PassthroughCluster outbound|80||db.shop.svc.cluster.local
    "#]],
    );
}

#[test]
fn other_names_of_a_service_are_domains_of_it() {
    let yaml = format!(
        "{SHOP}
apiVersion: v1
kind: Service
metadata: {{name: till, namespace: shop}}
spec: {{type: ExternalName, externalName: pay.bank.svc.cluster.local}}
"
    );
    check(
        &yaml,
        "shop",
        "80",
        expect![[r#"
        80
          cart.shop.svc.cluster.local:80 [cart.shop.svc.cluster.local cart.shop.svc.cluster.local. cart cart.shop.svc cart.shop 10.0.0.1]
            /* -> outbound|80||cart.shop.svc.cluster.local
          pay.bank.svc.cluster.local:80 [pay.bank.svc.cluster.local pay.bank.svc.cluster.local. pay.bank pay.bank.svc till.shop.svc.cluster.local till.shop.svc.cluster.local. till till.shop.svc till.shop 10.0.0.2]
            /* -> outbound|80||pay.bank.svc.cluster.local
          allow_any [*]
            /* -> PassthroughCluster
        clusters: PassthroughCluster outbound|80||cart.shop.svc.cluster.local outbound|80||pay.bank.svc.cluster.local
    "#]],
    );
}

#[test]
fn a_rule_about_another_name_of_a_service_serves_that_name_only() {
    let yaml = format!(
        "{SHOP}
apiVersion: v1
kind: Service
metadata: {{name: till, namespace: shop}}
spec:
  type: ExternalName
  externalName: pay.bank.svc.cluster.local
  ports: [{{port: 80, name: http}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: till, namespace: shop}}
spec: {{hosts: [till], http: [{{route: [{{destination: {{host: cart}}}}]}}]}}
"
    );
    check(
        &yaml,
        "shop",
        "80",
        expect![[r#"
        80
          cart.shop.svc.cluster.local:80 [cart.shop.svc.cluster.local cart.shop.svc.cluster.local. cart cart.shop.svc cart.shop 10.0.0.1]
            /* -> outbound|80||cart.shop.svc.cluster.local
          pay.bank.svc.cluster.local:80 [pay.bank.svc.cluster.local pay.bank.svc.cluster.local. pay.bank pay.bank.svc 10.0.0.2]
            /* -> outbound|80||pay.bank.svc.cluster.local
          till.shop.svc.cluster.local:80 [till.shop.svc.cluster.local till.shop.svc.cluster.local. till till.shop.svc till.shop]
            /* -> outbound|80||cart.shop.svc.cluster.local
          allow_any [*]
            /* -> PassthroughCluster
        clusters: PassthroughCluster outbound|80||cart.shop.svc.cluster.local outbound|80||pay.bank.svc.cluster.local
    "#]],
    );
}

#[test]
fn exact_host_beats_wildcards_and_the_longest_wildcard_wins() {
    let rule = |name: &str, host: &str, created: u8| {
        format!(
            "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: shop, creationTimestamp: \"200{created}-01-01T00:00:00Z\"}}
spec:
  hosts: ['{host}']
  http: [{{route: [{{destination: {{host: {name}}}}}]}}]
---
"
        )
    };
    let yaml = format!(
        "{SHOP}{}{}{}{}{}",
        rule("widest", "*.cluster.local", 0),
        rule("wide", "*.bank.svc.cluster.local", 1),
        rule("first", "cart.shop.svc.cluster.local", 2),
        rule("second", "cart.shop.svc.cluster.local", 3),
        rule("unknown", "nobody.example.com", 4),
    );
    check(
        &yaml,
        "shop",
        "80",
        expect![[r#"
        80
          cart.shop.svc.cluster.local:80 [cart.shop.svc.cluster.local cart.shop.svc.cluster.local. cart cart.shop.svc cart.shop 10.0.0.1]
            /* -> outbound|80||first.shop.svc.cluster.local
          nobody.example.com:80 [nobody.example.com]
            /* -> outbound|80||unknown.shop.svc.cluster.local
          pay.bank.svc.cluster.local:80 [pay.bank.svc.cluster.local pay.bank.svc.cluster.local. pay.bank pay.bank.svc 10.0.0.2]
            /* -> outbound|80||wide.shop.svc.cluster.local
          allow_any [*]
            /* -> PassthroughCluster
        clusters: PassthroughCluster outbound|80||first.shop.svc.cluster.local outbound|80||unknown.shop.svc.cluster.local outbound|80||wide.shop.svc.cluster.local
    "#]],
    );
    check(
        &yaml,
        "shop",
        "8080",
        expect![[r#"
        8080
          cart.shop.svc.cluster.local:8080 [cart.shop.svc.cluster.local cart.shop.svc.cluster.local. cart cart.shop.svc cart.shop 10.0.0.1]
            /* -> outbound|8080||first.shop.svc.cluster.local
          allow_any [*]
            /* -> PassthroughCluster
        clusters: PassthroughCluster outbound|8080||first.shop.svc.cluster.local
    "#]],
    );
}

#[test]
fn rule_without_a_route_for_the_caller_leaves_the_service_alone() {
    let yaml = format!(
        "{SHOP}
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: r, namespace: shop}}
spec:
  hosts: [cart]
  http: [{{match: [{{sourceLabels: {{app: web}}}}], route: [{{destination: {{host: blue}}}}]}}]
"
    );
    check(
        &yaml,
        "shop",
        "80",
        expect![[r#"
        80
          cart.shop.svc.cluster.local:80 [cart.shop.svc.cluster.local cart.shop.svc.cluster.local. cart cart.shop.svc cart.shop 10.0.0.1]
            /* -> outbound|80||cart.shop.svc.cluster.local
          pay.bank.svc.cluster.local:80 [pay.bank.svc.cluster.local pay.bank.svc.cluster.local. pay.bank pay.bank.svc 10.0.0.2]
            /* -> outbound|80||pay.bank.svc.cluster.local
          allow_any [*]
            /* -> PassthroughCluster
        clusters: PassthroughCluster outbound|80||cart.shop.svc.cluster.local outbound|80||pay.bank.svc.cluster.local
    "#]],
    );
}

#[test]
fn sidecar_listener_with_the_port_serves_only_its_hosts() {
    let yaml = format!(
        "{SHOP}
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: default, namespace: shop}}
spec:
  outboundTrafficPolicy: {{mode: REGISTRY_ONLY}}
  egress:
  - port: {{number: 80, protocol: HTTP, name: web}}
    hosts: ['bank/*']
  - port: {{number: 3128, protocol: HTTP_PROXY, name: proxy}}
    bind: 127.0.0.1
    hosts: ['./*']
  - bind: unix:///run/egress
    port: {{number: 0, protocol: HTTP, name: socket}}
    captureMode: NONE
    hosts: ['shop/*']
  - hosts: ['*/*']
"
    );
    check(
        &yaml,
        "shop",
        "80",
        expect![[r#"
        80
          pay.bank.svc.cluster.local:80 [pay.bank.svc.cluster.local pay.bank.svc.cluster.local. pay.bank pay.bank.svc 10.0.0.2]
            /* -> outbound|80||pay.bank.svc.cluster.local
          block_all [*]
            /* -> 502
        clusters: outbound|80||pay.bank.svc.cluster.local
    "#]],
    );
    check(
        &yaml,
        "shop",
        "8080",
        expect![[r#"
        8080
          cart.shop.svc.cluster.local:8080 [cart.shop.svc.cluster.local cart.shop.svc.cluster.local. cart cart.shop.svc cart.shop 10.0.0.1]
            /* -> outbound|8080||cart.shop.svc.cluster.local
          block_all [*]
            /* -> 502
        clusters: outbound|8080||cart.shop.svc.cluster.local
    "#]],
    );
    check(
        &yaml,
        "shop",
        "3128",
        expect![[r#"
        3128
          cart.shop.svc.cluster.local:80 [cart.shop.svc.cluster.local cart.shop.svc.cluster.local:80 cart.shop.svc.cluster.local. cart.shop.svc.cluster.local.:80 cart cart:80 cart.shop.svc cart.shop.svc:80 cart.shop cart.shop:80 10.0.0.1 10.0.0.1:80]
            /* -> outbound|80||cart.shop.svc.cluster.local
          cart.shop.svc.cluster.local:8080 [cart.shop.svc.cluster.local:8080 cart.shop.svc.cluster.local.:8080 cart:8080 cart.shop.svc:8080 cart.shop:8080 10.0.0.1:8080]
            /* -> outbound|8080||cart.shop.svc.cluster.local
          block_all [*]
            /* -> 502
        clusters: outbound|8080||cart.shop.svc.cluster.local outbound|80||cart.shop.svc.cluster.local
    "#]],
    );
    check(
        &yaml,
        "shop",
        "unix:///run/egress",
        expect![[r#"
        unix:///run/egress
          cart.shop.svc.cluster.local:80 [cart.shop.svc.cluster.local cart.shop.svc.cluster.local:80 cart.shop.svc.cluster.local. cart.shop.svc.cluster.local.:80 cart cart:80 cart.shop.svc cart.shop.svc:80 cart.shop cart.shop:80 10.0.0.1 10.0.0.1:80]
            /* -> outbound|80||cart.shop.svc.cluster.local
          cart.shop.svc.cluster.local:8080 [cart.shop.svc.cluster.local:8080 cart.shop.svc.cluster.local.:8080 cart:8080 cart.shop.svc:8080 cart.shop:8080 10.0.0.1:8080]
            /* -> outbound|8080||cart.shop.svc.cluster.local
          block_all [*]
            /* -> 502
        clusters: outbound|8080||cart.shop.svc.cluster.local outbound|80||cart.shop.svc.cluster.local
    "#]],
    );
}

#[test]
fn domain_of_two_hosts_stays_with_the_first() {
    let yaml = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: a, namespace: shop, creationTimestamp: \"2001-01-01T00:00:00Z\"}
spec:
  hosts: [a.example.com]
  addresses: [10.1.1.1]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: b, namespace: shop, creationTimestamp: \"2002-01-01T00:00:00Z\"}
spec:
  hosts: [b.example.com]
  addresses: [10.1.1.1, 10.1.1.2, 10.2.0.0/16]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
";
    check(
        yaml,
        "shop",
        "80",
        expect![[r#"
        80
          a.example.com:80 [a.example.com a.example.com. 10.1.1.1]
            /* -> outbound|80||a.example.com
          b.example.com:80 [b.example.com b.example.com. 10.1.1.2]
            /* -> outbound|80||b.example.com
          allow_any [*]
            /* -> PassthroughCluster
        clusters: PassthroughCluster outbound|80||a.example.com outbound|80||b.example.com
        warning[MEL0311] ServiceEntry shop/b: the domain `10.1.1.1` of `b.example.com` is already `a.example.com:80`'s
    "#]],
    );
}

#[test]
fn names_of_listeners_are_read_back() {
    for text in ["80", "on-demand-80", "a.b:80", "http_proxy", "unix:///x", "[::1]:80"] {
        assert_eq!(RouteName::parse(text).unwrap().to_string(), text);
    }
    for text in ["", "0", "on-demand-0", "x", ":80", "a:", "http.80", "https.443.a.b.c", "70000"] {
        assert_eq!(RouteName::parse(text), None, "{text}");
    }
}
