//! The HTTP connection manager and its chain of HTTP filters.

use std::sync::Arc;

use api::Duration;
use envoy::{
    Any,
    config::{
        cluster::v3::cluster::DnsLookupFamily,
        core::v3::{
            AggregatedConfigSource, ApiVersion, ConfigSource, Http1ProtocolOptions,
            Http2ProtocolOptions, HttpProtocolOptions, config_source::ConfigSourceSpecifier,
        },
        listener::v3::Filter,
        route::v3::RouteConfiguration,
    },
    extensions::{
        common::dynamic_forward_proxy::v3::DnsCacheConfig,
        filters::{
            common::set_filter_state::v3::{
                FilterStateValue, filter_state_value::SharedWithUpstream,
            },
            http::{
                cors::v3::Cors,
                dynamic_forward_proxy::v3::{
                    FilterConfig as DynamicForwardProxy, filter_config::ImplementationSpecifier,
                },
                fault::v3::HttpFault,
                grpc_stats::v3::{
                    FilterConfig as GrpcStats, filter_config::PerMethodStatSpecifier,
                },
                grpc_web::v3::GrpcWeb,
                router::v3::Router,
                set_filter_state::v3::Config as SetFilterState,
            },
            network::http_connection_manager::v3::{
                HttpConnectionManager, HttpFilter, Rds, RequestIdExtension, ScopedRds,
                ScopedRoutes,
                http_connection_manager::{
                    ForwardClientCertDetails, PathWithEscapedSlashesAction, RouteSpecifier,
                    SetCurrentClientCertDetails, UpgradeConfig,
                },
                http_filter,
                scoped_routes::{
                    ConfigSpecifier, ScopeKeyBuilder,
                    scope_key_builder::{
                        FragmentBuilder,
                        fragment_builder::{
                            HeaderValueExtractor, Type as Fragment,
                            header_value_extractor::ExtractType,
                        },
                    },
                },
            },
        },
        request_id::uuid::v3::UuidRequestIdConfig,
    },
};
use model::{Protocol, Shared};
use prost::{Message, Name};
use snapshot::{Mesh, PathNormalization};

use crate::{
    Client,
    filters::{duration, filter_state::formatted, network_filter, on_demand, seconds},
    telemetry::{Telemetry, Tracing, http_logs},
};

/// Where a cluster says what is offered to its endpoints when HTTP is spoken.
pub(crate) const ALPN_NAMESPACE: &str = "meltemi";
pub(crate) const ALPN_FIELD: &str = "http_alpn";

/// What every HTTP connection manager of a class has in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpSettings {
    pub path_normalization: PathNormalization,
    /// Accept HTTP/1.0.
    pub http10: bool,
    /// Of connections without requests; Envoy's default if absent.
    pub idle_timeout: Option<Duration>,
    /// Names may be resolved per request.
    pub dynamic_dns: bool,
    /// Requests for hosts without a route ask for one, and wait.
    pub on_demand: bool,
    /// What nothing defines is reported also where requests ask, as it may have an address that means
    /// something.
    pub reports_unknown: bool,
}

impl HttpSettings {
    pub fn new(client: &Client, mesh: &Mesh) -> Self {
        Self {
            path_normalization: mesh.path_normalization,
            http10: client.http10 || mesh.features.flag("PILOT_HTTP10", false),
            idle_timeout: client.idle_timeout.parse().ok(),
            dynamic_dns: false,
            on_demand: false,
            reports_unknown: false,
        }
    }
}

/// The only upgrade that goes through.
pub(super) const UPGRADE: &str = "websocket";

/// On which side of the mesh a connection manager stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HttpRole {
    Outbound,
    Inbound,
    /// Between two workloads: the lazy gateway.
    Relay,
    /// At the edge: the caller's address counts, and its certificate is told to the application.
    Gateway {
        trusted_hops: u32,
    },
}

/// Where the routes come from.
#[derive(Clone, Debug, PartialEq)]
pub enum RouteSource {
    /// Asked for by this name.
    Rds(Arc<str>),
    /// The one whose key a header of the request says.
    Scoped {
        header: &'static str,
    },
    Inline(Box<RouteConfiguration>),
}

/// All that a connection manager depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct HcmOptions {
    pub stat_prefix: String,
    pub role: HttpRole,
    pub routes: RouteSource,
    /// Of the port: gRPC-Web has a filter of its own.
    pub protocol: Protocol,
    /// Requests may name their target in full, as to an HTTP proxy.
    pub absolute_url: bool,
    /// What decides about callers, in front of everything that handles requests.
    pub security: Vec<HttpFilter>,
    pub settings: HttpSettings,
    /// What is logged and traced.
    pub telemetry: Shared<Telemetry>,
}

