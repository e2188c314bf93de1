//! What gRPC's client is given, as it reads it.

mod clusters;

use expect_test::{Expect, expect};
use model::{Generator, Service, Shared};
use snapshot::{Reader, Snapshot};

use super::{compile_listener, plan_listeners, select_listener};
use crate::{
    Client, Compiled, RouteName, Scope, compile_route, compile_virtual_host, fixture, select_route,
};

/// `cart.shop` with gRPC on port 80 and something opaque on port 81, and a host elsewhere.
const SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec:
  clusterIP: 10.1.0.1
  ports: [{name: grpc, port: 80}, {name: tcp-x, port: 81}]
---
apiVersion: v1
kind: Service
metadata: {name: store, namespace: other}
spec: {type: ExternalName, externalName: cart.shop.svc.cluster.local}
---
";

fn client() -> Client {
    Client { generator: Generator::Grpc, ..fixture::client("shop") }
}

fn rule(http: &str) -> String {
    let indented: String = http.trim().lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "{SERVICES}apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: cart, namespace: shop}}
spec:
  hosts: [cart]
  http:
{indented}"
    )
}

fn route(yaml: &str) -> Compiled {
    let snapshot = fixture::snapshot(yaml);
    let reader = Reader::new(&snapshot);
    let client = client();
    let scope = Scope::select(&client, &reader);
    let name = RouteName::parse("outbound|80||cart.shop.svc.cluster.local").expect("a name");
    let input = select_route(&name, &scope, &client, &reader);
    compile_route(&input, &mut |host| compile_virtual_host(host).into())
}

/// The routes of a rule, without what never changes, and the findings.
#[track_caller]
fn check_rule(http: &str, expected: Expect) {
    let compiled = route(&rule(http));
    let text = fixture::render(&compiled.resource);
    let routes = text.lines().skip_while(|line| !line.contains("routes:")).skip(1);
    let mut out: String =
        routes.map_while(|line| line.strip_prefix("      ")).map(|it| format!("{it}\n")).collect();
    for finding in compiled.diagnostics.iter() {
        out.push_str(&format!("{finding}\n"));
    }
    expected.assert_eq(&out);
}

fn service(snapshot: &Snapshot, host: &str) -> Shared<Service> {
    Reader::new(snapshot).services_named(&host.into())[0].clone()
}

