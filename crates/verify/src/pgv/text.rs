//! Constraints on strings and bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use prost_reflect::{DynamicMessage, Value};

use super::rules::{RuleBook, count, flag, list, set};

/// Header names as Envoy takes them: RFC 7230 tokens and commas, a colon before pseudo-headers.
const HEADER_NAME: &str = r"^:?[0-9a-zA-Z!#$%&'*+,\-.^_|~`]+$";
const HEADER_VALUE: &str = r"^[^\x00-\x08\x0A-\x1F\x7F]*$";
/// For names and values; a name may be left out.
const LOOSE: &str = r"^[^\x00\x0A\x0D]*$";

/// A relation to another text, by the name of its rule.
type Relation = (&'static str, Fits);
/// Whether a text stands in a relation to another.
pub(super) type Fits = fn(&str, &str) -> bool;

pub(super) const RELATIONS: [Relation; 5] = [
    ("const", |text, it| text == it),
    ("prefix", |text, it| text.starts_with(it)),
    ("suffix", |text, it| text.ends_with(it)),
    ("contains", |text, it| text.contains(it)),
    ("not_contains", |text, it| !text.contains(it)),
];

/// A kind of text, by the name of its rule.
type Kind = (&'static str, fn(&str) -> bool);

/// What `text` breaks of a `validate.StringRules`.
pub(super) fn check_string(
    rule: &DynamicMessage,
    text: &str,
    book: &mut RuleBook,
) -> Option<String> {
    if flag(rule, "ignore_empty") && text.is_empty() {
        return None;
    }
    check_length(rule, text)
        .or_else(|| check_parts(rule, text))
        .or_else(|| check_pattern(rule, text, book))
        .or_else(|| check_well_known(rule, text, book))
}

fn check_length(rule: &DynamicMessage, text: &str) -> Option<String> {
    let (characters, bytes) = (text.chars().count(), text.len());
    let sizes = [
        ("len", "min_len", "max_len", characters, "characters"),
        ("len_bytes", "min_bytes", "max_bytes", bytes, "bytes"),
    ];
    sizes.into_iter().find_map(|(exact, least, most, size, unit)| {
        check_size(rule, [exact, least, most], size).map(|text| format!("{text} {unit}"))
    })
}

/// `names`: of the exact, the least and the largest size.
pub(super) fn check_size(rule: &DynamicMessage, names: [&str; 3], size: usize) -> Option<String> {
    let [exact, least, most] = names.map(|name| count(rule, name));
    if let Some(exact) = exact.filter(|it| *it != size) {
        return Some(format!("{size} instead of {exact}"));
    }
    if let Some(least) = least.filter(|it| *it > size) {
        return Some(format!("{size} instead of at least {least}"));
    }
    most.filter(|it| *it < size).map(|most| format!("{size} instead of at most {most}"))
}

fn check_parts(rule: &DynamicMessage, text: &str) -> Option<String> {
    let wanted = |name: &str| set(rule, name).and_then(|it| it.as_str().map(str::to_owned));
    for (name, fits) in RELATIONS {
        if let Some(it) = wanted(name).filter(|it| !fits(text, it)) {
            return Some(format!("`{text}` breaks {name} `{it}`"));
        }
    }
    let has = |list: &[Value]| list.iter().any(|it| it.as_str() == Some(text));
    let (allowed, refused) = (list(rule, "in"), list(rule, "not_in"));
    if !allowed.is_empty() && !has(&allowed) {
        return Some(format!("`{text}` is not one of the allowed values"));
    }
    has(&refused).then(|| format!("`{text}` is not allowed"))
}

fn check_pattern(rule: &DynamicMessage, text: &str, book: &mut RuleBook) -> Option<String> {
    let pattern = set(rule, "pattern")?;
    let pattern = pattern.as_str()?;
    let fits = book.pattern(pattern).is_none_or(|regex| regex.is_match(text));
    (!fits).then(|| format!("`{text}` does not match `{pattern}`"))
}

fn check_well_known(rule: &DynamicMessage, text: &str, book: &mut RuleBook) -> Option<String> {
    let kinds: [Kind; 5] = [
        ("ip", |text| text.parse::<IpAddr>().is_ok()),
        ("ipv4", |text| text.parse::<Ipv4Addr>().is_ok()),
        ("ipv6", |text| text.parse::<Ipv6Addr>().is_ok()),
        ("hostname", is_hostname),
        ("address", |text| text.parse::<IpAddr>().is_ok() || is_hostname(text)),
    ];
    for (name, fits) in kinds {
        if flag(rule, name) && !fits(text) {
            return Some(format!("`{text}` is no {name}"));
        }
    }
    let strict = set(rule, "strict").and_then(|it| it.as_bool()).unwrap_or(true);
    let known = set(rule, "well_known_regex").and_then(|it| it.as_enum_number());
    let (pattern, kind) = match (known, strict) {
        (Some(1), true) => (HEADER_NAME, "header name"),
        (Some(1), false) => (LOOSE, "header name"),
        (Some(2), true) => (HEADER_VALUE, "header value"),
        (Some(2), false) => (LOOSE, "header value"),
        (_, _) => return None,
    };
    let fits = book.pattern(pattern).is_none_or(|regex| regex.is_match(text));
    (!fits).then(|| format!("`{}` is no {kind}", text.escape_debug()))
}

fn is_hostname(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
}
