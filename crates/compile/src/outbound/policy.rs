//! What DestinationRules and the Sidecar say of opaque connections.

use std::sync::Arc;

use api::Duration;
use model::Service;
use snapshot::{OutboundPolicy, Reader};

use crate::{
    Client, Scope,
    filters::{TcpPolicy, TcpRoute},
    names,
    traffic_policy::select_rules,
};

/// The policy for one port of a service, or of one of its subsets.
pub(super) fn tcp_policy(
    service: &Service,
    port: u16,
    subset: &str,
    client: &Client,
    reader: &Reader<'_>,
) -> TcpPolicy {
    TcpPolicy::new(&select_rules(service, client, reader).policy(port, subset))
}

/// Where connections to unknown destinations go.
pub(super) fn fallback(scope: &Scope, idle_timeout: Option<Duration>) -> TcpRoute {
    let cluster: Arc<str> = match scope.outbound_policy {
        OutboundPolicy::RegistryOnly => names::BLACK_HOLE_CLUSTER.into(),
        OutboundPolicy::AllowAny | OutboundPolicy::AllowAnyDynamicDns => {
            scope.egress_proxy.clone().unwrap_or_else(|| names::PASSTHROUGH_CLUSTER.into())
        }
    };
    TcpRoute::to_cluster(cluster, idle_timeout)
}
