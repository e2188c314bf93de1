//! Listeners as text, and what Envoy thinks of them.

use std::fmt::Write;

use envoy::{
    config::{
        core::v3::{
            Address, TransportSocket, address, socket_address::PortSpecifier,
            transport_socket::ConfigType,
        },
        listener::v3::{
            FilterChain, FilterChainMatch, Listener, ListenerFilter,
            ListenerFilterChainMatchPredicate, filter, listener_filter_chain_match_predicate::Rule,
        },
    },
    extensions::{
        filters::network::{
            http_connection_manager::v3::{
                HttpConnectionManager, http_connection_manager::RouteSpecifier,
            },
            tcp_proxy::v3::{TcpProxy, tcp_proxy::ClusterSpecifier},
        },
        transport_sockets::tls::v3::DownstreamTlsContext,
    },
    json::{self, FieldNames},
};
use prost::Message;
use serde_json::{Value, json};

use crate::Compiled;

/// One line for the listener, one for each chain, and one for each diagnostic.
pub(crate) fn render_listener(compiled: &Compiled) -> String {
    let listener = Listener::decode(compiled.resource.decode_bytes()).expect("a listener");
    let mut out = format!("{} {}", listener.name, render_address(&listener.address));
    for more in &listener.additional_addresses {
        write!(out, " {}", render_address(&more.address)).expect("text");
    }
    let flags = [
        (listener.bind_to_port != Some(false), "bound"),
        (listener.use_original_dst == Some(true), "use_original_dst"),
        (listener.transparent == Some(true), "transparent"),
    ];
    for (_, flag) in flags.iter().filter(|(set, _)| *set) {
        write!(out, " {flag}").expect("text");
    }
    for filter in &listener.listener_filters {
        write!(out, " {}", render_listener_filter(filter)).expect("text");
    }
    out.push('\n');
    for chain in &listener.filter_chains {
        writeln!(out, "  {}", render_chain(chain)).expect("text");
    }
    if let Some(chain) = &listener.default_filter_chain {
        writeln!(out, "  default {}", render_chain(chain)).expect("text");
    }
    for finding in compiled.diagnostics.iter() {
        writeln!(out, "  {finding}").expect("text");
    }
    out
}

fn render_address(address: &Option<Address>) -> String {
    match address.as_ref().and_then(|address| address.address.as_ref()) {
        Some(address::Address::SocketAddress(socket)) => match socket.port_specifier {
            Some(PortSpecifier::PortValue(port)) => format!("{}:{port}", socket.address),
            _ => socket.address.clone(),
        },
        Some(address::Address::Pipe(pipe)) => pipe.path.clone(),
        _ => "nowhere".to_owned(),
    }
}

fn render_listener_filter(filter: &ListenerFilter) -> String {
    let name = filter.name.trim_start_matches("envoy.filters.listener.");
    match &filter.filter_disabled {
        Some(predicate) => format!("{name}(off for {})", render_predicate(predicate)),
        None => name.to_owned(),
    }
}

fn render_predicate(predicate: &ListenerFilterChainMatchPredicate) -> String {
    match predicate.rule.as_ref().expect("a rule") {
        Rule::OrMatch(set) => set.rules.iter().map(render_predicate).collect::<Vec<_>>().join(","),
        Rule::NotMatch(inner) => format!("all but {}", render_predicate(inner)),
        Rule::DestinationPortRange(range) => range.start.to_string(),
        Rule::AndMatch(_) | Rule::AnyMatch(_) => "?".to_owned(),
    }
}

fn render_chain(chain: &FilterChain) -> String {
    let mut words: Vec<String> = Vec::new();
    if !chain.name.is_empty() {
        words.push(format!("[{}]", chain.name));
    }
    words.extend(chain.filter_chain_match.as_ref().map(render_match).unwrap_or_default());
    words.extend(chain.transport_socket.as_ref().map(render_socket));
    words.push("->".to_owned());
    words.extend(chain.filters.iter().map(render_filter));
    words.join(" ")
}

/// Which secret ends TLS, and of whom a certificate is demanded.
fn render_socket(socket: &TransportSocket) -> String {
    let Some(ConfigType::TypedConfig(any)) = &socket.config_type else { return "?".to_owned() };
    let context = any.unpack::<DownstreamTlsContext>().expect("TLS");
    let common = context.common_tls_context.expect("a context");
    let secrets = common.tls_certificate_sds_secret_configs.iter().map(|it| it.name.as_str());
    let files = common.tls_certificates.iter().map(|_| "files");
    let names: Vec<&str> = secrets.chain(files).collect();
    let demands = match context.require_client_certificate {
        Some(true) => "mutual",
        _ => "tls",
    };
    format!("{demands}({})", names.join(","))
}

