//! What a Sidecar limits on the way to the application.

use api::istio::traffic_policy::{ConnectionPoolSettings, HttpSettings};
use envoy::{
    config::{
        cluster::v3::{Cluster, UpstreamConnectionOptions},
        core::v3::{Http2ProtocolOptions, HttpProtocolOptions as CommonOptions},
    },
    extensions::upstreams::http::v3::HttpProtocolOptions,
};

use crate::{
    cluster::{keepalive, positive},
    filters::duration,
};

/// Sets the limits of connections and requests; the others stay as they are.
pub(super) fn limit(cluster: &mut Cluster, pool: &ConnectionPoolSettings) {
    let (tcp, http) = (pool.tcp.as_ref(), pool.http.as_ref());
    let breakers = cluster.circuit_breakers.iter_mut().flat_map(|it| &mut it.thresholds);
    for thresholds in breakers {
        let set = |limit: &mut Option<u32>, written: Option<i32>| {
            *limit = positive(written).or(*limit);
        };
        set(&mut thresholds.max_connections, tcp.map(|tcp| tcp.max_connections));
        let pending = http.map(|http| http.http1_max_pending_requests);
        set(&mut thresholds.max_pending_requests, pending);
        set(&mut thresholds.max_requests, http.map(|http| http.http2_max_requests));
        set(&mut thresholds.max_retries, http.map(|http| http.max_retries));
    }
    let timeout = tcp.and_then(|tcp| tcp.connect_timeout).filter(|timeout| !timeout.is_zero());
    if let Some(timeout) = timeout {
        cluster.connect_timeout = Some(duration(timeout));
    }
    if let Some(probes) = tcp.and_then(|tcp| tcp.tcp_keepalive.as_ref()) {
        cluster.upstream_connection_options = Some(UpstreamConnectionOptions {
            tcp_keepalive: Some(keepalive(probes)),
            ..UpstreamConnectionOptions::default()
        });
    }
}

/// What is said of connections that carry HTTP; `None` when nothing is.
pub(super) fn common_options(pool: &ConnectionPoolSettings) -> Option<CommonOptions> {
    let (tcp, http) = (pool.tcp.as_ref(), pool.http.as_ref());
    let options = CommonOptions {
        idle_timeout: http.and_then(|http| http.idle_timeout).map(duration),
        max_connection_duration: tcp.and_then(|tcp| tcp.max_connection_duration).map(duration),
        max_requests_per_connection: positive(http.map(|http| http.max_requests_per_connection)),
        ..CommonOptions::default()
    };
    (options != CommonOptions::default()).then_some(options)
}

/// HTTP/2 as it is spoken to the application.
pub(super) fn http2_options(http: Option<&HttpSettings>) -> Http2ProtocolOptions {
    Http2ProtocolOptions {
        max_concurrent_streams: positive(http.map(|http| http.max_concurrent_streams)),
        ..Http2ProtocolOptions::default()
    }
}

/// Options with what is said of connections in them.
pub(super) fn with_common(
    options: Option<HttpProtocolOptions>,
    common: Option<CommonOptions>,
    default: impl FnOnce() -> HttpProtocolOptions,
) -> Option<HttpProtocolOptions> {
    match common {
        None => options,
        Some(_) => Some(HttpProtocolOptions {
            common_http_protocol_options: common,
            ..options.unwrap_or_else(default)
        }),
    }
}
