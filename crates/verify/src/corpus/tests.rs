use serde_json::{Value, json};

use super::{Case, CaseLocality, judge, parse_cases};
use crate::{
    Mode, Protocol, Tls, WalkError,
    testing::{address, resources, tcp_proxy},
};

fn case(value: Value) -> Case {
    serde_json::from_value(value).expect("the test's case is valid")
}

fn config() -> Value {
    json!({
        "listeners": [{"name": "0.0.0.0_80", "address": address("0.0.0.0", 80),
            "filter_chains": [{"name": "c", "filters": [tcp_proxy("outbound|80||a")]}]}],
        "routes": [{"name": "80", "virtual_hosts": [
            {"name": "a", "domains": ["a"], "routes": [
                {"match": {"prefix": "/2"}, "route": {"cluster": "c2"}},
                {"match": {"prefix": "/"}, "route": {"cluster": "c1"}},
            ]},
            {"name": "empty", "domains": ["b"]},
        ]}],
        "clusters": [
            {"name": "inbound|80||", "connect_timeout": "1s", "load_assignment": {
                "cluster_name": "inbound|80||", "endpoints": [{"lb_endpoints": [
                    {"endpoint": {"address": address("127.0.0.1", 8080)}},
                    {"endpoint": {"address": {"pipe": {"path": "/socket"}}}},
                ]}]}},
            {"name": "inbound|81||", "connect_timeout": "1s", "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED"},
        ],
    })
}

/// Judges one call to port 80 with the expectation `expect`: strict, lenient.
fn verdict(expect: Value) -> (bool, bool) {
    let case = case(json!({"calls": [{"name": "call", "port": 80, "expect": expect}]}));
    let verdict = judge(&case, &resources(&config()));
    assert_eq!(verdict.violations, []);
    (verdict.strict, verdict.lenient)
}

#[test]
fn absent_fields_are_not_compared_unless_strict() {
    assert_eq!(verdict(json!({})), (true, true));
    assert_eq!(verdict(json!({"cluster": "outbound|80||a"})), (true, true));
    assert_eq!(verdict(json!({"cluster": "other"})), (false, false));
    assert_eq!(verdict(json!({"cluster": "outbound|80||a", "listener": "x"})), (false, true));
    assert_eq!(verdict(json!({"cluster": "outbound|80||a", "strict": true})), (false, true));
    let all = json!({"cluster": "outbound|80||a", "listener": "0.0.0.0_80", "filterChain": "c", "strict": true});
    assert_eq!(verdict(all), (true, true));
    assert_eq!(verdict(json!({"listener": "0.0.0.0_80", "strict": true})), (false, false));
    assert_eq!(verdict(json!({"error": "NoRoute"})), (false, false));
}

#[test]
fn error_is_compared_always_and_leniently_by_class() {
    let verdict = |expect: Value| {
        let calls = json!([{"name": "call", "port": 81, "expect": expect}]);
        let verdict = judge(&case(json!({"calls": calls})), &resources(&config()));
        assert_eq!(verdict.calls[0].outcome.error, Some(WalkError::NoListener));
        (verdict.strict, verdict.lenient)
    };
    assert_eq!(verdict(json!({})), (false, false));
    assert_eq!(verdict(json!({"error": "NoListener"})), (true, true));
    assert_eq!(verdict(json!({"error": "MTLSError", "knownBug": "later"})), (false, true));
    assert_eq!(verdict(json!({"error": "NoVirtualHost"})), (false, false));
}

#[test]
fn virtual_hosts_are_compared_by_domain() {
    let strict = |expected: Value| {
        judge(&case(json!({"virtualHosts": [expected]})), &resources(&config())).strict
    };
    assert!(strict(
        json!({"routeConfig": "80", "domains": {"a": ["c1", "c2"], "b": null, "c": null}})
    ));
    assert!(!strict(json!({"routeConfig": "80", "domains": {"a": ["c1"]}})));
    assert!(!strict(json!({"routeConfig": "80", "domains": {"a": null}})));
    assert!(!strict(json!({"routeConfig": "81", "domains": {"a": null}})));
    assert!(strict(json!({"routeConfig": "81", "domains": null})));
    assert!(strict(json!({"routeConfig": "80", "domains": null})));
}

#[test]
fn clusters_of_a_prefix_are_an_exact_set() {
    let strict = |exact: Value| {
        let clusters = json!({"prefix": "inbound", "exact": exact});
        judge(&case(json!({"clusters": clusters})), &resources(&config())).strict
    };
    let socket = json!(["/socket", "127.0.0.1:8080"]);
    assert!(strict(json!({"inbound|80||": socket, "inbound|81||": null})));
    assert!(!strict(json!({"inbound|80||": socket})));
    assert!(!strict(json!({"inbound|80||": null, "inbound|81||": null})));
    assert!(!strict(json!({"inbound|80||": socket, "inbound|81||": null, "inbound|82||": null})));
}

#[test]
fn invalid_resources_fail_the_case_unless_it_says_so() {
    let mut config = config();
    config["routes"][0]["virtual_hosts"][1]["domains"] = json!(["a"]);
    let resources = resources(&config);
    let strict = judge(&case(json!({})), &resources);
    assert!(!strict.strict && !strict.lenient && strict.violations.len() == 1);
    assert!(judge(&case(json!({"skipValidation": true})), &resources).strict);
}

#[test]
fn every_form_of_a_field_is_read() {
    let text = json!([{
        "name": "n", "source": "s", "istio": "i", "kubernetes": "k", "meshConfig": "m",
        "features": {"A": "true", "B": true},
        "proxy": {"type": "sidecar", "id": "app.default", "ips": ["1.1.1.1", "2.2.2.2"],
            "namespace": "default", "dnsDomain": "default.svc.cluster.local",
            "labels": {"app": "a"}, "locality": "r/z/s", "metadata": {"CLUSTER_ID": "other"}},
        "calls": [
            {"name": "a", "port": 80, "mode": "", "protocol": "", "tls": "", "custom": true, "expect": {}},
            {"name": "b", "port": 80, "mode": "gateway", "protocol": "http2", "tls": "mtls",
             "headers": {"x": ["1", "2"], "y": "3"}, "mtlsSecret": "s", "expect": {"knownBug": "why"}},
        ],
        "virtualHosts": null, "clusters": null, "custom": "why", "internal": true,
    }]);
    let cases = parse_cases(&text.to_string()).unwrap();
    let proxy = &cases[0].proxy;
    assert_eq!(cases[0].features["B"], "true");
    assert_eq!(proxy.locality, Some(CaseLocality::Text("r/z/s".to_owned())));
    assert_eq!(proxy.node_id(), "sidecar~1.1.1.1~app.default~default.svc.cluster.local");
    let metadata = json!({"CLUSTER_ID": "other", "INSTANCE_IPS": "1.1.1.1,2.2.2.2"});
    assert_eq!(Value::Object(proxy.node_metadata()), metadata);
    let [first, second] = [&cases[0].calls[0], &cases[0].calls[1]];
    assert_eq!(
        (first.mode, first.protocol, first.tls),
        (Mode::Outbound, Protocol::Tcp, Tls::Plaintext)
    );
    assert_eq!((first.call().path(), first.call().address()), ("/", "1.3.3.7"));
    assert_eq!(second.call().alpn(), "istio-h2");
    assert_eq!(second.call().headers.len(), 3);
    assert_eq!(second.expect.known_bug.as_deref(), Some("why"));
}
