//! Which ports are listened on.

use expect_test::expect;

use super::{Case, check, gateway, rule};

fn service(name: &str, extra: &str, port: u16, target: u16) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: istio-system, labels: {{{extra}}}}}
spec:
  hosts: [{name}.istio-system.svc.cluster.local]
  ports: [{{number: {port}, targetPort: {target}, name: http, protocol: HTTP}}]
  resolution: STATIC
  endpoints: [{{address: 1.1.1.1}}]
---
"
    )
}

fn http(number: u16, host: &str) -> String {
    format!("{{port: {{number: {number}, name: http, protocol: HTTP}}, hosts: [{host}]}}")
}

const WEB: &str = "hosts: ['*']
    gateways: [edge/gw]
    http: [{route: [{destination: {host: web, port: {number: 80}}}]}]";

#[test]
fn a_port_of_the_gateways_service_is_translated() {
    let mesh = gateway("edge/gw", &[&http(80, "a.com"), &http(82, "b.com"), &http(8080, "c.com")])
        + &service("gw", "", 80, 8080)
        + &rule("shop/web", WEB);
    check(
        &mesh,
        expect![[r#"
        0.0.0.0_82 0.0.0.0:82 bound
          -> http rds http.82
        0.0.0.0_8080 0.0.0.0:8080 bound
          -> http rds http.8080
        http.8080
          a.com:80 [a.com c.com]
            /* -> outbound|80||web.shop.svc.cluster.local
        http.82
          b.com:82 [b.com]
            /* -> outbound|80||web.shop.svc.cluster.local
        needs web.shop.svc.cluster.local 80//Outbound
    "#]],
    );
}

#[test]
fn a_service_may_refuse_to_translate() {
    let label = "experimental.istio.io/disable-gateway-port-translation: 'true'";
    let mesh = gateway("edge/gw", &[&http(80, "a.com")]) + &service("gw", label, 80, 8080);
    check(
        &mesh,
        expect![[r#"
        0.0.0.0_80 0.0.0.0:80 bound
          -> http rds http.80
        http.80
          blackhole:80 [*]
    "#]],
    );
}

#[test]
fn low_ports_need_the_privilege() {
    let mesh = gateway("edge/gw", &[&http(80, "a.com"), &http(8080, "b.com")]);
    Case { unprivileged: true, ..Case::new(&mesh) }.check(expect![[r#"
        0.0.0.0_8080 0.0.0.0:8080 bound
          -> http rds http.8080
        http.8080
          blackhole:8080 [*]
        error[MEL0341] Gateway edge/gw spec.servers[0].port: no listener on 80: the proxy may not bind it (give a Service of the gateway a `targetPort` of 1024 or more)
    "#]]);
}

#[test]
fn a_server_with_an_address_has_a_listener_of_its_own() {
    let bound = "{bind: 10.0.0.9, port: {number: 80, name: tcp, protocol: TCP}, hosts: ['*']}";
    let https = "{bind: 10.0.0.9, port: {number: 443, name: https, protocol: HTTPS}, hosts: [a.com], \
                 tls: {mode: SIMPLE, credentialName: cert}}";
    let web = WEB.to_owned() + "\ntcp: [{route: [{destination: {host: db, port: {number: 90}}}]}]";
    let mesh = gateway("edge/gw", &[&http(80, "a.com"), bound, https]) + &rule("shop/web", &web);
    check(
        &mesh,
        expect![[r#"
            0.0.0.0_80 0.0.0.0:80 bound
              -> http rds http.80
            10.0.0.9_80 10.0.0.9:80 bound
              -> tcp outbound|90||db.shop.svc.cluster.local
            10.0.0.9_443 10.0.0.9:443 bound tls_inspector
              sni=a.com tls(kubernetes://cert) -> http rds https.443.https.gw.edge.10.0.0.9
              tls of chain 0: secret=kubernetes://cert alpn=h2,http/1.1
            http.80
              a.com:80 [a.com]
                /* -> outbound|80||web.shop.svc.cluster.local
            https.443.https.gw.edge.10.0.0.9
              a.com:443 [a.com]
                /* -> outbound|80||web.shop.svc.cluster.local
            needs db.shop.svc.cluster.local 90//Outbound
            needs web.shop.svc.cluster.local 80//Outbound
        "#]],
    );
}

#[test]
fn gateways_are_selected_by_label_and_by_namespace_if_asked() {
    let other = gateway("edge/other", &[&http(81, "a.com")]).replace("ingressgateway", "egress");
    let own = gateway("istio-system/own", &[&http(82, "a.com")]);
    let mesh = gateway("edge/gw", &[&http(80, "a.com")]) + &other + &own;
    check(
        &mesh,
        expect![[r#"
        0.0.0.0_80 0.0.0.0:80 bound
          -> http rds http.80
        0.0.0.0_82 0.0.0.0:82 bound
          -> http rds http.82
        http.80
          blackhole:80 [*]
        http.82
          blackhole:82 [*]
    "#]],
    );
    Case::new(&mesh).feature("PILOT_SCOPE_GATEWAY_TO_NAMESPACE", "true").check(expect![[r#"
        0.0.0.0_82 0.0.0.0:82 bound
          -> http rds http.82
        http.82
          blackhole:82 [*]
    "#]]);
}

#[test]
fn opaque_connections_go_where_the_first_rule_says() {
    let server = "{port: {number: 3306, name: db, protocol: MYSQL}, hosts: ['*']}";
    let spec = "hosts: ['*']
        gateways: [edge/gw]
        tcp: [{match: [{port: 3307}], route: [{destination: {host: other}}]}, {match: [{port: 3306, gateways: [edge/gw]}], route: [{destination: {host: db}, weight: 80}, {destination: {host: db, subset: new, port: {number: 3307}}, weight: 20}]}]";
    check(
        &(gateway("edge/gw", &[server]) + &rule("shop/db", spec)),
        expect![[r#"
        0.0.0.0_3306 0.0.0.0:3306 bound
          -> tcp outbound|3306||db.shop.svc.cluster.local=80 outbound|3307|new|db.shop.svc.cluster.local=20 stat=db.shop
        needs db.shop.svc.cluster.local 3306//Outbound 3307/new/Outbound
    "#]],
    );
}

#[test]
fn what_stands_in_front_is_told_to_the_listener() {
    let topology = "apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    defaultConfig: {gatewayTopology: {numTrustedProxies: 2, proxyProtocol: {}}}
---
"
    .to_owned();
    check(
        &(topology + &gateway("edge/gw", &[&http(80, "a.com")])),
        expect![[r#"
        0.0.0.0_80 0.0.0.0:80 bound proxy_protocol
          -> http rds http.80
        http.80
          blackhole:80 [*]
    "#]],
    );
}
