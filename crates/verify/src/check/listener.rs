//! Rules about listeners and their filter chains that Envoy has in code, and those of the corpus.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use envoy::{
    config::{
        core::v3::CidrRange,
        listener::v3::{Filter, FilterChain, FilterChainMatch, Listener, filter::ConfigType},
    },
    extensions::filters::network::http_connection_manager::v3::{
        HttpConnectionManager, http_connection_manager::RouteSpecifier,
        http_filter::ConfigType as HttpConfigType,
    },
};
use prost::Name;

use crate::{
    ResourceId, ResourceKind, Resources, Rule,
    walk::{HTTP_INSPECTOR, TLS_INSPECTOR, address_text},
};

use super::{Report, route};

/// More combinations than this per listener are not compared one by one.
const MOST_COMBINATIONS: usize = 1 << 20;

/// No two listeners at one address.
pub(super) fn check_together(resources: &Resources, report: &mut Report) {
    let mut taken: BTreeMap<String, &str> = BTreeMap::new();
    for (name, listener) in &resources.listeners {
        let more = listener.additional_addresses.iter().flat_map(|entry| &entry.address);
        for address in listener.address.iter().chain(more) {
            let protocol = if listener.udp_listener_config.is_some() { "udp" } else { "tcp" };
            let text = address_text(address);
            if let Some(other) = taken.insert(format!("{protocol}:{text}"), name) {
                let id = ResourceId::new(ResourceKind::Listener, name);
                let message = format!("`{other}` is at {text} too");
                report.refuse(&id, "address", Rule::DuplicateAddress, message);
            }
        }
    }
}

/// The rules for one listener.
pub(super) fn check(id: &ResourceId, listener: &Listener, report: &mut Report) {
    check_overlap(id, listener, report);
    check_server_names(id, listener, report);
    check_tls_inspector(id, listener, report);
    check_http_inspector(id, listener, report);
    check_transport_protocols(id, listener, report);
    for (path, chain) in chains(listener) {
        check_chain(id, &path, chain, report);
    }
}

fn chains(listener: &Listener) -> Vec<(String, &FilterChain)> {
    let own = listener.filter_chains.iter().enumerate();
    let mut all: Vec<_> =
        own.map(|(index, chain)| (format!("filter_chains[{index}]"), chain)).collect();
    all.extend(listener.default_filter_chain.iter().map(|it| ("default_filter_chain".into(), it)));
    all
}

/// Envoy puts every combination of a chain's conditions into one map, where each may be once.
fn check_overlap(id: &ResourceId, listener: &Listener, report: &mut Report) {
    let mut taken: HashMap<String, usize> = HashMap::new();
    for (index, chain) in listener.filter_chains.iter().enumerate() {
        let own: BTreeSet<String> = combinations(chain.filter_chain_match.as_ref());
        let room = MOST_COMBINATIONS.saturating_sub(taken.len());
        for combination in own.into_iter().take(room) {
            let other = *taken.entry(combination).or_insert(index);
            if other != index {
                let path = format!("filter_chains[{index}]");
                let message = format!(
                    "{} matches what filter_chains[{other}] {} matches",
                    quoted(chain),
                    quoted(&listener.filter_chains[other])
                );
                report.refuse(id, &path, Rule::DuplicateFilterChain, message);
                break;
            }
        }
    }
}

fn quoted(chain: &FilterChain) -> String {
    format!("`{}`", chain.name)
}

fn combinations(wanted: Option<&FilterChainMatch>) -> BTreeSet<String> {
    let default = FilterChainMatch::default();
    let wanted = wanted.unwrap_or(&default);
    let ranges = |list: &[CidrRange]| list.iter().map(range_text).collect::<Vec<_>>();
    let lower = |list: &[String]| list.iter().map(|it| it.to_ascii_lowercase()).collect();
    let dimensions: Vec<Vec<String>> = vec![
        wanted.destination_port.iter().map(u32::to_string).collect(),
        ranges(&wanted.prefix_ranges),
        lower(&wanted.server_names),
        wanted.application_protocols.clone(),
        ranges(&wanted.direct_source_prefix_ranges),
        ranges(&wanted.source_prefix_ranges),
        wanted.source_ports.iter().map(u32::to_string).collect(),
    ];
    let first = format!("{}|{}", wanted.transport_protocol, wanted.source_type);
    let mut all = BTreeSet::from([first]);
    for values in dimensions {
        let values = if values.is_empty() { vec![String::new()] } else { values };
        all = all
            .iter()
            .flat_map(|prefix| values.iter().map(move |value| format!("{prefix}|{value}")))
            .take(MOST_COMBINATIONS)
            .collect();
    }
    all
}

fn range_text(range: &CidrRange) -> String {
    format!("{}/{}", range.address_prefix, range.prefix_len.unwrap_or(0))
}

fn check_server_names(id: &ResourceId, listener: &Listener, report: &mut Report) {
    for (path, chain) in chains(listener) {
        for name in chain.filter_chain_match.iter().flat_map(|it| &it.server_names) {
            let rest = name.strip_prefix("*.").unwrap_or(name);
            if rest.contains('*') {
                let message = format!("`{name}` is neither a name nor `*.` and a name");
                report.refuse(id, &path, Rule::ServerName, message);
            }
        }
    }
}