fn render_match(found: &FilterChainMatch) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    words.extend(found.destination_port.map(|port| format!(":{port}")));
    words.extend(
        found.prefix_ranges.iter().map(|range| {
            format!("{}/{}", range.address_prefix, range.prefix_len.unwrap_or_default())
        }),
    );
    words.extend(found.server_names.iter().map(|name| format!("sni={name}")));
    if !found.transport_protocol.is_empty() {
        words.push(found.transport_protocol.clone());
    }
    if !found.application_protocols.is_empty() {
        words.push(found.application_protocols.join(","));
    }
    words
}

fn render_filter(filter: &envoy::config::listener::v3::Filter) -> String {
    let Some(filter::ConfigType::TypedConfig(any)) = &filter.config_type else {
        return filter.name.clone();
    };
    if let Ok(proxy) = any.unpack::<TcpProxy>() {
        return render_tcp(&proxy);
    }
    let Ok(manager) = any.unpack::<HttpConnectionManager>() else {
        return format!("{},", filter.name.trim_start_matches("envoy.filters.network."));
    };
    let guards = manager.http_filters.iter().map(|filter| filter.name.as_str());
    let guards = guards.map(|name| name.trim_start_matches("envoy.filters.http."));
    let guards: Vec<&str> =
        guards.take_while(|name| ["rbac", "ext_authz", "jwt_authn"].contains(name)).collect();
    let guards = if guards.is_empty() { String::new() } else { format!("{}, ", guards.join(", ")) };
    match manager.route_specifier.expect("routes") {
        RouteSpecifier::Rds(rds) => format!("{guards}http rds {}", rds.route_config_name),
        RouteSpecifier::RouteConfig(config) => {
            format!("{guards}http inline {} {}", config.name, config.virtual_hosts[0].name)
        }
        RouteSpecifier::ScopedRoutes(_) => format!("{guards}http scoped"),
    }
}

fn render_tcp(proxy: &TcpProxy) -> String {
    let mut text = match proxy.cluster_specifier.as_ref().expect("a cluster") {
        ClusterSpecifier::Cluster(cluster) => format!("tcp {cluster}"),
        ClusterSpecifier::WeightedClusters(weighted) => {
            let clusters = weighted.clusters.iter();
            let shares: Vec<String> =
                clusters.map(|it| format!("{}={}", it.name, it.weight)).collect();
            format!("tcp {} stat={}", shares.join(" "), proxy.stat_prefix)
        }
    };
    if let Some(idle) = &proxy.idle_timeout {
        write!(text, " idle={}s", idle.seconds).expect("text");
    }
    if let Some(most) = &proxy.max_downstream_connection_duration {
        write!(text, " most={}s", most.seconds).expect("text");
    }
    if !proxy.hash_policy.is_empty() {
        text.push_str(" hash=source_ip");
    }
    if let Some(tunnel) = &proxy.tunneling_config {
        let method = if tunnel.use_post { "POST" } else { "CONNECT" };
        write!(text, " {method} {}", tunnel.hostname).expect("text");
    }
    text
}

/// Asks the real Envoy about listeners and clusters, with every cluster that they need.
#[track_caller]
pub(crate) fn validate(listeners: &[Compiled], clusters: &[Compiled]) {
    let to_json = |compiled: &Compiled| {
        let mut value = json::any_to_json(&compiled.resource.to_any(), FieldNames::Proto);
        value.as_object_mut().expect("an object").remove("@type");
        value
    };
    let mut known: Vec<String> = clusters.iter().map(|it| it.resource.name().to_string()).collect();
    let mut all: Vec<Value> = clusters.iter().map(to_json).collect();
    let ads = "ads".into();
    for name in listeners.iter().flat_map(|it| &it.clusters).chain([&ads]) {
        if !known.iter().any(|it| **it == **name) {
            known.push(name.to_string());
            all.push(json!({"name": &**name, "type": "STATIC", "connect_timeout": "1s",
                "typed_extension_protocol_options": {
                    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                        "explicit_http_config": {"http2_protocol_options": {}}}}}));
        }
    }
    let bootstrap = json!({
        "node": {"id": "test", "cluster": "test"},
        "dynamic_resources": {"ads_config": {
            "api_type": "GRPC", "transport_api_version": "V3",
            "grpc_services": [{"envoy_grpc": {"cluster_name": "ads"}}]}},
        "static_resources": {
            "listeners": listeners.iter().map(to_json).collect::<Vec<_>>(),
            "clusters": all,
        },
    });
    let text = serde_json::to_string_pretty(&bootstrap).expect("JSON");
    if let Err(said) = testkit::envoy_process::validate(&text) {
        panic!("Envoy refuses:\n{said}");
    }
}
