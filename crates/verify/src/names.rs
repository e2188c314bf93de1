//! Which fields of Envoy's messages hold the names of other resources.

/// What a text is the name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    Cluster,
    RouteConfiguration,
}

/// Where the name of a cluster stands: message and field.
const CLUSTER_NAMES: [(&str, &str); 12] = [
    ("envoy.config.core.v3.ApiConfigSource", "cluster_names"),
    ("envoy.config.core.v3.GrpcService.EnvoyGrpc", "cluster_name"),
    ("envoy.config.core.v3.HttpUri", "cluster"),
    ("envoy.config.route.v3.RouteAction", "cluster"),
    ("envoy.config.route.v3.RouteAction.RequestMirrorPolicy", "cluster"),
    ("envoy.config.route.v3.WeightedCluster.ClusterWeight", "name"),
    ("envoy.config.trace.v3.ZipkinConfig", "collector_cluster"),
    ("envoy.extensions.clusters.aggregate.v3.ClusterConfig", "clusters"),
    ("envoy.extensions.filters.network.redis_proxy.v3.RedisProxy.PrefixRoutes.Route", "cluster"),
    ("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", "cluster"),
    (
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight",
        "name",
    ),
    ("envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig", "cluster"),
];

/// Where the name of a route configuration stands.
pub(crate) const ROUTE_NAME: (&str, &str) =
    ("envoy.extensions.filters.network.http_connection_manager.v3.Rds", "route_config_name");

/// The fields of a message that hold names of clusters.
pub(crate) fn cluster_fields(message: &str) -> impl Iterator<Item = &'static str> {
    CLUSTER_NAMES.iter().filter(move |(name, _)| *name == message).map(|(_, field)| *field)
}

/// What the text in a field of a message is the name of.
pub(crate) fn named(message: &str, field: &str) -> Option<Named> {
    if (message, field) == ROUTE_NAME {
        return Some(Named::RouteConfiguration);
    }
    cluster_fields(message).any(|name| name == field).then_some(Named::Cluster)
}
