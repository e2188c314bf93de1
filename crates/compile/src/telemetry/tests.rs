//! Golden tests: a mesh, and what a sidecar in the namespace `shop` logs and traces.

use std::fmt::Write;

use envoy::{
    config::accesslog::v3::AccessLog,
    json::{FieldNames, typed_to_json},
};
use expect_test::{Expect, expect};
use model::Proxy;
use serde_json::{Value, json};
use snapshot::Reader;

use super::{
    Side, cel::check_expression, format, http_logs, listener_logs, select_runtime,
    select_telemetry, sink::Sink, tcp_logs,
};
use crate::{
    Client, fixture,
    inbound::{compile_inbound_clusters, compile_inbound_listeners, select_inbound},
};

/// Collectors, and the mesh that names them.
const MESH: &str = "
apiVersion: v1
kind: Service
metadata: {name: collector, namespace: observe}
spec:
  clusterIP: 10.96.0.9
  ports: [{name: grpc, port: 4317}, {name: http, port: 9411}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    defaultProviders: DEFAULTS
    extensionProviders:
    - name: json
      envoyFileAccessLog: {path: /dev/stderr, logFormat: {labels: {code: \"%RESPONSE_CODE%\"}}}
    - name: als
      envoyHttpAls: {service: collector.observe.svc.cluster.local, port: 4317}
    - name: tcp-als
      envoyTcpAls: {service: observe/collector.observe.svc.cluster.local, port: 4317}
    - name: otel-log
      envoyOtelAls: {service: collector.observe.svc.cluster.local, port: 4317}
    - name: zipkin
      zipkin: {service: collector.observe.svc.cluster.local, port: 9411}
    - name: skywalking
      skywalking: {service: collector.observe.svc.cluster.local, port: 4317, accessToken: t}
    - name: otel
      opentelemetry: {service: collector.observe.svc.cluster.local, port: 4317}
    - name: otel-http
      opentelemetry:
        {service: $(HOST_IP), port: 4318, http: {path: /v1/traces, timeout: 3s, headers: [{name: a, value: b}]}}
    - name: lost
      zipkin: {service: nowhere.observe.svc.cluster.local, port: 9411}
    - name: lightstep
      lightstep: {service: x, port: 1}
";

fn proxy(runtime: bool) -> Proxy {
    let mut proxy = fixture::proxy("shop");
    let mut metadata = (*proxy.metadata).clone();
    if runtime {
        metadata.insert("MELTEMI_RUNTIME".to_owned(), json!("true"));
    }
    metadata.insert("MELTEMI_NODE_AGENT".to_owned(), json!("4318"));
    proxy.metadata = metadata.into();
    proxy.labels = [("app", "cart")].into_iter().collect();
    proxy
}

fn sink(sink: &Sink) -> String {
    match sink {
        Sink::File(file) => file.path.to_string(),
        Sink::HttpAls(als) => format!("http als {}", als.collector.cluster),
        Sink::TcpAls(als) => format!("tcp als {}", als.collector.cluster),
        Sink::Otel(otel) => format!("otel {}", otel.collector.cluster),
    }
}

fn render(mesh: &str, proxy: &Proxy) -> String {
    let snapshot = fixture::snapshot(mesh);
    let reader = Reader::new(&snapshot);
    let client = Client::reduce(proxy, &reader);
    let mut out = String::new();
    for (name, side) in [("client", Side::Client), ("server", Side::Server)] {
        let (telemetry, findings) = select_telemetry(side, &client, &reader);
        for logger in &telemetry.logs {
            let expression = logger.expression.as_ref().map(|it| format!(" if {it}"));
            let expression = expression.unwrap_or_default();
            let switch = logger.switch.as_ref().map(|it| format!(" by {it}")).unwrap_or_default();
            writeln!(out, "{name} logs to {}{switch}{expression}", sink(&logger.sink)).unwrap();
        }
        if let Some(tracing) = &telemetry.tracing {
            let tags: Vec<&str> = tracing.tags.iter().map(|tag| &*tag.name).collect();
            let cluster = &tracing.tracer.collector().cluster;
            let part = tracing.sampling;
            let off = if tracing.reports { "" } else { ", reports nothing" };
            writeln!(out, "{name} traces {part}/10000 to {cluster}{off}: {}", tags.join(" "))
                .unwrap();
        }
        for finding in findings.iter().filter(|_| side == Side::Client) {
            writeln!(out, "{finding}").unwrap();
        }
    }
    for (key, value) in select_runtime(&client, &reader).unwrap_or_default().values {
        writeln!(out, "runtime {key} {value}").unwrap();
    }
    out
}

/// `objects` are specs of Telemetry objects: a namespace and a name, and the text below `spec`.
fn mesh(defaults: &str, objects: &[(&str, &str, &str)]) -> String {
    let mut mesh = MESH.replace("DEFAULTS", defaults);
    for (namespace, name, spec) in objects {
        write!(
            mesh,
            "---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {{name: {name}, namespace: {namespace}}}
spec:
{spec}
"
        )
        .unwrap();
    }
    mesh
}

#[track_caller]
fn check(mesh: &str, expected: Expect) {
    expected.assert_eq(&render(mesh, &proxy(false)));
}

#[track_caller]
fn check_switched(mesh: &str, expected: Expect) {
    expected.assert_eq(&render(mesh, &proxy(true)));
}

const ENVOY: &str = "  accessLogging: [{providers: [{name: envoy}]}]";

#[test]
fn nothing_is_logged_unless_somebody_asks() {
    check(&mesh("{}", &[]), expect![[r#""#]]);
}

#[test]
fn the_file_of_the_mesh_is_written_where_no_object_says_otherwise() {
    let plain = "
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: 'accessLogFile: /var/log/access'}
";
    check(
        plain,
        expect![[r#"
        client logs to /var/log/access
        server logs to /var/log/access
    "#]],
    );
    let off = format!(
        "{plain}---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {{name: off, namespace: shop}}
spec: {{accessLogging: [{{providers: [{{name: envoy}}], disabled: true}}]}}
"
    );
    check(&off, expect![[""]]);
}

#[test]
fn the_workloads_object_beats_the_namespaces_and_that_the_meshs() {
    let objects = [
        ("istio-system", "mesh", ENVOY),
        ("shop", "shop", "  accessLogging: [{providers: [{name: json}], match: {mode: CLIENT}}]"),
        (
            "shop",
            "cart",
            "  selector: {matchLabels: {app: cart}}
  accessLogging: [{match: {mode: CLIENT}, filter: {expression: response.code >= 400}}]",
        ),
        (
            "shop",
            "other",
            "  selector: {matchLabels: {app: pay}}\n  accessLogging: [{disabled: true}]",
        ),
    ];
    check(
        &mesh("{}", &objects),
        expect![[r#"
        client logs to /dev/stderr if response.code >= 400
        server logs to /dev/stdout
    "#]],
    );
}

#[test]
fn every_provider_is_there_and_switched_where_switches_are_looked_up() {
    let some = [(
        "shop",
        "shop",
        "  accessLogging: [{providers: [{name: envoy}], match: {mode: SERVER}}]",
    )];
    check_switched(
        &mesh("{}", &some),
        expect![[r#"
        client logs to http als outbound|4317||collector.observe.svc.cluster.local by meltemi.log.client.als
        client logs to /dev/stdout by meltemi.log.client.envoy
        client logs to /dev/stderr by meltemi.log.client.json
        client logs to otel outbound|4317||collector.observe.svc.cluster.local by meltemi.log.client.otel-log
        client logs to tcp als outbound|4317||collector.observe.svc.cluster.local by meltemi.log.client.tcp-als
        server logs to http als outbound|4317||collector.observe.svc.cluster.local by meltemi.log.server.als
        server logs to /dev/stdout by meltemi.log.server.envoy
        server logs to /dev/stderr by meltemi.log.server.json
        server logs to otel outbound|4317||collector.observe.svc.cluster.local by meltemi.log.server.otel-log
        server logs to tcp als outbound|4317||collector.observe.svc.cluster.local by meltemi.log.server.tcp-als
        runtime meltemi.log.server.envoy 10000
    "#]],
    );
}

#[test]
fn turning_logs_on_and_off_changes_no_listener() {
    let cases = [
        vec![],
        vec![("shop", "shop", ENVOY)],
        vec![("istio-system", "all", "  accessLogging: [{providers: [{name: als}]}]")],
        vec![
            ("istio-system", "all", ENVOY),
            ("shop", "shop", "  accessLogging: [{disabled: true}]"),
        ],
        vec![(
            "shop",
            "cart",
            "  selector: {matchLabels: {app: cart}}\n  accessLogging: [{providers: [{name: json}]}]",
        )],
    ];
    let select = |objects: &[(&str, &str, &str)]| {
        let snapshot = fixture::snapshot(&mesh("{}", objects));
        let reader = Reader::new(&snapshot);
        let client = Client::reduce(&proxy(true), &reader);
        let sides = [Side::Client, Side::Server].map(|it| select_telemetry(it, &client, &reader).0);
        (sides, select_runtime(&client, &reader))
    };
    let (none, switches) = select(&cases[0]);
    for case in &cases[1..] {
        let (some, other) = select(case);
        assert!(some == none, "{case:?}");
        assert_ne!(other, switches, "{case:?}");
    }
}

#[test]
fn an_expression_that_envoy_would_refuse_is_left_out() {
    let bad = [(
        "shop",
        "bad",
        "  accessLogging: [{providers: [{name: envoy}], filter: {expression: 'response.code >='}}]",
    )];
    check(
        &mesh("{}", &bad),
        expect![[r#"
        client logs to /dev/stdout
        warning[MEL0294] Telemetry shop/bad spec.accessLogging.filter.expression: the filter is left out, as the expression ends too early
        server logs to /dev/stdout
    "#]],
    );
}

#[test]
fn what_leads_nowhere_or_is_gone_is_reported() {
    let objects = [
        ("shop", "logs", "  accessLogging: [{providers: [{name: nobody}, {name: envoy}]}]"),
        ("istio-system", "traces", "  tracing: [{providers: [{name: lost}]}]"),
    ];
    check(
        &mesh("{}", &objects),
        expect![[r#"
        client logs to /dev/stdout
        warning[MEL0290] Telemetry shop/logs spec.accessLogging.providers: no provider is called `nobody` (add it to `extensionProviders` of the MeshConfig)
        warning[MEL0292] MeshConfig mesh extensionProviders: provider `lost`: the service `nowhere.observe.svc.cluster.local` does not exist, so nothing is traced
        server logs to /dev/stdout
    "#]],
    );
    let gone = [("shop", "traces", "  tracing: [{providers: [{name: lightstep}]}]")];
    check(
        &mesh("{}", &gone),
        expect![[r#"
        warning[MEL0291] Telemetry shop/traces: the provider `lightstep` is of the kind `lightstep`, which is gone (Envoy sends traces to SkyWalking, Zipkin, OpenTelemetry and Datadog)
    "#]],
    );
}

const TRACES: &str = "
  tracing:
  - providers: [{name: zipkin}]
    randomSamplingPercentage: 12.5
    customTags: {b: {literal: {value: x}}, a: {header: {name: h}}, c: {formatter: {value: '%NOPE%'}}}";

#[test]
fn traces_have_a_share_and_tags() {
    check(
        &mesh("{}", &[("shop", "traces", TRACES)]),
        expect![[r#"
        client traces 1250/10000 to outbound|9411||collector.observe.svc.cluster.local: a b istio.canonical_revision istio.canonical_service istio.cluster_id istio.mesh_id istio.namespace
        warning[MEL0293] Telemetry shop/traces: the tag `c` is left out, as `%NOPE%` is no operator of Envoy's formats
        server traces 1250/10000 to outbound|9411||collector.observe.svc.cluster.local: a b istio.canonical_revision istio.canonical_service istio.cluster_id istio.mesh_id istio.namespace
    "#]],
    );
    let default = "{tracing: [skywalking]}";
    let off =
        "  tracing: [{disableSpanReporting: true, match: {mode: SERVER}, enableIstioTags: false}]";
    check(
        &mesh(default, &[("shop", "traces", off)]),
        expect![[r#"
        client traces 100/10000 to outbound|4317||collector.observe.svc.cluster.local: istio.canonical_revision istio.canonical_service istio.cluster_id istio.mesh_id istio.namespace
    "#]],
    );
}

#[test]
fn another_share_of_traces_is_another_value_only() {
    check_switched(
        &mesh("{}", &[("shop", "traces", TRACES)]),
        expect![[r#"
        client logs to http als outbound|4317||collector.observe.svc.cluster.local by meltemi.log.client.als
        client logs to /dev/stdout by meltemi.log.client.envoy
        client logs to /dev/stderr by meltemi.log.client.json
        client logs to otel outbound|4317||collector.observe.svc.cluster.local by meltemi.log.client.otel-log
        client logs to tcp als outbound|4317||collector.observe.svc.cluster.local by meltemi.log.client.tcp-als
        client traces 100/10000 to outbound|9411||collector.observe.svc.cluster.local: a b istio.canonical_revision istio.canonical_service istio.cluster_id istio.mesh_id istio.namespace
        warning[MEL0293] Telemetry shop/traces: the tag `c` is left out, as `%NOPE%` is no operator of Envoy's formats
        server logs to http als outbound|4317||collector.observe.svc.cluster.local by meltemi.log.server.als
        server logs to /dev/stdout by meltemi.log.server.envoy
        server logs to /dev/stderr by meltemi.log.server.json
        server logs to otel outbound|4317||collector.observe.svc.cluster.local by meltemi.log.server.otel-log
        server logs to tcp als outbound|4317||collector.observe.svc.cluster.local by meltemi.log.server.tcp-als
        server traces 100/10000 to outbound|9411||collector.observe.svc.cluster.local: a b istio.canonical_revision istio.canonical_service istio.cluster_id istio.mesh_id istio.namespace
        runtime tracing.random_sampling 1250
    "#]],
    );
    let off = format!("{TRACES}\n    disableSpanReporting: true");
    check_switched(
        &mesh("{}", &[("shop", "traces", &off)]),
        expect![[r#"
        client logs to http als outbound|4317||collector.observe.svc.cluster.local by meltemi.log.client.als
        client logs to /dev/stdout by meltemi.log.client.envoy
        client logs to /dev/stderr by meltemi.log.client.json
        client logs to otel outbound|4317||collector.observe.svc.cluster.local by meltemi.log.client.otel-log
        client logs to tcp als outbound|4317||collector.observe.svc.cluster.local by meltemi.log.client.tcp-als
        client traces 100/10000 to outbound|9411||collector.observe.svc.cluster.local: a b istio.canonical_revision istio.canonical_service istio.cluster_id istio.mesh_id istio.namespace
        warning[MEL0293] Telemetry shop/traces: the tag `c` is left out, as `%NOPE%` is no operator of Envoy's formats
        server logs to http als outbound|4317||collector.observe.svc.cluster.local by meltemi.log.server.als
        server logs to /dev/stdout by meltemi.log.server.envoy
        server logs to /dev/stderr by meltemi.log.server.json
        server logs to otel outbound|4317||collector.observe.svc.cluster.local by meltemi.log.server.otel-log
        server logs to tcp als outbound|4317||collector.observe.svc.cluster.local by meltemi.log.server.tcp-als
        server traces 100/10000 to outbound|9411||collector.observe.svc.cluster.local: a b istio.canonical_revision istio.canonical_service istio.cluster_id istio.mesh_id istio.namespace
        runtime tracing.global_enabled 0
        runtime tracing.random_sampling 1250
    "#]],
    );
    let one = "  tracing: [{providers: [{name: otel-http}]}, {match: {mode: CLIENT}, randomSamplingPercentage: 50}]";
    check_switched(
        &mesh("{}", &[("shop", "traces", one)]),
        expect![[r#"
        client logs to http als outbound|4317||collector.observe.svc.cluster.local by meltemi.log.client.als
        client logs to /dev/stdout by meltemi.log.client.envoy
        client logs to /dev/stderr by meltemi.log.client.json
        client logs to otel outbound|4317||collector.observe.svc.cluster.local by meltemi.log.client.otel-log
        client logs to tcp als outbound|4317||collector.observe.svc.cluster.local by meltemi.log.client.tcp-als
        client traces 5000/10000 to node-agent-http-4318: istio.canonical_revision istio.canonical_service istio.cluster_id istio.mesh_id istio.namespace
        server logs to http als outbound|4317||collector.observe.svc.cluster.local by meltemi.log.server.als
        server logs to /dev/stdout by meltemi.log.server.envoy
        server logs to /dev/stderr by meltemi.log.server.json
        server logs to otel outbound|4317||collector.observe.svc.cluster.local by meltemi.log.server.otel-log
        server logs to tcp als outbound|4317||collector.observe.svc.cluster.local by meltemi.log.server.tcp-als
        server traces 100/10000 to node-agent-http-4318: istio.canonical_revision istio.canonical_service istio.cluster_id istio.mesh_id istio.namespace
    "#]],
    );
}

#[test]
fn the_default_format_is_istios() {
    expect![[r#"
        [%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%
    "#]].assert_eq(format::DEFAULT_TEXT);
}

fn yaml(logs: &[AccessLog]) -> String {
    let values = logs.iter().map(|log| typed_to_json(log, FieldNames::Proto));
    serde_json::to_string_pretty(&Value::Array(values.collect())).unwrap()
}

#[test]
fn a_log_looks_at_its_switch_first() {
    let filtered = [(
        "shop",
        "shop",
        "  accessLogging: [{providers: [{name: als}, {name: json}], filter: {expression: 'response.code >= 500'}}]",
    )];
    let snapshot = fixture::snapshot(&mesh("{}", &filtered));
    let reader = Reader::new(&snapshot);
    let client = Client::reduce(&proxy(true), &reader);
    let (telemetry, _) = select_telemetry(Side::Server, &client, &reader);
    let is_filtered = |log: &AccessLog| yaml(std::slice::from_ref(log)).contains("and_filter");
    let filtered = |logs: Vec<AccessLog>| {
        yaml(logs.iter().find(|log| is_filtered(log)).map(std::slice::from_ref).unwrap_or_default())
    };
    expect![[r#"
        [
          {
            "filter": {
              "and_filter": {
                "filters": [
                  {
                    "runtime_filter": {
                      "percent_sampled": {
                        "denominator": "TEN_THOUSAND"
                      },
                      "runtime_key": "meltemi.log.server.als.5c4c8ddefcd56adc21977002d992c20b",
                      "use_independent_randomness": true
                    }
                  },
                  {
                    "extension_filter": {
                      "name": "envoy.access_loggers.extension_filters.cel",
                      "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
                        "expression": "response.code >= 500"
                      }
                    }
                  }
                ]
              }
            },
            "name": "envoy.access_loggers.http_grpc",
            "typed_config": {
              "@type": "type.googleapis.com/envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig",
              "common_config": {
                "grpc_service": {
                  "envoy_grpc": {
                    "authority": "collector.observe.svc.cluster.local",
                    "cluster_name": "outbound|4317||collector.observe.svc.cluster.local"
                  }
                },
                "log_name": "http_envoy_accesslog",
                "transport_api_version": "V3"
              }
            }
          }
        ]"#]].assert_eq(&filtered(http_logs(&telemetry)));
    let names =
        |logs: &[AccessLog]| logs.iter().map(|it| it.name.clone()).collect::<Vec<_>>().join(" ");
    expect!["envoy.access_loggers.http_grpc envoy.access_loggers.http_grpc envoy.access_loggers.file envoy.access_loggers.file envoy.access_loggers.file envoy.access_loggers.open_telemetry"].assert_eq(&names(&http_logs(&telemetry)));
    expect!["envoy.access_loggers.file envoy.access_loggers.file envoy.access_loggers.file envoy.access_loggers.open_telemetry envoy.access_loggers.tcp_grpc"].assert_eq(&names(&tcp_logs(&telemetry)));
    expect![[r#"
        [
          {
            "filter": {
              "and_filter": {
                "filters": [
                  {
                    "runtime_filter": {
                      "percent_sampled": {
                        "denominator": "TEN_THOUSAND"
                      },
                      "runtime_key": "meltemi.log.server.envoy",
                      "use_independent_randomness": true
                    }
                  },
                  {
                    "response_flag_filter": {
                      "flags": [
                        "NR"
                      ]
                    }
                  }
                ]
              }
            },
            "name": "envoy.access_loggers.file",
            "typed_config": {
              "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
              "log_format": {
                "text_format_source": {
                  "inline_string": "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% \"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"
                }
              },
              "path": "/dev/stdout"
            }
          }
        ]"#]].assert_eq(&yaml(&listener_logs(&telemetry)[..1]));
}

/// The proxy's own service.
const SERVICE: &str = "
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {clusterIP: 10.96.1.1, selector: {app: cart}, ports: [{name: http, port: 80}, {name: tcp, port: 81}]}
---
apiVersion: v1
kind: Pod
metadata: {name: cart-1, namespace: shop, labels: {app: cart}}
status: {phase: Running, podIP: 10.9.9.9}
";

/// What the labels of requests are written from.
fn labels(logs: &[AccessLog]) -> String {
    let values: Value = serde_json::from_str(&yaml(logs)).unwrap();
    let tags = values.as_array().unwrap().last().unwrap();
    let tags = tags["typed_config"]["counters"][0]["stat"]["tags"].as_array().unwrap();
    let line = |tag: &Value| {
        format!("{} {}\n", tag["name"].as_str().unwrap(), tag["value_format"].as_str().unwrap())
    };
    tags.iter().map(line).collect()
}

#[test]
fn no_label_is_an_expression() {
    let yaml = mesh("{metrics: [prometheus]}", &[]) + SERVICE;
    let snapshot = fixture::snapshot(&yaml);
    let reader = Reader::new(&snapshot);
    let proxy = proxy(true);
    let client = Client::reduce(&proxy, &reader);
    let input = select_inbound(&proxy, &client, &reader);
    let server = labels(&http_logs(&input.port_telemetry[&80]));
    expect![[r#"
        connection_security_policy %DOWNSTREAM_PEER_URI_SAN%
        destination_app cart
        destination_canonical_revision latest
        destination_canonical_service cart
        destination_cluster Kubernetes
        destination_principal %DOWNSTREAM_LOCAL_URI_SAN%
        destination_service cart.shop.svc.cluster.local
        destination_service_name cart
        destination_service_namespace shop
        destination_version unknown
        destination_workload unknown
        destination_workload_namespace shop
        grpc_response_status %GRPC_STATUS_NUMBER%
        reporter destination
        request_protocol %REQ(CONTENT-TYPE)%
        response_code %RESPONSE_CODE%
        response_flags %RESPONSE_FLAGS%
        source_app unknown
        source_canonical_revision unknown
        source_canonical_service unknown
        source_cluster unknown
        source_principal %DOWNSTREAM_PEER_URI_SAN%
        source_version unknown
        source_workload unknown
        source_workload_namespace %FILTER_STATE(meltemi.source_workload_namespace:PLAIN)%
    "#]]
    .assert_eq(&server);
    let client = labels(&http_logs(&select_telemetry(Side::Client, &client, &reader).0));
    expect![[r#"
        connection_security_policy unknown
        destination_app %METADATA(UPSTREAM_HOST:istio:app)%
        destination_canonical_revision %METADATA(UPSTREAM_HOST:istio:revision)%
        destination_canonical_service %METADATA(UPSTREAM_HOST:istio:service)%
        destination_cluster %METADATA(UPSTREAM_HOST:istio:cluster)%
        destination_principal %UPSTREAM_PEER_URI_SAN%
        destination_service %METADATA(CLUSTER:istio:host)%
        destination_service_name %METADATA(CLUSTER:istio:name)%
        destination_service_namespace %METADATA(CLUSTER:istio:namespace)%
        destination_version %METADATA(UPSTREAM_HOST:istio:version)%
        destination_workload %METADATA(UPSTREAM_HOST:istio:name)%
        destination_workload_namespace %METADATA(CLUSTER:istio:namespace)%
        grpc_response_status %GRPC_STATUS_NUMBER%
        reporter source
        request_protocol %REQ(CONTENT-TYPE)%
        response_code %RESPONSE_CODE%
        response_flags %RESPONSE_FLAGS%
        source_app %FILTER_STATE(meltemi.source_app:PLAIN)%
        source_canonical_revision %FILTER_STATE(meltemi.source_canonical_revision:PLAIN)%
        source_canonical_service %FILTER_STATE(meltemi.source_canonical_service:PLAIN)%
        source_cluster Kubernetes
        source_principal %UPSTREAM_LOCAL_URI_SAN%
        source_version %FILTER_STATE(meltemi.source_version:PLAIN)%
        source_workload %FILTER_STATE(meltemi.source_workload:PLAIN)%
        source_workload_namespace shop
    "#]]
    .assert_eq(&client);
    assert!(!server.contains("CEL") && !client.contains("CEL"));
}

#[test]
fn envoy_takes_every_log_and_every_tracer() {
    let log = "accessLogging: [{providers: [{name: envoy}], filter: {expression: 'true'}}]";
    for tracer in ["zipkin", "skywalking", "otel"] {
        let both = format!("  {log}{}", TRACES.replace("zipkin", tracer));
        let yaml = mesh("{metrics: [prometheus]}", &[("shop", "both", &both)]) + SERVICE;
        let snapshot = fixture::snapshot(&yaml);
        let reader = Reader::new(&snapshot);
        let proxy = proxy(true);
        let client = Client::reduce(&proxy, &reader);
        let input = select_inbound(&proxy, &client, &reader);
        assert!(input.telemetry.tracing.is_some() && input.telemetry.metrics.is_some());
        crate::filters::testing::validate(
            &compile_inbound_listeners(&input),
            &compile_inbound_clusters(&input),
        );
    }
}

/// Asks Envoy whether it takes a connection manager with these access logs.
fn envoy_takes(logs: &[Value]) -> bool {
    let http = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    let router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
    let bootstrap = json!({"static_resources": {"listeners": [{
        "name": "l",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": http, "stat_prefix": "x", "access_log": logs, "route_config": {},
                "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": router}}],
            },
        }]}],
    }]}});
    testkit::envoy_process::validate(&bootstrap.to_string()).is_ok()
}

fn file_log(format: &str) -> Value {
    let file = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog";
    let query =
        "type.googleapis.com/envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery";
    json!({"name": "envoy.access_loggers.file", "typed_config": {
        "@type": file, "path": "/dev/null",
        "log_format": {
            "text_format_source": {"inline_string": format},
            "formatters": [{"name": "envoy.formatter.req_without_query", "typed_config": {"@type": query}}],
        },
    }})
}

#[test]
fn envoy_knows_every_operator_that_we_let_pass() {
    let logs: Vec<Value> = format::operators().iter().map(|it| file_log(it)).collect();
    assert!(envoy_takes(&logs));
    for bad in ["%NOPE%", "%REQ%", "%REQ(a%", "%START_TIME", "%CEL(a +)%", "%RESPONSE_CODE(x)%"] {
        assert!(format::check_format(bad).is_err(), "{bad}");
        assert!(!envoy_takes(&[file_log(bad)]), "{bad}");
    }
    for good in ["100%% %REQ(:PATH):10%", "%START_TIME(%Y/%m/%d)%", "%CEL(request.path + ')')%"] {
        assert_eq!(format::check_format(good).is_ok(), envoy_takes(&[file_log(good)]), "{good}");
    }
}

const GOOD: &[&str] = &[
    "response.code >= 400",
    "response.code >= 400 || (connection.mtls && request.headers['x-a'] == \"b\")",
    "!('x' in request.headers) ? true : request.path.startsWith('/a')",
    "request.path.matches(r'^/a\\d+$') && size(request.headers) > 1u - 0u",
    "size([1, 2]) == 2 && {'a': 1.5e-3}['a'] < 0x10",
    "xds.route_metadata.filter_metadata['meltemi']['al'] == true",
    "has(request.headers.foo) && -1 < duration('1s').getSeconds()",
];
const BAD: &[&str] = &[
    "response.code >=",
    "a &&",
    "(a",
    "a)",
    "a b",
    "'open",
    "foo(1)",
    "a.foo()",
    "1.2.3",
    "a[",
    "{1}",
    "99999999999999999999",
    "a ? b",
    "[1].all(x, x > 0)",
    "'\\q'",
    "",
];

#[test]
fn envoy_takes_the_expressions_that_we_let_pass_and_no_other() {
    let log = |expression: &str| {
        let cel =
            "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter";
        let mut log = file_log("x");
        log["filter"] = json!({"extension_filter": {"name": "cel", "typed_config":
            {"@type": cel, "expression": expression}}});
        log
    };
    for good in GOOD {
        assert_eq!(check_expression(good), Ok(()), "{good}");
    }
    let logs: Vec<Value> = GOOD.iter().map(|it| log(it)).collect();
    assert!(envoy_takes(&logs));
    for bad in BAD {
        assert!(check_expression(bad).is_err(), "{bad}");
        assert!(!envoy_takes(&[log(bad)]), "{bad}");
    }
}
