//! Which cluster the bytes of a connection go to.

use envoy::{
    config::{
        core::v3::{data_source::Specifier, substitution_format_string::Format},
        listener::v3::FilterChain,
    },
    extensions::filters::{
        common::set_filter_state::v3::{
            FilterStateValue,
            filter_state_value::{Key, Value},
        },
        network::{
            set_filter_state::v3::Config as SetFilterState,
            sni_cluster::v3::SniCluster,
            tcp_proxy::v3::{TcpProxy, tcp_proxy::ClusterSpecifier},
        },
    },
};

use super::{Walker, network_filters};
use crate::{
    Fidelity,
    outcome::{ClusterChoice, Stage, WeightedName},
};

/// What the TCP proxy goes by, if a filter before it has set it.
const CLUSTER: &str = "envoy.tcp_proxy.cluster";
const SERVER_NAME: &str = "%REQUESTED_SERVER_NAME%";

impl Walker<'_> {
    pub(super) fn walk_tcp(&mut self, chain: &FilterChain) {
        if let Some(name) = self.cluster_of_server_name(chain) {
            self.choose(Stage::Tcp, format!("the server name stands for the cluster `{name}`"));
            self.outcome.cluster = ClusterChoice::Single(name);
            return;
        }
        let Some(proxy) = network_filters::<TcpProxy>(chain).next() else {
            self.note(Stage::Tcp, "the chain has neither an HTTP manager nor a TCP proxy");
            return;
        };
        self.outcome.cluster = match proxy.cluster_specifier {
            Some(ClusterSpecifier::Cluster(name)) => ClusterChoice::Single(name),
            Some(ClusterSpecifier::WeightedClusters(list)) => ClusterChoice::Weighted(
                list.clusters
                    .into_iter()
                    .map(|entry| WeightedName { name: entry.name, weight: entry.weight })
                    .collect(),
            ),
            None => ClusterChoice::None,
        };
        let names = self.outcome.cluster.names().join("`, `");
        self.choose(Stage::Tcp, format!("the TCP proxy sends it to `{names}`"));
    }

    /// The cluster that a filter names after the server name of a connection.
    fn cluster_of_server_name(&self, chain: &FilterChain) -> Option<String> {
        let server_name = self.call.sni();
        if self.fidelity != Fidelity::Full || server_name.is_empty() {
            return None;
        }
        if network_filters::<SniCluster>(chain).next().is_some() {
            return Some(server_name.to_owned());
        }
        let states = network_filters::<SetFilterState>(chain);
        let texts = states.flat_map(|it| it.on_new_connection).filter_map(cluster_text);
        texts.last().map(|text| text.replace(SERVER_NAME, &server_name.to_ascii_lowercase()))
    }
}

fn cluster_text(value: FilterStateValue) -> Option<String> {
    let is_cluster = matches!(&value.key, Some(Key::ObjectKey(key)) if key == CLUSTER);
    let Some(Value::FormatString(format)) = value.value.filter(|_| is_cluster) else { return None };
    let Some(Format::TextFormatSource(source)) = format.format else { return None };
    let Some(Specifier::InlineString(text)) = source.specifier else { return None };
    Some(text)
}