#[test]
fn every_name_of_a_service_has_a_listener() {
    let snapshot = fixture::snapshot(SERVICES);
    let reader = Reader::new(&snapshot);
    let scope = Scope::select(&client(), &reader);
    let planned = plan_listeners(&scope, &client());
    let lines: String =
        planned.iter().map(|it| format!("{} -> {}\n", it.name, it.route_name())).collect();
    expect![[r#"
        cart.shop.svc.cluster.local:80 -> outbound|80||cart.shop.svc.cluster.local
        cart.shop.svc:80 -> outbound|80||cart.shop.svc.cluster.local
        cart.shop:80 -> outbound|80||cart.shop.svc.cluster.local
        cart:80 -> outbound|80||cart.shop.svc.cluster.local
        store.other.svc.cluster.local:80 -> outbound|80||cart.shop.svc.cluster.local
        store.other.svc:80 -> outbound|80||cart.shop.svc.cluster.local
        store.other:80 -> outbound|80||cart.shop.svc.cluster.local
    "#]]
    .assert_eq(&lines);
    for input in &planned {
        let selected = select_listener(&input.name, &scope, &client());
        assert_eq!(selected.as_ref(), Some(input));
    }
    for unknown in ["cart:81", "cart:82", "cart", "store:80", "x.shop:80", ":80", "cart:http"] {
        assert_eq!(select_listener(unknown, &scope, &client()), None, "{unknown}");
    }
}

#[test]
fn a_listener_opens_no_socket_and_asks_for_its_route() {
    let snapshot = fixture::snapshot(SERVICES);
    let scope = Scope::select(&client(), &Reader::new(&snapshot));
    let input = select_listener("cart:80", &scope, &client()).expect("a listener");
    let compiled = compile_listener(&input);
    assert_eq!(*compiled.routes, ["outbound|80||cart.shop.svc.cluster.local".into()]);
    expect![[r#"
        api_listener:
          api_listener:
            @type: type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
            http_filters:
              - name: envoy.filters.http.fault
                typed_config:
                  @type: type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault
              - name: envoy.filters.http.router
                typed_config:
                  @type: type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
            rds:
              config_source:
                ads: {}
                resource_api_version: V3
              route_config_name: outbound|80||cart.shop.svc.cluster.local
            stat_prefix: outbound|80||cart.shop.svc.cluster.local
        name: cart:80
    "#]].assert_eq(&fixture::render(&compiled.resource));
}

#[test]
fn a_service_without_a_rule_has_one_route_for_any_authority() {
    let compiled = route(SERVICES);
    assert_eq!(*compiled.clusters, ["outbound|80||cart.shop.svc.cluster.local".into()]);
    expect![[r#"
        ignore_port_in_host_matching: true
        max_direct_response_body_size_bytes: 1048576
        name: outbound|80||cart.shop.svc.cluster.local
        validate_clusters: false
        virtual_hosts:
          - domains:
              - *
            include_request_attempt_count: true
            name: cart.shop.svc.cluster.local:80
            routes:
              - match:
                  prefix: /
                name: default
                route:
                  cluster: outbound|80||cart.shop.svc.cluster.local
    "#]]
    .assert_eq(&fixture::render(&compiled.resource));
}

#[test]
fn weights_timeouts_retries_and_faults_are_told() {
    check_rule(
        "
- match: [{uri: {prefix: /shop.Cart/}, headers: {x-user: {exact: jason}}, method: {exact: POST}}]
  timeout: 3s
  retries: {attempts: 3, retryOn: 'unavailable,connect-failure,5xx', perTryTimeout: 1s, backoff: 1s}
  fault: {abort: {percentage: {value: 10}, grpcStatus: UNAVAILABLE}}
  route:
  - {destination: {host: cart, subset: v1}, weight: 90, headers: {request: {set: {a: b}}}}
  - {destination: {host: cart, subset: v2}, weight: 10}
",
        expect![[r#"
            - match:
                headers:
                  - name: x-user
                    string_match:
                      exact: jason
                prefix: /shop.Cart/
              route:
                max_stream_duration:
                  max_stream_duration: 3s
                retry_policy:
                  num_retries: 3
                  retry_back_off:
                    base_interval: 1s
                  retry_on: unavailable
                weighted_clusters:
                  clusters:
                    - name: outbound|80|v1|cart.shop.svc.cluster.local
                      weight: 90
                    - name: outbound|80|v2|cart.shop.svc.cluster.local
                      weight: 10
              typed_per_filter_config:
                envoy.filters.http.fault:
                  @type: type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault
                  abort:
                    grpc_status: 14
                    percentage:
                      denominator: MILLION
                      numerator: 100000
            warning[MEL0350] VirtualService shop/cart spec.http[0].route[0].headers: it has no effect on gRPC clients without a proxy
            warning[MEL0350] VirtualService shop/cart spec.http[0].retries.perTryTimeout: it has no effect on gRPC clients without a proxy
            warning[MEL0350] VirtualService shop/cart spec.http[0].retries.retryOn: gRPC clients without a proxy do not retry on 5xx
        "#]],
    );
}

#[test]
fn a_condition_that_cannot_be_evaluated_never_matches() {
    check_rule(
        "
- match:
  - {queryParams: {a: {exact: b}}}
  - {authority: {exact: cart}}
  - {scheme: {exact: http}}
  - {headers: {'@request.auth.claims.group': {exact: a}}}
  - {method: {exact: GET}}
  - {method: {regex: 'GET|POST'}}
  route: [{destination: {host: cart, subset: v1}}]
- route: [{destination: {host: cart, subset: v2}}]
",
        expect![[r#"
            - match:
                prefix: /
              route:
                cluster: outbound|80|v2|cart.shop.svc.cluster.local
            warning[MEL0350] VirtualService shop/cart spec.http[0].match[0].queryParams: gRPC clients without a proxy cannot evaluate it: for them it never matches
            warning[MEL0350] VirtualService shop/cart spec.http[0].match[1].authority: gRPC clients without a proxy cannot evaluate it: for them it never matches
            warning[MEL0350] VirtualService shop/cart spec.http[0].match[2].scheme: gRPC clients without a proxy cannot evaluate it: for them it never matches
            warning[MEL0350] VirtualService shop/cart spec.http[0].match[3].headers: gRPC clients without a proxy cannot evaluate it: for them it never matches
            warning[MEL0350] VirtualService shop/cart spec.http[0].match[5].method: gRPC clients without a proxy cannot evaluate it: for them it never matches
        "#]],
    );
}

#[test]
fn a_header_that_may_be_absent_takes_two_routes() {
    check_rule(
        "
- match: [{withoutHeaders: {x-beta: {exact: 'yes'}}}]
  route: [{destination: {host: cart, subset: v1}}]
",
        expect![[r#"
                  - match:
                      headers:
                        - invert_match: true
                          name: x-beta
                          present_match: true
                      prefix: /
                    route:
                      cluster: outbound|80|v1|cart.shop.svc.cluster.local
                  - match:
                      headers:
                        - invert_match: true
                          name: x-beta
                          string_match:
                            exact: yes
                      prefix: /
                    route:
                      cluster: outbound|80|v1|cart.shop.svc.cluster.local
        "#]],
    );
}

#[test]
fn what_grpc_does_not_do_is_reported() {
    check_rule(
        "
- match: [{uri: {exact: /a.B/C}}]
  redirect: {uri: /x}
- rewrite: {authority: other}
  mirror: {host: cart, subset: v2}
  corsPolicy: {allowOrigins: [{exact: a}]}
  headers: {response: {remove: [x]}}
  route: [{destination: {host: cart}}]
",
        expect![[r#"
            - match:
                path: /a.B/C
              non_forwarding_action: {}
            - match:
                prefix: /
              route:
                cluster: outbound|80||cart.shop.svc.cluster.local
            warning[MEL0350] VirtualService shop/cart spec.http[0].redirect: gRPC clients without a proxy make no answers: for them a matching call fails
            warning[MEL0350] VirtualService shop/cart spec.http[1].rewrite: it has no effect on gRPC clients without a proxy
            warning[MEL0350] VirtualService shop/cart spec.http[1].mirror: it has no effect on gRPC clients without a proxy
            warning[MEL0350] VirtualService shop/cart spec.http[1].corsPolicy: it has no effect on gRPC clients without a proxy
            warning[MEL0350] VirtualService shop/cart spec.http[1].headers: it has no effect on gRPC clients without a proxy
        "#]],
    );
}
