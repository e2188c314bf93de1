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

/// The clusters for what is refused and for destinations that the mesh does not know. A gateway
/// knows all its destinations, and needs the first only; gRPC's client asks for none.
pub fn special_clusters(client: &Client, mesh: &Mesh, policy: OutboundPolicy) -> Vec<Compiled> {
    if client.generator == Generator::Grpc {
        return Vec::new();
    }
    let mut clusters = vec![black_hole(mesh)];
    match client.kind {
        ProxyKind::Router => {}
        ProxyKind::Sidecar => {
            clusters.push(passthrough(mesh));
            match policy {
                OutboundPolicy::AllowAnyDynamicDns => clusters.push(dynamic_dns(mesh)),
                OutboundPolicy::AllowAny | OutboundPolicy::RegistryOnly => {}
            }
        }
    }
    let resources = clusters
        .into_iter()
        .map(|cluster| Resource::from_message(cluster.name.clone(), type_url::CLUSTER, &cluster));
    resources.map(Compiled::new).collect()
}

fn named(name: &str, mesh: &Mesh) -> Cluster {
    Cluster {
        name: name.to_owned(),
        alt_stat_name: format!("{name};"),
        connect_timeout: Some(default_connect_timeout(mesh)),
        ..Cluster::default()
    }
}

fn black_hole(mesh: &Mesh) -> Cluster {
    Cluster {
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Static.into())),
        ..named(names::BLACK_HOLE_CLUSTER, mesh)
    }
}

/// To wherever the caller was going.
fn passthrough(mesh: &Mesh) -> Cluster {
    Cluster {
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::OriginalDst.into())),
        ..open(named(names::PASSTHROUGH_CLUSTER, mesh))
    }
}

/// To wherever the request's host leads.
fn dynamic_dns(mesh: &Mesh) -> Cluster {
    Cluster {
        cluster_discovery_type: Some(dynamic_forward_proxy()),
        ..open(named(names::DYNAMIC_DNS_CLUSTER, mesh))
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
