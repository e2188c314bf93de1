//! The inline route configuration of an inbound HTTP chain: everything to the application.

use envoy::config::route::v3::{
    Decorator, RetryPolicy, Route, RouteAction, RouteConfiguration, VirtualHost, route,
    route_action::{ClusterSpecifier, MaxStreamDuration},
};
use model::Protocol;

use crate::{
    filters::{duration, seconds},
    inbound::InboundRetry,
    lazy_gateway::{CALLER_HEADER, ROUTE_HEADER},
    route::every_path,
};

/// What the routes of a chain depend on.
pub(super) struct RouteParts<'a> {
    pub service_port: u16,
    pub hostname: &'a str,
    pub protocol: Protocol,
    pub retry: Option<&'a InboundRetry>,
    /// Whether requests may carry headers of the lazy gateway.
    pub relayed: bool,
}

pub(super) fn route_configuration(cluster: &str, parts: &RouteParts<'_>) -> RouteConfiguration {
    // Callers decide how long they wait; the application's proxy adds no limit of its own.
    let unlimited = MaxStreamDuration {
        max_stream_duration: Some(seconds(0)),
        grpc_timeout_header_max: Some(seconds(0)),
        ..MaxStreamDuration::default()
    };
    let action = RouteAction {
        timeout: Some(seconds(0)),
        max_stream_duration: Some(unlimited),
        retry_policy: retry_policy(parts),
        cluster_specifier: Some(ClusterSpecifier::Cluster(cluster.to_owned())),
        ..RouteAction::default()
    };
    let route = Route {
        name: "default".to_owned(),
        r#match: Some(every_path()),
        decorator: Some(Decorator {
            operation: format!("{}:{}/*", parts.hostname, parts.service_port),
            ..Decorator::default()
        }),
        action: Some(route::Action::Route(action)),
        ..Route::default()
    };
    RouteConfiguration {
        name: cluster.to_owned(),
        virtual_hosts: vec![VirtualHost {
            name: format!("inbound|http|{}", parts.service_port),
            domains: vec!["*".to_owned()],
            routes: vec![route],
            ..VirtualHost::default()
        }],
        validate_clusters: Some(false),
        // By then the policies have read them.
        request_headers_to_remove: match parts.relayed {
            true => [CALLER_HEADER, ROUTE_HEADER].map(str::to_owned).into(),
            false => Vec::new(),
        },
        ..RouteConfiguration::default()
    }
}

fn retry_policy(parts: &RouteParts<'_>) -> Option<RetryPolicy> {
    // gRPC callers retry by themselves, and see resets as answers.
    if matches!(parts.protocol, Protocol::Grpc | Protocol::GrpcWeb) {
        return None;
    }
    let retry = parts.retry?;
    Some(RetryPolicy {
        retry_on: retry.retry_on.to_string(),
        num_retries: Some(retry.attempts),
        per_try_timeout: retry.per_try_timeout.map(duration),
        ..RetryPolicy::default()
    })
}
