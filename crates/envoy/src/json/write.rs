//! The walk that writes a message as JSON.
//!
//! `prost-reflect` can write JSON too, but gives up on the whole message when it meets one `Any`
//! of a type it does not know.

use std::borrow::Cow;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage as _, SerializeOptions, Value,
};
use serde_json::{Map, Value as Json, value::Serializer};

use super::FieldNames;
use crate::{Any, descriptors};

/// An `Any` deeper than this inside other `Any`s is shown as base64.
const MAX_ANY_DEPTH: u8 = 16;

pub(super) fn write_any(any: &Any, names: FieldNames, depth: u8) -> Json {
    let mut object = Map::new();
    object.insert("@type".to_owned(), Json::String(any.type_url.clone()));
    let known = (depth < MAX_ANY_DEPTH)
        .then(|| descriptors().get_message_by_name(any.message_name()))
        .flatten();
    let message =
        known.and_then(|descriptor| DynamicMessage::decode(descriptor, any.value.clone()).ok());
    let Some(message) = message else {
        object.insert("value".to_owned(), BASE64_STANDARD.encode(&any.value).into());
        return Json::Object(object);
    };
    let content = write_message(&message, names, depth + 1);
    match content {
        Json::Object(fields) if !is_well_known(&message) => object.extend(fields),
        content => {
            object.insert("value".to_owned(), content);
        }
    }
    Json::Object(object)
}

pub(super) fn write_message(message: &DynamicMessage, names: FieldNames, depth: u8) -> Json {
    if is_well_known(message) {
        if message.descriptor().name() == "Any"
            && let Ok(any) = message.transcode_to::<Any>()
        {
            return write_any(&any, names, depth);
        }
        let options = SerializeOptions::new().stringify_64_bit_integers(true);
        // Fails for a Duration out of range: then its fields are shown.
        if let Ok(json) = message.serialize_with_options(Serializer, &options) {
            return json;
        }
    }
    let mut object = Map::new();
    for (field, value) in message.fields() {
        if field.supports_presence() || !value.is_default_for_field(&field) {
            object.insert(name(&field, names).to_owned(), write_field(&field, value, names, depth));
        }
    }
    Json::Object(object)
}

/// Messages whose JSON is not the list of their fields.
fn is_well_known(message: &DynamicMessage) -> bool {
    message.descriptor().package_name() == "google.protobuf"
}

fn name(field: &FieldDescriptor, names: FieldNames) -> &str {
    match names {
        FieldNames::Proto => field.name(),
        FieldNames::Camel => field.json_name(),
    }
}

fn write_field(field: &FieldDescriptor, value: &Value, names: FieldNames, depth: u8) -> Json {
    let kind = field.kind();
    match (value, &kind) {
        (Value::List(values), _) => {
            values.iter().map(|value| write_value(&kind, value, names, depth)).collect()
        }
        (Value::Map(entries), Kind::Message(entry)) => {
            let kind = entry.map_entry_value_field().kind();
            // Sorted here, because a `serde_json` map may keep the order of insertion.
            let mut entries: Vec<(&MapKey, &Value)> = entries.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            let object = entries.into_iter().map(|(key, value)| {
                (write_key(key).into_owned(), write_value(&kind, value, names, depth))
            });
            Json::Object(object.collect())
        }
        _ => write_value(&kind, value, names, depth),
    }
}

fn write_key(key: &MapKey) -> Cow<'_, str> {
    match key {
        MapKey::Bool(key) => key.to_string().into(),
        MapKey::I32(key) => key.to_string().into(),
        MapKey::I64(key) => key.to_string().into(),
        MapKey::U32(key) => key.to_string().into(),
        MapKey::U64(key) => key.to_string().into(),
        MapKey::String(key) => key.into(),
    }
}

fn write_value(kind: &Kind, value: &Value, names: FieldNames, depth: u8) -> Json {
    match value {
        Value::Bool(value) => Json::Bool(*value),
        Value::I32(value) => Json::from(*value),
        // Canonical JSON: 64 bits do not fit a JavaScript number.
        Value::I64(value) => Json::String(value.to_string()),
        Value::U32(value) => Json::from(*value),
        Value::U64(value) => Json::String(value.to_string()),
        // By way of the shortest text, so that 0.1 is not shown as 0.10000000149.
        Value::F32(value) => write_float(value.to_string().parse().unwrap_or(f64::NAN)),
        Value::F64(value) => write_float(*value),
        Value::String(value) => Json::String(value.clone()),
        Value::Bytes(value) => BASE64_STANDARD.encode(value).into(),
        Value::EnumNumber(number) => match kind {
            Kind::Enum(kind) if kind.full_name() == "google.protobuf.NullValue" => Json::Null,
            Kind::Enum(kind) => match kind.get_value(*number) {
                Some(value) => Json::String(value.name().to_owned()),
                None => Json::from(*number),
            },
            _ => Json::from(*number),
        },
        Value::Message(message) => write_message(message, names, depth),
        // Lists and maps do not nest.
        Value::List(_) | Value::Map(_) => Json::Null,
    }
}

fn write_float(value: f64) -> Json {
    if value.is_nan() {
        "NaN".into()
    } else if value == f64::INFINITY {
        "Infinity".into()
    } else if value == f64::NEG_INFINITY {
        "-Infinity".into()
    } else {
        Json::from(value)
    }
}
