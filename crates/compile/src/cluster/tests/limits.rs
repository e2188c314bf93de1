//! Pools, budgets, ejection and versions of HTTP.

use expect_test::expect;

use super::check_policy;

#[test]
fn connection_pools_limit_connections_and_requests() {
    let policy = "{connectionPool: {tcp: {maxConnections: 5, connectTimeout: 250ms, \
        maxConnectionDuration: 1h, tcpKeepalive: {probes: 3, time: 60s, interval: 5s}}, \
        http: {http1MaxPendingRequests: 6, http2MaxRequests: 7, maxRetries: 8, \
        maxRequestsPerConnection: 9, idleTimeout: 90s}}}";
    check_policy(
        policy,
        80,
        expect![[r#"
        -    - max_connections: 4294967295
        -      max_pending_requests: 4294967295
        -      max_requests: 4294967295
        -      max_retries: 4294967295
        -      retry_budget:
        -        budget_percent:
        -          value: 20.0
        -        min_retry_concurrency: 3
        -connect_timeout: 10s
        +    - max_connections: 5
        +      max_pending_requests: 6
        +      max_requests: 7
        +      max_retries: 8
        +connect_timeout: 0.250s
        +typed_extension_protocol_options:
        +  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        +    @type: type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        +    common_http_protocol_options:
        +      idle_timeout: 90s
        +      max_connection_duration: 3600s
        +      max_requests_per_connection: 9
        +    explicit_http_config:
        +      http_protocol_options: {}
        +upstream_connection_options:
        +  tcp_keepalive:
        +    keepalive_interval: 5
        +    keepalive_probes: 3
        +    keepalive_time: 60
    "#]],
    );
}

#[test]
fn http2_has_settings_of_its_own() {
    let policy = "{connectionPool: {http: {maxConcurrentStreams: 50, \
        http2KeepAlive: {interval: 30s}}}}";
    check_policy(
        policy,
        90,
        expect![[r#"
        -      http2_protocol_options: {}
        +      http2_protocol_options:
        +        connection_keepalive:
        +          interval: 30s
        +          timeout: 10s
        +        max_concurrent_streams: 50
    "#]],
    );
}

#[test]
fn http1_is_upgraded_or_follows_the_client() {
    check_policy(
        "{connectionPool: {http: {h2UpgradePolicy: UPGRADE}}}",
        80,
        expect![[r#"
        +typed_extension_protocol_options:
        +  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        +    @type: type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        +    explicit_http_config:
        +      http2_protocol_options: {}
    "#]],
    );
    check_policy("{connectionPool: {http: {h2UpgradePolicy: UPGRADE}}}", 110, expect![[""]]);
    check_policy(
        "{connectionPool: {http: {useClientProtocol: true}}}",
        80,
        expect![[r#"
        +typed_extension_protocol_options:
        +  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        +    @type: type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        +    use_downstream_protocol_config:
        +      http2_protocol_options: {}
        +      http_protocol_options: {}
    "#]],
    );
}

#[test]
fn a_retry_budget_of_the_service_takes_the_place_of_the_default() {
    check_policy(
        "{retryBudget: {percent: 50, minRetryConcurrency: 10}}",
        80,
        expect![[r#"
        -          value: 20.0
        -        min_retry_concurrency: 3
        +          value: 50.0
        +        min_retry_concurrency: 10
    "#]],
    );
}

#[test]
fn failing_endpoints_are_ejected() {
    let policy = "{outlierDetection: {consecutive5xxErrors: 3, consecutiveGatewayErrors: 0, \
        interval: 5s, baseEjectionTime: 30s, maxEjectionPercent: 50, minHealthPercent: 20}}";
    check_policy(
        policy,
        80,
        expect![[r#"
        -  healthy_panic_threshold: {}
        +  healthy_panic_threshold:
        +    value: 20.0
        +outlier_detection:
        +  always_eject_one_host: true
        +  base_ejection_time: 30s
        +  consecutive_5xx: 3
        +  consecutive_gateway_failure: 0
        +  enforcing_consecutive_5xx: 100
        +  enforcing_consecutive_gateway_failure: 0
        +  enforcing_success_rate: 0
        +  interval: 5s
        +  max_ejection_percent: 50
    "#]],
    );
    let split = "{outlierDetection: {splitExternalLocalOriginErrors: true, \
        consecutiveLocalOriginFailures: 4, outlierDetectionHttpErrorCodes: [429, 503]}}";
    check_policy(
        split,
        80,
        expect![[r#"
        +outlier_detection:
        +  always_eject_one_host: true
        +  consecutive_local_origin_failure: 4
        +  enforcing_consecutive_local_origin_failure: 100
        +  enforcing_local_origin_success_rate: 0
        +  enforcing_success_rate: 0
        +  split_external_local_origin_errors: true
        +typed_extension_protocol_options:
        +  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        +    @type: type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        +    explicit_http_config:
        +      http_protocol_options: {}
        +    outlier_detection:
        +      error_matcher:
        +        or_match:
        +          rules:
        +            - http_response_headers_match:
        +                headers:
        +                  - name: :status
        +                    string_match:
        +                      exact: 429
        +            - http_response_headers_match:
        +                headers:
        +                  - name: :status
        +                    string_match:
        +                      exact: 503
    "#]],
    );
}
