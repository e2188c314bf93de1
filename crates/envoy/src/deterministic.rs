//! Encodes a [`DynamicMessage`] so that equal messages always have equal bytes.
//!
//! - `DynamicMessage` keeps maps in hash order, and so does whatever was packed into an `Any`
//!   from JSON. Here maps are sorted by key, and an `Any` of a known type is encoded anew.
//! - Fields go in the order of their numbers, unknown fields last, in the order they came.
//! - The result is what `prost` makes of the same typed message.

use bytes::Bytes;
use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint},
};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage as _, Value};

use crate::{Any, descriptors};

#[cfg(test)]
mod tests;

/// An `Any` deeper than this inside other `Any`s keeps its bytes. No Envoy configuration comes
/// near it, and hostile input must not use up the stack.
const MAX_ANY_DEPTH: u8 = 16;

/// Encodes `message`. Decoding the result gives an equal message, but for the order of map
/// entries inside the values of `Any`s.
pub fn encode(message: &DynamicMessage) -> Bytes {
    encode_message(message, 0).into()
}

fn encode_message(message: &DynamicMessage, depth: u8) -> Vec<u8> {
    let mut out = Vec::new();
    if message.descriptor().full_name() == "google.protobuf.Any"
        && let Ok(any) = message.transcode_to::<Any>()
    {
        let value = canonical_value(&any, depth).unwrap_or(any.value);
        Any { type_url: any.type_url, value }.encode_raw(&mut out);
        return out;
    }
    for (field, value) in message.fields() {
        put_field(&field, value, depth, &mut out);
    }
    for unknown in message.unknown_fields() {
        unknown.encode(&mut out);
    }
    out
}

/// The value of `any` encoded anew, unless its type is unknown or its bytes are broken.
fn canonical_value(any: &Any, depth: u8) -> Option<Bytes> {
    if depth >= MAX_ANY_DEPTH {
        return None;
    }
    let descriptor = descriptors().get_message_by_name(any.message_name())?;
    let message = DynamicMessage::decode(descriptor, any.value.clone()).ok()?;
    Some(encode_message(&message, depth + 1).into())
}

fn put_field(field: &FieldDescriptor, value: &Value, depth: u8, out: &mut Vec<u8>) {
    if !field.supports_presence() && value.is_default_for_field(field) {
        return;
    }
    let (number, kind) = (field.number(), field.kind());
    match value {
        Value::List(values) if field.is_packed() => {
            let mut packed = Vec::new();
            for value in values {
                put_value(&kind, value, depth, &mut packed);
            }
            encode_key(number, WireType::LengthDelimited, out);
            put_bytes(&packed, out);
        }
        Value::List(values) => {
            for value in values {
                put_tagged(number, &kind, value, depth, out);
            }
        }
        Value::Map(entries) => {
            let mut entries: Vec<(&MapKey, &Value)> = entries.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            for (key, value) in entries {
                encode_key(number, WireType::LengthDelimited, out);
                put_bytes(&map_entry(&kind, key, value, depth), out);
            }
        }
        Value::Bool(_)
        | Value::I32(_)
        | Value::I64(_)
        | Value::U32(_)
        | Value::U64(_)
        | Value::F32(_)
        | Value::F64(_)
        | Value::String(_)
        | Value::Bytes(_)
        | Value::EnumNumber(_)
        | Value::Message(_) => put_tagged(number, &kind, value, depth, out),
    }
}

/// Key and value of one map entry; `prost` leaves out a key or value that is the default.
fn map_entry(entry: &Kind, key: &MapKey, value: &Value, depth: u8) -> Vec<u8> {
    let mut out = Vec::new();
    let Kind::Message(entry) = entry else { return out };
    let (key_field, value_field) = (entry.map_entry_key_field(), entry.map_entry_value_field());
    if !key.is_default(&key_field.kind()) {
        put_tagged(key_field.number(), &key_field.kind(), &key.clone().into(), depth, &mut out);
    }
    if !value.is_default(&value_field.kind()) {
        put_tagged(value_field.number(), &value_field.kind(), value, depth, &mut out);
    }
    out
}

fn put_tagged(number: u32, kind: &Kind, value: &Value, depth: u8, out: &mut Vec<u8>) {
    encode_key(number, kind.wire_type(), out);
    put_value(kind, value, depth, out);
}

/// The value without a tag. A value is of its field's kind, which `DynamicMessage` sees to.
fn put_value(kind: &Kind, value: &Value, depth: u8, out: &mut Vec<u8>) {
    match value {
        Value::Bool(value) => encode_varint(u64::from(*value), out),
        Value::I32(value) => match kind {
            Kind::Sint32 => encode_varint(u64::from(zigzag_32(*value)), out),
            Kind::Sfixed32 => out.extend_from_slice(&value.to_le_bytes()),
            _ => encode_varint(i64::from(*value) as u64, out),
        },
        Value::I64(value) => match kind {
            Kind::Sint64 => encode_varint(zigzag_64(*value), out),
            Kind::Sfixed64 => out.extend_from_slice(&value.to_le_bytes()),
            _ => encode_varint(*value as u64, out),
        },
        Value::U32(value) => match kind {
            Kind::Fixed32 => out.extend_from_slice(&value.to_le_bytes()),
            _ => encode_varint(u64::from(*value), out),
        },
        Value::U64(value) => match kind {
            Kind::Fixed64 => out.extend_from_slice(&value.to_le_bytes()),
            _ => encode_varint(*value, out),
        },
        Value::F32(value) => out.extend_from_slice(&value.to_le_bytes()),
        Value::F64(value) => out.extend_from_slice(&value.to_le_bytes()),
        Value::String(value) => put_bytes(value.as_bytes(), out),
        Value::Bytes(value) => put_bytes(value, out),
        Value::EnumNumber(value) => encode_varint(i64::from(*value) as u64, out),
        // Proto3 has no groups, so every message carries its length.
        Value::Message(message) => put_bytes(&encode_message(message, depth), out),
        // Lists and maps do not nest.
        Value::List(_) | Value::Map(_) => (),
    }
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn zigzag_32(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

fn zigzag_64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}
