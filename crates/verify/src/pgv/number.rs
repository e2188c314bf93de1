//! Constraints on numbers and durations: ranges and lists.

use std::{cmp::Ordering, fmt};

use prost_reflect::{DynamicMessage, ReflectMessage, Value};

use super::rules::{list, set};

/// A number of any protobuf type; durations in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Integer(i128),
    Float(f64),
    Nanoseconds(i128),
}

impl Number {
    /// `None`: not a number. Wrappers count as what they hold.
    pub(super) fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::I32(number) | Value::EnumNumber(number) => Self::Integer((*number).into()),
            Value::I64(number) => Self::Integer((*number).into()),
            Value::U32(number) => Self::Integer((*number).into()),
            Value::U64(number) => Self::Integer((*number).into()),
            Value::F32(number) => Self::Float((*number).into()),
            Value::F64(number) => Self::Float(*number),
            Value::Message(message) => return Self::of_message(message),
            _ => return None,
        })
    }

    fn of_message(message: &DynamicMessage) -> Option<Self> {
        match message.descriptor().full_name() {
            "google.protobuf.Duration" | "google.protobuf.Timestamp" => {
                let seconds = i128::from(message.get_field_by_number(1)?.as_i64()?);
                let nanos = i128::from(message.get_field_by_number(2)?.as_i32()?);
                Some(Self::Nanoseconds(seconds * 1_000_000_000 + nanos))
            }
            _ => None,
        }
    }

    fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Float(left), Self::Float(right)) => left.partial_cmp(&right),
            (Self::Integer(left), Self::Integer(right))
            | (Self::Nanoseconds(left), Self::Nanoseconds(right)) => Some(left.cmp(&right)),
            (Self::Integer(_) | Self::Float(_) | Self::Nanoseconds(_), _) => None,
        }
    }

    fn is_zero(self) -> bool {
        match self {
            Self::Integer(number) | Self::Nanoseconds(number) => number == 0,
            Self::Float(number) => number == 0.0,
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number}"),
            Self::Nanoseconds(number) => {
                let text =
                    format!("{}.{:09}", number / 1_000_000_000, (number % 1_000_000_000).abs());
                write!(f, "{}s", text.trim_end_matches('0').trim_end_matches('.'))
            }
        }
    }
}

/// What `value` breaks of `rule`, which is a rule of its own type.
pub(super) fn check(rule: &DynamicMessage, value: Number) -> Option<String> {
    if super::rules::flag(rule, "ignore_empty") && value.is_zero() {
        return None;
    }
    let bound = |name: &str| set(rule, name).and_then(|value| Number::of(&value));
    let order = |other: Number| value.compare(other);
    if let Some(wanted) = bound("const")
        && order(wanted) != Some(Ordering::Equal)
    {
        return Some(format!("{value} is not {wanted}"));
    }
    if let Some(text) = outside(rule, value) {
        return Some(text);
    }
    let is_in = |name: &str| {
        let numbers = list(rule, name).into_iter().filter_map(|entry| Number::of(&entry));
        let numbers: Vec<Number> = numbers.collect();
        (numbers.is_empty(), numbers.into_iter().any(|it| order(it) == Some(Ordering::Equal)))
    };
    match (is_in("in"), is_in("not_in")) {
        ((false, false), _) => Some(format!("{value} is not one of the allowed values")),
        (_, (_, true)) => Some(format!("{value} is not allowed")),
        (_, _) => None,
    }
}

/// A lower bound above the upper one excludes what lies between.
fn outside(rule: &DynamicMessage, value: Number) -> Option<String> {
    let bound = |name: &str| set(rule, name).and_then(|value| Number::of(&value));
    let lower = bound("gt").map(|it| (it, false)).or(bound("gte").map(|it| (it, true)));
    let upper = bound("lt").map(|it| (it, false)).or(bound("lte").map(|it| (it, true)));
    let above = lower.map(|(it, equal)| match value.compare(it) {
        Some(Ordering::Greater) => true,
        Some(Ordering::Equal) => equal,
        Some(Ordering::Less) | None => false,
    });
    let below = upper.map(|(it, equal)| match value.compare(it) {
        Some(Ordering::Less) => true,
        Some(Ordering::Equal) => equal,
        Some(Ordering::Greater) | None => false,
    });
    let inverted = match (lower, upper) {
        (Some((lower, _)), Some((upper, _))) => lower.compare(upper) != Some(Ordering::Less),
        (_, _) => false,
    };
    let fits = match inverted {
        true => above.unwrap_or(false) || below.unwrap_or(false),
        false => above.unwrap_or(true) && below.unwrap_or(true),
    };
    let side = |bound: Option<(Number, bool)>, open: &str, closed: &str| {
        bound.map(|(it, equal)| format!("{} {it}", if equal { closed } else { open }))
    };
    let sides = [side(lower, "above", "at least"), side(upper, "below", "at most")];
    let sides: Vec<String> = sides.into_iter().flatten().collect();
    (!fits).then(|| format!("{value} is not {}", sides.join(" and ")))
}
