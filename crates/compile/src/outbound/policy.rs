//! What DestinationRules and the Sidecar say of opaque connections.

use std::sync::Arc;

use api::{
    Duration,
    istio::{
        load_balancer::LoadBalancerSettings, sidecar::Sidecar,
        traffic_policy::ConnectionPoolSettings, traffic_policy::TrafficPolicy,
    },
};
use model::Service;
use snapshot::{OutboundPolicy, Reader, resolve_short_name};

use crate::{Client, Scope, filters::TcpRoute, names};

/// The part of a traffic policy that a TCP proxy, and not a cluster, carries out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TcpPolicy {
    pub idle_timeout: Option<Duration>,
    pub hash_source_ip: bool,
}

impl TcpPolicy {
    /// The policy for one port of a service, or of one of its subsets.
    pub(super) fn select(
        service: &Service,
        port: u16,
        subset: &str,
        client: &Client,
        reader: &Reader<'_>,
    ) -> Self {
        let rules = reader.destination_rules(&service.key, &client.namespace, &client.labels);
        let general = rules.iter().find_map(|rule| rule.spec.traffic_policy.as_ref());
        let chosen = rules.iter().flat_map(|rule| &rule.spec.subsets);
        let chosen = chosen.filter(|it| !subset.is_empty() && it.name == subset);
        let chosen = chosen.filter_map(|it| it.traffic_policy.as_ref()).next();
        let mut policy = Self::default();
        for (pool, balancer) in general.into_iter().chain(chosen).map(|it| for_port(it, port)) {
            let idle = pool.and_then(|pool| pool.tcp.as_ref()).and_then(|tcp| tcp.idle_timeout);
            policy.idle_timeout = idle.or(policy.idle_timeout);
            if let Some(balancer) = balancer {
                policy.hash_source_ip = balancer
                    .consistent_hash
                    .as_ref()
                    .is_some_and(|hash| hash.use_source_ip == Some(true));
            }
        }
        policy
    }
}

type PortPolicy<'a> = (Option<&'a ConnectionPoolSettings>, Option<&'a LoadBalancerSettings>);

/// Settings for a port replace all others.
fn for_port(policy: &TrafficPolicy, port: u16) -> PortPolicy<'_> {
    let own = policy.port_level_settings.iter().find(|settings| {
        settings.port.as_ref().is_some_and(|selector| selector.number == u32::from(port))
    });
    match own {
        Some(own) => (own.connection_pool.as_ref(), own.load_balancer.as_ref()),
        None => (policy.connection_pool.as_ref(), policy.load_balancer.as_ref()),
    }
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
