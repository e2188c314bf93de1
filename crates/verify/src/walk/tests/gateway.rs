//! A gateway: chains by server name behind the TLS inspector, redirects, and what came nearest.

use super::*;
use crate::{Answer, WalkError};

/// Two servers with TLS on one port, and one on another that redirects plaintext.
fn gateway() -> Value {
    let chain = |name: &str, domain: &str| {
        json!({"name": name, "filters": [rds(name)], "transport_socket": tls(name, Value::Null),
            "filter_chain_match": {"server_names": [domain], "transport_protocol": "tls"}})
    };
    let host = |name: &str, domain: &str, required: &str| {
        json!({"name": name, "virtual_hosts": [{"name": domain, "domains": [domain],
            "require_tls": required,
            "routes": [{"name": "r", "match": {"prefix": "/"}, "route": {"cluster": name}}]}]})
    };
    json!({
        "listeners": [
            {"name": "secure", "address": address("0.0.0.0", 443),
             "listener_filters": [tls_inspector()],
             "filter_chains": [chain("shop", "shop.example"), chain("all", "*.example")]},
            {"name": "plain", "address": address("0.0.0.0", 80),
             "filter_chains": [{"name": "plain", "filters": [rds("plain")]}]},
        ],
        "routes": [
            host("shop", "shop.example", "NONE"), host("all", "*.example", "NONE"),
            host("plain", "shop.example", "ALL"),
        ],
    })
}

fn call(port: u16, host: &str, tls: Tls) -> Call {
    Call { port, tls, mode: Mode::Gateway, ..http(host, "/a?b=c") }
}

#[test]
fn server_names_choose_the_chain_and_hosts_the_route() {
    let config = gateway();
    let check = |call: &Call, expected| check_with(&config, call, &WalkOptions::FULL, expected);
    check(&call(443, "shop.example", Tls::Tls), "secure > shop > shop > shop.example > r > shop");
    check(&call(443, "SHOP.example", Tls::Tls), "secure > shop > shop > shop.example > r > shop");
    check(&call(443, "a.example", Tls::Tls), "secure > all > all > *.example > r > all");
    // The name of the handshake and the host of the request are two things.
    let other = Call { sni: Some("shop.example".into()), ..call(443, "a.example", Tls::Tls) };
    check(&other, "secure > shop > shop ! NoVirtualHost");
    let nearest = check(&call(443, "shop.other", Tls::Tls), "secure ! NoFilterChain").nearest;
    let nearest = nearest.unwrap();
    assert_eq!((nearest.stage, nearest.name.as_str()), (crate::Stage::FilterChain, "`shop`"));
    assert!(nearest.reason.contains("the call has shop.other"), "{nearest:?}");
    check(&call(443, "shop.example", Tls::Plaintext), "secure ! NoFilterChain");
}

#[test]
fn plaintext_is_redirected_where_tls_is_required() {
    let plain = call(80, "shop.example", Tls::Plaintext);
    let outcome = check_with(
        &gateway(),
        &plain,
        &WalkOptions::FULL,
        "plain > plain > plain > shop.example ! TLSRedirect",
    );
    assert_eq!(outcome.error, Some(WalkError::TlsRedirect));
    let location = "https://shop.example/a?b=c".to_owned();
    assert_eq!(outcome.answer, Some(Answer::Redirect { status: 301, location }));
}

#[test]
fn a_host_that_nobody_serves_is_not_found_and_its_neighbour_is_named() {
    let config = gateway();
    let unknown = call(80, "shop.exampel", Tls::Plaintext);
    let outcome =
        check_with(&config, &unknown, &WalkOptions::FULL, "plain > plain > plain ! NoVirtualHost");
    assert!(outcome.nearest.unwrap().reason.contains("its domain is `shop.example`"));
    let far = call(80, "elsewhere.org", Tls::Plaintext);
    let outcome =
        check_with(&config, &far, &WalkOptions::FULL, "plain > plain > plain ! NoVirtualHost");
    assert_eq!(outcome.nearest, None);
    let port = call(8443, "shop.example", Tls::Tls);
    let outcome = check_with(&config, &port, &WalkOptions::FULL, "! NoListener");
    assert_eq!(outcome.nearest.unwrap().reason, "it listens at 0.0.0.0:443");
}

/// Where a request for `/a/b?q=1` at `shop:80` is redirected to.
fn location(wanted: Value, redirect: Value) -> String {
    let routes = json!([{"match": wanted, "redirect": redirect}]);
    let config = json!({
        "listeners": [{"name": "l", "address": address("0.0.0.0", 80),
            "filter_chains": [{"name": "c", "filters": [rds("80")]}]}],
        "routes": [{"name": "80", "virtual_hosts": [
            {"name": "v", "domains": ["*"], "routes": routes}]}],
    });
    let outcome = walk(&resources(&config), &http("shop:80", "/a/b?q=1"), &WalkOptions::FULL);
    match outcome.answer {
        Some(Answer::Redirect { location, .. }) => location,
        other => panic!("{other:?}"),
    }
}

