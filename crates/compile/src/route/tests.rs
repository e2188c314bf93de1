mod actions;
mod matching;

use std::sync::Arc;

use envoy::json::{FieldNames, typed_to_json};
use expect_test::{Expect, expect};
use model::{Hostname, Kind, ObjectKey};
use serde_json::Value;
use snapshot::{Features, Reader};

use super::{RouteContext, Scheme, TranslatedRoutes, select_destinations, translate_routes};
use crate::{Client, Scope, fixture};

const SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec:
  clusterIP: 10.0.0.1
  ports: [{name: http, port: 80}, {name: http-admin, port: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: pay, namespace: shop}
spec:
  clusterIP: 10.0.0.2
  ports: [{name: grpc, port: 7070}]
---
apiVersion: v1
kind: Service
metadata: {name: till, namespace: shop}
spec: {type: ExternalName, externalName: cart.shop.svc.cluster.local}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: cart, namespace: shop}
spec:
  host: cart
  trafficPolicy:
    loadBalancer: {consistentHash: {httpHeaderName: x-user}}
    portLevelSettings:
    - port: {number: 8080}
      loadBalancer: {consistentHash: {httpCookie: {name: session, path: /, ttl: 60s}}}
  subsets:
  - {name: v1, labels: {version: v1}}
  - name: v2
    labels: {version: v2}
    trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: r, namespace: shop}
spec:
  hosts: [cart]
  http:
";

/// Translates a list of HTTP rules for port 80.
fn translate(http: &str, features: Features) -> TranslatedRoutes {
    let indented: String = http.trim().lines().map(|line| format!("  {line}\n")).collect();
    let snapshot = fixture::snapshot_with(&format!("{SERVICES}{indented}"), features);
    let reader = Reader::new(&snapshot);
    let mut proxy = fixture::proxy("shop");
    proxy.labels = [("app", "web"), ("unasked", "x")].into_iter().collect();
    let client = Client::reduce(&proxy, &reader);
    let scope = Scope::select(&client, &reader);
    let key = ObjectKey::new(Kind::VirtualService, "shop", "r");
    let rule = reader.virtual_service(&key).expect("the rule is there");
    let destinations =
        select_destinations(rule, &client, &reader, |host: &Hostname| scope.service(host));
    let gateways: [Arc<str>; 1] = ["mesh".into()];
    let context = RouteContext {
        mesh: reader.mesh(),
        namespace: &client.namespace,
        labels: &client.labels,
        generator: client.generator,
        gateways: &gateways,
        port: 80,
        scheme: Scheme::Http,
        destinations: &destinations,
    };
    translate_routes(rule, &context)
}

/// What all routes have alike is left out, but for the cluster, which is the first thing to see.
fn render(translated: &TranslatedRoutes, whole: bool) -> String {
    let mut out = String::new();
    for route in &translated.routes {
        let mut json = typed_to_json(route, FieldNames::Proto);
        if !whole {
            trim(&mut json);
        }
        out.push_str(&flatten(&json, 0));
    }
    for cluster in &translated.clusters {
        out.push_str(&format!("-> {cluster}\n"));
    }
    for finding in translated.diagnostics.iter() {
        out.push_str(&format!("{finding}\n"));
    }
    out
}

fn trim(route: &mut Value) {
    let Some(fields) = route.as_object_mut() else { return };
    fields.remove("metadata");
    fields.remove("decorator");
    if let Some(action) = fields.get_mut("route").and_then(Value::as_object_mut) {
        action.remove("retry_policy");
        action.remove("timeout");
        action.remove("max_stream_duration");
    }
}

/// One line per field of a route.
fn flatten(json: &Value, depth: usize) -> String {
    let mut out = String::new();
    for (key, value) in json.as_object().into_iter().flatten() {
        let indent = "  ".repeat(depth);
        match value {
            Value::Object(_) if depth < 2 => {
                out.push_str(&format!("{indent}{key}:\n{}", flatten(value, depth + 1)));
            }
            value => out.push_str(&format!("{indent}{key}: {value}\n")),
        }
    }
    if depth == 0 {
        out.push_str("---\n");
    }
    out
}

