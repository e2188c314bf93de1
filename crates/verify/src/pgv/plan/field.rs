//! One field's part of a plan: what its values look like on the wire, and what they must fulfil.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage};

use super::{
    BytesRule, FloatRule, IntegerRule, MessagePlan, PlanId, Plans, TextRule, TypeRule,
    rule::{read_bytes, read_float, read_integer, read_text, read_type},
};
use crate::{
    names::{Named, named},
    pgv::{
        field::is_wrapper,
        rules::{count, flag, part, set},
    },
};

/// A field of a message.
#[derive(Debug)]
pub(crate) struct FieldPlan {
    pub(crate) number: u32,
    pub(crate) times: Times,
    pub(crate) content: Content,
    /// What the text in the field is the name of.
    pub(crate) named: Option<Named>,
    /// The fields, itself among them, that must not have been met before it. Decoders take the
    /// last of them, or join them: such messages are left to decoders.
    pub(crate) rivals: u128,
}

/// How often a field may be there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Times {
    Once,
    /// `slot` is where entries are counted, if there is a size.
    Many {
        size: Option<Size>,
        slot: usize,
    },
}

/// How much there may be of something, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    least: usize,
    most: usize,
}

impl Size {
    /// Of rules called as in `names`: the exact, the least and the largest size.
    pub(super) fn read(rule: &DynamicMessage, names: [&str; 3]) -> Self {
        let [exact, least, most] = names.map(|name| count(rule, name));
        let least = exact.max(least).unwrap_or(0);
        Self { least, most: exact.into_iter().chain(most).min().unwrap_or(usize::MAX) }
    }

    pub(crate) fn has(self, size: usize) -> bool {
        (self.least..=self.most).contains(&size)
    }

    pub(super) const ANY: Self = Self { least: 0, most: usize::MAX };
}

/// What a value is.
#[derive(Debug)]
pub(crate) enum Content {
    Bool(Option<bool>),
    Integer(Form, Option<IntegerRule>),
    Float(Form, Option<FloatRule>),
    Text(Option<Box<TextRule>>),
    Bytes(Option<BytesRule>),
    Message(PlanId),
    /// A `Duration` or `Timestamp` of which the rule counts the nanoseconds.
    Time(IntegerRule),
    Any(Option<TypeRule>),
    /// What stands here is left to the rules themselves.
    Doubtful,
}

/// How a number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Float,
    Double,
}

impl FieldPlan {
    fn new(field: &FieldDescriptor, times: Times, content: Content) -> Self {
        let named = named(field.parent_message().full_name(), field.name());
        Self { number: field.number(), times, content, named, rivals: 0 }
    }

    /// Whether leaving the field out breaks its own rules: a field that does not know whether it
    /// is there has its default value then.
    pub(super) fn breaks_when_absent(&self, field: &FieldDescriptor) -> bool {
        if field.supports_presence() {
            return false;
        }
        match (&self.times, &self.content) {
            (Times::Many { size, .. }, _) => size.is_some_and(|size| !size.has(0)),
            (Times::Once, Content::Bool(wanted)) => *wanted == Some(true),
            (Times::Once, Content::Integer(_, rule)) => {
                rule.as_ref().is_some_and(|rule| !rule.accepts(0))
            }
            (Times::Once, Content::Float(_, rule)) => {
                rule.as_ref().is_some_and(|rule| !rule.accepts(0.0))
            }
            (Times::Once, Content::Text(rule)) => {
                rule.as_ref().is_some_and(|rule| !rule.accepts(""))
            }
            (Times::Once, Content::Bytes(rule)) => {
                rule.as_ref().is_some_and(|rule| !rule.accepts(b""))
            }
            (Times::Once, Content::Message(_) | Content::Time(_) | Content::Any(_)) => false,
            // Unless it is just not allowed, its absence is as doubtful as its values.
            (Times::Once, Content::Doubtful) => true,
        }
    }
}

