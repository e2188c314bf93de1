//! The order of conditions on filter chains, and what inspectors contribute.

use super::*;

/// A listener at port 80 with both inspectors and these chains; each goes to its own name.
fn listener(chains: &[(&str, Value)], fallback: Option<&str>) -> Value {
    with_inspectors(chains, fallback, &[tls_inspector(), http_inspector()])
}

fn with_inspectors(chains: &[(&str, Value)], fallback: Option<&str>, filters: &[Value]) -> Value {
    let chain = |name: &str, wanted: &Value| json!({"name": name, "filter_chain_match": wanted, "filters": [tcp_proxy("x")]});
    let chains: Vec<Value> = chains.iter().map(|(name, wanted)| chain(name, wanted)).collect();
    json!({"listeners": [{
        "name": "l", "address": address("0.0.0.0", 80), "filter_chains": chains,
        "default_filter_chain": fallback.map(|name| chain(name, &Value::Null)),
        "listener_filters": filters,
    }]})
}

fn tls_call(sni: &str) -> Call {
    Call { tls: Tls::Tls, sni: Some(sni.to_owned()), ..tcp(80) }
}

#[test]
fn destination_port_comes_first_and_drops_chains_without_it() {
    let config = listener(
        &[
            ("port", json!({"destination_port": 80, "transport_protocol": "tls"})),
            ("any", json!({"transport_protocol": "raw_buffer"})),
        ],
        Some("default"),
    );
    // The port chain wins the first step and then fails; there is no way back to `any`.
    check(&config, &tcp(80), "l > default > x");
    check(&config, &tls_call("a"), "l > port > x");
}

#[test]
fn longest_prefix_wins() {
    let range = |prefix: &str, length: u32| json!({"prefix_ranges": [{"address_prefix": prefix, "prefix_len": length}]});
    let config = listener(
        &[
            ("wide", range("10.0.0.0", 8)),
            ("narrow", range("10.1.0.0", 16)),
            ("six", range("2001:db8::", 32)),
            ("none", json!({})),
        ],
        None,
    );
    let at = |address: &str| Call { address: address.to_owned(), ..tcp(80) };
    check(&config, &at("10.1.2.3"), "l > narrow > x");
    check(&config, &at("10.2.2.3"), "l > wide > x");
    check(&config, &at("11.2.2.3"), "l > none > x");
    check(&config, &at("2001:db8::1"), "l > six > x");
}

#[test]
fn server_names_match_exactly_then_by_the_longest_wildcard() {
    let names = |names: &[&str]| json!({"server_names": names});
    let config = listener(
        &[
            ("exact", names(&["a.example.com"])),
            ("long", names(&["*.example.com", "b.other"])),
            ("short", names(&["*.com"])),
        ],
        None,
    );
    check(&config, &tls_call("a.example.com"), "l > exact > x");
    check(&config, &tls_call("A.Example.com"), "l > exact > x");
    check(&config, &tls_call("c.b.example.com"), "l > long > x");
    check(&config, &tls_call("b.other"), "l > long > x");
    check(&config, &tls_call("example.com"), "l > short > x");
    check(&config, &tls_call("example.org"), "l ! NoFilterChain");
    check(&config, &tcp(80), "l ! NoFilterChain");
}

#[test]
fn server_name_of_tls_is_the_host_and_of_mtls_is_none() {
    let config = listener(&[("named", json!({"server_names": ["a"]})), ("any", json!({}))], None);
    let host = |tls| Call { tls, host_header: "a".to_owned(), ..tcp(80) };
    check(&config, &host(Tls::Tls), "l > named > x");
    check(&config, &host(Tls::Mtls), "l > any > x");
}

#[test]
fn inspectors_tell_transport_and_application_protocol() {
    let chains = [
        (
            "http",
            json!({"transport_protocol": "raw_buffer", "application_protocols": ["http/1.1", "h2c"]}),
        ),
        (
            "mesh",
            json!({"transport_protocol": "tls", "application_protocols": ["istio", "istio-http/1.1"]}),
        ),
        ("tls", json!({"transport_protocol": "tls"})),
        ("raw", json!({"transport_protocol": "raw_buffer"})),
    ];
    let both = listener(&chains, None);
    let call = |tls, protocol| Call { tls, protocol, ..tcp(80) };
    check(&both, &call(Tls::Plaintext, Protocol::Http2), "l > http > x");
    check(&both, &call(Tls::Plaintext, Protocol::Tcp), "l > raw > x");
    check(&both, &call(Tls::Mtls, Protocol::Tcp), "l > mesh > x");
    check(&both, &call(Tls::Mtls, Protocol::Http2), "l > tls > x");
    check(&both, &call(Tls::Tls, Protocol::Http), "l > tls > x");
    let named = Call { alpn: Some("istio".to_owned()), ..call(Tls::Tls, Protocol::Http) };
    check(&both, &named, "l > mesh > x");

    let no_http = with_inspectors(&chains, None, &[tls_inspector()]);
    check(&no_http, &call(Tls::Plaintext, Protocol::Http), "l > raw > x");
    let no_tls = with_inspectors(&chains, None, &[http_inspector()]);
    check(&no_tls, &call(Tls::Mtls, Protocol::Http), "l > raw > x");
    check(&no_tls, &call(Tls::Plaintext, Protocol::Http), "l > http > x");
}

#[test]
fn inspector_does_not_count_on_ports_it_is_disabled_for() {
    let chains = [("tls", json!({"transport_protocol": "tls"})), ("rest", json!({}))];
    let port = |start: u32| json!({"destination_port_range": {"start": start, "end": start + 1}});
    let disabled = |rule: Value| {
        let mut inspector = tls_inspector();
        inspector["filter_disabled"] = rule;
        with_inspectors(&chains, None, &[inspector])
    };
    check(&disabled(port(80)), &tls_call("a"), "l > rest > x");
    check(&disabled(port(79)), &tls_call("a"), "l > tls > x");
    check(&disabled(json!({"not_match": port(80)})), &tls_call("a"), "l > tls > x");
    let either = json!({"or_match": {"rules": [port(79), port(80)]}});
    check(&disabled(either), &tls_call("a"), "l > rest > x");
    let each = json!({"and_match": {"rules": [port(79), port(80)]}});
    check(&disabled(each), &tls_call("a"), "l > tls > x");
    check(&disabled(json!({"any_match": true})), &tls_call("a"), "l > rest > x");
}

#[test]
fn default_chain_is_for_no_match_and_not_for_several() {
    let twice = [
        ("a", json!({"application_protocols": ["h2c", "x"]})),
        ("b", json!({"application_protocols": ["h2c"]})),
    ];
    let config = listener(&twice, Some("default"));
    let call = Call { protocol: Protocol::Http2, ..tcp(80) };
    check(&config, &call, "l ! MultipleFilterChain");
    check(&config, &tcp(80), "l > default > x");
}
