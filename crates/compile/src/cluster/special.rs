//! The clusters that belong to no service.

use envoy::{
    Resource,
    config::{
        cluster::v3::{
            Cluster,
            cluster::{ClusterDiscoveryType, DiscoveryType, LbPolicy},
        },
        core::v3::{Http2ProtocolOptions, HttpProtocolOptions},
    },
    extensions::upstreams::http::v3::HttpProtocolOptions as UpstreamOptions,
    type_url,
};
use model::{Generator, ProxyKind};
use snapshot::{Mesh, OutboundPolicy};

use super::{
    discovery::dynamic_forward_proxy,
    http::{protocol_options, use_downstream},
    limits::{circuit_breakers, default_connect_timeout},
};
use crate::{Client, Compiled, filters::seconds, names, traffic_policy::Policy};

/// A cluster that belongs to no service, and all that it is made from: most proxies of a mesh share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpecialCluster {
    destination: Destination,
    connect_timeout: prost_types::Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Destination {
    /// Nowhere: what is refused.
    BlackHole,
    /// Wherever the caller was going.
    Passthrough,
    /// Wherever the request's host leads.
    DynamicDns,
}

/// The clusters for what is refused and for destinations that the mesh does not know. A gateway
/// knows all its destinations, and needs the first only; gRPC's client asks for none.
pub fn special_clusters(
    client: &Client,
    mesh: &Mesh,
    policy: OutboundPolicy,
) -> impl Iterator<Item = SpecialCluster> + use<> {
    let destinations: &[Destination] = match (client.generator, client.kind, policy) {
        (Generator::Grpc, ..) => &[],
        (_, ProxyKind::Router, _) => &[Destination::BlackHole],
        (_, ProxyKind::Sidecar, OutboundPolicy::AllowAnyDynamicDns) => {
            &[Destination::BlackHole, Destination::Passthrough, Destination::DynamicDns]
        }
        (_, ProxyKind::Sidecar, OutboundPolicy::AllowAny | OutboundPolicy::RegistryOnly) => {
            &[Destination::BlackHole, Destination::Passthrough]
        }
    };
    let connect_timeout = default_connect_timeout(mesh);
    destinations.iter().map(move |it| SpecialCluster { destination: *it, connect_timeout })
}

impl SpecialCluster {
    pub fn compile(&self) -> Compiled {
        let built_in = |it: DiscoveryType| ClusterDiscoveryType::Type(it.into());
        let (name, discovery) = match self.destination {
            Destination::BlackHole => (names::BLACK_HOLE_CLUSTER, built_in(DiscoveryType::Static)),
            Destination::Passthrough => {
                (names::PASSTHROUGH_CLUSTER, built_in(DiscoveryType::OriginalDst))
            }
            Destination::DynamicDns => (names::DYNAMIC_DNS_CLUSTER, dynamic_forward_proxy()),
        };
        let named = Cluster {
            name: name.to_owned(),
            alt_stat_name: format!("{name};"),
            connect_timeout: Some(self.connect_timeout),
            cluster_discovery_type: Some(discovery),
            ..Cluster::default()
        };
        let cluster = match self.destination {
            Destination::BlackHole => named,
            Destination::Passthrough | Destination::DynamicDns => open(named),
        };
        Compiled::new(Resource::from_message(cluster.name.clone(), type_url::CLUSTER, &cluster))
    }
}

/// Whatever is spoken, without limits, until nothing is said for a while.
fn open(cluster: Cluster) -> Cluster {
    let options = UpstreamOptions {
        common_http_protocol_options: Some(HttpProtocolOptions {
            idle_timeout: Some(seconds(300)),
            ..HttpProtocolOptions::default()
        }),
        upstream_protocol_options: Some(use_downstream(Http2ProtocolOptions::default())),
        ..UpstreamOptions::default()
    };
    Cluster {
        lb_policy: LbPolicy::ClusterProvided.into(),
        circuit_breakers: Some(circuit_breakers(&Policy::default())),
        typed_extension_protocol_options: protocol_options(&options),
        ..cluster
    }
}
