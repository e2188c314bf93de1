//! Logs of the calls to chosen services.

use std::{collections::BTreeSet, sync::Arc};

use envoy::json::{FieldNames, typed_to_json};
use expect_test::{Expect, expect};
use snapshot::Reader;

use super::{
    super::{
        Side, check_marks, http_logs, listener_logs, mark_route, select_runtime, select_telemetry,
        tcp_logs,
    },
    mesh, proxy, yaml,
};
use crate::{Client, fixture};

const WEB: &str = "---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, annotations: {meltemi.io/access-log: 'MARK'}}
spec:
  clusterIP: 10.96.0.3
  ports: [{name: http, port: 80}]
";

/// What a mark of `web` comes to: metadata of its routes, values of a caller, findings.
#[track_caller]
fn check(defaults: &str, mark: &str, expected: Expect) {
    let snapshot = fixture::snapshot(&(mesh(defaults, &[]) + &WEB.replace("MARK", mark)));
    let reader = Reader::new(&snapshot);
    let config = &reader.mesh().config;
    let services = reader.visible_services(&"shop".into());
    let web = services.into_iter().find(|it| it.name.as_str() == "web").unwrap();
    let mut metadata = None;
    mark_route(&mut metadata, std::iter::once(&**web), config);
    let client = Client::reduce(&proxy(true), &reader);
    let marks: BTreeSet<Arc<str>> = web.access_log.iter().cloned().collect();
    let values = select_runtime(&client, &marks, &reader).unwrap().values;
    let mut out = String::new();
    if let Some(metadata) = metadata {
        out += &format!("{}\n", typed_to_json(&metadata, FieldNames::Proto));
    }
    out.extend(values.iter().map(|(key, value)| format!("{key} {value}\n")));
    out.extend(check_marks(web, config).iter().map(|it| format!("{it}\n")));
    expected.assert_eq(&out);
}

#[test]
fn a_service_names_the_providers_that_log_its_calls() {
    check(
        "{}",
        "json, als",
        expect![[r#"
        {"filter_metadata":{"meltemi.log":{"als":true,"json":true}}}
        meltemi.log.services.als 10000
        meltemi.log.services.json 10000
    "#]],
    );
    check(
        "{}",
        "true",
        expect![[r#"
        {"filter_metadata":{"meltemi.log":{"envoy":true}}}
        meltemi.log.services.envoy 10000
    "#]],
    );
    check(
        "{accessLogging: [json]}",
        "true",
        expect![[r#"
        {"filter_metadata":{"meltemi.log":{"json":true}}}
        meltemi.log.client.json 10000
        meltemi.log.server.json 10000
        meltemi.log.services.json 10000
    "#]],
    );
    check("{}", "false", expect![[""]]);
}

#[test]
fn what_is_no_log_is_reported_and_the_rest_is_used() {
    check(
        "{}",
        "zipkin,nobody,json",
        expect![[r#"
        {"filter_metadata":{"meltemi.log":{"json":true}}}
        meltemi.log.services.json 10000
        warning[MEL0290] Service shop/web metadata.annotations[meltemi.io/access-log]: `nobody` is no provider of access logs (name one with `envoyFileAccessLog`, `envoyHttpAls`, `envoyTcpAls` or `envoyOtelAls`, or write `true`)
        warning[MEL0290] Service shop/web metadata.annotations[meltemi.io/access-log]: `zipkin` is no provider of access logs (name one with `envoyFileAccessLog`, `envoyHttpAls`, `envoyTcpAls` or `envoyOtelAls`, or write `true`)
    "#]],
    );
}

/// A request that several conditions let in has one entry.
#[test]
fn each_log_of_a_caller_looks_for_its_mark() {
    let objects = [(
        "shop",
        "shop",
        "  accessLogging: [{providers: [{name: json}], filter: {expression: 'response.code >= 500'}}]",
    )];
    let snapshot = fixture::snapshot(&mesh("{}", &objects));
    let reader = Reader::new(&snapshot);
    let select = |runtime: bool, side: Side| {
        let client = Client::reduce(&proxy(runtime), &reader);
        select_telemetry(side, &client, &reader).0
    };
    let telemetry = select(true, Side::Client);
    let logs = http_logs(&telemetry, None);
    let json = logs.iter().find(|it| yaml(std::slice::from_ref(*it)).contains("/dev/stderr"));
    let filter = json.and_then(|it| it.filter.as_ref()).unwrap();
    expect![[r#"
        {
          "or_filter": {
            "filters": [
              {
                "runtime_filter": {
                  "percent_sampled": {
                    "denominator": "TEN_THOUSAND"
                  },
                  "runtime_key": "meltemi.log.client.json",
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
                        "runtime_key": "meltemi.log.client.json.5c4c8ddefcd56adc21977002d992c20b",
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
              {
                "and_filter": {
                  "filters": [
                    {
                      "runtime_filter": {
                        "percent_sampled": {
                          "denominator": "TEN_THOUSAND"
                        },
                        "runtime_key": "meltemi.log.services.json",
                        "use_independent_randomness": true
                      }
                    },
                    {
                      "extension_filter": {
                        "name": "envoy.access_loggers.extension_filters.cel",
                        "typed_config": {
                          "@type": "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
                          "expression": "xds.route_metadata.filter_metadata['meltemi.log']['json'] == true"
                        }
                      }
                    }
                  ]
                }
              }
            ]
          }
        }"#]].assert_eq(
        &serde_json::to_string_pretty(&typed_to_json(filter, FieldNames::Proto)).unwrap(),
    );
    // Connections have no route, the other side no caller, and without a switch all would pay.
    for logs in [
        tcp_logs(&telemetry, None),
        listener_logs(&telemetry),
        http_logs(&select(true, Side::Server), None),
        http_logs(&select(false, Side::Client), None),
    ] {
        assert!(!yaml(&logs).contains("route_metadata"));
    }
}
