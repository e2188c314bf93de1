//! What happens to requests.

use expect_test::expect;

use super::check;

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