/// The network filter that speaks HTTP.
pub fn http_connection_manager(options: &HcmOptions) -> Filter {
    let tracing = options.telemetry.tracing.as_ref();
    // Who asks for hosts is heard already.
    let is_heard = options.settings.on_demand && !options.settings.reports_unknown;
    let reports = options.telemetry.reports.as_ref().filter(|_| !is_heard);
    let mut manager = HttpConnectionManager {
        stat_prefix: options.stat_prefix.clone(),
        http_filters: http_filters(options),
        server_name: "istio-envoy".to_owned(),
        common_http_protocol_options: options.settings.idle_timeout.map(|idle| {
            HttpProtocolOptions { idle_timeout: Some(duration(idle)), ..Default::default() }
        }),
        http_protocol_options: http1_options(options),
        stream_idle_timeout: Some(seconds(0)),
        use_remote_address: Some(false),
        proxy_100_continue: true,
        upgrade_configs: vec![UpgradeConfig {
            upgrade_type: UPGRADE.to_owned(),
            ..UpgradeConfig::default()
        }],
        request_id_extension: Some(RequestIdExtension {
            typed_config: Some(Any::pack(&UuidRequestIdConfig {
                use_request_id_for_trace_sampling: Some(
                    tracing.is_none_or(|tracing| tracing.uses_request_id),
                ),
                ..UuidRequestIdConfig::default()
            })),
        }),
        route_specifier: Some(route_specifier(&options.routes)),
        tracing: tracing.map(Tracing::compile),
        access_log: http_logs(&options.telemetry, reports),
        ..HttpConnectionManager::default()
    };
    if options.settings.on_demand {
        on_demand::limit_wait(&mut manager);
    }
    normalize_paths(&mut manager, options.settings.path_normalization);
    take_role(&mut manager, options);
    network_filter("envoy.filters.network.http_connection_manager", &manager)
}

fn http1_options(options: &HcmOptions) -> Option<Http1ProtocolOptions> {
    (options.settings.http10 || options.absolute_url).then(|| Http1ProtocolOptions {
        accept_http_10: options.settings.http10,
        allow_absolute_url: options.absolute_url.then_some(true),
        ..Http1ProtocolOptions::default()
    })
}

/// From the stream that a proxy has anyway.
pub(crate) fn ads(initial_fetch_timeout: prost_types::Duration) -> ConfigSource {
    ConfigSource {
        initial_fetch_timeout: Some(initial_fetch_timeout),
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        ..ConfigSource::default()
    }
}

fn route_specifier(routes: &RouteSource) -> RouteSpecifier {
    match routes {
        RouteSource::Inline(config) => RouteSpecifier::RouteConfig((**config).clone()),
        RouteSource::Scoped { header } => RouteSpecifier::ScopedRoutes(scoped_routes(header)),
        RouteSource::Rds(name) => RouteSpecifier::Rds(Rds {
            // A listener waits for its routes as long as it takes: without them it would answer 404
            // to requests that have a route.
            config_source: Some(ads(seconds(0))),
            route_config_name: name.to_string(),
        }),
    }
}

