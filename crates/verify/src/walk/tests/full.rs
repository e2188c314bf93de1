//! What only the full walk looks at: requests beyond their path, answers, and addresses.

use expect_test::{Expect, expect};

use super::*;

fn config(routes: &Value) -> Value {
    let cluster = |name: &str, kind: &str| json!({"name": name, "type": kind, "eds_cluster_config": {"service_name": name}});
    json!({
        "listeners": [{
            "name": "l", "address": address("0.0.0.0", 80),
            "filter_chains": [{"name": "c", "filters": [rds("80")]}],
        }],
        "routes": [{"name": "80", "virtual_hosts": [
            {"name": "v", "domains": ["shop"], "routes": routes},
        ]}],
        "clusters": [cluster("eds", "EDS"), cluster("cold", "EDS"), {"name": "pass", "type": "ORIGINAL_DST"}],
        "assignments": [{"cluster_name": "eds", "endpoints": [{
            "locality": {"region": "r", "zone": "z"}, "priority": 1,
            "lb_endpoints": [
                {"endpoint": {"address": address("10.0.0.1", 8080)}, "load_balancing_weight": 2},
                {"endpoint": {"address": address("10.0.0.2", 8080)}, "health_status": "UNHEALTHY"},
            ],
        }]}],
    })
}

#[track_caller]
fn check_steps(routes: &Value, call: &Call, expected: Expect) {
    let outcome = walk(&resources(&config(routes)), call, &WalkOptions::FULL);
    let mut text: Vec<String> = outcome.steps.iter().map(ToString::to_string).collect();
    text.extend(outcome.answer.iter().map(|answer| format!("{answer:?}")));
    text.extend(outcome.upstreams.iter().map(|upstream| format!("{upstream:?}")));
    expected.assert_eq(&(text.join("\n") + "\n"));
}