/// What a match asks for must be found out by somebody. As Envoy's own check, this one takes any
/// TLS inspector for enough, whatever ports it is disabled for.
fn check_tls_inspector(id: &ResourceId, listener: &Listener, report: &mut Report) {
    if listener.listener_filters.iter().any(|filter| TLS_INSPECTOR.is(filter)) {
        return;
    }
    for (path, chain) in chains(listener) {
        let Some(wanted) = &chain.filter_chain_match else { continue };
        let unset = wanted.transport_protocol.is_empty();
        let needs = [
            (wanted.transport_protocol == "tls", "the transport protocol `tls`"),
            (unset && !wanted.server_names.is_empty(), "server names"),
            (unset && !wanted.application_protocols.is_empty(), "application protocols"),
        ];
        for (_, what) in needs.iter().filter(|(needed, _)| *needed) {
            let message = format!("it matches {what}, and there is no TLS inspector");
            report.refuse(id, &path, Rule::MissingInspector, message);
        }
    }
}

/// Only the HTTP inspector knows the application protocol of plaintext.
fn check_http_inspector(id: &ResourceId, listener: &Listener, report: &mut Report) {
    if listener.listener_filters.iter().any(|filter| HTTP_INSPECTOR.is(filter)) {
        return;
    }
    for (path, chain) in chains(listener) {
        let Some(wanted) = &chain.filter_chain_match else { continue };
        let raw = wanted.transport_protocol == "raw_buffer";
        if raw && !wanted.application_protocols.is_empty() {
            let message = "it matches protocols of plaintext, and there is no HTTP inspector";
            report.refuse(id, &path, Rule::MissingInspector, message);
        }
    }
}

/// Envoy's matcher is a tree: a chain without the condition is no wildcard beside one with it.
fn check_transport_protocols(id: &ResourceId, listener: &Listener, report: &mut Report) {
    let mut by_port: BTreeMap<u32, Vec<(usize, bool)>> = BTreeMap::new();
    for (index, chain) in listener.filter_chains.iter().enumerate() {
        let Some(wanted) = &chain.filter_chain_match else { continue };
        let Some(port) = wanted.destination_port else { continue };
        let sets = !wanted.transport_protocol.is_empty();
        by_port.entry(port).or_default().push((index, sets));
    }
    for (port, chains) in by_port {
        if !chains.iter().any(|(_, sets)| *sets) {
            continue;
        }
        for (index, _) in chains.iter().filter(|(_, sets)| !sets) {
            let path = format!("filter_chains[{index}]");
            let message = format!("other chains of port {port} set the transport protocol");
            report.refuse(id, &path, Rule::MixedTransportProtocol, message);
        }
    }
}

fn check_chain(id: &ResourceId, path: &str, chain: &FilterChain, report: &mut Report) {
    check_terminal(id, path, &chain.filters, report);
    for (index, filter) in chain.filters.iter().enumerate() {
        let Some(ConfigType::TypedConfig(any)) = &filter.config_type else { continue };
        let Ok(manager) = any.unpack::<HttpConnectionManager>() else { continue };
        let path = format!("{path}.filters[{index}].typed_config");
        let matches_tls =
            chain.filter_chain_match.as_ref().is_some_and(|it| it.transport_protocol == "tls");
        if matches_tls && chain.transport_socket.is_none() {
            let message = "an HTTP manager on TLS that the chain does not end";
            report.refuse(id, &path, Rule::UnterminatedTls, message);
        }
        check_http_filters(id, &path, &manager, report);
        if let Some(RouteSpecifier::RouteConfig(routes)) = &manager.route_specifier {
            route::check(id, routes, &format!("{path}.route_config"), report);
        }
    }
}

/// Network filters that end a chain, by the last parts of their message names.
const TERMINAL: [&str; 5] = [
    "http_connection_manager.v3.HttpConnectionManager",
    "tcp_proxy.v3.TcpProxy",
    "redis_proxy.v3.RedisProxy",
    "direct_response.v3.Config",
    "thrift_proxy.v3.ThriftProxy",
];

fn check_terminal(id: &ResourceId, path: &str, filters: &[Filter], report: &mut Report) {
    for (index, filter) in filters.iter().enumerate() {
        let Some(ConfigType::TypedConfig(any)) = &filter.config_type else { continue };
        let terminal = TERMINAL.iter().any(|name| any.message_name().ends_with(name));
        if terminal && index + 1 < filters.len() {
            let message = format!("`{}` ends the chain and is not the last filter", filter.name);
            report.refuse(id, &format!("{path}.filters[{index}]"), Rule::TerminalFilter, message);
        }
    }
}

fn check_http_filters(
    id: &ResourceId,
    path: &str,
    manager: &HttpConnectionManager,
    report: &mut Report,
) {
    use envoy::extensions::filters::http::router::v3::Router;
    let last = manager.http_filters.len().wrapping_sub(1);
    for (index, filter) in manager.http_filters.iter().enumerate() {
        let Some(HttpConfigType::TypedConfig(any)) = &filter.config_type else { continue };
        let router = any.message_name() == Router::full_name();
        let path = format!("{path}.http_filters[{index}]");
        let message = match (router, index == last) {
            (true, false) => format!("the router `{}` is not the last filter", filter.name),
            (false, true) => format!("the last filter `{}` is no router", filter.name),
            (true, true) | (false, false) => continue,
        };
        report.refuse(id, &path, Rule::TerminalFilter, message);
    }
}
