//! What DestinationRules and the Sidecar say of opaque connections.

use std::sync::Arc;

use api::{Duration, istio::sidecar::Sidecar};
use model::Service;
use snapshot::{OutboundPolicy, Reader, resolve_short_name};

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
pub(super) fn fallback(
    scope: &Scope,
    client: &Client,
    reader: &Reader<'_>,
    idle_timeout: Option<Duration>,
) -> TcpRoute {
    let cluster: Arc<str> = match scope.outbound_policy {
        OutboundPolicy::RegistryOnly => names::BLACK_HOLE_CLUSTER.into(),
        OutboundPolicy::AllowAny | OutboundPolicy::AllowAnyDynamicDns => {
            let proxy = client.sidecar.as_ref().and_then(|key| {
                let records = reader.sidecars(&key.namespace);
                let record = records.iter().find(|record| record.key == *key)?;
                egress_proxy(&record.spec, client, reader)
            });
            proxy.unwrap_or_else(|| names::PASSTHROUGH_CLUSTER.into())
        }
    };
    TcpRoute::to_cluster(cluster, idle_timeout)
}

/// The service that takes everything unknown, if the Sidecar names one.
fn egress_proxy(sidecar: &Sidecar, client: &Client, reader: &Reader<'_>) -> Option<Arc<str>> {
    let proxy = sidecar.outbound_traffic_policy.as_ref()?.egress_proxy.as_ref()?;
    let host = resolve_short_name(&proxy.host, &client.namespace, &reader.mesh().domain);
    let port = proxy.port.as_ref().and_then(|port| u16::try_from(port.number).ok())?;
    Some(names::outbound_cluster(port, &proxy.subset, &host).into())
}
