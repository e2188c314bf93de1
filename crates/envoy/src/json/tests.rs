use bytes::Bytes;
use expect_test::{Expect, expect};
use serde_json::json;

use super::{
    FieldNames, any_to_json, bytes_to_json, to_any, to_typed, typed_to_any, typed_to_json,
};
use crate::{Any, config::listener::v3::Listener, type_url};

fn listener() -> serde_json::Value {
    json!({
        "name": "http_in",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 19000}},
        "filter_chains": [{
            "filters": [{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                    "statPrefix": "in",
                    "request_timeout": "1.500s",
                    "http_filters": [{
                        "name": "envoy.filters.http.router",
                        "typed_config": {
                            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
                        },
                    }],
                },
            }],
        }],
    })
}

#[track_caller]
fn check(json: &serde_json::Value, expected: Expect) {
    expected.assert_eq(&format!("{json:#}\n"));
}

#[track_caller]
fn check_error(name: &str, json: &serde_json::Value, expected: Expect) {
    let error = to_any(name, json).unwrap_err();
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
    expected.assert_eq(&format!("{error}{}", cause.unwrap_or_default()));
}

#[test]
fn nested_any_comes_back_as_it_was_written() {
    let any = to_any(type_url::LISTENER, &listener()).unwrap();
    assert_eq!(any.type_url, type_url::LISTENER);
    check(
        &any_to_json(&any, FieldNames::Proto),
        expect![[r#"
        {
          "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
          "address": {
            "socket_address": {
              "address": "127.0.0.1",
              "port_value": 19000
            }
          },
          "filter_chains": [
            {
              "filters": [
                {
                  "name": "envoy.filters.network.http_connection_manager",
                  "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                    "http_filters": [
                      {
                        "name": "envoy.filters.http.router",
                        "typed_config": {
                          "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
                        }
                      }
                    ],
                    "request_timeout": "1.500s",
                    "stat_prefix": "in"
                  }
                }
              ]
            }
          ],
          "name": "http_in"
        }
    "#]],
    );
    let names = FieldNames::Camel;
    let camel = bytes_to_json(type_url::LISTENER, any.value.clone(), names);
    assert_eq!(to_any(type_url::LISTENER, &camel).unwrap(), any);
    let typed: Listener = to_typed(&listener()).unwrap();
    assert_eq!(Any::pack(&typed), any);
    assert_eq!(typed_to_json(&typed, names), camel);
    assert_eq!(typed_to_any(&any_to_json(&any, names)).unwrap(), any);
}

#[test]
fn what_cannot_be_read_is_shown_as_base64() {
    let unknown =
        Any { type_url: "example.com/no.such.Type".to_owned(), value: Bytes::from("abc") };
    let broken = Any { type_url: type_url::CLUSTER.to_owned(), value: Bytes::from("\u{8}") };
    let listener = Listener {
        listener_filters: [unknown, broken]
            .map(|any| crate::config::listener::v3::ListenerFilter {
                config_type: Some(
                    crate::config::listener::v3::listener_filter::ConfigType::TypedConfig(any),
                ),
                ..Default::default()
            })
            .into(),
        ..Listener::default()
    };
    check(
        &typed_to_json(&listener, FieldNames::Proto),
        expect![[r#"
        {
          "listener_filters": [
            {
              "typed_config": {
                "@type": "example.com/no.such.Type",
                "value": "YWJj"
              }
            },
            {
              "typed_config": {
                "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
                "value": "CA=="
              }
            }
          ]
        }
    "#]],
    );
}

#[test]
fn well_known_types_have_their_own_json() {
    let cluster = json!({
        "connect_timeout": "0.250s",
        "per_connection_buffer_limit_bytes": 32768,
        "metadata": {"filter_metadata": {"b": {"x": [1.5, null, true]}, "a": {}}},
        "type": "EDS",
    });
    let any = to_any("envoy.config.cluster.v3.Cluster", &cluster).unwrap();
    check(
        &any_to_json(&any, FieldNames::Proto),
        expect![[r#"
        {
          "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
          "connect_timeout": "0.250s",
          "metadata": {
            "filter_metadata": {
              "a": {},
              "b": {
                "x": [
                  1.5,
                  null,
                  true
                ]
              }
            }
          },
          "per_connection_buffer_limit_bytes": 32768,
          "type": "EDS"
        }
    "#]],
    );
    let number = json!({"@type": "type.googleapis.com/google.protobuf.UInt64Value", "value": "7"});
    assert_eq!(any_to_json(&typed_to_any(&number).unwrap(), FieldNames::Proto), number);
}

#[test]
fn duration_out_of_range_is_shown_by_its_fields() {
    let duration = prost_types::Duration { seconds: i64::MAX, nanos: 0 };
    check(
        &typed_to_json(&duration, FieldNames::Proto),
        expect![[r#"
        {
          "seconds": "9223372036854775807"
        }
    "#]],
    );
}

#[test]
fn refusal_names_what_is_wrong() {
    check_error(
        "envoy.config.cluster.v3.Cluste",
        &json!({}),
        expect!["Envoy has no message `envoy.config.cluster.v3.Cluste`"],
    );
    check_error(
        type_url::CLUSTER,
        &json!({"nam": "x"}),
        expect![
            "failed to read a `envoy.config.cluster.v3.Cluster`: unrecognized field name 'nam'"
        ],
    );
    check_error(
        type_url::CLUSTER,
        &json!({"name": 1}),
        expect![
            "failed to read a `envoy.config.cluster.v3.Cluster`: invalid type: integer `1`, expected a string"
        ],
    );
    let config = json!({"@type": "type.googleapis.com/no.such.Type"});
    check_error(
        "envoy.config.core.v3.TypedExtensionConfig",
        &json!({"typed_config": config}),
        expect![
            "failed to read a `envoy.config.core.v3.TypedExtensionConfig`: message 'no.such.Type' not found"
        ],
    );
}
