use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::{
    CheckSettings, Dangling, check_references, check_references_with,
    testing::{address, http_inspector, http_manager, rds, resources, tcp_proxy, tls_inspector},
};

#[track_caller]
fn check(config: &Value, expected: Expect) {
    let text: String = check_references(&resources(config))
        .iter()
        .map(|it| format!("{:?}: {it}\n", it.severity))
        .collect();
    expected.assert_eq(&text);
}

fn cluster(name: &str) -> Value {
    json!({"name": name, "connect_timeout": "1s", "type": "STATIC"})
}

fn chain(wanted: &Value, filter: &Value) -> Value {
    json!({"filter_chain_match": wanted, "filters": [filter]})
}

fn listener(name: &str, port: u16, chains: &[Value], filters: &[Value]) -> Value {
    json!({"name": name, "address": address("0.0.0.0", port), "filter_chains": chains,
        "listener_filters": filters})
}

#[test]
fn names_that_lead_nowhere_dangle() {
    let routes = json!({"name": "80", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [
        {"match": {"prefix": "/"}, "route": {"cluster": "gone", "request_mirror_policies": [{"cluster": "mirror"}]}},
        {"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": [
            {"name": "here", "weight": 1}, {"name": "there", "weight": 1}]}}},
    ]}]});
    let eds = json!({"name": "here", "connect_timeout": "1s", "type": "EDS",
        "eds_cluster_config": {"service_name": "svc", "eds_config": {"ads": {}}}});
    let config = json!({
        "listeners": [
            listener("a", 80, &[chain(&json!({}), &rds("81"))], &[]),
            listener("b", 81, &[chain(&json!({}), &tcp_proxy("nowhere"))], &[]),
        ],
        "routes": [routes], "clusters": [eds],
        "assignments": [{"cluster_name": "other"}],
    });
    check(
        &config,
        expect![[r#"
            Dangling: cluster `here`: there are no endpoints `svc` (MissingAssignment)
            Dangling: listener `a` at filter_chains[0].filters[0].typed_config.rds: there is no route configuration `81` (MissingRoute)
            Dangling: listener `b` at filter_chains[0].filters[0].typed_config.cluster: there is no cluster `nowhere` (MissingCluster)
            Dangling: route configuration `80` at virtual_hosts[0].routes[0].route.cluster: there is no cluster `gone` (MissingCluster)
            Dangling: route configuration `80` at virtual_hosts[0].routes[0].route.request_mirror_policies[0].cluster: there is no cluster `mirror` (MissingCluster)
            Dangling: route configuration `80` at virtual_hosts[0].routes[1].route.weighted_clusters.clusters[1].name: there is no cluster `there` (MissingCluster)
        "#]],
    );
    let settings = CheckSettings { dangling: Dangling::Allowed, ..CheckSettings::default() };
    assert_eq!(check_references_with(&resources(&config), &settings), []);
}

#[test]
fn inline_routes_need_their_clusters_unless_they_say_otherwise() {
    let routes = |validate: Value| {
        let manager = http_manager(&json!({"route_config": {
        "name": "inbound", "validate_clusters": validate, "virtual_hosts": [
            {"name": "v", "domains": ["*"],
             "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "gone"}}]},
        ]}}));
        json!({"listeners": [listener("a", 80, &[chain(&json!({}), &manager)], &[])]})
    };
    check(
        &routes(Value::Null),
        expect![[r#"
            Refused: listener `a` at filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[0].route.cluster: there is no cluster `gone` (MissingCluster)
        "#]],
    );
    check(
        &routes(json!(false)),
        expect![[r#"
            Dangling: listener `a` at filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[0].route.cluster: there is no cluster `gone` (MissingCluster)
        "#]],
    );
}

#[test]
fn listeners_share_neither_name_nor_address() {
    let one = |name: &str| listener(name, 80, &[chain(&json!({}), &tcp_proxy("x"))], &[]);
    check(
        &json!({"listeners": [one("a"), one("a"), one("b")], "clusters": [cluster("x")]}),
        expect![[r#"
            Refused: listener `a`: a second resource of the name (DuplicateName)
            Refused: listener `b` at address: `a` is at 0.0.0.0:80 too (DuplicateAddress)
        "#]],
    );
}

fn chains(chains: &[(Value, Value)], filters: &[Value]) -> Value {
    let chains: Vec<Value> = chains.iter().map(|(wanted, filter)| chain(wanted, filter)).collect();
    let http = json!({"name": "80", "virtual_hosts": []});
    json!({"listeners": [listener("l", 80, &chains, filters)], "clusters": [cluster("x")],
        "routes": [http]})
}

#[test]
fn chains_overlap_where_one_combination_is_the_same() {
    let names = |names: &[&str]| (json!({"server_names": names}), tcp_proxy("x"));
    let inspectors = [tls_inspector()];
    check(
        &chains(&[names(&["a", "b"]), names(&["c", "B"])], &inspectors),
        expect![[r#"
            Refused: listener `l` at filter_chains[1]: `` matches what filter_chains[0] `` matches (DuplicateFilterChain)
        "#]],
    );
    check(&chains(&[names(&["a"]), names(&["*.a"])], &inspectors), expect![""]);
    check(
        &chains(&[names(&["a*"]), names(&["*"])], &inspectors),
        expect![[r#"
            Refused: listener `l` at filter_chains[0]: `a*` is neither a name nor `*.` and a name (ServerName)
            Refused: listener `l` at filter_chains[1]: `*` is neither a name nor `*.` and a name (ServerName)
        "#]],
    );
}

#[test]
fn matches_need_inspectors() {
    let all = [
        (json!({"transport_protocol": "tls"}), tcp_proxy("x")),
        (json!({"server_names": ["a"]}), tcp_proxy("x")),
        (json!({"application_protocols": ["h2"]}), tcp_proxy("x")),
        (
            json!({"transport_protocol": "raw_buffer", "application_protocols": ["h2c"]}),
            tcp_proxy("x"),
        ),
    ];
    check(
        &chains(&all, &[]),
        expect![[r#"
            Refused: listener `l` at filter_chains[0]: it matches the transport protocol `tls`, and there is no TLS inspector (MissingInspector)
            Refused: listener `l` at filter_chains[1]: it matches server names, and there is no TLS inspector (MissingInspector)
            Refused: listener `l` at filter_chains[2]: it matches application protocols, and there is no TLS inspector (MissingInspector)
            Refused: listener `l` at filter_chains[3]: it matches protocols of plaintext, and there is no HTTP inspector (MissingInspector)
        "#]],
    );
    check(&chains(&all, &[tls_inspector(), http_inspector()]), expect![""]);
}

#[test]
fn transport_protocol_is_set_on_all_chains_of_a_port_or_on_none() {
    let on = |port: u16, transport: &str| {
        let wanted = json!({"destination_port": port, "transport_protocol": transport});
        (wanted, tcp_proxy("x"))
    };
    let filters = [tls_inspector()];
    check(
        &chains(&[on(80, "tls"), on(80, ""), on(81, "")], &filters),
        expect![[r#"
            Refused: listener `l` at filter_chains[1]: other chains of port 80 set the transport protocol (MixedTransportProtocol)
        "#]],
    );
}

#[test]
fn http_manager_needs_tls_to_be_ended_and_filters_to_end_in_the_router() {
    let mut manager = rds("80");
    let filters = manager["typed_config"]["http_filters"].as_array_mut().unwrap();
    filters.push(json!({"name": "cors", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors"}}));
    let config = chains(&[(json!({"transport_protocol": "tls"}), manager)], &[tls_inspector()]);
    check(
        &config,
        expect![[r#"
            Refused: listener `l` at filter_chains[0].filters[0].typed_config: an HTTP manager on TLS that the chain does not end (UnterminatedTls)
            Refused: listener `l` at filter_chains[0].filters[0].typed_config.http_filters[0]: the router `router` is not the last filter (TerminalFilter)
            Refused: listener `l` at filter_chains[0].filters[0].typed_config.http_filters[1]: the last filter `cors` is no router (TerminalFilter)
        "#]],
    );
}

#[test]
fn domain_stands_in_one_virtual_host() {
    let host = |name: &str, domains: &[&str]| json!({"name": name, "domains": domains});
    let hosts = [host("a", &["x", "*"]), host("b", &["X", "y"]), host("c", &["*"])];
    check(
        &json!({"routes": [{"name": "80", "virtual_hosts": hosts}]}),
        expect![[r#"
            Refused: route configuration `80` at virtual_hosts[1]: `a` has the domain `X` already (DuplicateDomain)
            Refused: route configuration `80` at virtual_hosts[2]: `a` has the domain `*` already (DuplicateDomain)
        "#]],
    );
}
