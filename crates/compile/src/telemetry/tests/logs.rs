//! Which access logs there are, and when they are on.

use std::collections::BTreeSet;

use envoy::config::accesslog::v3::AccessLog;
use expect_test::expect;
use snapshot::Reader;

use super::{
    super::{Side, format, http_logs, listener_logs, select_runtime, select_telemetry, tcp_logs},
    ENVOY, check, check_switched, mesh, proxy, yaml,
};
use crate::{Client, fixture};

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
        (sides, select_runtime(&client, &BTreeSet::new(), &reader))
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
fn the_default_format_is_istios() {
    expect![[r#"
        [%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%
    "#]].assert_eq(format::DEFAULT_TEXT);
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
              "or_filter": {
                "filters": [
                  {
                    "runtime_filter": {
                      "percent_sampled": {
                        "denominator": "TEN_THOUSAND"
                      },
                      "runtime_key": "meltemi.log.server.als",
                      "use_independent_randomness": true
                    }
                  },
                  {
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
        ]"#]].assert_eq(&filtered(http_logs(&telemetry, None)));
    let names =
        |logs: &[AccessLog]| logs.iter().map(|it| it.name.clone()).collect::<Vec<_>>().join(" ");
    expect!["envoy.access_loggers.http_grpc envoy.access_loggers.file envoy.access_loggers.file envoy.access_loggers.open_telemetry"].assert_eq(&names(&http_logs(&telemetry, None)));
    expect!["envoy.access_loggers.file envoy.access_loggers.file envoy.access_loggers.open_telemetry envoy.access_loggers.tcp_grpc"].assert_eq(&names(&tcp_logs(&telemetry, None)));
    expect![[r#"
        [
          {
            "filter": {
              "and_filter": {
                "filters": [
                  {
                    "response_flag_filter": {
                      "flags": [
                        "NR"
                      ]
                    }
                  },
                  {
                    "runtime_filter": {
                      "percent_sampled": {
                        "denominator": "TEN_THOUSAND"
                      },
                      "runtime_key": "meltemi.log.server.envoy",
                      "use_independent_randomness": true
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
