use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::{DynamicMessage, ReflectMessage as _};
use serde_json::{Value as Json, json};

use super::encode;
use crate::{Any, config::core::v3::Metadata, json};

fn decode(message: &DynamicMessage) -> DynamicMessage {
    DynamicMessage::decode(message.descriptor(), encode(message)).unwrap()
}

fn names() -> impl Strategy<Value = BTreeMap<String, Json>> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Json::from),
        any::<i32>().prop_map(Json::from),
        "[a-z]{0,4}".prop_map(Json::from),
        Just(Json::Null),
    ];
    let value = leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("[a-z]{0,3}", inner, 0..4)
                .prop_map(|fields| Json::Object(fields.into_iter().collect())),
        ]
    });
    prop::collection::btree_map("[a-z]{0,3}", value, 0..6)
}

/// A cluster that has scalars of most kinds, maps and, in a map, an `Any` with a map in it.
fn cluster(fields: &BTreeMap<String, Json>, number: u32, fraction: f64, text: &str) -> Json {
    let objects: BTreeMap<&String, Json> =
        fields.iter().map(|(name, value)| (name, json!({"v": value}))).collect();
    let metadata = json!({"filter_metadata": objects});
    let mut packed = metadata.clone();
    packed["@type"] = "type.googleapis.com/envoy.config.core.v3.Metadata".into();
    json!({
        "name": text,
        "connect_timeout": format!("{}s", number % 1000),
        "type": number % 5,
        "respect_dns_ttl": number.is_multiple_of(2),
        "per_connection_buffer_limit_bytes": number,
        "upstream_connection_options": {"tcp_keepalive": {"keepalive_time": number}},
        "common_lb_config": {"healthy_panic_threshold": {"value": fraction}},
        "ring_hash_lb_config": {"minimum_ring_size": u64::from(number) << 20},
        "metadata": metadata,
        "typed_extension_protocol_options": {"b": packed, "a": packed, "": packed},
        "health_checks": [{
            "http_health_check": {"path": "/", "expected_statuses": [{"start": -1, "end": 500}]},
            "interval": "0.1s",
        }],
    })
}

fn build(json: &Json) -> DynamicMessage {
    json::to_message("envoy.config.cluster.v3.Cluster", json).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn decoding_gives_an_equal_message(
        fields in names(), number: u32, fraction in -1e9..1e9f64, text in "\\PC{0,9}",
    ) {
        // Once through, so that the values of its `Any`s are in order already.
        let message = decode(&build(&cluster(&fields, number, fraction, &text)));
        prop_assert_eq!(&decode(&message), &message);
        // Nothing is lost: the library's own encoding, in whatever order, is as long.
        prop_assert_eq!(encode(&message).len(), message.encoded_len());
        let typed: crate::config::cluster::v3::Cluster = message.transcode_to().unwrap();
        prop_assert_eq!(typed.encode_to_vec(), encode(&message));
    }
}

#[test]
fn same_json_has_one_encoding() {
    let fields =
        ["a", "b", "c", "d", "e", "f"].map(|name| (name.to_owned(), json!({"x": 1, "y": 2})));
    let json = cluster(&fields.into(), 7, 0.5, "web");
    let encodings: HashSet<_> = (0..50).map(|_| encode(&build(&json))).collect();
    assert_eq!(encodings.len(), 1);
    let random: HashSet<_> = (0..50).map(|_| build(&json).encode_to_vec()).collect();
    assert!(random.len() > 1, "the library sorts by itself now: this module can go");
}

#[test]
fn every_kind_of_number_is_encoded_as_prost_does() {
    let message = json::to_message(
        "opentelemetry.proto.metrics.v1.ExponentialHistogramDataPoint",
        &json!({
            "start_time_unix_nano": "18446744073709551615", "count": "3", "sum": -0.5,
            "scale": -7, "positive": {"offset": -3, "bucket_counts": ["1", "0", "300"]},
            "flags": 1, "zero_threshold": 1e-9,
        }),
    )
    .unwrap();
    assert_eq!(encode(&message), message.encode_to_vec());
    let message = json::to_message(
        "opentelemetry.proto.metrics.v1.HistogramDataPoint",
        &json!({"bucket_counts": ["1", "2"], "explicit_bounds": [0.5, -1.0, 0.0]}),
    )
    .unwrap();
    assert_eq!(encode(&message), message.encode_to_vec());
}

#[test]
fn unknown_fields_and_unknown_types_are_kept() {
    let any = Any { type_url: "example.com/no.such.Type".to_owned(), value: "abc".into() };
    let metadata =
        Metadata { typed_filter_metadata: [("k".to_owned(), any)].into(), ..Metadata::default() };
    let mut bytes = metadata.encode_to_vec();
    bytes.extend_from_slice(b"\xfa\x7f\x02hi\xf0\x7f\x05");
    let message = json::decode("envoy.config.core.v3.Metadata", bytes.clone().into()).unwrap();
    let encoded = encode(&message);
    assert_eq!(encoded.len(), bytes.len());
    assert_eq!(DynamicMessage::decode(message.descriptor(), encoded).unwrap(), message);
}

#[test]
fn any_inside_any_without_end_does_not_use_up_the_stack() {
    let mut any = Any::default();
    for _ in 0..1_000 {
        any = Any::pack(&any);
    }
    let message = json::decode("google.protobuf.Any", any.encode_to_vec().into()).unwrap();
    assert_eq!(encode(&message), any.encode_to_vec());
    json::any_to_json(&any, json::FieldNames::Proto);
}
