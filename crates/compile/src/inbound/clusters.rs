//! Writes down the clusters of the application's own ports.

use envoy::{
    Any, Resource,
    config::{
        cluster::v3::{
            CircuitBreakers, Cluster,
            circuit_breakers::Thresholds,
            cluster::{ClusterDiscoveryType, DiscoveryType, LbPolicy},
        },
        core::v3::{BindConfig, Http2ProtocolOptions},
        endpoint::v3::{
            ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints,
            lb_endpoint::HostIdentifier,
        },
    },
    extensions::upstreams::http::v3::{
        HttpProtocolOptions,
        http_protocol_options::{
            ExplicitHttpConfig, UpstreamProtocolOptions, UseDownstreamHttpConfig,
            explicit_http_config::ProtocolConfig,
        },
    },
    type_url,
};
use model::Protocol;

use crate::{
    Compiled,
    filters::{address, duration, socket_address},
    inbound::{InboundEndpoint, InboundInput, InboundPort, pool},
    names,
};

const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// Compiles a cluster for each port, and the one for all other ports.
pub fn compile_inbound_clusters(input: &InboundInput) -> Vec<Compiled> {
    let ports = input.ports.iter().map(|port| Compiled {
        origins: vec![port.origin.clone()],
        ..compiled(port_cluster(port, input))
    });
    std::iter::once(compiled(passthrough_cluster(input))).chain(ports).collect()
}

fn compiled(cluster: Cluster) -> Compiled {
    Compiled::new(Resource::from_message(&*cluster.name, type_url::CLUSTER, &cluster))
}

/// To wherever the caller wanted to go.
fn passthrough_cluster(input: &InboundInput) -> Cluster {
    let name = names::INBOUND_PASSTHROUGH_CLUSTER.to_owned();
    let mut cluster = original_destination(base(name, input), input);
    cluster.typed_extension_protocol_options.insert(
        HTTP_OPTIONS.to_owned(),
        Any::pack(&like_downstream(Http2ProtocolOptions::default())),
    );
    cluster
}

fn port_cluster(port: &InboundPort, input: &InboundInput) -> Cluster {
    let cluster = base(names::inbound_cluster(port.port), input);
    let mut cluster = match &port.endpoint {
        InboundEndpoint::OriginalDestination => original_destination(cluster, input),
        InboundEndpoint::Addresses { addresses, port } => {
            let endpoints = addresses.iter().map(|at| endpoint(at, *port)).collect();
            let cluster = with_endpoints(cluster, endpoints);
            // The rules that redirect an application's own calls let 127.0.0.1 pass; other
            // loopback addresses pass by their source only.
            match addresses.len() {
                1 => cluster,
                _ => Cluster { upstream_bind_config: Some(bind_config(input)), ..cluster },
            }
        }
        InboundEndpoint::Unix(path) => {
            with_endpoints(cluster, vec![endpoint(&format!("unix://{path}"), 0)])
        }
    };
    let pool = port.pool.as_deref();
    if let Some(pool) = pool {
        pool::limit(&mut cluster, pool);
    }
    let version = || pool::http2_options(pool.and_then(|pool| pool.http.as_ref()));
    let options = match port.protocol {
        Protocol::Unsupported => Some(like_downstream(version())),
        protocol if protocol.is_http2() => Some(http2(version())),
        _ => None,
    };
    let http = port.protocol.is_http() || port.protocol.is_unsupported();
    let common = pool.filter(|_| http).and_then(pool::common_options);
    let options = pool::with_common(options, common, http1);
    if let Some(options) = options {
        let options = Any::pack(&options);
        cluster.typed_extension_protocol_options.insert(HTTP_OPTIONS.to_owned(), options);
    }
    cluster
}

fn base(name: String, input: &InboundInput) -> Cluster {
    // The limits that matter are the application's; Envoy's defaults would cut in at 1,024.
    let thresholds = Thresholds {
        max_connections: Some(u32::MAX),
        max_pending_requests: Some(u32::MAX),
        max_requests: Some(u32::MAX),
        max_retries: Some(u32::MAX),
        track_remaining: true,
        ..Thresholds::default()
    };
    Cluster {
        alt_stat_name: format!("{name};"),
        name,
        connect_timeout: Some(duration(input.connect_timeout)),
        circuit_breakers: Some(CircuitBreakers {
            thresholds: vec![thresholds],
            ..CircuitBreakers::default()
        }),
        ..Cluster::default()
    }
}

fn original_destination(cluster: Cluster, input: &InboundInput) -> Cluster {
    Cluster {
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::OriginalDst.into())),
        lb_policy: LbPolicy::ClusterProvided.into(),
        upstream_bind_config: Some(bind_config(input)),
        ..cluster
    }
}

fn bind_config(input: &InboundInput) -> BindConfig {
    let source_address = Some(socket_address(&input.source, 0));
    BindConfig { source_address, ..BindConfig::default() }
}

fn with_endpoints(cluster: Cluster, lb_endpoints: Vec<LbEndpoint>) -> Cluster {
    let locality = LocalityLbEndpoints { lb_endpoints, ..LocalityLbEndpoints::default() };
    Cluster {
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Static.into())),
        load_assignment: Some(ClusterLoadAssignment {
            cluster_name: cluster.name.clone(),
            endpoints: vec![locality],
            ..ClusterLoadAssignment::default()
        }),
        ..cluster
    }
}

fn endpoint(host: &str, port: u16) -> LbEndpoint {
    let endpoint = Endpoint { address: Some(address(host, port)), ..Endpoint::default() };
    LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(endpoint)),
        ..LbEndpoint::default()
    }
}

/// The version of HTTP that the caller speaks.
fn like_downstream(options: Http2ProtocolOptions) -> HttpProtocolOptions {
    let like = UseDownstreamHttpConfig {
        http2_protocol_options: Some(options),
        ..UseDownstreamHttpConfig::default()
    };
    HttpProtocolOptions {
        upstream_protocol_options: Some(UpstreamProtocolOptions::UseDownstreamProtocolConfig(like)),
        ..HttpProtocolOptions::default()
    }
}

fn http2(options: Http2ProtocolOptions) -> HttpProtocolOptions {
    explicit(ProtocolConfig::Http2ProtocolOptions(options))
}

fn http1() -> HttpProtocolOptions {
    explicit(ProtocolConfig::HttpProtocolOptions(Default::default()))
}

fn explicit(protocol: ProtocolConfig) -> HttpProtocolOptions {
    let explicit = ExplicitHttpConfig { protocol_config: Some(protocol) };
    HttpProtocolOptions {
        upstream_protocol_options: Some(UpstreamProtocolOptions::ExplicitHttpConfig(explicit)),
        ..HttpProtocolOptions::default()
    }
}
