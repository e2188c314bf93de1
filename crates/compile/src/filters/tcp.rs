//! The TCP proxy.

use std::sync::Arc;

use api::Duration;
use envoy::{
    config::listener::v3::Filter,
    extensions::filters::network::tcp_proxy::v3::{
        TcpProxy,
        tcp_proxy::{ClusterSpecifier, WeightedCluster, weighted_cluster::ClusterWeight},
    },
    types::v3::{
        HashPolicy,
        hash_policy::{PolicySpecifier, SourceIp},
    },
};

use crate::filters::{duration, network_filter};

/// A cluster and its share of the connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WeightedDestination {
    pub cluster: Arc<str>,
    /// At least 1.
    pub weight: u32,
}

/// Where the bytes of a connection go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TcpRoute {
    pub stat_prefix: Arc<str>,
    /// Not empty. The weight of a single one has no meaning.
    pub destinations: Vec<WeightedDestination>,
    /// Envoy's default of one hour if absent.
    pub idle_timeout: Option<Duration>,
    /// Connections of one caller go to one endpoint.
    pub hash_source_ip: bool,
}

impl TcpRoute {
    /// All connections to one cluster, after which the statistics are named too.
    pub fn to_cluster(cluster: impl Into<Arc<str>>, idle_timeout: Option<Duration>) -> Self {
        let cluster = cluster.into();
        Self {
            stat_prefix: cluster.clone(),
            destinations: vec![WeightedDestination { cluster, weight: 1 }],
            idle_timeout,
            hash_source_ip: false,
        }
    }

    pub fn clusters(&self) -> impl Iterator<Item = &Arc<str>> {
        self.destinations.iter().map(|destination| &destination.cluster)
    }
}

/// The network filter that copies bytes.
pub fn tcp_proxy(route: &TcpRoute) -> Filter {
    let specifier = match route.destinations.as_slice() {
        [only] => ClusterSpecifier::Cluster(only.cluster.to_string()),
        several => ClusterSpecifier::WeightedClusters(WeightedCluster {
            clusters: several.iter().map(cluster_weight).collect(),
        }),
    };
    let source_ip = PolicySpecifier::SourceIp(SourceIp {});
    let proxy = TcpProxy {
        stat_prefix: route.stat_prefix.to_string(),
        idle_timeout: route.idle_timeout.map(duration),
        hash_policy: match route.hash_source_ip {
            true => vec![HashPolicy { policy_specifier: Some(source_ip) }],
            false => Vec::new(),
        },
        cluster_specifier: Some(specifier),
        ..TcpProxy::default()
    };
    network_filter("envoy.filters.network.tcp_proxy", &proxy)
}

fn cluster_weight(destination: &WeightedDestination) -> ClusterWeight {
    ClusterWeight {
        name: destination.cluster.to_string(),
        weight: destination.weight,
        ..ClusterWeight::default()
    }
}
