use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::pgv;

#[track_caller]
fn check(name: &str, message: &Value, expected: Expect) {
    let message = envoy::json::to_message(name, message).expect("the test's message is valid JSON");
    let text: String =
        pgv(&message).iter().map(|it| format!("{}: {}\n", it.path, it.message)).collect();
    expected.assert_eq(&text);
}

#[test]
fn good_cluster_breaks_nothing() {
    let cluster = json!({"name": "a", "connect_timeout": "10s", "type": "EDS",
        "eds_cluster_config": {"eds_config": {"ads": {}}}});
    check("envoy.config.cluster.v3.Cluster", &cluster, expect![""]);
}

#[test]
fn strings_durations_and_enums_have_limits() {
    let cluster = json!({"name": "", "connect_timeout": "0s", "lb_policy": 99});
    check(
        "envoy.config.cluster.v3.Cluster",
        &cluster,
        expect![[r#"
        name: 0 instead of at least 1 characters
        connect_timeout: 0s is not above 0s
        lb_policy: 99 is no LbPolicy
    "#]],
    );
}

#[test]
fn lists_messages_and_oneofs_are_required() {
    let routes = json!({"name": "r", "virtual_hosts": [
        {"name": "v", "domains": [], "routes": [{"match": {}, "route": {}}]},
    ]});
    check(
        "envoy.config.route.v3.RouteConfiguration",
        &routes,
        expect![[r#"
            virtual_hosts[0].domains: 0 instead of at least 1 items
            virtual_hosts[0].routes[0].match: nothing of `path_specifier` is set
            virtual_hosts[0].routes[0].route: nothing of `cluster_specifier` is set
        "#]],
    );
}

#[test]
fn ports_and_weights_have_ranges() {
    let assignment = json!({"cluster_name": "a", "endpoints": [{"priority": 200, "lb_endpoints": [
        {"load_balancing_weight": 0,
         "endpoint": {"address": {"socket_address": {"address": "", "port_value": 70000}}}},
    ]}]});
    check(
        "envoy.config.endpoint.v3.ClusterLoadAssignment",
        &assignment,
        expect![[r#"
        endpoints[0].priority: 200 is not at most 128
        endpoints[0].lb_endpoints[0].load_balancing_weight: 0 is not at least 1
        endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address: 0 instead of at least 1 characters
        endpoints[0].lb_endpoints[0].endpoint.address.socket_address.port_value: 70000 is not at most 65535
    "#]],
    );
}

#[test]
fn messages_inside_any_are_checked_too() {
    let listener = json!({"name": "l", "filter_chains": [{"filters": [{"name": "tcp", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
    }}]}]});
    check(
        "envoy.config.listener.v3.Listener",
        &listener,
        expect![[r#"
        filter_chains[0].filters[0].typed_config: nothing of `cluster_specifier` is set
        filter_chains[0].filters[0].typed_config.stat_prefix: 0 instead of at least 1 characters
    "#]],
    );
}

#[test]
fn unknown_type_and_broken_bytes_are_reported() {
    use envoy::config::listener::v3::{Filter, FilterChain, Listener, filter::ConfigType};
    use prost::Message as _;
    let filter = |type_url: &str, value: &'static [u8]| Filter {
        name: "f".to_owned(),
        config_type: Some(ConfigType::TypedConfig(envoy::Any {
            type_url: type_url.to_owned(),
            value: value.into(),
        })),
    };
    let filters = vec![
        filter("type.googleapis.com/io.istio.http.peer_metadata.Config", b""),
        filter("type.googleapis.com/envoy.config.core.v3.Address", b"\xff"),
    ];
    let listener = Listener {
        filter_chains: vec![FilterChain { filters, ..Default::default() }],
        ..Default::default()
    };
    let message =
        envoy::json::decode("envoy.config.listener.v3.Listener", listener.encode_to_vec().into());
    let text: String = pgv(&message.unwrap()).iter().map(|it| format!("{it}\n")).collect();
    expect![[r#"
        message `envoy.config.listener.v3.Listener` at filter_chains[0].filters[0].typed_config: stock Envoy has no type `type.googleapis.com/io.istio.http.peer_metadata.Config` (UnknownType)
        message `envoy.config.listener.v3.Listener` at filter_chains[0].filters[1].typed_config: no `type.googleapis.com/envoy.config.core.v3.Address`: failed to decode Protobuf message: invalid varint (Decode)
    "#]].assert_eq(&text);
}

#[test]
fn header_names_and_paths_follow_their_patterns() {
    let route = json!({"match": {"prefix": "/"}, "route": {"cluster": "a"},
        "request_headers_to_add": [{"header": {"key": "bad name", "value": "bad\nvalue"}}]});
    check(
        "envoy.config.route.v3.Route",
        &route,
        expect![[r#"
        request_headers_to_add[0].header.value: `bad\nvalue` is no header value
    "#]],
    );
}
