//! Reads the constraints of a message type from its descriptor, once.

use std::{collections::HashMap, rc::Rc};

use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, MessageDescriptor, OneofDescriptor, Value,
};
use regex::Regex;

/// The constraints of one message type.
#[derive(Default)]
pub(super) struct MessageRules {
    pub(super) fields: Vec<FieldRule>,
    pub(super) required_oneofs: Vec<OneofDescriptor>,
    /// Fields that Envoy refuses unless it is started with a flag.
    pub(super) disallowed: Vec<FieldDescriptor>,
}

/// The constraints of one field: a `validate.FieldRules`.
pub(super) struct FieldRule {
    pub(super) field: FieldDescriptor,
    pub(super) rules: DynamicMessage,
    /// Whether the messages in the field are not to be checked.
    skips: bool,
}

/// The constraints read so far.
#[derive(Default)]
pub(super) struct RuleBook {
    messages: HashMap<String, Rc<MessageRules>>,
    patterns: HashMap<String, Option<Regex>>,
}

impl RuleBook {
    pub(super) fn of(&mut self, descriptor: &MessageDescriptor) -> Rc<MessageRules> {
        if let Some(known) = self.messages.get(descriptor.full_name()) {
            return Rc::clone(known);
        }
        let rules = Rc::new(read_message(descriptor));
        self.messages.insert(descriptor.full_name().to_owned(), Rc::clone(&rules));
        rules
    }

    /// Whether the messages in `field` are not to be checked.
    pub(super) fn skips(&mut self, field: &FieldDescriptor) -> bool {
        let rules = self.of(field.parent_message());
        rules.fields.iter().any(|rule| rule.skips && rule.field.number() == field.number())
    }

    /// The compiled pattern; `None`: it is no pattern, which is then not the message's fault.
    pub(super) fn pattern(&mut self, text: &str) -> Option<&Regex> {
        if !self.patterns.contains_key(text) {
            self.patterns.insert(text.to_owned(), Regex::new(text).ok());
        }
        self.patterns.get(text)?.as_ref()
    }
}

fn read_message(descriptor: &MessageDescriptor) -> MessageRules {
    let pool = descriptor.parent_pool();
    let options = descriptor.options();
    if extension_flag(pool, &options, "validate.disabled")
        || extension_flag(pool, &options, "validate.ignored")
    {
        return MessageRules::default();
    }
    let mut rules = MessageRules::default();
    for field in descriptor.fields() {
        let options = field.options();
        if extension_flag(pool, &options, "envoy.annotations.disallowed_by_default") {
            rules.disallowed.push(field.clone());
        }
        if let Some(Value::Message(own)) = extension(pool, &options, "validate.rules") {
            let skips = part(&own, "message").is_some_and(|rule| flag(&rule, "skip"));
            rules.fields.push(FieldRule { field, rules: own, skips });
        }
    }
    rules.required_oneofs = descriptor
        .oneofs()
        .filter(|oneof| extension_flag(pool, &oneof.options(), "validate.required"))
        .collect();
    rules
}

fn extension(pool: &DescriptorPool, options: &DynamicMessage, name: &str) -> Option<Value> {
    let extension = pool.get_extension_by_name(name)?;
    options.has_extension(&extension).then(|| options.get_extension(&extension).into_owned())
}

fn extension_flag(pool: &DescriptorPool, options: &DynamicMessage, name: &str) -> bool {
    extension(pool, options, name).and_then(|value| value.as_bool()).unwrap_or(false)
}

/// A part of a rule, if it is set.
pub(super) fn set(rule: &DynamicMessage, name: &str) -> Option<Value> {
    rule.has_field_by_name(name)
        .then(|| rule.get_field_by_name(name))
        .flatten()
        .map(|value| value.into_owned())
}

/// A part of a rule that is a message, if it is set.
pub(super) fn part(rule: &DynamicMessage, name: &str) -> Option<DynamicMessage> {
    match set(rule, name) {
        Some(Value::Message(message)) => Some(message),
        _ => None,
    }
}

/// Whether a switch of a rule is on.
pub(super) fn flag(rule: &DynamicMessage, name: &str) -> bool {
    set(rule, name).and_then(|value| value.as_bool()).unwrap_or(false)
}

/// A count of a rule, if it is set.
pub(super) fn count(rule: &DynamicMessage, name: &str) -> Option<usize> {
    usize::try_from(set(rule, name)?.as_u64()?).ok()
}

/// A list of a rule; empty if it is not set.
pub(super) fn list(rule: &DynamicMessage, name: &str) -> Vec<Value> {
    match set(rule, name) {
        Some(Value::List(list)) => list,
        _ => Vec::new(),
    }
}
