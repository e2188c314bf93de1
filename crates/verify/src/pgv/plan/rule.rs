//! Rules about single values, ready to be asked.

use prost_reflect::{DynamicMessage, EnumDescriptor};
use regex::Regex;

use super::Size;
use crate::pgv::{
    number::Number,
    rules::{flag, list, set},
    text::{Fits, RELATIONS},
};

/// Of whole numbers, enums, and times in nanoseconds.
#[derive(Debug)]
pub(crate) struct IntegerRule {
    ignores_zero: bool,
    least: i128,
    most: i128,
    /// Where there are any, others are refused. Sorted.
    among: Vec<i128>,
    never: Vec<i128>,
}

/// Of floating-point numbers.
#[derive(Debug)]
pub(crate) struct FloatRule {
    ignores_zero: bool,
    /// With whether the bound itself is included.
    lower: Option<(f64, bool)>,
    upper: Option<(f64, bool)>,
}

#[derive(Debug)]
pub(crate) struct TextRule {
    ignores_empty: bool,
    characters: Size,
    bytes: Size,
    among: Vec<String>,
    /// To texts that the rule names.
    relations: Vec<(Fits, String)>,
    pattern: Option<Regex>,
    header: Option<HeaderText>,
}

/// What Envoy takes for the name or the value of a header.
#[derive(Clone, Copy, Debug)]
enum HeaderText {
    Name,
    Value,
    /// Either, unless it would break the line.
    Loose,
}

#[derive(Debug)]
pub(crate) struct BytesRule(Size);

/// Of the type in an `Any`.
#[derive(Debug)]
pub(crate) struct TypeRule {
    among: Vec<String>,
    never: Vec<String>,
}

impl IntegerRule {
    pub(crate) fn accepts(&self, value: i128) -> bool {
        let Self { ignores_zero, least, most, among, never } = self;
        (*ignores_zero && value == 0)
            || ((*least..=*most).contains(&value)
                && (among.is_empty() || among.binary_search(&value).is_ok())
                && !never.contains(&value))
    }
}

impl FloatRule {
    pub(crate) fn accepts(&self, value: f64) -> bool {
        let Self { ignores_zero, lower, upper } = self;
        let is_above = |(bound, equal): (f64, bool)| value > bound || (equal && value >= bound);
        let is_below = |(bound, equal): (f64, bool)| value < bound || (equal && value <= bound);
        (*ignores_zero && value == 0.0)
            || (lower.is_none_or(is_above) && upper.is_none_or(is_below))
    }
}

impl TextRule {
    pub(crate) fn accepts(&self, text: &str) -> bool {
        let Self { ignores_empty, characters, bytes, among, relations, pattern, header } = self;
        (*ignores_empty && text.is_empty())
            || (bytes.has(text.len())
                && (*characters == Size::ANY || characters.has(text.chars().count()))
                && (among.is_empty() || among.iter().any(|it| it == text))
                && relations.iter().all(|(fits, it)| fits(text, it))
                && header.is_none_or(|header| header.accepts(text))
                && pattern.as_ref().is_none_or(|pattern| pattern.is_match(text)))
    }
}

impl HeaderText {
    fn read(rule: &DynamicMessage) -> Option<Self> {
        let known = set(rule, "well_known_regex").and_then(|it| it.as_enum_number());
        let strict = set(rule, "strict").and_then(|it| it.as_bool()).unwrap_or(true);
        match (known, strict) {
            (Some(1), true) => Some(Self::Name),
            (Some(2), true) => Some(Self::Value),
            (Some(1 | 2), false) => Some(Self::Loose),
            (_, _) => None,
        }
    }

    fn accepts(self, text: &str) -> bool {
        match self {
            Self::Name => {
                let name = text.strip_prefix(':').unwrap_or(text);
                let is_token =
                    |it: u8| it.is_ascii_alphanumeric() || b"!#$%&'*+,-.^_|~`".contains(&it);
                !name.is_empty() && name.bytes().all(is_token)
            }
            Self::Value => text.bytes().all(|it| it == b'\t' || !it.is_ascii_control()),
            Self::Loose => !text.bytes().any(|it| matches!(it, b'\0' | b'\n' | b'\r')),
        }
    }
}

impl BytesRule {
    pub(crate) fn accepts(&self, bytes: &[u8]) -> bool {
        self.0.has(bytes.len())
    }
}

impl TypeRule {
    pub(crate) fn accepts(&self, url: &str) -> bool {
        let Self { among, never } = self;
        let is = |it: &String| it == url;
        (among.is_empty() || among.iter().any(is)) && !never.iter().any(is)
    }
}

/// Whether all parts of the rule that are set have one of the names.
fn has_only(rule: &DynamicMessage, names: &[&str]) -> bool {
    rule.fields().all(|(field, _)| names.contains(&field.name()))
}