#[test]
fn redirects_lead_where_envoy_leads() {
    let prefix = || json!({"prefix": "/a"});
    // A port that the old scheme implies goes with it; another one stays.
    assert_eq!(location(prefix(), json!({"https_redirect": true})), "https://shop/a/b?q=1");
    assert_eq!(location(prefix(), json!({"path_redirect": "/n"})), "http://shop:80/n?q=1");
    assert_eq!(
        location(prefix(), json!({"https_redirect": true, "port_redirect": 8443})),
        "https://shop:8443/a/b?q=1",
    );
    assert_eq!(location(prefix(), json!({"prefix_rewrite": "/n"})), "http://shop:80/n/b?q=1");
    assert_eq!(
        location(prefix(), json!({"host_redirect": "other", "strip_query": true})),
        "http://other/a/b",
    );
    let regex =
        json!({"regex_rewrite": {"pattern": {"regex": "/(.)/(.)"}, "substitution": r"/\2/\1"}});
    assert_eq!(location(prefix(), regex), "http://shop:80/b/a?q=1");
    assert_eq!(location(prefix(), json!({"path_redirect": "/n?x=2"})), "http://shop:80/n?x=2");
}

#[test]
fn fractions_of_nothing_never_match_and_others_are_told() {
    let config = |numerator: u32| {
        let share = json!({"default_value": {"numerator": numerator, "denominator": "HUNDRED"}});
        json!({
            "listeners": [{"name": "l", "address": address("0.0.0.0", 80),
                "filter_chains": [{"name": "c", "filters": [rds("80")]}]}],
            "routes": [{"name": "80", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [
                {"name": "some", "match": {"prefix": "/", "runtime_fraction": share},
                 "route": {"cluster": "x"}},
                {"name": "rest", "match": {"prefix": "/"}, "route": {"cluster": "y"}},
            ]}]}],
        })
    };
    let full = WalkOptions::FULL;
    check_with(&config(0), &http("a", "/"), &full, "l > c > 80 > v > rest > y");
    check_with(&config(100), &http("a", "/"), &full, "l > c > 80 > v > some > x");
    let outcome = check_with(&config(30), &http("a", "/"), &full, "l > c > 80 > v > some > x");
    assert!(outcome.steps.iter().any(|step| step.text.contains("only 30% of such requests")));
}

#[test]
fn the_nearest_route_is_the_one_with_the_fewest_differences() {
    let header = |name: &str| json!({"name": name, "string_match": {"exact": "1"}});
    let config = json!({
        "listeners": [{"name": "l", "address": address("0.0.0.0", 80),
            "filter_chains": [{"name": "c", "filters": [rds("80")]}]}],
        "routes": [{"name": "80", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [
            {"name": "path", "match": {"prefix": "/cart/x"}, "route": {"cluster": "x"}},
            {"name": "two", "match": {"prefix": "/cart", "headers": [header("a"), header("b")]},
             "route": {"cluster": "x"}},
            {"name": "one", "match": {"prefix": "/cart", "headers": [header("a")],
              "query_parameters": [{"name": "q", "present_match": true}]}, "route": {"cluster": "x"}},
        ]}]}],
    });
    let outcome = check_with(
        &config,
        &http("a", "/cart?q=1"),
        &WalkOptions::FULL,
        "l > c > 80 > v ! NoRoute",
    );
    let nearest = outcome.nearest.unwrap();
    assert_eq!(nearest.name, "`one`");
    assert_eq!(nearest.reason, "header `a` is missing, wanted is `1`");
    let outcome =
        check_with(&config, &http("a", "/cort"), &WalkOptions::FULL, "l > c > 80 > v ! NoRoute");
    assert_eq!(outcome.nearest.unwrap().name, "`path`");
}

#[test]
fn effects_are_told_in_the_words_of_envoy() {
    let fault = json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
        "delay": {"fixed_delay": "1.5s", "percentage": {"numerator": 12500, "denominator": "MILLION"}},
        "abort": {"http_status": 418, "percentage": {"numerator": 5}}});
    let routes = json!([{"match": {"prefix": "/"},
        "typed_per_filter_config": {"envoy.filters.http.fault": fault},
        "request_headers_to_add": [{"header": {"key": "x", "value": "1"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}],
        "route": {"cluster": "x", "timeout": "0.25s", "prefix_rewrite": "/n",
            "retry_policy": {"retry_on": "5xx", "num_retries": 3, "per_try_timeout": "2s"},
            "request_mirror_policies": [{"cluster": "copy", "runtime_fraction": {"default_value": {"numerator": 10}}}],
            "hash_policy": [{"header": {"header_name": "user"}}]}}]);
    let config = json!({
        "listeners": [{"name": "l", "address": address("0.0.0.0", 80),
            "filter_chains": [{"name": "c", "filters": [rds("80")]}]}],
        "routes": [{"name": "80", "virtual_hosts": [
            {"name": "v", "domains": ["*"], "routes": routes}]}],
    });
    let outcome = walk(&resources(&config), &http("a", "/"), &WalkOptions::FULL);
    let told: Vec<String> =
        outcome.effects.iter().map(|it| format!("{}: {}", it.field, it.value)).collect();
    assert_eq!(
        told,
        [
            "timeout: 250ms",
            "retry_policy: 3 × on 5xx, 2s per try",
            "prefix_rewrite: /n",
            "request_mirror_policies: 10% of the requests to `copy`",
            "hash_policy: header `user`",
            "fault.delay: 1.5s for 1.25% of the requests",
            "fault.abort: 418 for 5% of the requests",
            "request_headers_to_add: x=1",
        ],
    );
}