impl Plans {
    pub(super) fn make_field(
        &mut self,
        field: &FieldDescriptor,
        rules: Option<&DynamicMessage>,
    ) -> FieldPlan {
        if field.is_map() {
            return self.make_map(field, rules);
        }
        if !field.is_list() {
            return FieldPlan::new(field, Times::Once, self.content(&field.kind(), rules));
        }
        let rule = rules.and_then(|rules| part(rules, "repeated"));
        let items = rule.as_ref().and_then(|rule| part(rule, "items"));
        let content = match &rule {
            None if rules.is_some_and(has_rules) => Content::Doubtful,
            _ => self.content(&field.kind(), items.as_ref()),
        };
        let unique = rule.as_ref().is_some_and(|rule| flag(rule, "unique"));
        let mut size = rule.map(|rule| size_of(&rule, ["", "min_items", "max_items"]));
        if unique {
            // Only one entry is surely unlike all others.
            let own = size.unwrap_or(Size::ANY);
            size = Some(Size { most: own.most.min(1), ..own });
        }
        let size = size.filter(|size| *size != Size::ANY);
        FieldPlan::new(field, Times::Many { size, slot: 0 }, content)
    }

    /// Entries are messages of a key and a value.
    fn make_map(&mut self, field: &FieldDescriptor, rules: Option<&DynamicMessage>) -> FieldPlan {
        let rule = rules.and_then(|rules| part(rules, "map"));
        let Kind::Message(entry) = field.kind() else {
            return FieldPlan::new(field, Times::Once, Content::Doubtful);
        };
        let of = |name: &str| rule.as_ref().and_then(|rule| part(rule, name));
        let (key, value) = (entry.map_entry_key_field(), entry.map_entry_value_field());
        let mut plan = MessagePlan::default();
        for (place, (field, rules)) in [(key, of("keys")), (value, of("values"))].iter().enumerate()
        {
            let content = self.content(&field.kind(), rules.as_ref());
            let mut made = FieldPlan::new(field, Times::Once, content);
            made.rivals = 1 << place;
            // What is left out has its default value: nothing is known about an empty message.
            if field.supports_presence() || made.breaks_when_absent(field) {
                plan.needed |= made.rivals;
            }
            plan.fields.push(made);
        }
        let size = rule.map(|rule| size_of(&rule, ["", "min_pairs", "max_pairs"]));
        // Entries may have one key, so that fewer count: at least one stays.
        let doubtful = size.is_some_and(|size| size.least > 1);
        let content = match doubtful {
            true => Content::Doubtful,
            false => Content::Message(self.keep(plan)),
        };
        let size = size.filter(|size| *size != Size::ANY);
        FieldPlan::new(field, Times::Many { size, slot: 0 }, content)
    }

    fn content(&mut self, kind: &Kind, rules: Option<&DynamicMessage>) -> Content {
        let found = self.read_content(kind, rules);
        found.unwrap_or(Content::Doubtful)
    }

    /// `None`: the plan cannot express the rules.
    fn read_content(&mut self, kind: &Kind, rules: Option<&DynamicMessage>) -> Option<Content> {
        let rule = match rules {
            Some(rules) => own_rule(rules, kind)?,
            None => None,
        };
        let rule = rule.as_ref();
        let integer = |form: Form| Some(Content::Integer(form, read_integer(rule, None)?));
        let float = |form: Form| Some(Content::Float(form, read_float(rule)?));
        match kind {
            Kind::Bool => {
                let wanted = rule.and_then(|rule| set(rule, "const"));
                Some(Content::Bool(wanted.and_then(|it| it.as_bool())))
            }
            Kind::Int32 => integer(Form::Int32),
            Kind::Int64 => integer(Form::Int64),
            Kind::Uint32 => integer(Form::Uint32),
            Kind::Uint64 => integer(Form::Uint64),
            Kind::Sint32 => integer(Form::Sint32),
            Kind::Sint64 => integer(Form::Sint64),
            Kind::Fixed32 => integer(Form::Fixed32),
            Kind::Fixed64 => integer(Form::Fixed64),
            Kind::Sfixed32 => integer(Form::Sfixed32),
            Kind::Sfixed64 => integer(Form::Sfixed64),
            Kind::Float => float(Form::Float),
            Kind::Double => float(Form::Double),
            Kind::Enum(values) => {
                Some(Content::Integer(Form::Int32, read_integer(rule, Some(values))?))
            }
            Kind::String => Some(Content::Text(read_text(rule)?.map(Box::new))),
            Kind::Bytes => Some(Content::Bytes(read_bytes(rule))),
            Kind::Message(inner) => self.read_message(inner, rules, rule),
        }
    }

