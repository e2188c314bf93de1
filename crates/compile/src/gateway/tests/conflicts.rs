//! Servers that want the same.

use expect_test::expect;

use super::{check, gateway, rule};

const TCP: &str = "{port: {number: 80, name: tcp, protocol: TCP}, hosts: [foo.bar]}";
const HTTP: &str = "{port: {number: 80, name: http, protocol: HTTP}, hosts: [foo.bar]}";
const TCP_RULE: &str = "hosts: ['*']
    gateways: [istio-system/gw]
    tcp: [{route: [{destination: {host: db, port: {number: 90}}}]}]";

#[test]
fn the_first_gateway_has_an_opaque_port() {
    let mesh = gateway("istio-system/gw", &[TCP])
        + &gateway("zeta/gw", &[TCP])
        + &rule("shop/db", TCP_RULE);
    check(
        &mesh,
        expect![[r#"
        0.0.0.0_80 0.0.0.0:80 bound
          -> tcp outbound|90||db.shop.svc.cluster.local
        needs db.shop.svc.cluster.local 90//Outbound
        warning[MEL0340] Gateway zeta/gw spec.servers[0].port: port 80 is already used by `istio-system/gw` (only plain HTTP servers, or only TLS servers, can share a port)
    "#]],
    );
    let mesh = gateway("istio-system/gw", &[TCP])
        + &gateway("alpha/gw", &[TCP])
        + &rule("shop/db", TCP_RULE);
    check(
        &mesh,
        expect![[r#"
        warning[MEL0340] Gateway istio-system/gw spec.servers[0].port: port 80 is already used by `alpha/gw` (only plain HTTP servers, or only TLS servers, can share a port)
        warning[MEL0344] Gateway alpha/gw: nothing is bound to port 80 (bind a VirtualService with a `tcp` or `tls` route)
    "#]],
    );
}

#[test]
fn the_first_protocol_has_the_port() {
    check(
        &(gateway("edge/a", &[TCP]) + &gateway("edge/b", &[HTTP])),
        expect![[r#"
        warning[MEL0340] Gateway edge/b spec.servers[0].port: port 80 is already used by `edge/a` (only plain HTTP servers, or only TLS servers, can share a port)
        warning[MEL0344] Gateway edge/a: nothing is bound to port 80 (bind a VirtualService with a `tcp` or `tls` route)
    "#]],
    );
    check(
        &(gateway("edge/a", &[HTTP]) + &gateway("edge/b", &[TCP])),
        expect![[r#"
        0.0.0.0_80 0.0.0.0:80 bound
          -> http rds http.80
        http.80
          blackhole:80 [*]
        warning[MEL0340] Gateway edge/b spec.servers[0].port: port 80 is already used by `edge/a` (only plain HTTP servers, or only TLS servers, can share a port)
    "#]],
    );
    let grpc = "{port: {number: 80, name: grpc, protocol: GRPC}, hosts: [grpc.bar]}";
    let https = "{port: {number: 80, name: https, protocol: HTTPS}, hosts: [foo.bar], \
                 tls: {mode: SIMPLE, credentialName: cert}}";
    let mesh = gateway("edge/a", &[HTTP]) + &gateway("edge/b", &[grpc, https]);
    check(
        &mesh,
        expect![[r#"
        0.0.0.0_80 0.0.0.0:80 bound
          -> http rds http.80
        http.80
          blackhole:80 [*]
        warning[MEL0340] Gateway edge/b spec.servers[1].port: port 80 is already used by `edge/a` (only plain HTTP servers, or only TLS servers, can share a port)
    "#]],
    );
}

fn https(name: &str, hosts: &str) -> String {
    format!(
        "{{port: {{number: 443, name: {name}, protocol: HTTPS}}, hosts: [{hosts}], \
         tls: {{mode: SIMPLE, credentialName: cert}}}}"
    )
}

#[test]
fn a_host_belongs_to_one_server_of_a_port() {
    let mesh = gateway("edge/a", &[&https("one", "a.com, b.com"), &https("one", "c.com")])
        + &gateway("edge/b", &[&https("two", "b.com, d.com"), &https("three", "'*.com'")]);
    check(
        &mesh,
        expect![[r#"
            0.0.0.0_443 0.0.0.0:443 bound tls_inspector
              sni=a.com sni=b.com tls(kubernetes://cert) -> http rds https.443.one.a.edge
              sni=*.com tls(kubernetes://cert) -> http rds https.443.three.b.edge
              tls of chain 0: secret=kubernetes://cert alpn=h2,http/1.1
              tls of chain 1: secret=kubernetes://cert alpn=h2,http/1.1
            https.443.one.a.edge
              blackhole:443 [*]
            https.443.three.b.edge
              blackhole:443 [*]
            warning[MEL0340] Gateway edge/a spec.servers[1].port.name: another server of the Gateway has the same port name (give each HTTPS server a port name of its own)
            warning[MEL0340] Gateway edge/b spec.servers[0].hosts: `edge/a` already has the host `b.com`
        "#]],
    );
}

#[test]
fn one_plain_server_may_follow_tls() {
    let plain = |name, host| {
        format!("{{port: {{number: 443, name: {name}, protocol: HTTP}}, hosts: [{host}]}}")
    };
    let mesh = gateway("edge/a", &[&https("one", "a.com")])
        + &gateway("edge/b", &[&plain("two", "b.com"), &plain("three", "c.com")]);
    check(
        &mesh,
        expect![[r#"
            0.0.0.0_443 0.0.0.0:443 bound tls_inspector
              sni=a.com tls(kubernetes://cert) -> http rds https.443.one.a.edge
              -> http rds http.443
              tls of chain 0: secret=kubernetes://cert alpn=h2,http/1.1
            http.443
              blackhole:443 [*]
            https.443.one.a.edge
              blackhole:443 [*]
            warning[MEL0340] Gateway edge/b spec.servers[1].port: port 443 is already used by `edge/a` (only plain HTTP servers, or only TLS servers, can share a port)
        "#]],
    );
}

#[test]
fn plain_redirects_have_their_hosts_to_themselves() {
    let plain = |hosts| {
        format!(
            "{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: [{hosts}], \
             tls: {{httpsRedirect: true}}}}"
        )
    };
    let mesh =
        gateway("edge/a", &[&plain("a.com")]) + &gateway("edge/b", &[&plain("a.com, b.com")]);
    check(
        &mesh,
        expect![[r#"
        0.0.0.0_80 0.0.0.0:80 bound
          -> http rds http.80
        http.80
          a.com:80 [a.com] requires tls
        warning[MEL0340] Gateway edge/b spec.servers[0].hosts: `edge/a` already has the host `a.com`
    "#]],
    );
}

#[test]
fn other_addresses_do_not_conflict() {
    let mesh = gateway(
        "edge/a",
        &[
            "{port: {number: 80, name: http, protocol: HTTP}, hosts: [a.com], bind: 10.0.0.1}",
            "{port: {number: 80, name: http-2, protocol: HTTP}, hosts: [a.com], bind: 10.0.0.2}",
            "{port: {number: 80, name: tcp, protocol: TCP}, hosts: [a.com], bind: 10.0.0.2}",
        ],
    );
    check(
        &mesh,
        expect![[r#"
        10.0.0.1_80 10.0.0.1:80 bound
          -> http rds http.80.10.0.0.1
        10.0.0.2_80 10.0.0.2:80 bound
          -> http rds http.80.10.0.0.2
        http.80.10.0.0.1
          blackhole:80 [*]
        http.80.10.0.0.2
          blackhole:80 [*]
        warning[MEL0340] Gateway edge/a spec.servers[2].port: port 80 is already used by `edge/a` (only plain HTTP servers, or only TLS servers, can share a port)
    "#]],
    );
}

#[test]
fn hosts_for_several_namespaces_are_one_server_name() {
    let mesh = gateway("edge/a", &[&https("one", "ns-1/a.com, ns-1/b.com")])
        + &gateway("edge/b", &[&https("two", "ns-2/a.com, ns-2/c.com")]);
    check(
        &mesh,
        expect![[r#"
            0.0.0.0_443 0.0.0.0:443 bound tls_inspector
              sni=a.com sni=b.com tls(kubernetes://cert) -> http rds https.443.one.a.edge
              sni=c.com tls(kubernetes://cert) -> http rds https.443.two.b.edge
              tls of chain 0: secret=kubernetes://cert alpn=h2,http/1.1
              tls of chain 1: secret=kubernetes://cert alpn=h2,http/1.1
            https.443.one.a.edge
              blackhole:443 [*]
            https.443.two.b.edge
              blackhole:443 [*]
            warning[MEL0345] Gateway edge/b: connections to the server name `a.com` already go elsewhere
        "#]],
    );
    let everything = https("all", "./*");
    let mesh = gateway("edge/gw", &[&everything]) + &gateway("istio-system/gw", &[&everything]);
    check(
        &mesh,
        expect![[r#"
            0.0.0.0_443 0.0.0.0:443 bound tls_inspector
              tls(kubernetes://cert) -> http rds https.443.all.gw.edge
              tls of chain 0: secret=kubernetes://cert alpn=h2,http/1.1
            https.443.all.gw.edge
              blackhole:443 [*]
            warning[MEL0345] Gateway istio-system/gw: connections to the server name `*` already go elsewhere
        "#]],
    );
}

const PASSTHROUGH: &str = "{port: {number: 443, name: tls, protocol: TLS}, hosts: ['*.example.com'], \
                           tls: {mode: PASSTHROUGH}}";

fn sni(key: &str, names: &str, target: &str) -> String {
    rule(
        key,
        &format!(
            "hosts: [www.example.com]\ngateways: [edge/gw]\n\
             tls: [{{match: [{{port: 443, sniHosts: [{names}]}}], \
             route: [{{destination: {{host: {target}, port: {{number: 443}}}}}}]}}]"
        ),
    )
}

#[test]
fn a_server_name_belongs_to_one_rule() {
    let mesh = gateway("edge/gw", &[PASSTHROUGH])
        + &sni("shop/one", "www.example.com", "one")
        + &sni("shop/two", "'www.example.com', 'two.example.com'", "two");
    check(
        &mesh,
        expect![[r#"
            0.0.0.0_443 0.0.0.0:443 bound tls_inspector
              sni=www.example.com -> tcp outbound|443||one.shop.svc.cluster.local
            needs one.shop.svc.cluster.local 443//Outbound
            warning[MEL0345] VirtualService shop/two spec.tls[0].match: an older rule has the server name `www.example.com`
        "#]],
    );
}

#[test]
fn a_rule_on_two_servers_of_a_port_has_one_chain() {
    let wide = "{port: {number: 443, name: any, protocol: HTTPS}, hosts: ['*'], \
                tls: {mode: PASSTHROUGH}}";
    let mesh =
        gateway("edge/gw", &[PASSTHROUGH, wide]) + &sni("shop/one", "www.example.com", "one");
    check(
        &mesh,
        expect![[r#"
            0.0.0.0_443 0.0.0.0:443 bound tls_inspector
              sni=www.example.com -> tcp outbound|443||one.shop.svc.cluster.local
            needs one.shop.svc.cluster.local 443//Outbound
            warning[MEL0345] VirtualService shop/one spec.tls[0].match: an older rule has the server name `www.example.com`
        "#]],
    );
}
