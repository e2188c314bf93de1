use std::{collections::BTreeSet, fmt::Write as _, sync::Arc};

use envoy::config::route::v3::{RouteConfiguration, route::Action, route_action::ClusterSpecifier};
use expect_test::{Expect, expect};
use model::{Locality, Proxy};
use prost::Message as _;
use serde_json::{Map, json};
use snapshot::{Reader, Snapshot};

use super::{compile_lazy_gateway, plan_lazy_gateway};
use crate::{
    Client, Compiled, RouteName, Scope, Visible,
    cluster::{compile_cluster, select_cluster},
    compile_detour_cluster, compile_route, compile_virtual_host, fixture,
    inbound::{compile_inbound_listeners, select_inbound},
    select_route,
};

const MESH: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {meltemi.io/scope: gateway}}
---
apiVersion: v1
kind: Service
metadata: {name: lazy-gateway, namespace: mesh}
spec: {clusterIP: 10.0.0.9, ports: [{name: lazy, port: 15080}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: pay, namespace: bank}
spec: {clusterIP: 10.0.0.2, ports: [{name: http, port: 80}, {name: grpc, port: 9000}]}
---
apiVersion: v1
kind: Service
metadata: {name: vault, namespace: bank, annotations: {networking.istio.io/exportTo: 'bank,shop'}}
spec: {clusterIP: 10.0.0.3, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: store, namespace: data}
spec: {clusterIP: 10.0.0.4, ports: [{name: tcp-store, port: 5432}]}
---
apiVersion: v1
kind: Service
metadata: {name: ruled, namespace: bank}
spec: {clusterIP: 10.0.0.5, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ruled, namespace: shop}
spec:
  hosts: [ruled.bank.svc.cluster.local]
  exportTo: ['.']
  http: [{route: [{destination: {host: pay.bank.svc.cluster.local}}]}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside, namespace: shop}
spec:
  hosts: [api.example.com]
  resolution: DNS
  ports: [{name: http, number: 80, protocol: HTTP}]
";

const SIDECAR: &str = "---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: shop}
spec: {egress: [{hosts: ['shop/*', bank/pay.bank.svc.cluster.local]}]}
";

fn caller() -> Proxy {
    Proxy { retries_elsewhere: true, ..fixture::proxy("shop") }
}

fn gateway() -> Proxy {
    let labels = json!({"meltemi.io/role": "lazy-gateway"});
    let metadata = Map::from_iter([("LABELS".to_owned(), labels)]);
    let id = "router~10.9.9.1~lazy-gateway-1.mesh~mesh.svc.cluster.local";
    Proxy::parse(id, metadata, Locality::default()).expect("the id is valid")
}

/// The class of a proxy, and what it is told.
fn told(proxy: &Proxy, snapshot: &Snapshot) -> (Client, Arc<Scope>) {
    let reader = Reader::new(snapshot);
    let client = Client::reduce(proxy, &reader);
    let scope = match &client.fence {
        Some(fence) => {
            let scope = Scope::of(&client.scope_key(), &reader);
            let visible = Visible::new(scope, &client.namespace, &reader);
            visible.fenced(fence, &BTreeSet::new(), &reader).scope
        }
        None => Arc::new(Scope::select(&client, &reader)),
    };
    (client, scope)
}

fn route(proxy: &Proxy, snapshot: &Snapshot, name: &str) -> String {
    let (client, scope) = told(proxy, snapshot);
    let reader = Reader::new(snapshot);
    let name = RouteName::parse(name).expect("the name is valid");
    let input = select_route(&name, &scope, &client, &reader);
    render(&compile_route(&input, &mut |host| Arc::new(compile_virtual_host(host))))
}

fn render(compiled: &Compiled) -> String {
    let config = RouteConfiguration::decode(compiled.resource.decode_bytes()).unwrap();
    let mut out = String::new();
    for host in &config.virtual_hosts {
        let action = match &host.routes[0].action {
            Some(Action::Route(action)) => match &action.cluster_specifier {
                Some(ClusterSpecifier::Cluster(name)) => name.clone(),
                other => format!("{other:?}"),
            },
            Some(Action::DirectResponse(response)) => response.status.to_string(),
            other => format!("{other:?}"),
        };
        let mut headers = Vec::new();
        for header in &host.routes[0].request_headers_to_add {
            let header = header.header.as_ref().unwrap();
            headers.push(format!(" {}={}", header.key, header.value));
        }
        let domains = host.domains.join(" ");
        writeln!(out, "{} [{domains}] -> {action}{}", host.name, headers.concat()).unwrap();
    }
    writeln!(out, "clusters: {}", compiled.clusters.join(" ")).unwrap();
    out
}

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
                            - remove: x-meltemi-route
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
                                  value: %ROUTE_NAME%
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

fn cluster(proxy: &Proxy, snapshot: &Snapshot, host: &str, port: u16) -> String {
    let (client, scope) = told(proxy, snapshot);
    let service = scope.service(&host.into()).expect("it is told of it");
    let input = select_cluster(service, port, "", &client, &Reader::new(snapshot));
    fixture::render(&compile_cluster(&input).unwrap().resource)
}

#[test]
fn pods_of_the_gateway_are_passed_by_at_once() {
    let snapshot = fixture::lazy_snapshot(MESH);
    let host = "lazy-gateway.mesh.svc.cluster.local";
    expect![[r#"
        alt_stat_name: outbound|15080||lazy-gateway.mesh.svc.cluster.local;
        circuit_breakers:
          thresholds:
            - max_connections: 4294967295
              max_pending_requests: 4294967295
              max_requests: 4294967295
              max_retries: 4294967295
              retry_budget:
                budget_percent:
                  value: 20.0
                min_retry_concurrency: 3
              track_remaining: true
        common_lb_config:
          healthy_panic_threshold: {}
        connect_timeout: 1s
        eds_cluster_config:
          eds_config:
            ads: {}
            initial_fetch_timeout: 0s
            resource_api_version: V3
          service_name: outbound|15080||lazy-gateway.mesh.svc.cluster.local
        lb_policy: LEAST_REQUEST
        metadata:
          filter_metadata:
            istio:
              default_original_port: 15080.0
              host: lazy-gateway.mesh.svc.cluster.local
              name: lazy-gateway
              namespace: mesh
              services:
                - host: lazy-gateway.mesh.svc.cluster.local
                  name: lazy-gateway
                  namespace: mesh
        name: outbound|15080||lazy-gateway.mesh.svc.cluster.local
        outlier_detection:
          always_eject_one_host: true
          base_ejection_time: 5s
          consecutive_local_origin_failure: 2
          enforcing_consecutive_5xx: 0
          enforcing_consecutive_gateway_failure: 0
          enforcing_consecutive_local_origin_failure: 100
          enforcing_local_origin_success_rate: 0
          enforcing_success_rate: 0
          interval: 1s
          max_ejection_percent: 100
          split_external_local_origin_errors: true
        type: EDS
        typed_extension_protocol_options:
          envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
            @type: type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
            use_downstream_protocol_config:
              http2_protocol_options: {}
              http_protocol_options: {}
    "#]]
    .assert_eq(&cluster(&caller(), &snapshot, host, 15080));
}

#[track_caller]
fn check_detour(proxy: &Proxy, yaml: &str, expected: Expect) {
    let snapshot = fixture::lazy_snapshot(&format!("{MESH}{yaml}"));
    let (_, scope) = told(proxy, &snapshot);
    let target = scope.detour.as_ref().expect("there is a detour");
    let cluster = compile_detour_cluster(target, Reader::new(&snapshot).mesh());
    let text = fixture::render(&cluster.resource);
    let at = text.find("cluster_type").expect("it has a type");
    expected.assert_eq(&text[at..]);
}

#[test]
fn the_detour_goes_past_a_gateway_that_is_down() {
    check_detour(
        &caller(),
        "",
        expect![[r#"
        cluster_type:
          name: envoy.clusters.composite
          typed_config:
            @type: type.googleapis.com/envoy.extensions.clusters.composite.v3.ClusterConfig
            clusters:
              - name: outbound|15080||lazy-gateway.mesh.svc.cluster.local
              - name: outbound|15080||lazy-gateway.mesh.svc.cluster.local
              - name: PassthroughCluster
        connect_timeout: 10s
        lb_policy: CLUSTER_PROVIDED
        name: LazyGatewayCluster
    "#]],
    );
}

#[test]
fn a_proxy_that_cannot_choose_has_no_way_past_it() {
    check_detour(
        &fixture::proxy("shop"),
        "",
        expect![[r#"
        cluster_type:
          name: envoy.clusters.aggregate
          typed_config:
            @type: type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig
            clusters:
              - outbound|15080||lazy-gateway.mesh.svc.cluster.local
        connect_timeout: 10s
        lb_policy: CLUSTER_PROVIDED
        name: LazyGatewayCluster
    "#]],
    );
}

#[test]
fn where_only_what_is_known_may_be_called_there_is_no_way_past_it() {
    let only = "---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: shop}
spec: {outboundTrafficPolicy: {mode: REGISTRY_ONLY}, egress: [{hosts: ['*/*']}]}
";
    check_detour(
        &caller(),
        only,
        expect![[r#"
        cluster_type:
          name: envoy.clusters.composite
          typed_config:
            @type: type.googleapis.com/envoy.extensions.clusters.composite.v3.ClusterConfig
            clusters:
              - name: outbound|15080||lazy-gateway.mesh.svc.cluster.local
              - name: outbound|15080||lazy-gateway.mesh.svc.cluster.local
        connect_timeout: 10s
        lb_policy: CLUSTER_PROVIDED
        name: LazyGatewayCluster
    "#]],
    );
}

#[test]
fn without_its_service_there_is_no_detour() {
    let snapshot = fixture::lazy_snapshot(&MESH.replace("name: lazy-gateway", "name: other"));
    let (client, scope) = told(&caller(), &snapshot);
    assert!(client.fence.is_some() && scope.detour.is_none());
    expect![[r#"
        allow_any [*] -> PassthroughCluster
        clusters: PassthroughCluster
    "#]]
    .assert_eq(&route(&caller(), &snapshot, "80"));
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
