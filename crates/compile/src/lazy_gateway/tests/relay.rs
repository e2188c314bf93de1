//! How the gateway takes calls, and where it leads them.

use std::sync::Arc;

use expect_test::expect;
use model::Proxy;
use snapshot::{Reader, Snapshot};

use super::{MESH, cluster, gateway, route, told};
use crate::{
    Client, RouteName, compile_route, compile_virtual_host, fixture,
    inbound::{compile_inbound_listeners, select_inbound},
    lazy_gateway::{compile_lazy_gateway, plan_lazy_gateway},
    select_route,
};

#[test]
fn the_gateway_routes_by_port_and_short_names_by_namespace() {
    let snapshot = fixture::lazy_snapshot(MESH);
    let (client, scope) = told(&gateway(), &snapshot);
    let plan = plan_lazy_gateway(&scope, &client, &Reader::new(&snapshot)).unwrap();
    let names: Vec<String> = plan.routes().map(|it| it.to_string()).collect();
    expect!["80 9000 80/bank 9000/bank 80/shop"].assert_eq(&names.join(" "));
    expect![[r#"
        api.example.com:80 [api.example.com api.example.com.] -> outbound|80||api.example.com
        pay.bank.svc.cluster.local:80 [pay.bank.svc.cluster.local pay.bank.svc.cluster.local. pay.bank pay.bank.svc 10.0.0.2] -> outbound|80||pay.bank.svc.cluster.local
        ruled.bank.svc.cluster.local:80 [ruled.bank.svc.cluster.local ruled.bank.svc.cluster.local. ruled.bank ruled.bank.svc 10.0.0.5] -> outbound|80||ruled.bank.svc.cluster.local
        web.shop.svc.cluster.local:80 [web.shop.svc.cluster.local web.shop.svc.cluster.local. web.shop web.shop.svc 10.0.0.1] -> outbound|80||web.shop.svc.cluster.local
        meltemi.unknown-host [*] -> 502
        clusters: outbound|80||api.example.com outbound|80||pay.bank.svc.cluster.local outbound|80||ruled.bank.svc.cluster.local outbound|80||web.shop.svc.cluster.local
    "#]].assert_eq(&route(&gateway(), &snapshot, "80"));
    expect![[r#"
        api.example.com:80 [api.example.com api.example.com.] -> outbound|80||api.example.com
        web.shop.svc.cluster.local:80 [web.shop.svc.cluster.local web.shop.svc.cluster.local. web web.shop.svc web.shop 10.0.0.1] -> outbound|80||web.shop.svc.cluster.local
        meltemi.unknown-host [*] -> 502
        clusters: outbound|80||api.example.com outbound|80||web.shop.svc.cluster.local
    "#]].assert_eq(&route(&gateway(), &snapshot, "80/shop"));
    for (name, scope) in plan.routes().zip(plan.scopes()) {
        assert_eq!(&**scope.resource.name(), &*name);
    }
}

fn listener(yaml: &str) -> String {
    let snapshot = fixture::lazy_snapshot(&format!("{MESH}{yaml}"));
    let (client, scope) = told(&gateway(), &snapshot);
    let plan = plan_lazy_gateway(&scope, &client, &Reader::new(&snapshot)).unwrap();
    fixture::render(&compile_lazy_gateway(&plan.listener).resource)
}

/// Of a text, from the line that begins so to the one that begins so, without the indent.
fn part(text: &str, from: &str, to: &str) -> String {
    let begins = |line: &&str, word: &str| line.trim_start().starts_with(word);
    let lines = text.lines().skip_while(|line| !begins(line, from));
    let lines: Vec<&str> = lines.take_while(|line| !begins(line, to)).collect();
    let indent = lines[0].len() - lines[0].trim_start().len();
    lines.iter().map(|line| format!("{}\n", &line[indent..])).collect()
}

#[test]
fn the_gateway_says_who_calls_and_by_which_route_it_answers() {
    let listener = listener("");
    expect![[r#"
        http_filters:
          - name: envoy.filters.http.header_mutation
            typed_config:
              @type: type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation
              mutations:
                request_mutations:
                  - remove: x-meltemi-caller
                  - append:
                      append_action: OVERWRITE_IF_EXISTS_OR_ADD
                      header:
                        key: x-meltemi-caller
                        value: %DOWNSTREAM_PEER_URI_SAN%
                response_mutations:
                  - remove: x-meltemi-relayed-by
                  - append:
                      append_action: OVERWRITE_IF_EXISTS_OR_ADD
                      header:
                        key: x-meltemi-relayed-by
                        value: %RESPONSE_FLAGS%;%ROUTE_NAME%
          - name: envoy.filters.http.rbac
            typed_config:
              @type: type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC
              rules:
                action: DENY
                policies:
                  lazy-gateway:
                    permissions:
                      - any: true
                    principals:
                      - or_ids:
                          ids:
                            - authenticated:
                                principal_name:
                                  exact: spiffe://cluster.local/ns/mesh/sa/lazy-gateway
                      - header:
                          name: x-meltemi-caller
                          string_match:
                            safe_regex:
                              regex: .*,.*
          - name: envoy.filters.http.header_mutation
            typed_config:
              @type: type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation
              mutations:
                request_mutations:
                  - remove: x-meltemi-route
    "#]].assert_eq(&part(
        &listener,
        "http_filters:",
        "- name: envoy.filters.http.grpc_stats",
    ));
    expect![[r#"
                  scoped_routes:
                    name: x-meltemi-route
                    rds_config_source:
                      ads: {}
                      initial_fetch_timeout: 0s
                      resource_api_version: V3
                    scope_key_builder:
                      fragments:
                        - header_value_extractor:
                            index: 0
                            name: x-meltemi-route
                    scoped_rds:
                      scoped_rds_config_source:
                        ads: {}
                        initial_fetch_timeout: 0s
                        resource_api_version: V3
    "#]]
    .assert_eq(&part(&listener, "scoped_routes:", "server_name:"));
}

#[test]
fn the_gateway_takes_mtls_alone() {
    expect![[r#"
            transport_socket:
              name: envoy.transport_sockets.tls
              typed_config:
                @type: type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
                common_tls_context:
                  alpn_protocols:
                    - h2
                    - http/1.1
                  combined_validation_context:
                    default_validation_context:
                      match_typed_subject_alt_names:
                        - matcher:
                            prefix: spiffe://cluster.local/
                          san_type: URI
                    validation_context_sds_secret_config:
                      name: ROOTCA
                      sds_config:
                        ads: {}
                        initial_fetch_timeout: 2s
                        resource_api_version: V3
                  tls_certificate_sds_secret_configs:
                    - name: default
                      sds_config:
                        ads: {}
                        initial_fetch_timeout: 2s
                        resource_api_version: V3
                  tls_params:
                    cipher_suites:
                      - ECDHE-ECDSA-AES256-GCM-SHA384
                      - ECDHE-RSA-AES256-GCM-SHA384
                      - ECDHE-ECDSA-AES128-GCM-SHA256
                      - ECDHE-RSA-AES128-GCM-SHA256
                      - AES256-GCM-SHA384
                      - AES128-GCM-SHA256
                    tls_maximum_protocol_version: TLSv1_3
                    tls_minimum_protocol_version: TLSv1_2
                require_client_certificate: true
    "#]].assert_eq(&part(
        &listener(""),
        "transport_socket:",
        "transport_socket_connect_timeout:",
    ));
}

#[test]
fn servers_outside_of_the_mesh_are_not_told_who_calls() {
    let rule = "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: [web]
  http:
  - match: [{uri: {prefix: /out}}]
    route: [{destination: {host: api.example.com}}]
  - match: [{uri: {prefix: /some}}]
    route: [{destination: {host: web}, weight: 50}, {destination: {host: api.example.com}, weight: 50}]
  - route: [{destination: {host: web}}]
    mirror: {host: api.example.com}
";
    let snapshot = fixture::lazy_snapshot(&format!("{MESH}{rule}"));
    let hosts = |proxy: &Proxy| {
        let (client, scope) = told(proxy, &snapshot);
        let name = RouteName::parse("80").unwrap();
        let input = select_route(&name, &scope, &client, &Reader::new(&snapshot));
        let config = compile_route(&input, &mut |host| Arc::new(compile_virtual_host(host)));
        fixture::render(&config.resource)
    };
    let text = hosts(&gateway());
    let words = ["cluster: ", "- cluster: ", "- name: outbound", "prefix: /", "- x-", "- remove"];
    let lines = text.lines().map(str::trim_start);
    let lines = lines.filter(|line| words.iter().any(|it| line.starts_with(it)));
    let lines = lines.map(|line| format!("{line}\n"));
    expect![[r#"
        prefix: /
        - x-meltemi-caller
        - x-forwarded-client-cert
        cluster: outbound|80||api.example.com
        prefix: /
        cluster: outbound|80||pay.bank.svc.cluster.local
        prefix: /
        cluster: outbound|80||ruled.bank.svc.cluster.local
        prefix: /out
        - x-meltemi-caller
        - x-forwarded-client-cert
        cluster: outbound|80||api.example.com
        prefix: /some
        - name: outbound|80||web.shop.svc.cluster.local
        - name: outbound|80||api.example.com
        - x-meltemi-caller
        - x-forwarded-client-cert
        prefix: /
        cluster: outbound|80||web.shop.svc.cluster.local
        - cluster: outbound|80||api.example.com
        - remove: x-meltemi-caller
        - remove: x-forwarded-client-cert
        prefix: /
        prefix: /
    "#]]
    .assert_eq(&lines.collect::<String>());
    assert!(!hosts(&fixture::proxy("bank")).contains("to_remove"), "sidecars say nothing of it");
}

/// An AuthorizationPolicy and a RequestAuthentication.
fn policies(namespace: &str, selector: &str) -> String {
    format!(
        "---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: deny, namespace: {namespace}}}
spec: {{{selector}}}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{name: tokens, namespace: {namespace}}}
spec: {{{selector} jwtRules: [{{issuer: me, jwks: '{{\"keys\": []}}'}}]}}
"
    )
}

#[test]
fn policies_for_all_hold_behind_the_gateway_and_those_that_name_it_at_it() {
    let without = listener("");
    for namespace in ["istio-system", "mesh"] {
        assert_eq!(listener(&policies(namespace, "")), without, "{namespace}");
        let named = "selector: {matchLabels: {meltemi.io/role: lazy-gateway}},";
        let named = listener(&policies(namespace, named));
        // The route is found anew for a token: by the header, and before it goes.
        let place = |what: &str| named.find(what).unwrap_or_else(|| panic!("there is no {what}"));
        let order =
            ["name: envoy.filters.http.jwt_authn", "lazy-gateway:", "remove: x-meltemi-route"];
        assert!(order.map(place).is_sorted());
        assert_eq!(named.matches("name: envoy.filters.http.rbac").count(), 2);
    }
}

const PLAIN: &str = "---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: plain, namespace: mesh}
spec: {mtls: {mode: DISABLE}}
";

#[test]
fn a_gateway_that_takes_plain_text_calls_in_plain_text() {
    assert!(!listener(PLAIN).contains("transport_socket:"));
    let pod = "---
apiVersion: v1
kind: Pod
metadata: {name: pay-1, namespace: bank, labels: {app: pay, security.istio.io/tlsMode: istio}}
spec: {serviceAccountName: pay}
status: {phase: Running, podIP: 10.1.0.1}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: pay-1, namespace: bank, labels: {kubernetes.io/service-name: pay}}
addressType: IPv4
ports: [{name: http, port: 80, protocol: TCP}]
endpoints: [{addresses: [10.1.0.1], conditions: {ready: true}}]
";
    let rule = "---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: pay, namespace: bank}
spec: {host: pay, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}
";
    let encrypts = |yaml: &str| {
        let snapshot = fixture::lazy_snapshot(&format!("{MESH}{yaml}"));
        cluster(&gateway(), &snapshot, "pay.bank.svc.cluster.local", 80).contains("UpstreamTls")
    };
    assert!(encrypts(pod));
    assert!(encrypts(&format!("{pod}{rule}")));
    assert!(!encrypts(&format!("{pod}{PLAIN}")));
    assert!(!encrypts(&format!("{pod}{PLAIN}{rule}")));
}

#[test]
fn headers_of_the_gateway_end_in_front_of_the_application() {
    let inbound = |snapshot: &Snapshot| {
        let reader = Reader::new(snapshot);
        let proxy = fixture::proxy("shop");
        let input = select_inbound(&proxy, &Client::reduce(&proxy, &reader), &reader);
        fixture::render(&compile_inbound_listeners(&input)[0].resource)
    };
    let removed = |text: &str| text.matches("x-meltemi-caller").count();
    let lazy = inbound(&fixture::lazy_snapshot(MESH));
    assert_eq!(removed(&lazy), lazy.matches("route_config:").count());
    assert_eq!(removed(&inbound(&fixture::snapshot(MESH))), 0);
}
