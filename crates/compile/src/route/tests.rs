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

#[test]
fn conditions_on_the_request_become_the_match() {
    check(
        r#"- name: n
  match:
  - name: m
    statPrefix: stat
    uri: {prefix: /a}
    ignoreUriCase: true
    scheme: {exact: https}
    method: {regex: GET|PUT}
    authority: {prefix: cart}
    headers: {x-b: {exact: b}, x-a: {regex: '.+'}, x-any: {}}
    withoutHeaders: {x-c: {exact: c}, x-none: {}}
    queryParams: {q: {exact: '1'}, any: {}}
  - uri: {regex: '/v[0-9]+'}
    headers: {'@request.auth.claims[group][id]': {exact: staff}}
    withoutHeaders: {'@request.auth.claims.guest': {exact: 'yes'}}
  route: [{destination: {host: blue}}]"#,
        expect![[r#"
            match:
              case_sensitive: false
              headers: [{"name":"x-a","string_match":{"safe_regex":{"regex":".+"}}},{"name":"x-any","present_match":true},{"name":"x-b","string_match":{"exact":"b"}},{"invert_match":true,"name":"x-c","string_match":{"exact":"c"},"treat_missing_header_as_empty":true},{"invert_match":true,"name":"x-none","present_match":true},{"name":":method","string_match":{"safe_regex":{"regex":"GET|PUT"}}},{"name":":authority","string_match":{"prefix":"cart"}},{"name":":scheme","string_match":{"exact":"https"}}]
              prefix: "/a"
              query_parameters: [{"name":"any","present_match":true},{"name":"q","string_match":{"exact":"1"}}]
            name: "n.m"
            route:
              cluster: "outbound|80||blue.shop.svc.cluster.local"
            stat_prefix: "stat"
            ---
            match:
              dynamic_metadata: [{"filter":"envoy.filters.http.jwt_authn","path":[{"key":"payload"},{"key":"group"},{"key":"id"}],"value":{"or_match":{"value_matchers":[{"string_match":{"exact":"staff"}},{"list_match":{"one_of":{"string_match":{"exact":"staff"}}}}]}}},{"filter":"envoy.filters.http.jwt_authn","invert":true,"path":[{"key":"payload"},{"key":"guest"}],"value":{"or_match":{"value_matchers":[{"string_match":{"exact":"yes"}},{"list_match":{"one_of":{"string_match":{"exact":"yes"}}}}]}}}]
              safe_regex:
                regex: "/v[0-9]+"
            name: "n"
            route:
              cluster: "outbound|80||blue.shop.svc.cluster.local"
            ---
            -> outbound|80||blue.shop.svc.cluster.local
        "#]],
    );
}

#[test]
fn conditions_on_the_caller_are_decided_here() {
    check(
        "- match: [{sourceLabels: {app: web}, uri: {exact: /label}}]
  directResponse: {status: 201}
- match: [{sourceLabels: {app: db}}]
  directResponse: {status: 500}
- match: [{sourceNamespace: shop, uri: {exact: /namespace}}]
  directResponse: {status: 202}
- match: [{sourceNamespace: bank}]
  directResponse: {status: 500}
- match: [{port: 80, uri: {exact: /port}}]
  directResponse: {status: 203}
- match: [{port: 81}]
  directResponse: {status: 500}
- match: [{gateways: [mesh], uri: {exact: /gateway}}]
  directResponse: {status: 204}
- match: [{gateways: [front]}]
  directResponse: {status: 500}",
        expect![[r#"
            direct_response:
              status: 201
            match:
              path: "/label"
            ---
            direct_response:
              status: 202
            match:
              path: "/namespace"
            ---
            direct_response:
              status: 203
            match:
              path: "/port"
            ---
            direct_response:
              status: 204
            match:
              path: "/gateway"
            ---
        "#]],
    );
}

#[test]
fn nothing_follows_a_match_of_everything() {
    check(
        "- match: [{uri: {prefix: /}, headers: {a: {exact: b}}}]
  directResponse: {status: 201}
- match: [{uri: {prefix: /}}, {uri: {prefix: /unreached}}]
  directResponse: {status: 202, body: {string: text}}
- directResponse: {status: 500}",
        expect![[r#"
            direct_response:
              status: 201
            match:
              headers: [{"name":"a","string_match":{"exact":"b"}}]
              prefix: "/"
            ---
            direct_response:
              body:
                inline_string: "text"
              status: 202
            match:
              prefix: "/"
            ---
        "#]],
    );
}

#[test]
fn shares_have_weights_and_headers_of_their_own() {
    check(
        "- headers: {request: {set: {host: a.example.com, x-1: '1'}, remove: [x-2]}, response: {add: {x-3: '3'}}}
  route:
  - destination: {host: cart, subset: v1}
    weight: 90
    headers: {request: {add: {x-4: '4', ':authority': b.example.com}}}
  - {destination: {host: blue}, weight: 10}
  - {destination: {host: idle}, weight: 0}",
        expect![[r#"
            match:
              prefix: "/"
            request_headers_to_add: [{"append_action":"OVERWRITE_IF_EXISTS_OR_ADD","header":{"key":"x-1","value":"1"}}]
            request_headers_to_remove: ["x-2"]
            response_headers_to_add: [{"header":{"key":"x-3","value":"3"}}]
            route:
              hash_policy: [{"header":{"header_name":"x-user"}}]
              host_rewrite_literal: "a.example.com"
              weighted_clusters:
                clusters: [{"host_rewrite_literal":"b.example.com","name":"outbound|80|v1|cart.shop.svc.cluster.local","request_headers_to_add":[{"header":{"key":"x-4","value":"4"}}],"weight":90},{"name":"outbound|80||blue.shop.svc.cluster.local","weight":10}]
            ---
            -> outbound|80|v1|cart.shop.svc.cluster.local
            -> outbound|80||blue.shop.svc.cluster.local
        "#]],
    );
}

#[test]
fn hash_key_is_that_of_the_subset_else_of_the_port_else_of_the_service() {
    check(
        "- {match: [{uri: {exact: /1}}], route: [{destination: {host: cart, subset: v1}}]}
- {match: [{uri: {exact: /2}}], route: [{destination: {host: cart, subset: v2, port: {number: 8080}}}]}
- {match: [{uri: {exact: /3}}], route: [{destination: {host: cart, port: {number: 8080}}}]}",
        expect![[r#"
            match:
              path: "/1"
            route:
              cluster: "outbound|80|v1|cart.shop.svc.cluster.local"
              hash_policy: [{"header":{"header_name":"x-user"}}]
            ---
            match:
              path: "/2"
            route:
              cluster: "outbound|8080|v2|cart.shop.svc.cluster.local"
              hash_policy: [{"connection_properties":{"source_ip":true}}]
            ---
            match:
              path: "/3"
            route:
              cluster: "outbound|8080||cart.shop.svc.cluster.local"
              hash_policy: [{"cookie":{"name":"session","path":"/","ttl":"60s"}}]
            ---
            -> outbound|8080|v2|cart.shop.svc.cluster.local
            -> outbound|8080||cart.shop.svc.cluster.local
            -> outbound|80|v1|cart.shop.svc.cluster.local
        "#]],
    );
}

#[test]
fn redirect_leaves_out_the_port_that_the_scheme_implies() {
    check(
        "- {match: [{uri: {exact: /1}}], redirect: {uri: /new, authority: b, redirectCode: 302}}
- {match: [{uri: {exact: /2}}], redirect: {scheme: https, derivePort: FROM_REQUEST_PORT}}
- {match: [{uri: {exact: /3}}], redirect: {scheme: https, port: 443, redirectCode: 308}}",
        expect![[r#"
            match:
              path: "/1"
            redirect:
              host_redirect: "b"
              path_redirect: "/new"
              response_code: "FOUND"
            ---
            match:
              path: "/2"
            redirect:
              port_redirect: 80
              scheme_redirect: "https"
            ---
            match:
              path: "/3"
            redirect:
              response_code: "PERMANENT_REDIRECT"
              scheme_redirect: "https"
            ---
        "#]],
    );
}

#[test]
fn rewrites_and_mirrors_change_the_action() {
    check(
        "- match: [{uri: {prefix: /a}}]
  rewrite: {uri: /b, authority: b.example.com}
  mirror: {host: cart, subset: v2}
  mirrorPercentage: {value: 12.5}
  mirrors: [{destination: {host: blue}}, {destination: {host: off}, percentage: {value: 0}}]
  route: [{destination: {host: blue}}]
- match: [{uri: {prefix: /c}}]
  rewrite: {uriRegexRewrite: {match: '^/c/(.*)', rewrite: '/\\1'}}
  route: [{destination: {host: blue}}]",
        expect![[r#"
            match:
              prefix: "/a"
            route:
              cluster: "outbound|80||blue.shop.svc.cluster.local"
              host_rewrite_literal: "b.example.com"
              prefix_rewrite: "/b"
              request_mirror_policies: [{"cluster":"outbound|80|v2|cart.shop.svc.cluster.local","disable_shadow_host_suffix_append":true,"runtime_fraction":{"default_value":{"denominator":"MILLION","numerator":125000}},"trace_sampled":false},{"cluster":"outbound|80||blue.shop.svc.cluster.local","disable_shadow_host_suffix_append":true,"runtime_fraction":{"default_value":{"numerator":100}},"trace_sampled":false}]
            ---
            match:
              prefix: "/c"
            route:
              cluster: "outbound|80||blue.shop.svc.cluster.local"
              regex_rewrite:
                pattern: {"regex":"^/c/(.*)"}
                substitution: "/\\1"
            ---
            -> outbound|80|v2|cart.shop.svc.cluster.local
            -> outbound|80||blue.shop.svc.cluster.local
        "#]],
    );
}

#[test]
fn faults_and_cross_origin_rules_are_settings_of_filters() {
    check(
        "- fault:
    delay: {percentage: {value: 0.1}, fixedDelay: 5s}
    abort: {percentage: {value: 100}, grpcStatus: UNAVAILABLE}
  corsPolicy:
    allowOrigins: [{exact: https://a.example.com}, {regex: '.*'}]
    allowMethods: [GET, POST]
    allowHeaders: [x-a]
    maxAge: 24h
    allowCredentials: true
    unmatchedPreflights: IGNORE
  route: [{destination: {host: blue}}]",
        expect![[r#"
            match:
              prefix: "/"
            route:
              cluster: "outbound|80||blue.shop.svc.cluster.local"
            typed_per_filter_config:
              envoy.filters.http.cors:
                @type: "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy"
                allow_credentials: true
                allow_headers: "x-a"
                allow_methods: "GET,POST"
                allow_origin_string_match: [{"exact":"https://a.example.com"},{"safe_regex":{"regex":".*"}}]
                filter_enabled: {"default_value":{"numerator":100}}
                forward_not_matching_preflights: false
                max_age: "86400"
              envoy.filters.http.fault:
                @type: "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"
                abort: {"grpc_status":14,"percentage":{"denominator":"MILLION","numerator":1000000}}
                delay: {"fixed_delay":"5s","percentage":{"denominator":"MILLION","numerator":1000}}
            ---
            -> outbound|80||blue.shop.svc.cluster.local
        "#]],
    );
}

#[test]
fn rule_that_leads_nowhere_answers_500() {
    check(
        "- {route: [{destination: {host: a}, weight: 0}, {destination: {host: b}, weight: 0}]}",
        expect![[r#"
            direct_response:
              status: 500
            match:
              prefix: "/"
            ---
            error[MEL0310] VirtualService shop/r spec.http[0]: the rule leads nowhere (set a destination with a weight, a redirect with a known code or a response)
        "#]],
    );
}
