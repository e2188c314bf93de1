//! Egress listeners of Sidecars.

use expect_test::{Expect, expect};
use model::Interception;

use crate::outbound::tests::{Case, check};

const SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}, {name: tcp, port: 90}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: 10.0.0.2, ports: [{name: tcp, port: 3306}, {name: http, port: 80}]}
";

fn mesh(spec: &str) -> String {
    format!(
        "{SERVICES}---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: default, namespace: shop}}
spec:
{spec}"
    )
}

#[track_caller]
fn check_sidecar(spec: &str, expected: Expect) {
    check(&mesh(spec), expected);
}

#[test]
fn listeners_with_a_port_are_locked() {
    check_sidecar(
        "
  egress:
  - port: {number: 3306, protocol: TCP, name: db}
    hosts: [./db.shop.svc.cluster.local]
  - port: {number: 80, protocol: HTTP, name: web}
    hosts: [./web.shop.svc.cluster.local]
  - hosts: ['*/*']
",
        expect![[r#"
            0.0.0.0_80 0.0.0.0:80 tls_inspector http_inspector
              raw_buffer http/1.1,h2c -> http rds 80
              default [PassthroughFilterChain] -> tcp PassthroughCluster
            10.0.0.1_90 10.0.0.1:90
              -> tcp outbound|90||web.shop.svc.cluster.local
            10.0.0.2_3306 10.0.0.2:3306
              -> tcp outbound|3306||db.shop.svc.cluster.local
        "#]],
    );
}

#[test]
fn capture_mode_none_binds_really() {
    check_sidecar(
        "
  egress:
  - port: {number: 80, protocol: HTTP, name: web}
    bind: 0.0.0.0
    captureMode: NONE
    hosts: ['*/*']
  - port: {number: 3306, protocol: TCP, name: db}
    captureMode: NONE
    hosts: ['*/*']
",
        expect![[r#"
            0.0.0.0_80 0.0.0.0:80 bound tls_inspector http_inspector
              raw_buffer http/1.1,h2c -> http rds 80
              default [PassthroughFilterChain] -> tcp PassthroughCluster
            127.0.0.1_3306 127.0.0.1:3306 bound
              -> tcp outbound|3306||db.shop.svc.cluster.local
        "#]],
    );
}

#[test]
fn sockets_in_the_file_system_are_bound() {
    check_sidecar(
        "
  egress:
  - port: {number: 0, protocol: HTTP, name: web}
    bind: unix:///var/run/web.sock
    hosts: ['*/*']
",
        expect![[r#"
            unix:///var/run/web.sock_0 /var/run/web.sock bound
              -> http rds unix:///var/run/web.sock
        "#]],
    );
}

#[test]
fn http_proxy_listeners_take_every_request() {
    check_sidecar(
        "
  egress:
  - port: {number: 7443, protocol: HTTP_PROXY, name: proxy}
    bind: 127.0.0.1
    captureMode: NONE
    hosts: ['*/*']
",
        expect![[r#"
            127.0.0.1_7443 127.0.0.1:7443 bound
              -> http rds 7443
        "#]],
    );
}

#[test]
fn an_egress_proxy_takes_the_rest() {
    check_sidecar(
        "
  outboundTrafficPolicy:
    mode: ALLOW_ANY
    egressProxy: {host: db, port: {number: 3306}}
  egress: [{hosts: [./web.shop.svc.cluster.local]}]
",
        expect![[r#"
            0.0.0.0_80 0.0.0.0:80 tls_inspector http_inspector
              raw_buffer http/1.1,h2c -> http rds 80
              default [PassthroughFilterChain] -> tcp outbound|3306||db.shop.svc.cluster.local
            10.0.0.1_90 10.0.0.1:90
              -> tcp outbound|90||web.shop.svc.cluster.local
        "#]],
    );
}

#[test]
fn without_interception_every_port_is_on_loopback() {
    let mut case = Case::new(SERVICES);
    case.proxy.interception = Interception::None;
    case.check(expect![[r#"
        127.0.0.1_3306 127.0.0.1:3306 bound
          -> tcp outbound|3306||db.shop.svc.cluster.local
        127.0.0.1_80 127.0.0.1:80 bound
          -> http rds 80
        127.0.0.1_90 127.0.0.1:90 bound
          -> tcp outbound|90||web.shop.svc.cluster.local
    "#]]);
}

#[test]
fn unprivileged_proxies_do_not_bind_low_ports() {
    let mut case = Case::new(SERVICES);
    case.proxy.interception = Interception::None;
    case.proxy.unprivileged = true;
    case.check(expect![[r#"
        127.0.0.1_3306 127.0.0.1:3306 bound
          -> tcp outbound|3306||db.shop.svc.cluster.local
        warning[MEL0331] Service shop/db: no listener on 80: the proxy may not bind ports below 1024
        warning[MEL0331] Service shop/web: no listener on 80: the proxy may not bind ports below 1024
        warning[MEL0331] Service shop/web: no listener on 90: the proxy may not bind ports below 1024
    "#]]);
}

#[test]
fn ports_of_the_proxy_are_refused() {
    check(
        "
apiVersion: v1
kind: Service
metadata: {name: metrics, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 15090}, {name: tcp, port: 15021}]}
",
        expect![[r#"
            10.0.0.1_15021 10.0.0.1:15021
              -> tcp outbound|15021||metrics.shop.svc.cluster.local
            warning[MEL0331] Service shop/metrics: no listener on 15090: the proxy itself uses the port
        "#]],
    );
}

#[test]
fn hosts_that_are_kept_out_beat_those_that_are_let_in() {
    let keeps_out = |host: &str| mesh(&format!("\n  egress: [{{hosts: ['*/*', '{host}']}}]\n"));
    check(
        &keeps_out("~shop/web.shop.svc.cluster.local"),
        expect![[r#"
        0.0.0.0_80 0.0.0.0:80 tls_inspector http_inspector
          raw_buffer http/1.1,h2c -> http rds 80
          default [PassthroughFilterChain] -> tcp PassthroughCluster
        10.0.0.2_3306 10.0.0.2:3306
          -> tcp outbound|3306||db.shop.svc.cluster.local
    "#]],
    );
    let web = ["~/web.shop.svc.cluster.local", "~./web.shop.svc.cluster.local"];
    for host in web {
        let names: Vec<_> = Case::new(&keeps_out(host)).plan().listeners;
        let names: Vec<&str> = names.iter().map(|listener| &*listener.name).collect();
        assert_eq!(names, ["0.0.0.0_80", "10.0.0.2_3306", "virtualOutbound"], "{host}");
    }
    for host in ["~/*", "~./*", "~shop/*", "~*/*", "~/*.shop.svc.cluster.local"] {
        check(&keeps_out(host), expect![[""]]);
    }
}