    fn read_message(
        &mut self,
        inner: &MessageDescriptor,
        rules: Option<&DynamicMessage>,
        rule: Option<&DynamicMessage>,
    ) -> Option<Content> {
        match inner.full_name() {
            "google.protobuf.Any" => Some(Content::Any(rule.map(read_type))),
            "google.protobuf.Duration" | "google.protobuf.Timestamp" if rule.is_some() => {
                read_integer(rule, None)?.map(Content::Time)
            }
            name if is_wrapper(name) && rule.is_some() => {
                // A wrapper of which the rules are about what it holds.
                let value = inner.get_field(1)?;
                let mut made =
                    FieldPlan::new(&value, Times::Once, self.content(&value.kind(), rules));
                made.rivals = 1;
                let needed = u128::from(made.breaks_when_absent(&value));
                let plan = MessagePlan { fields: vec![made], needed, ..MessagePlan::default() };
                Some(Content::Message(self.keep(plan)))
            }
            _ if rule.is_some() => None,
            _ => Some(Content::Message(self.id_of(inner))),
        }
    }
}

fn size_of(rule: &DynamicMessage, names: [&str; 3]) -> Size {
    let size = Size::read(rule, names);
    match flag(rule, "ignore_empty") {
        true => Size { least: 0, ..size },
        false => size,
    }
}

/// Whether there is any rule but those about the message in the field.
fn has_rules(rules: &DynamicMessage) -> bool {
    rules.fields().any(|(field, _)| field.name() != "message")
}

/// The rule among `rules` that is for values of `kind`, if there is one; the outer `None`: there
/// are others.
fn own_rule(rules: &DynamicMessage, kind: &Kind) -> Option<Option<DynamicMessage>> {
    let wanted = |name: &str| match kind {
        Kind::Double => name == "double",
        Kind::Float => name == "float",
        Kind::Int32 => name == "int32",
        Kind::Int64 => name == "int64",
        Kind::Uint32 => name == "uint32",
        Kind::Uint64 => name == "uint64",
        Kind::Sint32 => name == "sint32",
        Kind::Sint64 => name == "sint64",
        Kind::Fixed32 => name == "fixed32",
        Kind::Fixed64 => name == "fixed64",
        Kind::Sfixed32 => name == "sfixed32",
        Kind::Sfixed64 => name == "sfixed64",
        Kind::Bool => name == "bool",
        Kind::String => name == "string",
        Kind::Bytes => name == "bytes",
        Kind::Enum(_) => name == "enum",
        Kind::Message(inner) => match inner.full_name() {
            "google.protobuf.Any" => name == "any",
            "google.protobuf.Duration" => name == "duration",
            "google.protobuf.Timestamp" => name == "timestamp",
            // What a wrapper holds finds its own rule.
            inner => is_wrapper(inner),
        },
    };
    let mut own = None;
    for (field, rule) in rules.fields().filter(|(field, _)| field.name() != "message") {
        if !wanted(field.name()) {
            return None;
        }
        own = Some(rule.as_message()?.clone());
    }
    debug_assert!(
        own.as_ref().is_none_or(|it| it.descriptor().full_name().starts_with("validate."))
    );
    Some(own)
}
