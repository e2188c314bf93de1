//! When a cluster speaks mTLS of the mesh, and with whom.

use std::fmt::Write;

use envoy::{
    config::{
        cluster::v3::Cluster,
        core::v3::{TransportSocket, transport_socket::ConfigType},
    },
    extensions::transport_sockets::tls::v3::{
        UpstreamTlsContext, common_tls_context::ValidationContextType,
    },
    types::matcher::v3::string_matcher::MatchPattern,
};
use expect_test::{Expect, expect};
use prost::Message;
use snapshot::Reader;

use super::{CART, HOST, compile, router};
use crate::{Client, cluster::select_cluster, fixture};

/// The pods and the EndpointSlice of `cart`: `ip account`, with `plain` behind it for one that ends
/// no mTLS.
fn pods(table: &str) -> String {
    let (mut yaml, mut addresses) = (String::new(), String::new());
    for (index, line) in table.split(';').map(str::trim).filter(|it| !it.is_empty()).enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (ip, account) = (words[0], words[1]);
        let label = match words.get(2) {
            Some(_) => "",
            None => ", security.istio.io/tlsMode: istio",
        };
        write!(
            yaml,
            "
apiVersion: v1
kind: Pod
metadata: {{name: cart-{index}, namespace: shop, labels: {{app: cart{label}}}}}
spec: {{serviceAccountName: {account}}}
status: {{phase: Running, podIP: {ip}}}
---"
        )
        .unwrap();
        write!(addresses, "{{addresses: [{ip}]}}, ").unwrap();
    }
    format!(
        "{CART}{yaml}
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: cart-1, namespace: shop, labels: {{kubernetes.io/service-name: cart}}}}
addressType: IPv4
ports: [{{name: http, port: 8080}}, {{name: grpc, port: 9090}}, {{name: tcp, port: 9000}}]
endpoints: [{addresses}]
---
"
    )
}

const TWO: &str = "10.0.0.1 cart; 10.0.0.2 cart; 10.0.0.3 basket";

fn rule(policy: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: cart, namespace: shop}}
spec: {{host: cart, trafficPolicy: {policy}, subsets: [{{name: v1, labels: {{app: cart}}}}]}}
---"
    )
}

fn peers(namespace: &str, mode: &str) -> String {
    format!(
        "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: default, namespace: {namespace}}}
spec: {{mtls: {{mode: {mode}}}}}
---"
    )
}

fn mesh_config(text: &str) -> String {
    format!(
        "
apiVersion: v1
kind: ConfigMap
metadata: {{name: istio, namespace: istio-system}}
data: {{mesh: '{text}'}}
---"
    )
}

fn render_socket(socket: &TransportSocket) -> String {
    let name = socket.name.trim_start_matches("envoy.transport_sockets.");
    let Some(ConfigType::TypedConfig(any)) = &socket.config_type else { return name.to_owned() };
    let Ok(context) = any.unpack::<UpstreamTlsContext>() else { return name.to_owned() };
    let common = context.common_tls_context.unwrap();
    let names = match common.validation_context_type {
        Some(ValidationContextType::CombinedValidationContext(combined)) => {
            combined.default_validation_context.unwrap().match_typed_subject_alt_names
        }
        Some(ValidationContextType::ValidationContext(it)) => it.match_typed_subject_alt_names,
        _ => Vec::new(),
    };
    let names: Vec<String> = names
        .into_iter()
        .map(|it| match it.matcher.unwrap().match_pattern.unwrap() {
            MatchPattern::Exact(name) => name,
            MatchPattern::Prefix(prefix) => format!("{prefix}..."),
            other => format!("{other:?}"),
        })
        .collect();
    let offered = common.alpn_protocols.join(",");
    format!("{name} sni={} offers={offered} of [{}]", context.sni, names.join(" "))
}

/// How the cluster of a port is called, in a line for each way.
fn sockets(mesh: &str, client: &Client, port: u16, subset: &str) -> String {
    let compiled = compile(&fixture::snapshot(mesh), client, HOST, port, subset).unwrap();
    let cluster = Cluster::decode(compiled.resource.decode_bytes()).unwrap();
    let mut out = String::new();
    if let Some(socket) = &cluster.transport_socket {
        writeln!(out, "always {}", render_socket(socket)).unwrap();
    }
    for found in &cluster.transport_socket_matches {
        let socket = found.transport_socket.as_ref().unwrap();
        writeln!(out, "{} {}", found.name, render_socket(socket)).unwrap();
    }
    if out.is_empty() {
        out.push_str("plain\n");
    }
    let namespaces = &cluster.metadata.as_ref().unwrap().filter_metadata;
    if namespaces.contains_key("meltemi") {
        out.push_str("and HTTP is offered\n");
    }
    out
}

