//! Virtual hosts and the paths of routes.

use super::*;

fn listener(manager: &Value) -> Value {
    json!([{
        "name": "l", "address": address("0.0.0.0", 80),
        "filter_chains": [{"name": "c", "filters": [manager]}],
    }])
}

fn virtual_hosts(domains: &[(&str, &[&str])]) -> Value {
    let hosts: Vec<Value> = domains
        .iter()
        .map(|(name, domains)| {
            json!({"name": name, "domains": domains,
                "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "x"}}]})
        })
        .collect();
    json!({"listeners": listener(&rds("80")), "routes": [{"name": "80", "virtual_hosts": hosts}]})
}

#[test]
fn hosts_match_exactly_then_by_suffix_then_by_prefix() {
    let config = virtual_hosts(&[
        ("any", &["*"]),
        ("prefix", &["www.*", "www.a.*"]),
        ("suffix", &["*.com", "*-x.org"]),
        ("longer", &["*.a.com"]),
        ("exact", &["b.a.com"]),
    ]);
    check(&config, &http("b.a.com", "/"), "l > c > 80 > exact > x");
    check(&config, &http("c.a.com", "/"), "l > c > 80 > longer > x");
    check(&config, &http("www.b.com", "/"), "l > c > 80 > suffix > x");
    check(&config, &http("www.b.net", "/"), "l > c > 80 > prefix > x");
    check(&config, &http("y-x.org", "/"), "l > c > 80 > suffix > x");
    check(&config, &http("-x.org", "/"), "l > c > 80 > any > x");
    check(&config, &http("", "/"), "l > c > 80 > any > x");
    let narrow = virtual_hosts(&[("exact", &["a"])]);
    check(&narrow, &http("b", "/"), "l > c > 80 ! NoVirtualHost");
}

#[test]
fn port_in_the_host_counts_unless_it_is_ignored() {
    let mut config = virtual_hosts(&[("port", &["a:80"]), ("bare", &["a", "[::1]"])]);
    check(&config, &http("a:80", "/"), "l > c > 80 > port > x");
    config["routes"][0]["ignore_port_in_host_matching"] = json!(true);
    check(&config, &http("a:80", "/"), "l > c > 80 > bare > x");
    check(&config, &http("[::1]:80", "/"), "l > c > 80 > bare > x");
    check(&config, &http("[::1]", "/"), "l > c > 80 > bare > x");
}

#[test]
fn unknown_route_configuration_has_no_virtual_host() {
    let config = json!({"listeners": listener(&rds("80"))});
    check(&config, &http("a", "/"), "l > c > 80 ! NoVirtualHost");
}

#[test]
fn inline_routes_have_no_name_in_the_outcome() {
    let routes = json!({"route_config": {"name": "inbound", "virtual_hosts": [
        {"name": "v", "domains": ["*"],
         "routes": [{"name": "default", "match": {"prefix": "/"}, "route": {"cluster": "x"}}]},
    ]}});
    let config = json!({"listeners": listener(&http_manager(&routes))});
    check(&config, &http("a", "/"), "l > c > v > default > x");
}

#[test]
fn virtual_host_redirects_plaintext_to_tls() {
    let mut config = virtual_hosts(&[("v", &["*"])]);
    config["routes"][0]["virtual_hosts"][0]["require_tls"] = json!("ALL");
    check(&config, &http("a", "/"), "l > c > 80 > v ! TLSRedirect");
}

/// Routes named after the way they match, each to the cluster of its name.
fn routes(routes: &[(&str, Value, Value)]) -> Value {
    let routes: Vec<Value> = routes
        .iter()
        .map(|(name, wanted, action)| {
            let mut route = json!({"name": name, "match": wanted});
            for (key, value) in action.as_object().unwrap() {
                route[key] = value.clone();
            }
            route
        })
        .collect();
    json!({"listeners": listener(&rds("80")), "routes": [{"name": "80", "virtual_hosts": [
        {"name": "v", "domains": ["*"], "routes": routes},
    ]}]})
}

#[test]
fn first_route_whose_path_matches_wins() {
    let to = |name: &str| json!({"route": {"cluster": name}});
    let config = routes(&[
        ("exact", json!({"path": "/a"}), to("e")),
        ("separated", json!({"path_separated_prefix": "/s"}), to("s")),
        ("regex", json!({"safe_regex": {"regex": "/r[0-9]+"}}), to("r")),
        (
            "prefix",
            json!({"prefix": "/p", "headers": [{"name": "x", "present_match": true}]}),
            to("p"),
        ),
        ("again", json!({"prefix": "/p"}), to("again")),
    ]);
    check(&config, &http("h", "/a"), "l > c > 80 > v > exact > e");
    check(&config, &http("h", "/a/"), "l > c > 80 > v ! NoRoute");
    check(&config, &http("h", "/s"), "l > c > 80 > v > separated > s");
    check(&config, &http("h", "/s/1"), "l > c > 80 > v > separated > s");
    check(&config, &http("h", "/s1"), "l > c > 80 > v ! NoRoute");
    check(&config, &http("h", "/r12"), "l > c > 80 > v > regex > r");
    check(&config, &http("h", "/r12/x"), "l > c > 80 > v ! NoRoute");
    // Headers do not count in the simulation.
    check(&config, &http("h", "/prefix"), "l > c > 80 > v > prefix > p");
    check(&config, &http("h", "/"), "l > c > 80 > v ! NoRoute");
}

#[test]
fn weights_redirects_and_direct_responses_have_no_single_cluster() {
    let weights = json!({"route": {"weighted_clusters": {"clusters": [
        {"name": "a", "weight": 1}, {"name": "b", "weight": 2},
    ]}}});
    let config = routes(&[
        ("w", json!({"path": "/w"}), weights),
        ("r", json!({"path": "/r"}), json!({"redirect": {"host_redirect": "b"}})),
        ("d", json!({"path": "/d"}), json!({"direct_response": {"status": 502}})),
    ]);
    let outcome = check(&config, &http("h", "/w"), "l > c > 80 > v > w > a+b");
    assert_eq!(outcome.cluster.single(), "");
    check(&config, &http("h", "/r"), "l > c > 80 > v > r");
    check(&config, &http("h", "/d"), "l > c > 80 > v > d");
}
