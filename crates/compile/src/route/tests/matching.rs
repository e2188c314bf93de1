//! Which requests and callers a route is for.

use expect_test::expect;

use super::check;

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