#[test]
fn steps_tell_why_routes_were_passed_over_and_where_the_call_goes() {
    let routes = json!([
        {"name": "post", "match": {"prefix": "/", "headers": [
            {"name": ":method", "string_match": {"exact": "POST"}}]}, "route": {"cluster": "x"}},
        {"name": "canary", "match": {"prefix": "/", "headers": [
            {"name": "x-canary", "string_match": {"exact": "yes"}}]}, "route": {"cluster": "x"}},
        {"name": "query", "match": {"prefix": "/", "query_parameters": [
            {"name": "v", "string_match": {"exact": "2"}}]}, "route": {"cluster": "x"}},
        {"name": "main", "match": {"path": "/cart"}, "route": {"cluster": "eds"}},
    ]);
    check_steps(
        &routes,
        &http("SHOP", "/cart?v=1"),
        expect![[r#"
            - listener: none is at exactly 1.3.3.7:80
            + listener: `l` is at 0.0.0.0:80
              inspector: no HTTP inspector on port 80: plaintext is not recognized
              inspector: transport protocol `raw_buffer`, application protocol none
            + filter chain: `c` is left
              tls: the chain takes the bytes as they come
            + http: the routes are `80`
            + virtual host: `v` has the domain `shop` for `shop`
            - route: `post`: header `:method` is `GET`, wanted is `POST`
            - route: `canary`: header `x-canary` is missing, wanted is `yes`
            - route: `query`: query parameter `v` is `1`, wanted is `2`
            + route: `main` matches
            + cluster: the route sends it to `eds`
            + endpoint: `eds` has 2 endpoints: 1 UNHEALTHY, 1 UNKNOWN
            Endpoints { cluster: "eds", endpoints: [EndpointView { address: "10.0.0.1:8080", health: "UNKNOWN", weight: 2, priority: 1, locality: "r/z" }, EndpointView { address: "10.0.0.2:8080", health: "UNHEALTHY", weight: 1, priority: 1, locality: "r/z" }] }
        "#]],
    );
}

#[test]
fn missing_clusters_and_assignments_end_the_walk_with_a_failed_step() {
    let weights = json!({"clusters": [
        {"name": "gone", "weight": 1}, {"name": "cold", "weight": 1}, {"name": "pass", "weight": 1},
    ]});
    let routes = json!([{"match": {"prefix": "/"}, "route": {"weighted_clusters": weights}}]);
    check_steps(
        &routes,
        &http("shop", "/"),
        expect![[r#"
        - listener: none is at exactly 1.3.3.7:80
        + listener: `l` is at 0.0.0.0:80
          inspector: no HTTP inspector on port 80: plaintext is not recognized
          inspector: transport protocol `raw_buffer`, application protocol none
        + filter chain: `c` is left
          tls: the chain takes the bytes as they come
        + http: the routes are `80`
        + virtual host: `v` has the domain `shop` for `shop`
        + route: route 0 matches
        + cluster: the route shares it out: `gone` 1, `cold` 1, `pass` 1
        ! endpoint: there is no cluster `gone`
        ! endpoint: `cold` waits for the endpoints `cold`
        + endpoint: `pass` goes on to the original destination
        Missing { cluster: "gone" }
        NoAssignment { cluster: "cold", service_name: "cold" }
        OriginalDestination { cluster: "pass" }
    "#]],
    );
}

#[test]
fn redirect_and_direct_response_are_answers() {
    let routes = json!([
        {"match": {"path": "/old"}, "redirect": {"https_redirect": true, "path_redirect": "/new", "response_code": "FOUND"}},
        {"match": {"prefix": "/"}, "direct_response": {"status": 502}},
    ]);
    check_steps(
        &routes,
        &http("shop", "/old"),
        expect![[r#"
        - listener: none is at exactly 1.3.3.7:80
        + listener: `l` is at 0.0.0.0:80
          inspector: no HTTP inspector on port 80: plaintext is not recognized
          inspector: transport protocol `raw_buffer`, application protocol none
        + filter chain: `c` is left
          tls: the chain takes the bytes as they come
        + http: the routes are `80`
        + virtual host: `v` has the domain `shop` for `shop`
        + route: route 0 matches
        + route: the proxy answers 302 to `https://shop/new`
        Redirect { status: 302, location: "https://shop/new" }
    "#]],
    );
    check_steps(
        &routes,
        &http("shop", "/"),
        expect![[r#"
        - listener: none is at exactly 1.3.3.7:80
        + listener: `l` is at 0.0.0.0:80
          inspector: no HTTP inspector on port 80: plaintext is not recognized
          inspector: transport protocol `raw_buffer`, application protocol none
        + filter chain: `c` is left
          tls: the chain takes the bytes as they come
        + http: the routes are `80`
        + virtual host: `v` has the domain `shop` for `shop`
        - route: route 0: `/` does not match path `/old`
        + route: route 1 matches
        + route: the proxy answers 502 itself
        Direct { status: 502 }
    "#]],
    );
}

#[test]
fn headers_match_as_in_envoy() {
    let header = |matcher: Value| {
        let config = config(&json!([{"name": "r", "match": {"prefix": "/", "headers": [matcher]},
            "route": {"cluster": "pass"}}]));
        move |headers: &[(&str, &str)]| {
            let owned = headers.iter().map(|(name, value)| ((*name).into(), (*value).into()));
            let call = Call { headers: owned.collect(), ..http("shop", "/") };
            walk(&resources(&config), &call, &WalkOptions::FULL).route == "r"
        }
    };
    let exact = header(json!({"name": "a", "string_match": {"exact": "X", "ignore_case": true}}));
    assert!(exact(&[("A", "x")]) && !exact(&[("a", "y")]) && !exact(&[]));
    let inverted =
        header(json!({"name": "a", "string_match": {"exact": "x"}, "invert_match": true}));
    assert!(inverted(&[("a", "y")]) && !inverted(&[("a", "x")]) && !inverted(&[]));
    let without = header(json!({"name": "a", "string_match": {"exact": "x"}, "invert_match": true,
        "treat_missing_header_as_empty": true}));
    assert!(without(&[]) && !without(&[("a", "x")]));
    let absent = header(json!({"name": "a", "present_match": false}));
    assert!(absent(&[]) && !absent(&[("a", "")]));
    let range = header(json!({"name": "a", "range_match": {"start": "1", "end": "3"}}));
    assert!(range(&[("a", "2")]) && !range(&[("a", "3")]) && !range(&[("a", "x")]));
    let joined = header(json!({"name": "a", "string_match": {"exact": "1,2"}}));
    assert!(joined(&[("a", "1"), ("a", "2")]));
    let regex = header(json!({"name": "a", "string_match": {"safe_regex": {"regex": "v[0-9]"}}}));
    assert!(regex(&[("a", "v1")]) && !regex(&[("a", "v10")]));
}
