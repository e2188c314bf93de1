use std::{net::SocketAddr, time::Duration};

use testkit::{
    EnvoyProcess, envoy_process,
    http::{Backend, Client, GrpcBackend, Load, LoadSettings, Request},
};

const TIMEOUT: Duration = Duration::from_secs(30);

/// A listener `in` on a port of the kernel's choice that sends everything to `backend`.
fn bootstrap(backend: SocketAddr, options: &str) -> String {
    let (ip, port) = (backend.ip(), backend.port());
    format!(
        r#"
node: {{id: test, cluster: test}}
static_resources:
  listeners:
  - name: in
    address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          route_config:
            name: local
            virtual_hosts:
            - {{name: all, domains: ["*"], routes: [{{match: {{prefix: /}}, route: {{cluster: web}}}}]}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: web
    type: STATIC
    connect_timeout: 1s
    {options}
    load_assignment:
      cluster_name: web
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: {ip}, port_value: {port}}}}}}}
"#
    )
}

#[tokio::test]
async fn envoy_serves_a_static_configuration_through_to_a_backend() {
    let backend = Backend::start("web-v1").await.unwrap();
    let mut envoy = EnvoyProcess::start(&bootstrap(backend.address(), "")).await.unwrap();
    envoy.wait_ready(TIMEOUT).await.unwrap();
    let listener = envoy.listener("in").await.unwrap();

    let answer = Client::new().send(&Request::get(listener, "web.shop", "/a")).await.unwrap();
    let echo = answer.echo().unwrap();
    assert_eq!((echo.backend.as_str(), echo.host.as_str()), ("web-v1", "web.shop"));
    assert_eq!(answer.header("server"), Some("envoy"));

    envoy.wait_stat("cluster.web.upstream_rq_200", 1, TIMEOUT).await.unwrap();
    let stats = envoy.stats("^cluster.web.upstream_rq_2").await.unwrap();
    assert_eq!(stats["cluster.web.upstream_rq_200"], 1);
    let dump = envoy.config_dump().await.unwrap();
    assert!(dump["configs"].as_array().is_some_and(|configs| !configs.is_empty()));
    assert!(envoy.log_tail().contains("starting workers"), "{}", envoy.log_tail());
    assert!(envoy.is_running());
}

#[tokio::test]
async fn a_load_through_envoy_loses_nothing() {
    let backend = Backend::start("web").await.unwrap();
    let mut envoy = EnvoyProcess::start(&bootstrap(backend.address(), "")).await.unwrap();
    envoy.wait_ready(TIMEOUT).await.unwrap();
    let listener = envoy.listener("in").await.unwrap();
    let settings = LoadSettings::new(Request::get(listener, "web", "/"), 100);
    let load = Load::start(LoadSettings { client: Client::keep_alive(), ..settings });
    tokio::time::sleep(Duration::from_millis(500)).await;
    let report = load.stop().await;
    report.expect_no_failure().unwrap();
    assert!(report.ok >= 25, "{report}");
}

#[tokio::test]
async fn grpc_passes_through_envoy_with_its_trailers() {
    let backend = GrpcBackend::start("grpc", ([127, 0, 0, 1], 0).into()).await.unwrap();
    let options = r#"typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {"@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http2_protocol_options: {}}}}"#;
    let mut envoy = EnvoyProcess::start(&bootstrap(backend.address(), options)).await.unwrap();
    envoy.wait_ready(TIMEOUT).await.unwrap();
    let listener = envoy.listener("in").await.unwrap();
    let answer = Client::new().send(&Request::grpc(listener, "web", "/a.B/C", b"hi")).await;
    let answer = answer.unwrap();
    assert_eq!((answer.grpc_status(), answer.backend()), (Some(0), Some("grpc")));
    assert_eq!(answer.grpc_message().as_deref(), Some(&b"hi"[..]));
}

#[tokio::test]
async fn a_refused_bootstrap_is_an_error_with_envoys_words() {
    let error = EnvoyProcess::start("static_resources: {wrong: 1}").await.unwrap_err();
    assert!(format!("{error:#}").contains("wrong"), "{error:#}");
}

#[test]
fn validation_tells_good_from_bad() {
    let backend = SocketAddr::from(([127, 0, 0, 1], 9));
    envoy_process::validate(&bootstrap(backend, "")).unwrap();
    let error = envoy_process::validate(&bootstrap(backend, "wrong: 1")).unwrap_err();
    assert!(error.contains("wrong"), "{error}");
}