/// `None`: the rule cannot be expressed; the same for the others below.
pub(super) fn read_integer(
    rule: Option<&DynamicMessage>,
    values: Option<&EnumDescriptor>,
) -> Option<Option<IntegerRule>> {
    let Some(rule) = rule else { return Some(None) };
    let whole = |number: Number| match number {
        Number::Integer(number) | Number::Nanoseconds(number) => Some(number),
        Number::Float(_) => None,
    };
    let numbers = |name: &str| -> Option<Vec<i128>> {
        list(rule, name).iter().map(|it| whole(Number::of(it)?)).collect()
    };
    let bound = |name: &str| set(rule, name).and_then(|it| whole(Number::of(&it)?));
    let exact = bound("const");
    let lower = [exact, bound("gte"), bound("gt").map(|it| it + 1)];
    let upper = [exact, bound("lte"), bound("lt").map(|it| it - 1)];
    let least = lower.into_iter().flatten().max().unwrap_or(i128::MIN);
    let most = upper.into_iter().flatten().min().unwrap_or(i128::MAX);
    // Bounds the wrong way round mean what lies outside of them.
    let names = [
        "const",
        "lt",
        "lte",
        "gt",
        "gte",
        "in",
        "not_in",
        "ignore_empty",
        "defined_only",
        "required",
    ];
    if least > most || !has_only(rule, &names) {
        return None;
    }
    let mut among = numbers("in")?;
    if flag(rule, "defined_only") {
        let defined: Vec<i128> = values?.values().map(|it| it.number().into()).collect();
        match among.is_empty() {
            true => among = defined,
            false => among.retain(|it| defined.contains(it)),
        }
        if among.is_empty() {
            return None;
        }
    }
    among.sort_unstable();
    let never = numbers("not_in")?;
    Some(Some(IntegerRule { ignores_zero: flag(rule, "ignore_empty"), least, most, among, never }))
}

pub(super) fn read_float(rule: Option<&DynamicMessage>) -> Option<Option<FloatRule>> {
    let Some(rule) = rule else { return Some(None) };
    let bound = |name: &str| match set(rule, name).and_then(|it| Number::of(&it)) {
        Some(Number::Float(bound)) => Some(bound),
        _ => None,
    };
    let lower = bound("gt").map(|it| (it, false)).or(bound("gte").map(|it| (it, true)));
    let upper = bound("lt").map(|it| (it, false)).or(bound("lte").map(|it| (it, true)));
    let inverted = lower.zip(upper).is_some_and(|((lower, _), (upper, _))| lower >= upper);
    let expressed = has_only(rule, &["lt", "lte", "gt", "gte", "ignore_empty"]) && !inverted;
    let ignores_zero = flag(rule, "ignore_empty");
    expressed.then_some(Some(FloatRule { ignores_zero, lower, upper }))
}

pub(super) fn read_text(rule: Option<&DynamicMessage>) -> Option<Option<TextRule>> {
    let Some(rule) = rule else { return Some(None) };
    let names = [
        "len",
        "min_len",
        "max_len",
        "len_bytes",
        "min_bytes",
        "max_bytes",
        "in",
        "const",
        "prefix",
        "suffix",
        "contains",
        "not_contains",
        "pattern",
        "well_known_regex",
        "strict",
        "ignore_empty",
        // Envoy's own check leaves these out.
        "uri",
        "uri_ref",
        "email",
    ];
    if !has_only(rule, &names) {
        return None;
    }
    let among = list(rule, "in");
    let pattern = set(rule, "pattern");
    let pattern = pattern.as_ref().and_then(|it| it.as_str());
    Some(Some(TextRule {
        ignores_empty: flag(rule, "ignore_empty"),
        characters: Size::read(rule, ["len", "min_len", "max_len"]),
        bytes: Size::read(rule, ["len_bytes", "min_bytes", "max_bytes"]),
        among: among.iter().filter_map(|it| it.as_str().map(str::to_owned)).collect(),
        relations: RELATIONS
            .into_iter()
            .filter_map(|(name, fits)| Some((fits, set(rule, name)?.as_str()?.to_owned())))
            .collect(),
        pattern: pattern.and_then(|pattern| Regex::new(pattern).ok()),
        header: HeaderText::read(rule),
    }))
}

pub(super) fn read_bytes(rule: Option<&DynamicMessage>) -> Option<BytesRule> {
    rule.map(|rule| BytesRule(Size::read(rule, ["len", "min_len", "max_len"])))
}

pub(super) fn read_type(rule: &DynamicMessage) -> TypeRule {
    let texts = |name: &str| {
        list(rule, name).iter().filter_map(|it| it.as_str().map(str::to_owned)).collect()
    };
    TypeRule { among: texts("in"), never: texts("not_in") }
}
