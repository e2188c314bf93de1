//! Converts between Envoy messages and their canonical protobuf JSON, by reflection.
//!
//! - Reading takes snake and camel case, enums by name or number, and expands nested `Any`s; it
//!   refuses unknown fields and unknown types. YAML comes here as a [`serde_json::Value`].
//! - Writing never fails: what cannot be read is shown as base64. Equal messages give equal JSON.
//! - Encodings made here are [`deterministic`].

use bytes::Bytes;
use prost::{Message, Name};
use prost_reflect::{DynamicMessage, MessageDescriptor};
use serde_json::Value as Json;

use crate::{Any, descriptors, deterministic};

#[cfg(test)]
mod tests;
mod write;

/// How fields are named in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldNames {
    /// As in the proto file and in Envoy's documentation: `stat_prefix`.
    Proto,
    /// As in canonical JSON and in Envoy's `config_dump`: `statPrefix`.
    Camel,
}

/// Why a message could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The type is not part of Envoy 1.40, or it is misspelt.
    #[error("Envoy has no message `{name}`")]
    UnknownType {
        /// Full name of the message.
        name: String,
    },
    /// The JSON does not fit the message; the source names the field.
    #[error("failed to read a `{name}`")]
    Json {
        /// Full name of the message.
        name: String,
        /// What does not fit.
        source: serde_json::Error,
    },
    /// The bytes are not an encoding of the message.
    #[error("failed to decode a `{name}`")]
    Encoding {
        /// Full name of the message.
        name: String,
        /// What the decoder met.
        source: prost::DecodeError,
    },
}

/// The descriptor of `name`, which is a type URL or the full name of a message.
pub fn find_message(name: &str) -> Result<MessageDescriptor, ReadError> {
    let name = name.rsplit('/').next().unwrap_or_default();
    let unknown = || ReadError::UnknownType { name: name.to_owned() };
    descriptors().get_message_by_name(name).ok_or_else(unknown)
}

/// Reads JSON as the message `name` (a type URL or full name).
pub fn to_message(name: &str, json: &Json) -> Result<DynamicMessage, ReadError> {
    let descriptor = find_message(name)?;
    let name = descriptor.full_name().to_owned();
    DynamicMessage::deserialize(descriptor, json).map_err(|source| ReadError::Json { name, source })
}

/// Reads JSON as the message `name` (a type URL or full name) and packs it.
pub fn to_any(name: &str, json: &Json) -> Result<Any, ReadError> {
    Ok(pack(&to_message(name, json)?))
}

/// Reads JSON that says its type in `@type`, as a `typed_config` does.
pub fn typed_to_any(json: &Json) -> Result<Any, ReadError> {
    let message = to_message("google.protobuf.Any", json)?;
    decode_typed(deterministic::encode(&message))
}

/// Reads JSON as a generated type.
pub fn to_typed<M: Message + Name + Default>(json: &Json) -> Result<M, ReadError> {
    decode_typed(deterministic::encode(&to_message(&M::full_name(), json)?))
}

/// Decodes an encoded message `name` (a type URL or full name).
pub fn decode(name: &str, value: Bytes) -> Result<DynamicMessage, ReadError> {
    let descriptor = find_message(name)?;
    let name = descriptor.full_name().to_owned();
    DynamicMessage::decode(descriptor, value).map_err(|source| ReadError::Encoding { name, source })
}

/// Encodes a message under its own type URL.
pub fn pack(message: &DynamicMessage) -> Any {
    let name = prost_reflect::ReflectMessage::descriptor(message).full_name().to_owned();
    Any { type_url: format!("type.googleapis.com/{name}"), value: deterministic::encode(message) }
}

/// Writes `any` with its `@type`. A type that is not Envoy's, and bytes that cannot be decoded,
/// become `{"@type": …, "value": base64}`.
pub fn any_to_json(any: &Any, names: FieldNames) -> Json {
    write::write_any(any, names, 0)
}

/// Writes the encoded message `name` (a type URL or full name), without `@type` unless it cannot
/// be decoded; then as [`any_to_json`] does.
pub fn bytes_to_json(name: &str, value: Bytes, names: FieldNames) -> Json {
    match decode(name, value.clone()) {
        Ok(message) => message_to_json(&message, names),
        Err(_) => any_to_json(&Any { type_url: name.to_owned(), value }, names),
    }
}

/// Writes a message, with every `Any` inside it expanded.
pub fn message_to_json(message: &DynamicMessage, names: FieldNames) -> Json {
    write::write_message(message, names, 0)
}

/// Writes a generated message.
pub fn typed_to_json<M: Message + Name>(message: &M, names: FieldNames) -> Json {
    bytes_to_json(&M::full_name(), message.encode_to_vec().into(), names)
}

fn decode_typed<M: Message + Name + Default>(value: Bytes) -> Result<M, ReadError> {
    M::decode(value).map_err(|source| ReadError::Encoding { name: M::full_name(), source })
}
