//! How servers encrypt.

use expect_test::expect;

use super::{Case, check, gateway, rule};

fn server(protocol: &str, hosts: &str, tls: &str) -> String {
    format!(
        "{{port: {{number: 443, name: port, protocol: {protocol}}}, hosts: [{hosts}], tls: {{{tls}}}}}"
    )
}

fn web() -> String {
    rule(
        "shop/web",
        "hosts: ['*']
         gateways: [edge/gw]
         http: [{route: [{destination: {host: web}}]}]
         tcp: [{route: [{destination: {host: db, port: {number: 90}}}]}]",
    )
}

#[test]
fn each_https_server_has_a_chain_and_routes_of_its_own() {
    let one = "{name: main, port: {number: 443, name: one, protocol: HTTPS}, hosts: [a.com, '*.b.com'], \
               tls: {mode: SIMPLE, credentialName: one}}";
    let two = "{port: {number: 443, name: two, protocol: HTTPS}, hosts: ['*'], \
               tls: {mode: MUTUAL, credentialName: kubernetes://two, httpsRedirect: true}}";
    check(
        &(gateway("edge/gw", &[one, two]) + &web()),
        expect![[r#"
            0.0.0.0_443 0.0.0.0:443 bound tls_inspector
              sni=*.b.com sni=a.com tls(kubernetes://one) -> http rds https.443.one.gw.edge
              mutual(kubernetes://two) -> http rds https.443.two.gw.edge
              tls of chain 0: secret=kubernetes://one alpn=h2,http/1.1
              tls of chain 1: secret=kubernetes://two authorities=kubernetes://two-cacert alpn=h2,http/1.1 client=required
            https.443.one.gw.edge
              a.com:443 [a.com *.b.com]
                /* -> outbound|443||web.shop.svc.cluster.local
            https.443.two.gw.edge
              *:443 [*] requires tls
                /* -> outbound|443||web.shop.svc.cluster.local
            needs web.shop.svc.cluster.local 443//Outbound
        "#]],
    );
}

#[test]
fn what_is_asked_of_callers() {
    let mutual = "mode: MUTUAL, credentialName: cert, caCertCredentialName: clients, \
                  subjectAltNames: ['spiffe://a/b', me.com], minProtocolVersion: TLSV1_2, \
                  maxProtocolVersion: TLSV1_3, cipherSuites: [AES128-SHA, WRONG, AES128-SHA]";
    let mesh = gateway("edge/gw", &[&server("HTTPS", "a.com", mutual)]);
    check(
        &mesh,
        expect![[r#"
            0.0.0.0_443 0.0.0.0:443 bound tls_inspector
              sni=a.com mutual(kubernetes://cert) -> http rds https.443.port.gw.edge
              tls of chain 0: secret=kubernetes://cert authorities=kubernetes://clients-cacert san=Some(Exact("spiffe://a/b")) san=Some(Exact("me.com")) versions=3..4 ciphers=AES128-SHA alpn=h2,http/1.1 client=required
            https.443.port.gw.edge
              blackhole:443 [*]
            warning[MEL0343] Gateway edge/gw spec.servers[0].tls: the cipher suite `WRONG` is not known
        "#]],
    );
    let optional = "mode: OPTIONAL_MUTUAL, credentialNames: [rsa, ecdsa]";
    let mesh = gateway("edge/gw", &[&server("HTTPS", "a.com", optional)]);
    check(
        &mesh,
        expect![[r#"
            0.0.0.0_443 0.0.0.0:443 bound tls_inspector
              sni=a.com tls(kubernetes://rsa,kubernetes://ecdsa) -> http rds https.443.port.gw.edge
              tls of chain 0: secret=kubernetes://rsa secret=kubernetes://ecdsa authorities=kubernetes://rsa-cacert alpn=h2,http/1.1
            https.443.port.gw.edge
              blackhole:443 [*]
        "#]],
    );
}

#[test]
fn certificates_out_of_files() {
    let files =
        "mode: MUTUAL, serverCertificate: /c.pem, privateKey: /k.pem, caCertificates: /ca.pem";
    let mesh = gateway("edge/gw", &[&server("HTTPS", "a.com", files)]);
    Case { has_files: true, ..Case::new(&mesh) }.check(expect![[r#"
        0.0.0.0_443 0.0.0.0:443 bound tls_inspector
          sni=a.com mutual(files) -> http rds https.443.port.gw.edge
          tls of chain 0: Some(Filename("/c.pem")) authorities=Some(Filename("/ca.pem")) alpn=h2,http/1.1 client=required
        https.443.port.gw.edge
          blackhole:443 [*]
    "#]]);
}

#[test]
fn nothing_is_served_without_its_encryption() {
    let mesh = gateway(
        "edge/gw",
        &[
            &server("HTTPS", "a.com", "mode: SIMPLE"),
            &server(
                "HTTPS",
                "b.com",
                "mode: MUTUAL, serverCertificate: /c.pem, privateKey: /k.pem",
            ),
        ],
    );
    check(
        &mesh,
        expect![[r#"
        error[MEL0342] Gateway edge/gw spec.servers[0].tls: the server has no certificate (set `credentialName`, or the paths of the files)
        error[MEL0342] Gateway edge/gw spec.servers[1].tls: the server has no authorities to check its callers by (set `credentialName`, or the paths of the files)
    "#]],
    );
}

#[test]
fn identities_of_the_mesh_are_named_as_istio_does() {
    let mesh = gateway("edge/gw", &[&server("HTTPS", "a.com", "mode: ISTIO_MUTUAL")]);
    check(
        &mesh,
        expect![[r#"
            0.0.0.0_443 0.0.0.0:443 bound tls_inspector
              sni=a.com mutual(default) -> http rds https.443.port.gw.edge
              tls of chain 0: secret=default authorities=ROOTCA san=Some(Prefix("spiffe://cluster.local/")) alpn=h2,http/1.1 client=required
            https.443.port.gw.edge
              blackhole:443 [*]
        "#]],
    );
}

#[test]
fn tls_ends_and_bytes_go_on() {
    let simple = server("TLS", "a.com", "mode: SIMPLE, credentialName: cert");
    check(
        &(gateway("edge/gw", &[&simple]) + &web()),
        expect![[r#"
            0.0.0.0_443 0.0.0.0:443 bound tls_inspector
              sni=a.com tls(kubernetes://cert) -> tcp outbound|90||db.shop.svc.cluster.local
              tls of chain 0: secret=kubernetes://cert alpn=h2,http/1.1
            needs db.shop.svc.cluster.local 90//Outbound
        "#]],
    );
}

#[test]
fn tls_passes_through_by_server_name() {
    let spec = "hosts: [a.com, '*.b.com']
        gateways: [edge/gw]
        tls: [{match: [{sniHosts: [a.com]}], route: [{destination: {host: a}}]}, {match: [{sniHosts: ['*.b.com', '*c']}, {port: 444, sniHosts: [d.com]}], route: [{destination: {host: b}, weight: 0}, {destination: {host: c}, weight: 5}]}]";
    let passthrough = server("HTTPS", "'*'", "mode: PASSTHROUGH");
    check(
        &(gateway("edge/gw", &[&passthrough]) + &rule("shop/tls", spec)),
        expect![[r#"
        0.0.0.0_443 0.0.0.0:443 bound tls_inspector
          sni=a.com -> tcp outbound|443||a.shop.svc.cluster.local
          sni=*.b.com -> tcp outbound|443||c.shop.svc.cluster.local
        needs a.shop.svc.cluster.local 443//Outbound
        needs c.shop.svc.cluster.local 443//Outbound
        warning[MEL0345] VirtualService shop/tls: `*c` cannot be matched as a server name
    "#]],
    );
}

#[test]
fn server_names_between_networks_stand_for_clusters() {
    let mesh = "apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}, {name: dns, port: 53, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: other, namespace: bank}
spec: {clusterIP: 10.0.0.2, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, namespace: shop}
spec: {host: web, subsets: [{name: v1, labels: {version: v1}}]}
---
"
    .to_owned()
        + &gateway(
            "edge/gw",
            &[&server("TLS", "'*.shop.svc.cluster.local'", "mode: AUTO_PASSTHROUGH")],
        );
    check(
        &mesh,
        expect![[r#"
        0.0.0.0_443 0.0.0.0:443 bound tls_inspector
          sni=outbound_.80_._.web.shop.svc.cluster.local istio,istio-peer-exchange,istio-http/1.0,istio-http/1.1,istio-h2 -> tcp outbound_.80_._.web.shop.svc.cluster.local
          sni=outbound_.80_.v1_.web.shop.svc.cluster.local istio,istio-peer-exchange,istio-http/1.0,istio-http/1.1,istio-h2 -> tcp outbound_.80_.v1_.web.shop.svc.cluster.local
        needs web.shop.svc.cluster.local 80//Sni 80/v1/Sni
    "#]],
    );
}
