//! Checks one field of a message against its `validate.FieldRules`.

use prost_reflect::{DynamicMessage, Kind, ReflectMessage, Value};

use super::{
    number::{self, Number},
    rules::{FieldRule, RuleBook, flag, list, part, set},
    text,
    visit::key_text,
};

/// Where below the field, such as `[2]`, and what is wrong.
type Fault = (String, String);

/// Adds what the field breaks to `faults`.
pub(super) fn check_field(
    message: &DynamicMessage,
    rule: &FieldRule,
    book: &mut RuleBook,
    faults: &mut Vec<Fault>,
) {
    let FieldRule { field, rules, .. } = rule;
    let absent = field.supports_presence() && !message.has_field(field);
    if absent {
        let required = ["message", "any", "duration", "timestamp"]
            .into_iter()
            .any(|kind| part(rules, kind).is_some_and(|it| flag(&it, "required")));
        // A member of a oneof is required only where the oneof holds it.
        if required && field.containing_oneof().is_none() {
            faults.push((String::new(), "is required".to_owned()));
        }
        return;
    }
    let value = message.get_field(field);
    Checker { kind: field.kind(), book, faults }.check(rules, &value, "");
}

struct Checker<'a> {
    kind: Kind,
    book: &'a mut RuleBook,
    faults: &'a mut Vec<Fault>,
}

impl Checker<'_> {
    fn check(&mut self, rules: &DynamicMessage, value: &Value, at: &str) {
        for (field, rule) in rules.fields() {
            let Some(rule) = rule.as_message() else { continue };
            let fault = match field.name() {
                "repeated" => {
                    self.check_list(rule, value, at);
                    None
                }
                "map" => {
                    self.check_map(rule, value, at);
                    None
                }
                "string" => match unwrap(value).as_str() {
                    Some(text) => text::check_string(rule, text, self.book),
                    None => None,
                },
                "bytes" => unwrap(value).as_bytes().and_then(|bytes| {
                    text::check_size(rule, ["len", "min_len", "max_len"], bytes.len())
                        .map(|text| format!("{text} bytes"))
                }),
                "bool" => {
                    let wanted = set(rule, "const").and_then(|it| it.as_bool());
                    let fits = wanted.is_none_or(|it| unwrap(value).as_bool() == Some(it));
                    (!fits).then(|| "has the other value".to_owned())
                }
                "enum" => self.check_enum(rule, value),
                "any" => check_any(rule, value),
                "message" => None,
                _ => Number::of(&unwrap(value)).and_then(|number| number::check(rule, number)),
            };
            self.faults.extend(fault.map(|text| (at.to_owned(), text)));
        }
    }

    fn check_enum(&self, rule: &DynamicMessage, value: &Value) -> Option<String> {
        let number = value.as_enum_number()?;
        if let Kind::Enum(descriptor) = &self.kind
            && flag(rule, "defined_only")
            && descriptor.get_value(number).is_none()
        {
            return Some(format!("{number} is no {}", descriptor.name()));
        }
        number::check(rule, Number::Integer(number.into()))
    }

    fn check_list(&mut self, rule: &DynamicMessage, value: &Value, at: &str) {
        let Some(items) = value.as_list() else { return };
        if flag(rule, "ignore_empty") && items.is_empty() {
            return;
        }
        if let Some(text) = text::check_size(rule, ["", "min_items", "max_items"], items.len()) {
            self.faults.push((at.to_owned(), format!("{text} items")));
        }
        if flag(rule, "unique") {
            let again = (1..items.len()).find(|index| items[..*index].contains(&items[*index]));
            if let Some(index) = again {
                self.faults.push((format!("{at}[{index}]"), "is there twice".to_owned()));
            }
        }
        let Some(rules) = part(rule, "items") else { return };
        for (index, item) in items.iter().enumerate() {
            self.check(&rules, item, &format!("{at}[{index}]"));
        }
    }

    fn check_map(&mut self, rule: &DynamicMessage, value: &Value, at: &str) {
        let Some(pairs) = value.as_map() else { return };
        if flag(rule, "ignore_empty") && pairs.is_empty() {
            return;
        }
        if let Some(text) = text::check_size(rule, ["", "min_pairs", "max_pairs"], pairs.len()) {
            self.faults.push((at.to_owned(), format!("{text} pairs")));
        }
        let mut entries: Vec<_> = pairs.iter().map(|(key, it)| (key_text(key), key, it)).collect();
        entries.sort_by(|left, right| left.0.cmp(&right.0));
        let (keys, values) = (part(rule, "keys"), part(rule, "values"));
        for (text, key, value) in entries {
            let at = format!("{at}[{text}]");
            if let Some(keys) = &keys {
                self.check(keys, &Value::from(key.clone()), &at);
            }
            if let Some(values) = &values {
                self.check(values, value, &at);
            }
        }
    }
}

fn check_any(rule: &DynamicMessage, value: &Value) -> Option<String> {
    let url = value.as_message()?.get_field_by_number(1)?;
    let url = url.as_str()?;
    let has = |list: &[Value]| list.iter().any(|it| it.as_str() == Some(url));
    let (allowed, refused) = (list(rule, "in"), list(rule, "not_in"));
    if !allowed.is_empty() && !has(&allowed) {
        return Some(format!("`{url}` is not one of the allowed types"));
    }
    has(&refused).then(|| format!("`{url}` is not allowed"))
}

/// What a wrapper such as `UInt32Value` holds; other values as they are.
fn unwrap(value: &Value) -> Value {
    match value {
        Value::Message(message) if is_wrapper(message.descriptor().full_name()) => {
            message.get_field_by_number(1).map_or_else(|| value.clone(), |inner| inner.into_owned())
        }
        other => other.clone(),
    }
}

/// Whether the full name of a message is that of a wrapper.
pub(super) fn is_wrapper(name: &str) -> bool {
    // `Value` itself is a wrapper of nothing.
    name.strip_prefix("google.protobuf.")
        .and_then(|name| name.strip_suffix("Value"))
        .is_some_and(|kind| !matches!(kind, "" | "List" | "Null" | "Enum"))
}
