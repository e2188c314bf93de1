//! Listeners: one row for each filter chain.

use admin::ResourceStatus;
use serde_json::Value;

use super::{address, at, list, or_dash, text};
use crate::{
    output::Table,
    proxy::config::{state_cell, view_table},
};

pub(super) fn table(resources: &[&ResourceStatus]) -> Table {
    let mut table = view_table(&["ADDRESS", "LISTENER", "MATCH", "DESTINATION"]);
    for resource in resources {
        let listener = &resource.resource;
        let chains = list(listener, "filter_chains").iter();
        let fallback = Some(&listener["default_filter_chain"]).filter(|it| !it.is_null());
        let mut is_empty = true;
        for chain in chains.chain(fallback) {
            is_empty = false;
            table.row([
                or_dash(address(&listener["address"])).into(),
                resource.name.as_str().into(),
                condition(&chain["filter_chain_match"]).into(),
                destination(chain).into(),
                state_cell(resource),
            ]);
        }
        if is_empty {
            let at = or_dash(address(&listener["address"]));
            let name = resource.name.as_str().into();
            table.row([at.into(), name, "-".into(), "-".into(), state_cell(resource)]);
        }
    }
    table
}

/// What a connection must be like.
fn condition(condition: &Value) -> String {
    let mut parts = Vec::new();
    if let Some(port) = condition["destination_port"].as_u64() {
        parts.push(format!("Port: {port}"));
    }
    let ranges: Vec<String> = list(condition, "prefix_ranges")
        .iter()
        .map(|range| {
            format!(
                "{}/{}",
                text(range, "address_prefix"),
                range["prefix_len"].as_u64().unwrap_or(0)
            )
        })
        .collect();
    let words = |path| {
        let words = list(condition, path).iter().filter_map(Value::as_str);
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    let lists =
        [("Addr", ranges), ("SNI", words("server_names")), ("App", words("application_protocols"))];
    for (name, words) in lists.into_iter().filter(|(_, words)| !words.is_empty()) {
        parts.push(format!("{name}: {}", words.join(",")));
    }
    if !text(condition, "transport_protocol").is_empty() {
        parts.push(format!("Trans: {}", text(condition, "transport_protocol")));
    }
    match parts.is_empty() {
        true => "ALL".to_owned(),
        false => parts.join("; "),
    }
}

/// Where the last filter leads.
fn destination(chain: &Value) -> String {
    let configs = list(chain, "filters").iter().map(|filter| &filter["typed_config"]);
    let mut leads = configs.filter_map(|config| {
        let rds = text(config, "rds/route_config_name");
        if !rds.is_empty() {
            return Some(format!("Route: {rds}"));
        }
        if !at(config, "route_config").is_null() {
            let hosts = list(config, "route_config/virtual_hosts");
            let named: Vec<&str> = hosts
                .iter()
                .flat_map(|host| list(host, "routes"))
                .map(|route| text(route, "route/cluster"))
                .filter(|cluster| !cluster.is_empty())
                .collect();
            return Some(format!("Inline Route: {}", or_dash(named.join(", "))));
        }
        match text(config, "cluster") {
            "" => {
                let weighted = list(config, "weighted_clusters/clusters").iter();
                let named: Vec<&str> = weighted.map(|it| text(it, "name")).collect();
                (!named.is_empty()).then(|| format!("Clusters: {}", named.join(", ")))
            }
            cluster => Some(format!("Cluster: {cluster}")),
        }
    });
    leads.next_back().unwrap_or_else(|| "-".to_owned())
}
