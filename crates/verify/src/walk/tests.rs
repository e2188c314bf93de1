use serde_json::{Value, json};

use crate::{
    Call, Mode, Outcome, Protocol, Tls, WalkOptions,
    testing::{
        address, http_inspector, http_manager, rds, resources, tcp_proxy, tls, tls_inspector,
    },
    walk,
};

mod chains;
mod full;
mod gateway;
mod routes;

/// `listener > chain > route configuration > virtual host > route > cluster ! error`.
fn render(outcome: &Outcome) -> String {
    let Outcome { listener, filter_chain, route_config, virtual_host, route, .. } = outcome;
    let cluster = outcome.cluster.names().join("+");
    let mut parts = vec![listener, filter_chain, route_config, virtual_host, route, &cluster];
    parts.retain(|part| !part.is_empty());
    let mut text = parts.iter().map(|part| part.as_str()).collect::<Vec<_>>().join(" > ");
    if let Some(error) = outcome.error {
        text.push_str(&format!(" ! {error}"));
    }
    text.trim().to_owned()
}

#[track_caller]
fn check(config: &Value, call: &Call, expected: &str) -> Outcome {
    check_with(config, call, &WalkOptions::SIMULATION, expected)
}

#[track_caller]
fn check_with(config: &Value, call: &Call, options: &WalkOptions, expected: &str) -> Outcome {
    let resources = resources(config);
    assert_eq!(resources.violations, [], "the test's resources are good");
    let outcome = walk(&resources, call, options);
    let steps: Vec<String> = outcome.steps.iter().map(ToString::to_string).collect();
    assert_eq!(render(&outcome), expected, "\n{}", steps.join("\n"));
    outcome
}

fn tcp(port: u16) -> Call {
    Call { port, ..Call::default() }
}

fn http(host: &str, path: &str) -> Call {
    Call {
        port: 80,
        protocol: Protocol::Http,
        host_header: host.to_owned(),
        path: path.to_owned(),
        ..Call::default()
    }
}

/// A listener with one chain that sends everything to the cluster of its name.
fn plain(name: &str, at: &Value) -> Value {
    json!({"name": name, "address": at, "filter_chains": [
        {"name": "chain", "filters": [tcp_proxy(name)]},
    ]})
}

fn outbound_listeners() -> Value {
    json!({"listeners": [
        plain("1.2.3.4_80", &address("1.2.3.4", 80)),
        plain("0.0.0.0_80", &address("0.0.0.0", 80)),
        plain("virtualOutbound", &address("0.0.0.0", 15001)),
        plain("virtualInbound", &address("0.0.0.0", 15006)),
    ]})
}

#[test]
fn exact_address_comes_before_wildcard_before_the_capture_listener() {
    let config = outbound_listeners();
    let at = |address: &str, port| Call { address: address.to_owned(), ..tcp(port) };
    check(&config, &at("1.2.3.4", 80), "1.2.3.4_80 > chain > 1.2.3.4_80");
    check(&config, &at("1.2.3.5", 80), "0.0.0.0_80 > chain > 0.0.0.0_80");
    check(&config, &tcp(80), "0.0.0.0_80 > chain > 0.0.0.0_80");
    check(&config, &tcp(81), "virtualOutbound > chain > virtualOutbound");
}

#[test]
fn inbound_calls_arrive_at_virtual_inbound_only() {
    let inbound = Call { mode: Mode::Inbound, ..tcp(80) };
    check(&outbound_listeners(), &inbound, "virtualInbound > chain > virtualInbound");
    let without = json!({"listeners": [plain("1.3.3.7_80", &address("1.3.3.7", 80))]});
    check(&without, &inbound, "! NoListener");
    check_with(&without, &inbound, &WalkOptions::FULL, "1.3.3.7_80 > chain > 1.3.3.7_80");
}

#[test]
fn gateway_without_listener_refuses() {
    let gateway = Call { mode: Mode::Gateway, ..tcp(81) };
    let config = json!({"listeners": [plain("0.0.0.0_80", &address("0.0.0.0", 80))]});
    check(&config, &gateway, "! NoListener");
}

fn tls_listener(socket: &Value) -> Value {
    json!({"listeners": [{
        "name": "l", "address": address("0.0.0.0", 80),
        "filter_chains": [{"name": "c", "transport_socket": socket, "filters": [tcp_proxy("x")]}],
    }]})
}

#[test]
fn transport_sockets_tell_plaintext_tls_and_mtls_apart() {
    let call = |tls| Call { tls, ..tcp(80) };
    let mesh = tls_listener(&tls("default", json!(true)));
    check(&mesh, &call(Tls::Plaintext), "l > c ! TLSError");
    check(&mesh, &call(Tls::Tls), "l > c ! MTLSError");
    check(&mesh, &call(Tls::Mtls), "l > c > x");
    // Another secret is another trust: the caller's mesh certificate is of no use.
    let other = tls_listener(&tls("kubernetes://cert", json!(true)));
    check(&other, &call(Tls::Tls), "l > c > x");
    check(&other, &call(Tls::Mtls), "l > c ! MTLSError");
    let named = Call { mtls_secret: "kubernetes://cert".to_owned(), ..call(Tls::Mtls) };
    check(&other, &named, "l > c > x");
    let simple = tls_listener(&tls("default", Value::Null));
    check(&simple, &call(Tls::Tls), "l > c > x");
    check(&simple, &call(Tls::Mtls), "l > c ! MTLSError");
    check_with(&simple, &call(Tls::Mtls), &WalkOptions::FULL, "l > c > x");
}

#[test]
fn http_manager_refuses_bytes_and_foreign_tls() {
    let routes = json!({"name": "80", "virtual_hosts": [{"name": "v", "domains": ["*"],
        "routes": [{"name": "r", "match": {"prefix": "/"}, "route": {"cluster": "x"}}]}]});
    let listener = |socket: Value| {
        json!({"routes": [routes], "listeners": [{
            "name": "l", "address": address("0.0.0.0", 80),
            "filter_chains": [{"name": "c", "transport_socket": socket, "filters": [rds("80")]}],
        }]})
    };
    let open = listener(Value::Null);
    check(&open, &tcp(80), "l > c ! ProtocolError");
    check(&open, &Call { tls: Tls::Tls, ..http("a", "/") }, "l > c ! ProtocolError");
    check(&open, &http("a", "/"), "l > c > 80 > v > r > x");
    let ended = listener(tls("x", Value::Null));
    check(&ended, &Call { tls: Tls::Tls, ..http("a", "/") }, "l > c > 80 > v > r > x");
    check(&ended, &Call { tls: Tls::Tls, ..tcp(80) }, "l > c ! ProtocolError");
}

#[test]
fn weighted_tcp_clusters_count_as_no_single_one() {
    let mut proxy = tcp_proxy("");
    let config = proxy["typed_config"].as_object_mut().unwrap();
    config.remove("cluster");
    config.insert(
        "weighted_clusters".to_owned(),
        json!({"clusters": [{"name": "a", "weight": 1}, {"name": "b", "weight": 3}]}),
    );
    let config = json!({"listeners": [{"name": "l", "address": address("0.0.0.0", 80),
        "filter_chains": [{"name": "c", "filters": [proxy]}]}]});
    let outcome = check(&config, &tcp(80), "l > c > a+b");
    assert_eq!(outcome.cluster.single(), "");
}
