//! The TCP proxy.

use std::sync::Arc;

use api::{Duration, istio::traffic_policy::TunnelSettings};
use envoy::{
    config::listener::v3::Filter,
    extensions::filters::network::tcp_proxy::v3::{
        TcpProxy,
        tcp_proxy::{
            ClusterSpecifier, TcpAccessLogOptions, TunnelingConfig, WeightedCluster,
            weighted_cluster::ClusterWeight,
        },
    },
    types::v3::{
        HashPolicy,
        hash_policy::{PolicySpecifier, SourceIp},
    },
};

use crate::{
    filters::{duration, network_filter},
    names,
    telemetry::{Reports, Telemetry, tcp_logs},
    traffic_policy::Policy,
    virtual_host::host_with_port,
};

pub(super) const TCP_PROXY: &str = "envoy.filters.network.tcp_proxy";

/// A cluster and its share of the connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WeightedDestination {
    pub cluster: Arc<str>,
    /// At least 1.
    pub weight: u32,
}

/// The part of a traffic policy that a TCP proxy, and not a cluster, carries out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpPolicy {
    /// Envoy's default of one hour if absent.
    pub idle_timeout: Option<Duration>,
    pub max_duration: Option<Duration>,
    /// Connections of one caller go to one endpoint.
    pub hash_source_ip: bool,
    pub tunnel: Option<Tunnel>,
}

/// A request around the bytes of a connection, for an HTTP proxy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tunnel {
    /// `host:port`.
    pub target: Arc<str>,
    pub method: TunnelMethod,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TunnelMethod {
    Connect,
    Post,
}

impl TcpPolicy {
    pub(crate) fn new(policy: &Policy<'_>) -> Self {
        let tcp = policy.connection_pool.and_then(|pool| pool.tcp.as_ref());
        let hash = policy.load_balancer.and_then(|it| it.consistent_hash.as_ref());
        Self {
            idle_timeout: tcp.and_then(|tcp| tcp.idle_timeout),
            max_duration: tcp.and_then(|tcp| tcp.max_connection_duration),
            hash_source_ip: hash.is_some_and(|hash| hash.use_source_ip == Some(true)),
            tunnel: policy.tunnel.map(Tunnel::new),
        }
    }
}

impl Tunnel {
    fn new(settings: &TunnelSettings) -> Self {
        let port = u16::try_from(settings.target_port).unwrap_or_default();
        Self {
            target: host_with_port(&settings.target_host, port).into(),
            method: match settings.protocol.as_str() {
                "POST" => TunnelMethod::Post,
                _ => TunnelMethod::Connect,
            },
        }
    }
}

/// Where the bytes of a connection go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TcpRoute {
    pub stat_prefix: Arc<str>,
    /// Not empty. The weight of a single one has no meaning.
    pub destinations: Vec<WeightedDestination>,
    pub policy: TcpPolicy,
}

impl TcpRoute {
    /// All connections to one cluster, after which the statistics are named too.
    pub fn to_cluster(cluster: impl Into<Arc<str>>, idle_timeout: Option<Duration>) -> Self {
        let cluster = cluster.into();
        Self {
            stat_prefix: cluster.clone(),
            destinations: vec![WeightedDestination { cluster, weight: 1 }],
            policy: TcpPolicy { idle_timeout, ..TcpPolicy::default() },
        }
    }

    /// The same under a policy, whose idle timeout beats the one that is there.
    #[must_use]
    pub fn under(self, policy: TcpPolicy) -> Self {
        let idle_timeout = policy.idle_timeout.or(self.policy.idle_timeout);
        Self { policy: TcpPolicy { idle_timeout, ..policy }, ..self }
    }

    /// Whether what it carries goes to no service.
    fn leaves_the_mesh(&self) -> bool {
        let unknown = [names::PASSTHROUGH_CLUSTER, names::BLACK_HOLE_CLUSTER];
        self.clusters().any(|cluster| unknown.contains(&&**cluster))
    }

    pub fn clusters(&self) -> impl Iterator<Item = &Arc<str>> {
        self.destinations.iter().map(|destination| &destination.cluster)
    }
}

/// The network filter that copies bytes.
pub fn tcp_proxy(route: &TcpRoute, telemetry: &Telemetry) -> Filter {
    let reports = telemetry.reports.as_ref().filter(|_| route.leaves_the_mesh());
    network_filter(TCP_PROXY, &configure(route, telemetry, reports))
}

/// The configuration of that filter, which tells `reports` of connections.
pub(super) fn configure(
    route: &TcpRoute,
    telemetry: &Telemetry,
    reports: Option<&Reports>,
) -> TcpProxy {
    let specifier = match route.destinations.as_slice() {
        [only] => ClusterSpecifier::Cluster(only.cluster.to_string()),
        several => ClusterSpecifier::WeightedClusters(WeightedCluster {
            clusters: several.iter().map(cluster_weight).collect(),
        }),
    };
    let tells_of_connects = telemetry.logs_connects() || reports.is_some();
    let source_ip = PolicySpecifier::SourceIp(SourceIp {});
    TcpProxy {
        stat_prefix: route.stat_prefix.to_string(),
        idle_timeout: route.policy.idle_timeout.map(duration),
        max_downstream_connection_duration: route.policy.max_duration.map(duration),
        tunneling_config: route.policy.tunnel.as_ref().map(tunneling_config),
        hash_policy: match route.policy.hash_source_ip {
            true => vec![HashPolicy { policy_specifier: Some(source_ip) }],
            false => Vec::new(),
        },
        cluster_specifier: Some(specifier),
        access_log: tcp_logs(telemetry, reports),
        access_log_options: tells_of_connects.then(|| TcpAccessLogOptions {
            flush_access_log_on_connected: true,
            ..TcpAccessLogOptions::default()
        }),
        ..TcpProxy::default()
    }
}

fn tunneling_config(tunnel: &Tunnel) -> TunnelingConfig {
    TunnelingConfig {
        hostname: tunnel.target.to_string(),
        use_post: tunnel.method == TunnelMethod::Post,
        ..TunnelingConfig::default()
    }
}

fn cluster_weight(destination: &WeightedDestination) -> ClusterWeight {
    ClusterWeight {
        name: destination.cluster.to_string(),
        weight: destination.weight,
        ..ClusterWeight::default()
    }
}
