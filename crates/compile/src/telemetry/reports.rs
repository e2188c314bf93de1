//! What a fenced proxy reports to the control plane itself: calls of what it was not told of.
//!
//! - For learning alone. What a proxy asks for needs no report, and what it has been told of is no
//!   news; so there is one for each connection that leaves by a catch-all, and for each request that
//!   finds no other route where hosts are not asked for, or where its address may mean a service.
//! - They go to the cluster of the bootstrap that the proxy has its configuration from, if the node
//!   names one. Envoy takes a listener that names no cluster, and drops the reports.
//! - Not here: what is learned from them (`scope`).

use std::sync::Arc;

use envoy::{
    Any,
    config::{
        accesslog::v3::{
            AccessLog, AccessLogFilter, AndFilter, LogTypeFilter, OrFilter, ResponseFlagFilter,
            RuntimeFilter, access_log, access_log_filter::FilterSpecifier,
        },
        core::v3::{
            ApiVersion, GrpcService,
            grpc_service::{EnvoyGrpc, TargetSpecifier},
        },
    },
    data::accesslog::v3::AccessLogType,
    extensions::access_loggers::grpc::v3::{
        CommonGrpcAccessLogConfig, HttpGrpcAccessLogConfig, TcpGrpcAccessLogConfig,
    },
    types::{
        tracing::v3::{CustomTag, custom_tag},
        v3::{FractionalPercent, fractional_percent::DenominatorType},
    },
};

use super::{Side, access_log::expression_filter};
use crate::Client;

/// The name of the log, by which the receiver knows that it is not of all calls.
pub const REPORT_LOG: &str = "meltemi.unknown-destinations";
/// Where `scope` finds the server name of a TLS connection, which Envoy does not say by itself of a
/// connection that it passes on.
const SERVER_NAME_TAG: &str = "server_name";

/// How many of them are sent: an operator can turn it down on a proxy's admin page.
const SHARE: &str = "meltemi.reports";
const FLUSH_NANOS: i32 = 250_000_000;
const BUFFER: u32 = 16 << 10;
/// Of a connection that never got to the other side: no healthy host, or it could not be reached.
const NEVER_CONNECTED: [&str; 2] = ["UH", "UF"];
/// The routes of the virtual hosts for everything else.
const CATCH_ALL: &str = "xds.route_name in ['allow_any', 'block_all', 'lazy_gateway']";

/// Where reports go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Reports {
    cluster: Arc<str>,
}

impl Reports {
    pub(super) fn select(side: Side, client: &Client) -> Option<Self> {
        let fence = client.fence.as_ref().filter(|_| side == Side::Client)?;
        Some(Self { cluster: fence.reports.clone()? })
    }

    /// Of requests that find no route of their own.
    pub(crate) fn http(&self) -> AccessLog {
        let config = HttpGrpcAccessLogConfig {
            common_config: Some(self.common(Vec::new())),
            ..HttpGrpcAccessLogConfig::default()
        };
        let filter = all(vec![share(), expression_filter(CATCH_ALL)]);
        log("envoy.access_loggers.http_grpc", Any::pack(&config), filter)
    }

    /// Of connections to unknown destinations: each once, as soon as it is known how it fares.
    pub(crate) fn tcp(&self) -> AccessLog {
        let server_name = CustomTag {
            tag: SERVER_NAME_TAG.to_owned(),
            r#type: Some(custom_tag::Type::Value("%REQUESTED_SERVER_NAME%".to_owned())),
            ..CustomTag::default()
        };
        let common_config = Some(self.common(vec![server_name]));
        let config = TcpGrpcAccessLogConfig { common_config };
        let flags = NEVER_CONNECTED.map(str::to_owned).to_vec();
        let failed = one(FilterSpecifier::ResponseFlagFilter(ResponseFlagFilter { flags }));
        let ended = all(vec![logged_as(AccessLogType::TcpConnectionEnd), failed]);
        let filters = vec![logged_as(AccessLogType::TcpUpstreamConnected), ended];
        let once = one(FilterSpecifier::OrFilter(OrFilter { filters }));
        let filter = all(vec![share(), once]);
        log("envoy.access_loggers.tcp_grpc", Any::pack(&config), filter)
    }

    fn common(&self, custom_tags: Vec<CustomTag>) -> CommonGrpcAccessLogConfig {
        let service = EnvoyGrpc { cluster_name: self.cluster.to_string(), ..EnvoyGrpc::default() };
        CommonGrpcAccessLogConfig {
            log_name: REPORT_LOG.to_owned(),
            grpc_service: Some(GrpcService {
                target_specifier: Some(TargetSpecifier::EnvoyGrpc(service)),
                ..GrpcService::default()
            }),
            transport_api_version: ApiVersion::V3.into(),
            buffer_flush_interval: Some(prost_types::Duration { seconds: 0, nanos: FLUSH_NANOS }),
            buffer_size_bytes: Some(BUFFER),
            custom_tags,
            ..CommonGrpcAccessLogConfig::default()
        }
    }
}

fn log(name: &str, config: Any, filter: AccessLogFilter) -> AccessLog {
    AccessLog {
        name: name.to_owned(),
        filter: Some(filter),
        config_type: Some(access_log::ConfigType::TypedConfig(config)),
    }
}

fn share() -> AccessLogFilter {
    one(FilterSpecifier::RuntimeFilter(RuntimeFilter {
        runtime_key: SHARE.to_owned(),
        percent_sampled: Some(FractionalPercent {
            numerator: 100,
            denominator: DenominatorType::Hundred.into(),
        }),
        use_independent_randomness: true,
    }))
}

fn logged_as(kind: AccessLogType) -> AccessLogFilter {
    let types = vec![kind.into()];
    one(FilterSpecifier::LogTypeFilter(LogTypeFilter { types, exclude: false }))
}

fn all(filters: Vec<AccessLogFilter>) -> AccessLogFilter {
    one(FilterSpecifier::AndFilter(AndFilter { filters }))
}

fn one(specifier: FilterSpecifier) -> AccessLogFilter {
    AccessLogFilter { filter_specifier: Some(specifier) }
}