#[track_caller]
fn check(http: &str, expected: Expect) {
    expected.assert_eq(&render(&translate(http, Features::default()), false));
}

#[track_caller]
fn check_whole(http: &str, expected: Expect) {
    expected.assert_eq(&render(&translate(http, Features::default()), true));
}

#[test]
fn plain_route_has_no_timeout_and_retries_by_default() {
    check_whole(
        "- route: [{destination: {host: blue}}]",
        expect![[r#"
            decorator:
              operation: "blue.shop.svc.cluster.local:80/*"
            match:
              prefix: "/"
            metadata:
              filter_metadata:
                istio: {"config":"/apis/networking.istio.io/v1/namespaces/shop/virtual-service/r"}
            route:
              cluster: "outbound|80||blue.shop.svc.cluster.local"
              max_stream_duration:
                grpc_timeout_header_max: "0s"
                max_stream_duration: "0s"
              retry_policy:
                host_selection_retry_max_attempts: "5"
                num_retries: 2
                retry_host_predicate: [{"name":"envoy.retry_host_predicates.previous_hosts","typed_config":{"@type":"type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"}}]
                retry_on: "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
              timeout: "0s"
            ---
            -> outbound|80||blue.shop.svc.cluster.local
        "#]],
    );
}

#[test]
fn default_port_is_the_only_one_of_the_service() {
    check(
        "- {match: [{uri: {exact: /1}}], route: [{destination: {host: pay}}]}
- {match: [{uri: {exact: /2}}], route: [{destination: {host: till, port: {number: 8080}}}]}",
        expect![[r#"
            match:
              path: "/1"
            route:
              cluster: "outbound|7070||pay.shop.svc.cluster.local"
            ---
            match:
              path: "/2"
            route:
              cluster: "outbound|8080||cart.shop.svc.cluster.local"
            ---
            -> outbound|7070||pay.shop.svc.cluster.local
            -> outbound|8080||cart.shop.svc.cluster.local
        "#]],
    );
}

#[test]
fn grpc_destination_is_not_retried_for_what_its_server_answers() {
    let http = "- route: [{destination: {host: pay}}]";
    let retry_on = |features: Features, http: &str| {
        let json = typed_to_json(&translate(http, features).routes[0], FieldNames::Proto);
        json["route"]["retry_policy"]["retry_on"].as_str().unwrap_or("never").to_owned()
    };
    let all = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
    assert_eq!(retry_on(Features::default(), http), "connect-failure,refused-stream");
    let switch = ("MELTEMI_GRPC_SAFE_RETRIES".to_owned(), "false".to_owned());
    assert_eq!(retry_on(Features([switch].into()), http), all);
    let written = "- {route: [{destination: {host: pay}}], retries: {attempts: 3}}";
    assert_eq!(retry_on(Features::default(), written), all);
    let off = "- {route: [{destination: {host: pay}}], retries: {attempts: 0}}";
    assert_eq!(retry_on(Features::default(), off), "never");
}

#[test]
fn retries_take_numbers_as_status_codes() {
    check_whole(
        "- route: [{destination: {host: blue}}]
  timeout: 1.5s
  retries: {attempts: 3, perTryTimeout: 250ms, retryOn: '5xx, 429,503', backoff: 10ms, retryRemoteLocalities: true, retryIgnorePreviousHosts: false}",
        expect![[r#"
            decorator:
              operation: "blue.shop.svc.cluster.local:80/*"
            match:
              prefix: "/"
            metadata:
              filter_metadata:
                istio: {"config":"/apis/networking.istio.io/v1/namespaces/shop/virtual-service/r"}
            route:
              cluster: "outbound|80||blue.shop.svc.cluster.local"
              retry_policy:
                host_selection_retry_max_attempts: "5"
                num_retries: 3
                per_try_timeout: "0.250s"
                retriable_status_codes: [429,503]
                retry_back_off: {"base_interval":"0.010s"}
                retry_on: "5xx,retriable-status-codes"
                retry_priority: {"name":"envoy.retry_priorities.previous_priorities","typed_config":{"@type":"type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig","update_frequency":2}}
              timeout: "1.500s"
            ---
            -> outbound|80||blue.shop.svc.cluster.local
        "#]],
    );
}