fn scoped_routes(header: &str) -> ScopedRoutes {
    let extractor = HeaderValueExtractor {
        name: header.to_owned(),
        extract_type: Some(ExtractType::Index(0)),
        ..HeaderValueExtractor::default()
    };
    let fragment = FragmentBuilder { r#type: Some(Fragment::HeaderValueExtractor(extractor)) };
    let scopes =
        ScopedRds { scoped_rds_config_source: Some(ads(seconds(0))), ..ScopedRds::default() };
    ScopedRoutes {
        name: header.to_owned(),
        scope_key_builder: Some(ScopeKeyBuilder { fragments: vec![fragment] }),
        rds_config_source: Some(ads(seconds(0))),
        config_specifier: Some(ConfigSpecifier::ScopedRds(scopes)),
    }
}

fn normalize_paths(manager: &mut HttpConnectionManager, normalization: PathNormalization) {
    let (normalize, merge, slashes) = match normalization {
        PathNormalization::None => (false, false, PathWithEscapedSlashesAction::KeepUnchanged),
        PathNormalization::Base => (true, false, PathWithEscapedSlashesAction::KeepUnchanged),
        PathNormalization::MergeSlashes => {
            (true, true, PathWithEscapedSlashesAction::KeepUnchanged)
        }
        PathNormalization::DecodeAndMergeSlashes => {
            (true, true, PathWithEscapedSlashesAction::UnescapeAndForward)
        }
    };
    manager.normalize_path = Some(normalize);
    manager.merge_slashes = merge;
    manager.path_with_escaped_slashes_action = slashes.into();
}

fn take_role(manager: &mut HttpConnectionManager, options: &HcmOptions) {
    let details = SetCurrentClientCertDetails {
        subject: Some(true),
        uri: true,
        dns: true,
        ..SetCurrentClientCertDetails::default()
    };
    match options.role {
        HttpRole::Outbound => {}
        HttpRole::Inbound | HttpRole::Relay => {
            manager.forward_client_cert_details = ForwardClientCertDetails::AppendForward.into();
            manager.set_current_client_cert_details = Some(details);
            if options.protocol.is_http2() {
                manager.http2_protocol_options = Some(Http2ProtocolOptions::default());
            }
        }
        HttpRole::Gateway { trusted_hops } => {
            manager.use_remote_address = Some(true);
            manager.xff_num_trusted_hops = trusted_hops;
            manager.forward_client_cert_details = ForwardClientCertDetails::SanitizeSet.into();
            manager.set_current_client_cert_details =
                Some(SetCurrentClientCertDetails { cert: true, ..details });
        }
    }
}

/// In Istio's order. What a policy adds goes in front of `grpc_web`.
fn http_filters(options: &HcmOptions) -> Vec<HttpFilter> {
    let mut filters = Vec::with_capacity(8 + options.security.len());
    if options.settings.on_demand {
        filters.extend(on_demand::filters());
    }
    filters.extend(options.security.iter().cloned());
    if options.protocol == Protocol::GrpcWeb {
        filters.push(http_filter("envoy.filters.http.grpc_web", &GrpcWeb {}));
    }
    let grpc_stats = GrpcStats {
        emit_filter_state: true,
        per_method_stat_specifier: Some(PerMethodStatSpecifier::StatsForAllMethods(false)),
        ..GrpcStats::default()
    };
    filters.push(http_filter("envoy.filters.http.grpc_stats", &grpc_stats));
    match options.role {
        HttpRole::Outbound | HttpRole::Relay | HttpRole::Gateway { .. } => {
            filters.push(http_filter("envoy.filters.http.set_filter_state", &offered_protocols()));
        }
        HttpRole::Inbound => {}
    }
    filters.push(http_filter("envoy.filters.http.fault", &HttpFault::default()));
    filters.push(http_filter("envoy.filters.http.cors", &Cors {}));
    if options.settings.dynamic_dns {
        let cache = ImplementationSpecifier::DnsCacheConfig(dynamic_dns_cache());
        let proxy = DynamicForwardProxy {
            implementation_specifier: Some(cache),
            ..DynamicForwardProxy::default()
        };
        filters.push(http_filter("envoy.filters.http.dynamic_forward_proxy", &proxy));
    }
    filters.push(http_filter("envoy.filters.http.router", &Router::default()));
    filters
}

/// Tells TLS towards endpoints which protocols to offer, where the chosen cluster says them.
///
/// A server of the mesh that does not know what is spoken on a port finds HTTP by what the handshake
/// offers. One cluster serves HTTP and bytes, so that only the connection manager knows.
fn offered_protocols() -> SetFilterState {
    let offered = format!("%METADATA(CLUSTER:{ALPN_NAMESPACE}:{ALPN_FIELD})%");
    let value = FilterStateValue {
        shared_with_upstream: SharedWithUpstream::Once.into(),
        ..formatted("envoy.network.application_protocols", "", &offered)
    };
    SetFilterState { on_request_headers: vec![value], ..SetFilterState::default() }
}

pub(crate) fn http_filter<M: Message + Name>(name: &str, config: &M) -> HttpFilter {
    HttpFilter {
        name: name.to_owned(),
        config_type: Some(http_filter::ConfigType::TypedConfig(Any::pack(config))),
        ..HttpFilter::default()
    }
}

/// The cache of names that are resolved per request. Envoy demands that all users of one cache,
/// filters and clusters, describe it equally.
pub fn dynamic_dns_cache() -> DnsCacheConfig {
    DnsCacheConfig {
        name: "dynamic_dns".to_owned(),
        dns_lookup_family: DnsLookupFamily::V4Preferred.into(),
        ..DnsCacheConfig::default()
    }
}