#[track_caller]
fn check(mesh: &str, port: u16, expected: Expect) {
    expected.assert_eq(&sockets(mesh, &fixture::client("shop"), port, ""));
}

#[test]
fn each_endpoint_is_called_as_it_says() {
    check(
        &pods(TWO),
        80,
        expect![[r#"
        tlsMode-istio tls sni=outbound_.80_._.cart.shop.svc.cluster.local offers=istio of [spiffe://cluster.local/ns/shop/sa/basket spiffe://cluster.local/ns/shop/sa/cart]
        tlsMode-disabled raw_buffer
        and HTTP is offered
    "#]],
    );
    check(
        &pods(TWO),
        90,
        expect![[r#"
        tlsMode-istio tls sni=outbound_.90_._.cart.shop.svc.cluster.local offers=istio,h2 of [spiffe://cluster.local/ns/shop/sa/basket spiffe://cluster.local/ns/shop/sa/cart]
        tlsMode-disabled raw_buffer
        and HTTP is offered
    "#]],
    );
    check(
        &pods(TWO),
        110,
        expect![[r#"
        tlsMode-istio tls sni=outbound_.110_._.cart.shop.svc.cluster.local offers=istio of [spiffe://cluster.local/ns/shop/sa/basket spiffe://cluster.local/ns/shop/sa/cart]
        tlsMode-disabled raw_buffer
    "#]],
    );
    check(
        &pods("10.0.0.1 cart; 10.0.0.2 cart plain"),
        80,
        expect![[r#"
        tlsMode-istio tls sni=outbound_.80_._.cart.shop.svc.cluster.local offers=istio of [spiffe://cluster.local/ns/shop/sa/cart]
        tlsMode-disabled raw_buffer
        and HTTP is offered
    "#]],
    );
}

#[test]
fn a_gateway_calls_as_sidecars_do() {
    let sidecar = sockets(&pods(TWO), &fixture::client("shop"), 80, "");
    assert_eq!(sockets(&pods(TWO), &router("shop"), 80, ""), sidecar);
}

#[test]
fn where_nobody_ends_it_or_nobody_may_nothing_is_encrypted() {
    let nobody = pods("10.0.0.1 cart plain");
    let off = pods(TWO) + &mesh_config("enableAutoMtls: false");
    let disabled = pods(TWO) + &peers("shop", "DISABLE");
    let rule = pods(TWO) + &rule("{tls: {mode: DISABLE}}");
    for mesh in [nobody, off, disabled, rule] {
        assert_eq!(sockets(&mesh, &fixture::client("shop"), 80, ""), "plain\n", "{mesh}");
    }
}

#[test]
fn what_the_server_demands_changes_nothing_else() {
    let plain = sockets(&pods(TWO), &fixture::client("shop"), 80, "");
    for mode in ["STRICT", "PERMISSIVE"] {
        let mesh = pods(TWO) + &peers("shop", mode) + &peers("istio-system", "DISABLE");
        assert_eq!(sockets(&mesh, &fixture::client("shop"), 80, ""), plain);
    }
}

#[test]
fn a_rule_decides_for_all_endpoints_and_may_name_who_answers() {
    let mesh = |policy: &str| pods("10.0.0.1 cart plain") + &rule(policy);
    check(
        &mesh("{tls: {mode: ISTIO_MUTUAL}}"),
        80,
        expect![[r#"
        always tls sni=outbound_.80_._.cart.shop.svc.cluster.local offers=istio of [spiffe://cluster.local/ns/shop/sa/cart]
        and HTTP is offered
    "#]],
    );
    check(
        &mesh("{tls: {mode: ISTIO_MUTUAL, sni: cart.example, subjectAltNames: [a, spiffe://b/c]}}"),
        80,
        expect![[r#"
            always tls sni=cart.example offers=istio of [a spiffe://b/c]
            and HTTP is offered
        "#]],
    );
    check(
        &mesh(
            "{tls: {mode: DISABLE}, portLevelSettings: [{port: {number: 80}, tls: {mode: ISTIO_MUTUAL}}]}",
        ),
        80,
        expect![[r#"
            always tls sni=outbound_.80_._.cart.shop.svc.cluster.local offers=istio of [spiffe://cluster.local/ns/shop/sa/cart]
            and HTTP is offered
        "#]],
    );
}

#[test]
fn a_subset_has_a_server_name_of_its_own() {
    let mesh = pods(TWO) + &rule("{}");
    expect![[r#"
        tlsMode-istio tls sni=outbound_.80_.v1_.cart.shop.svc.cluster.local offers=istio of [spiffe://cluster.local/ns/shop/sa/basket spiffe://cluster.local/ns/shop/sa/cart]
        tlsMode-disabled raw_buffer
        and HTTP is offered
    "#]].assert_eq(&sockets(&mesh, &fixture::client("shop"), 80, "v1"));
}

#[test]
fn workloads_answer_in_every_domain_of_the_mesh() {
    let domains = "trustDomain: own.example\n    trustDomainAliases: [old.example, own.example]";
    let mesh = pods("10.0.0.1 cart") + &mesh_config(&domains.replace("\n    ", "\n\n  "));
    check(
        &mesh,
        80,
        expect![[r#"
        tlsMode-istio tls sni=outbound_.80_._.cart.shop.svc.cluster.local offers=istio of [spiffe://old.example/ns/shop/sa/cart spiffe://own.example/ns/shop/sa/cart]
        tlsMode-disabled raw_buffer
        and HTTP is offered
    "#]],
    );
}

#[test]
fn the_proxy_protocol_stands_in_front_of_both() {
    let mesh = pods(TWO) + &rule("{proxyProtocol: {version: V2}}");
    check(
        &mesh,
        80,
        expect![[r#"
        tlsMode-istio upstream_proxy_protocol
        tlsMode-disabled upstream_proxy_protocol
        and HTTP is offered
    "#]],
    );
}

#[test]
fn endpoints_of_a_headless_service_are_called_alike() {
    let headless = |table: &str| pods(table).replace("clusterIP: 10.1.0.1", "clusterIP: None");
    check(
        &headless(TWO),
        110,
        expect![[r#"
        always tls sni=outbound_.110_._.cart.shop.svc.cluster.local offers=istio of [spiffe://cluster.local/ns/shop/sa/basket spiffe://cluster.local/ns/shop/sa/cart]
    "#]],
    );
    check(
        &headless("10.0.0.1 cart; 10.0.0.2 cart plain"),
        110,
        expect![[r#"
        plain
    "#]],
    );
}

#[test]
fn an_entry_outside_of_the_mesh_is_never_called_by_itself() {
    let entry = |location: &str, account: &str| {
        format!(
            "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: cart, namespace: shop}}
spec:
  hosts: [{HOST}]
  location: {location}
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  endpoints: [{{address: 10.0.0.1, labels: {{security.istio.io/tlsMode: istio}}{account}}}]
"
        )
    };
    check(
        &entry("MESH_EXTERNAL", ""),
        80,
        expect![[r#"
        plain
    "#]],
    );
    check(
        &entry("MESH_INTERNAL", ", serviceAccount: vm"),
        80,
        expect![[r#"
        tlsMode-istio tls sni=outbound_.80_._.cart.shop.svc.cluster.local offers=istio of [spiffe://cluster.local/ns/shop/sa/vm]
        tlsMode-disabled raw_buffer
        and HTTP is offered
    "#]],
    );
    // Without an account, nobody knows more than that it is one of the mesh's workloads.
    check(
        &entry("MESH_INTERNAL", ""),
        80,
        expect![[r#"
        tlsMode-istio tls sni=outbound_.80_._.cart.shop.svc.cluster.local offers=istio of [spiffe://cluster.local/...]
        tlsMode-disabled raw_buffer
        and HTTP is offered
    "#]],
    );
}

#[test]
fn one_more_instance_of_a_workload_leaves_the_input_as_it_is() {
    let select = |table: &str| {
        let snapshot = fixture::snapshot(&pods(table));
        let reader = Reader::new(&snapshot);
        let service = reader.services_named(&HOST.into())[0];
        select_cluster(service, 80, "", &fixture::client("shop"), &reader)
    };
    assert_eq!(select(TWO), select(&format!("{TWO}; 10.0.0.9 cart")));
    assert_ne!(select(TWO), select(&format!("{TWO}; 10.0.0.9 new")));
}
