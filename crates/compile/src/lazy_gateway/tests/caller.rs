//! What those who call through the gateway are told themselves.

use expect_test::expect;

use super::{MESH, caller, gateway, route, told};
use crate::{Scope, fixture};

const SIDECAR: &str = "---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: shop}
spec: {egress: [{hosts: ['shop/*', bank/pay.bank.svc.cluster.local]}]}
";

#[test]
fn a_caller_knows_what_it_is_not_told_of_by_few_domains() {
    let snapshot = fixture::lazy_snapshot(MESH);
    expect![[r#"
        lazy_gateway [*.bank *.shop *.svc *.svc.cluster.local *.svc.cluster.local. api.example.com api.example.com.] -> LazyGatewayCluster x-meltemi-route=80
        lazy_gateway_short [web] -> LazyGatewayCluster x-meltemi-route=80/shop
        ruled.bank.svc.cluster.local:80 [ruled.bank.svc.cluster.local ruled.bank.svc.cluster.local. ruled.bank ruled.bank.svc 10.0.0.5] -> outbound|80||pay.bank.svc.cluster.local
        vault.bank.svc.cluster.local:80 [vault.bank.svc.cluster.local vault.bank.svc.cluster.local. vault.bank vault.bank.svc 10.0.0.3] -> outbound|80||vault.bank.svc.cluster.local
        allow_any [*] -> PassthroughCluster
        clusters: LazyGatewayCluster PassthroughCluster outbound|15080||lazy-gateway.mesh.svc.cluster.local outbound|80||pay.bank.svc.cluster.local outbound|80||vault.bank.svc.cluster.local
    "#]].assert_eq(&route(&caller(), &snapshot, "80"));
}

#[test]
fn a_caller_with_a_sidecar_knows_what_that_shows_and_nothing_beside() {
    let snapshot = fixture::lazy_snapshot(&format!("{MESH}{SIDECAR}"));
    expect![[r#"
        lazy_gateway [10.0.0.1 10.0.0.2 api.example.com api.example.com. pay.bank pay.bank.svc pay.bank.svc.cluster.local pay.bank.svc.cluster.local. web.shop web.shop.svc web.shop.svc.cluster.local web.shop.svc.cluster.local.] -> LazyGatewayCluster x-meltemi-route=80
        lazy_gateway_short [web] -> LazyGatewayCluster x-meltemi-route=80/shop
        ruled.bank.svc.cluster.local:80 [ruled.bank.svc.cluster.local] -> outbound|80||pay.bank.svc.cluster.local
        allow_any [*] -> PassthroughCluster
        clusters: LazyGatewayCluster PassthroughCluster outbound|15080||lazy-gateway.mesh.svc.cluster.local outbound|80||pay.bank.svc.cluster.local
    "#]].assert_eq(&route(&caller(), &snapshot, "80"));
}

#[test]
fn what_is_not_for_everybody_is_told_from_the_start() {
    let snapshot = fixture::lazy_snapshot(MESH);
    let (_, scope) = told(&caller(), &snapshot);
    let hosts = |scope: &Scope| -> Vec<String> {
        scope.services.iter().map(|it| it.hostname().to_string()).collect()
    };
    expect![[r#"
        vault.bank.svc.cluster.local
        pay.bank.svc.cluster.local
        ruled.bank.svc.cluster.local
        lazy-gateway.mesh.svc.cluster.local"#]]
    .assert_eq(&hosts(&scope).join("\n"));
    let (_, relayed) = told(&gateway(), &snapshot);
    expect![[r#"
        api.example.com
        pay.bank.svc.cluster.local
        ruled.bank.svc.cluster.local
        store.data.svc.cluster.local
        web.shop.svc.cluster.local"#]]
    .assert_eq(&hosts(&relayed).join("\n"));
}

/// What a caller is told of from the start.
#[track_caller]
fn check_told(yaml: &str, expected: &[&str]) {
    let snapshot = fixture::lazy_snapshot(&format!("{MESH}---{yaml}"));
    let (_, scope) = told(&caller(), &snapshot);
    let hosts = scope.listeners[0].services.iter().map(|it| it.hostname().to_string());
    let hosts: Vec<String> = hosts.map(|it| it.replace(".svc.cluster.local", "")).collect();
    assert_eq!(hosts, expected);
}

#[test]
fn what_the_gateway_would_do_otherwise_is_told_from_the_start() {
    check_told("", &["vault.bank", "ruled.bank"]);
    let asks = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: [web]
  http:
  - match: [{sourceLabels: {app: other}}]
    route: [{destination: {host: ruled.bank.svc.cluster.local}}]
  - route: [{destination: {host: web}}]
";
    check_told(asks, &["vault.bank", "ruled.bank", "web.shop"]);
    check_told(
        &asks.replace("sourceLabels: {app: other}", "uri: {exact: /a}"),
        &["vault.bank", "ruled.bank"],
    );
    let twice = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: other, namespace: data}
spec:
  hosts: [api.example.com]
  resolution: DNS
  ports: [{name: http, number: 80, protocol: HTTP}]
";
    check_told(twice, &["vault.bank", "api.example.com", "ruled.bank"]);
    let left_out = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: pay, namespace: data}
spec:
  hosts: [pay.bank.svc.cluster.local]
  http: [{route: [{destination: {host: web.shop.svc.cluster.local}}]}]
";
    let leaves = "
apiVersion: v1
kind: Service
metadata: {name: pods, namespace: data}
spec: {clusterIP: None, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec: {hosts: [web], http: [{route: [{destination: {host: pods.data.svc.cluster.local}}]}]}
";
    check_told(leaves, &["vault.bank", "pods.data", "ruled.bank", "web.shop"]);
    check_told(&format!("{left_out}{SIDECAR}"), &["pay.bank"]);
    check_told(left_out, &["vault.bank", "ruled.bank"]);
}

#[test]
fn a_sidecar_that_shows_everything_needs_no_more_domains_than_none() {
    let everything = SIDECAR.replace("'shop/*', bank/pay.bank.svc.cluster.local", "'*/*'");
    let snapshots =
        [fixture::lazy_snapshot(MESH), fixture::lazy_snapshot(&format!("{MESH}{everything}"))];
    let [without, with] = snapshots.map(|it| route(&caller(), &it, "80"));
    assert_eq!(with, without);
}
