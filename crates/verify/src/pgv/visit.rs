//! Visits a message and every message inside it, in field order, through `Any`s too.

use prost_reflect::{DynamicMessage, FieldDescriptor, MapKey, ReflectMessage, Value};

use crate::{Rule, resources::causes};

/// No configuration is nested deeper; one that is comes from an attacker or a loop.
const DEEPEST: usize = 100;

/// Gets each message once, parents first.
pub(crate) trait Visitor {
    fn message(&mut self, message: &DynamicMessage, path: &str);
    /// An `Any` that holds no message that Envoy knows.
    fn unreadable(&mut self, rule: Rule, path: &str, problem: String);
    /// Whether the messages in `field` are left out.
    fn skips(&mut self, field: &FieldDescriptor) -> bool;
}

/// Visits `message`, which lies at `path`.
pub(crate) fn visit(message: &DynamicMessage, path: &str, visitor: &mut dyn Visitor) {
    visit_at(message, path, visitor, 0);
}

/// `path.name`, or `name` where the path is empty.
pub(crate) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn visit_at(message: &DynamicMessage, path: &str, visitor: &mut dyn Visitor, depth: usize) {
    if depth > DEEPEST {
        return visitor.unreadable(Rule::Decode, path, "messages are nested too deep".to_owned());
    }
    if message.descriptor().full_name() == "google.protobuf.Any" {
        return visit_any(message, path, visitor, depth);
    }
    visitor.message(message, path);
    for (field, value) in message.fields() {
        if !holds_messages(value) || visitor.skips(&field) {
            continue;
        }
        let path = join(path, field.name());
        match value {
            Value::Message(inner) => visit_at(inner, &path, visitor, depth + 1),
            Value::List(list) => {
                for (index, item) in list.iter().enumerate() {
                    visit_value(item, &format!("{path}[{index}]"), visitor, depth);
                }
            }
            Value::Map(map) => {
                let mut entries: Vec<_> = map.iter().map(|(key, it)| (key_text(key), it)).collect();
                entries.sort_by(|left, right| left.0.cmp(&right.0));
                for (key, item) in entries {
                    visit_value(item, &format!("{path}[{key}]"), visitor, depth);
                }
            }
            _ => (),
        }
    }
}

fn visit_value(value: &Value, path: &str, visitor: &mut dyn Visitor, depth: usize) {
    if let Value::Message(inner) = value {
        visit_at(inner, path, visitor, depth + 1);
    }
}

fn visit_any(any: &DynamicMessage, path: &str, visitor: &mut dyn Visitor, depth: usize) {
    let url = any.get_field_by_number(1);
    let url = url.as_deref().and_then(Value::as_str).unwrap_or_default();
    let value = any.get_field_by_number(2);
    let value = value.as_deref().and_then(Value::as_bytes).cloned().unwrap_or_default();
    if url.is_empty() && value.is_empty() {
        return;
    }
    let Ok(descriptor) = envoy::json::find_message(url) else {
        let problem = format!("stock Envoy has no type `{url}`");
        return visitor.unreadable(Rule::UnknownType, path, problem);
    };
    match DynamicMessage::decode(descriptor, value) {
        Ok(inner) => visit_at(&inner, path, visitor, depth + 1),
        Err(error) => {
            let problem = format!("no `{url}`: {}", causes(&error));
            visitor.unreadable(Rule::Decode, path, problem);
        }
    }
}

fn holds_messages(value: &Value) -> bool {
    match value {
        Value::Message(_) => true,
        Value::List(list) => matches!(list.first(), Some(Value::Message(_))),
        Value::Map(map) => matches!(map.values().next(), Some(Value::Message(_))),
        _ => false,
    }
}

/// A map key as it is written between brackets.
pub(super) fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}
