//! Which hosts a route configuration has, and who serves them.

use expect_test::expect;

use super::{Case, check, gateway, rule};

const HTTP: &str = "{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*.example.com']}";

fn to(host: &str, path: &str) -> String {
    format!(
        "[{{match: [{{uri: {{prefix: {path}}}}}], \
         route: [{{destination: {{host: {host}, port: {{number: 80}}}}}}]}}]"
    )
}

fn bound(key: &str, host: &str, path: &str, target: &str) -> String {
    let http = to(target, path);
    rule(key, &format!("hosts: ['{host}']\ngateways: [edge/gw]\nhttp: {http}"))
}

#[test]
fn without_rules_everything_is_answered_404() {
    check(
        &gateway("edge/gw", &[HTTP]),
        expect![[r#"
        0.0.0.0_80 0.0.0.0:80 bound
          -> http rds http.80
        http.80
          blackhole:80 [*]
    "#]],
    );
}

#[test]
fn a_host_is_what_server_and_rule_share() {
    let server =
        "{port: {number: 80, name: http, protocol: HTTP}, hosts: [a.example.com, '*.org']}";
    let mesh = gateway("edge/gw", &[server])
        + &bound("shop/wide", "*", "/", "wide")
        + &bound("shop/narrow", "www.x.org", "/", "narrow")
        + &bound("shop/other", "b.example.com", "/", "other");
    check(
        &mesh,
        expect![[r#"
        0.0.0.0_80 0.0.0.0:80 bound
          -> http rds http.80
        http.80
          a.example.com:80 [a.example.com *.org]
            /* -> outbound|80||wide.shop.svc.cluster.local
          www.x.org:80 [www.x.org]
            /* -> outbound|80||narrow.shop.svc.cluster.local
        needs narrow.shop.svc.cluster.local 80//Outbound
        needs wide.shop.svc.cluster.local 80//Outbound
    "#]],
    );
}

#[test]
fn rules_of_one_host_are_merged_and_catch_alls_go_last() {
    let mesh = gateway("edge/gw", &[HTTP])
        + &bound("shop/a-all", "www.example.com", "/", "first")
        + &bound("shop/b-path", "www.example.com", "/cart", "cart")
        + &bound("shop/c-all", "www.example.com", "/", "hidden");
    check(
        &mesh,
        expect![[r#"
        0.0.0.0_80 0.0.0.0:80 bound
          -> http rds http.80
        http.80
          www.example.com:80 [www.example.com]
            /cart* -> outbound|80||cart.shop.svc.cluster.local
            /* -> outbound|80||first.shop.svc.cluster.local
        needs cart.shop.svc.cluster.local 80//Outbound
        needs first.shop.svc.cluster.local 80//Outbound
    "#]],
    );
}

#[test]
fn hosts_with_the_same_rules_are_one_virtual_host() {
    let http = to("web", "/");
    let several = format!(
        "hosts: [b.example.com, a.example.com, '*.deep.example.com']\ngateways: [edge/gw]\nhttp: {http}"
    );
    let mesh = gateway("edge/gw", &[HTTP])
        + &rule("shop/several", &several)
        + &bound("shop/more", "b.example.com", "/more", "more");
    check(
        &mesh,
        expect![[r#"
        0.0.0.0_80 0.0.0.0:80 bound
          -> http rds http.80
        http.80
          a.example.com:80 [a.example.com *.deep.example.com]
            /* -> outbound|80||web.shop.svc.cluster.local
          b.example.com:80 [b.example.com]
            /more* -> outbound|80||more.shop.svc.cluster.local
            /* -> outbound|80||web.shop.svc.cluster.local
        needs more.shop.svc.cluster.local 80//Outbound
        needs web.shop.svc.cluster.local 80//Outbound
    "#]],
    );
    Case::new(&mesh).feature("PILOT_ENABLE_ROUTE_COLLAPSE_OPTIMIZATION", "false").check(expect![[
        r#"
            0.0.0.0_80 0.0.0.0:80 bound
              -> http rds http.80
            http.80
              *.deep.example.com:80 [*.deep.example.com]
                /* -> outbound|80||web.shop.svc.cluster.local
              a.example.com:80 [a.example.com]
                /* -> outbound|80||web.shop.svc.cluster.local
              b.example.com:80 [b.example.com]
                /more* -> outbound|80||more.shop.svc.cluster.local
                /* -> outbound|80||web.shop.svc.cluster.local
            needs more.shop.svc.cluster.local 80//Outbound
            needs web.shop.svc.cluster.local 80//Outbound
        "#
    ]]);
}

#[test]
fn a_host_of_one_namespace_is_not_for_rules_of_others() {
    let server = "{port: {number: 80, name: http, protocol: HTTP}, \
                  hosts: [ns-1/*.example.com, ./own.example.com, '*/all.example.com']}";
    let mesh = gateway("edge/gw", &[server])
        + &bound("ns-1/one", "one.example.com", "/", "one")
        + &bound("ns-2/two", "two.example.com", "/", "two")
        + &bound("edge/own", "own.example.com", "/", "own")
        + &bound("ns-2/foreign", "own.example.com", "/", "foreign")
        + &bound("ns-2/all", "all.example.com", "/", "all");
    check(
        &mesh,
        expect![[r#"
        0.0.0.0_80 0.0.0.0:80 bound
          -> http rds http.80
        http.80
          all.example.com:80 [all.example.com]
            /* -> outbound|80||all.ns-2.svc.cluster.local
          one.example.com:80 [one.example.com]
            /* -> outbound|80||one.ns-1.svc.cluster.local
          own.example.com:80 [own.example.com]
            /* -> outbound|80||own.edge.svc.cluster.local
        needs all.ns-2.svc.cluster.local 80//Outbound
        needs one.ns-1.svc.cluster.local 80//Outbound
        needs own.edge.svc.cluster.local 80//Outbound
    "#]],
    );
}

#[test]
fn rules_that_are_not_shown_to_the_gateway_do_not_count() {
    let http = to("web", "/");
    let exported =
        |to: &str| format!("hosts: ['*']\ngateways: [edge/gw]\nexportTo: ['{to}']\nhttp: {http}");
    let mesh = gateway("edge/gw", &[HTTP])
        + &rule("shop/private", &exported("."))
        + &bound("shop/unbound", "a.example.com", "/", "a").replace("edge/gw", "edge/other");
    check(
        &mesh,
        expect![[r#"
        0.0.0.0_80 0.0.0.0:80 bound
          -> http rds http.80
        http.80
          blackhole:80 [*]
    "#]],
    );
    let mesh = gateway("edge/gw", &[HTTP]) + &rule("shop/shown", &exported("istio-system"));
    check(
        &mesh,
        expect![[r#"
        0.0.0.0_80 0.0.0.0:80 bound
          -> http rds http.80
        http.80
          *.example.com:80 [*.example.com]
            /* -> outbound|80||web.shop.svc.cluster.local
        needs web.shop.svc.cluster.local 80//Outbound
    "#]],
    );
}

#[test]
fn conditions_on_gateway_and_port_are_decided_here() {
    let http = "[{match: [{gateways: [mesh]}], route: [{destination: {host: mesh}}]}, \
                {match: [{port: 81}], route: [{destination: {host: other-port}}]}, \
                {match: [{gateways: [edge/gw], uri: {exact: /x}}], route: [{destination: {host: x}}]}]";
    let spec = format!("hosts: [www.example.com]\ngateways: [mesh, edge/gw]\nhttp: {http}");
    check(
        &(gateway("edge/gw", &[HTTP]) + &rule("shop/web", &spec)),
        expect![[r#"
        0.0.0.0_80 0.0.0.0:80 bound
          -> http rds http.80
        http.80
          www.example.com:80 [www.example.com]
            /x -> outbound|80||x.shop.svc.cluster.local
        needs x.shop.svc.cluster.local 80//Outbound
    "#]],
    );
}

#[test]
fn https_redirect_holds_with_and_without_rules() {
    let redirect = "{port: {number: 80, name: http, protocol: HTTP}, \
                    hosts: [a.example.com, shop/b.example.com], tls: {httpsRedirect: true}}";
    let mesh = gateway("edge/gw", &[redirect])
        + &gateway("edge/second", &[HTTP])
        + &bound("shop/b", "b.example.com", "/", "b")
        + &bound("shop/c", "c.example.com", "/", "c").replace("edge/gw", "edge/second");
    check(
        &mesh,
        expect![[r#"
        0.0.0.0_80 0.0.0.0:80 bound
          -> http rds http.80
        http.80
          a.example.com:80 [a.example.com] requires tls
          b.example.com:80 [b.example.com] requires tls
            /* -> outbound|80||b.shop.svc.cluster.local
          c.example.com:80 [c.example.com]
            /* -> outbound|80||c.shop.svc.cluster.local
        needs b.shop.svc.cluster.local 80//Outbound
        needs c.shop.svc.cluster.local 80//Outbound
    "#]],
    );
}

#[test]
fn a_destination_without_port_has_the_only_one_of_its_service() {
    let mesh = "apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 8080}]}
---
"
    .to_owned()
        + &gateway("edge/gw", &[HTTP])
        + &rule(
            "shop/web",
            "hosts: [a.example.com]
             gateways: [edge/gw]
             http: [{match: [{uri: {prefix: /web}}], route: [{destination: {host: web}}]}, {route: [{destination: {host: unknown}}]}]",
        );
    check(
        &mesh,
        expect![[r#"
        0.0.0.0_80 0.0.0.0:80 bound
          -> http rds http.80
        http.80
          a.example.com:80 [a.example.com]
            /web* -> outbound|8080||web.shop.svc.cluster.local
            /* -> outbound|80||unknown.shop.svc.cluster.local
        needs unknown.shop.svc.cluster.local 80//Outbound
        needs web.shop.svc.cluster.local 8080//Outbound
    "#]],
    );
}
