//! Envoy's matchers of strings, headers and query parameters.

use envoy::{
    config::route::v3::{
        HeaderMatcher, QueryParameterMatcher, header_matcher::HeaderMatchSpecifier,
        query_parameter_matcher::QueryParameterMatchSpecifier, route_match::PathSpecifier,
    },
    types::matcher::v3::{RegexMatcher, StringMatcher, string_matcher::MatchPattern},
};
use regex::Regex;

use super::regex_problem;

/// Whether the pattern matches the whole text, as RE2 is used by Envoy.
pub(super) fn full_match(pattern: &RegexMatcher, text: &str) -> Result<bool, String> {
    let anchored = format!(r"\A(?:{})\z", pattern.regex);
    match Regex::new(&anchored) {
        Ok(regex) => Ok(regex.is_match(text)),
        Err(error) => Err(format!("bad regex `{}`: {}", pattern.regex, regex_problem(&error))),
    }
}

fn string_matches(matcher: &StringMatcher, text: &str) -> bool {
    let fold = |text: &str| match matcher.ignore_case {
        true => text.to_ascii_lowercase(),
        false => text.to_owned(),
    };
    let own = fold(text);
    match &matcher.match_pattern {
        Some(MatchPattern::Exact(wanted)) => own == fold(wanted),
        Some(MatchPattern::Prefix(wanted)) => own.starts_with(&fold(wanted)),
        Some(MatchPattern::Suffix(wanted)) => own.ends_with(&fold(wanted)),
        Some(MatchPattern::Contains(wanted)) => own.contains(&fold(wanted)),
        Some(MatchPattern::SafeRegex(pattern)) => full_match(pattern, text).unwrap_or(false),
        // What an extension says cannot be known here.
        Some(MatchPattern::Custom(_)) | None => false,
    }
}

/// Whether a header with `value` (`None`: no such header) meets the condition.
pub(super) fn header_matches(matcher: &HeaderMatcher, value: Option<&str>) -> bool {
    let invert = matcher.invert_match;
    let specifier = match &matcher.header_match_specifier {
        Some(HeaderMatchSpecifier::PresentMatch(wanted)) => {
            return (value.is_some() == *wanted) != invert;
        }
        None => return value.is_some() != invert,
        Some(specifier) => specifier,
    };
    match value {
        Some(value) => value_matches(specifier, value) != invert,
        None if matcher.treat_missing_header_as_empty => value_matches(specifier, "") != invert,
        // Envoy does not invert what it could not compare.
        None => false,
    }
}

#[allow(deprecated, reason = "configurations still hold the old forms, and Envoy reads them")]
fn value_matches(specifier: &HeaderMatchSpecifier, value: &str) -> bool {
    match specifier {
        HeaderMatchSpecifier::ExactMatch(wanted) => value == wanted,
        HeaderMatchSpecifier::PrefixMatch(wanted) => value.starts_with(wanted.as_str()),
        HeaderMatchSpecifier::SuffixMatch(wanted) => value.ends_with(wanted.as_str()),
        HeaderMatchSpecifier::ContainsMatch(wanted) => value.contains(wanted.as_str()),
        HeaderMatchSpecifier::SafeRegexMatch(pattern) => {
            full_match(pattern, value).unwrap_or(false)
        }
        HeaderMatchSpecifier::RangeMatch(range) => {
            value.parse::<i64>().is_ok_and(|number| (range.start..range.end).contains(&number))
        }
        HeaderMatchSpecifier::StringMatch(matcher) => string_matches(matcher, value),
        HeaderMatchSpecifier::PresentMatch(present) => *present,
    }
}

/// Why a header does not meet the condition, for a person.
pub(super) fn describe_header(matcher: &HeaderMatcher, value: Option<&str>) -> String {
    let name = &matcher.name;
    let wanted = header_wish(matcher);
    match value {
        Some(value) => format!("header `{name}` is `{value}`, wanted is {wanted}"),
        None => format!("header `{name}` is missing, wanted is {wanted}"),
    }
}

/// Why a query parameter does not meet the condition, for a person.
pub(super) fn describe_parameter(
    matcher: &QueryParameterMatcher,
    query: &[(&str, &str)],
) -> String {
    let name = &matcher.name;
    let wanted = match &matcher.query_parameter_match_specifier {
        Some(QueryParameterMatchSpecifier::StringMatch(wanted)) => string_wish(wanted),
        Some(QueryParameterMatchSpecifier::PresentMatch(false)) => "none".to_owned(),
        Some(QueryParameterMatchSpecifier::PresentMatch(true)) | None => "any value".to_owned(),
    };
    match query.iter().find(|(own, _)| own == name) {
        Some((_, value)) => format!("query parameter `{name}` is `{value}`, wanted is {wanted}"),
        None => format!("query parameter `{name}` is missing, wanted is {wanted}"),
    }
}

#[allow(deprecated, reason = "configurations still hold the old forms, and Envoy reads them")]
fn header_wish(matcher: &HeaderMatcher) -> String {
    let wish = match &matcher.header_match_specifier {
        Some(HeaderMatchSpecifier::ExactMatch(text)) => format!("`{text}`"),
        Some(HeaderMatchSpecifier::PrefixMatch(text)) => format!("the prefix `{text}`"),
        Some(HeaderMatchSpecifier::SuffixMatch(text)) => format!("the suffix `{text}`"),
        Some(HeaderMatchSpecifier::ContainsMatch(text)) => format!("a text with `{text}`"),
        Some(HeaderMatchSpecifier::SafeRegexMatch(it)) => format!("the regex `{}`", it.regex),
        Some(HeaderMatchSpecifier::RangeMatch(it)) => {
            format!("a number from {} up to {}, exclusive", it.start, it.end)
        }
        Some(HeaderMatchSpecifier::StringMatch(wanted)) => string_wish(wanted),
        Some(HeaderMatchSpecifier::PresentMatch(false)) => "no such header".to_owned(),
        Some(HeaderMatchSpecifier::PresentMatch(true)) | None => "any value".to_owned(),
    };
    if matcher.invert_match { format!("anything but {wish}") } else { wish }
}

fn string_wish(matcher: &StringMatcher) -> String {
    let wish = match &matcher.match_pattern {
        Some(MatchPattern::Exact(text)) => format!("`{text}`"),
        Some(MatchPattern::Prefix(text)) => format!("the prefix `{text}`"),
        Some(MatchPattern::Suffix(text)) => format!("the suffix `{text}`"),
        Some(MatchPattern::Contains(text)) => format!("a text with `{text}`"),
        Some(MatchPattern::SafeRegex(pattern)) => format!("the regex `{}`", pattern.regex),
        Some(MatchPattern::Custom(custom)) => format!("what `{}` says", custom.name),
        None => "nothing".to_owned(),
    };
    if matcher.ignore_case { format!("{wish} in any case") } else { wish }
}

/// How many characters a path has in common with the path that a route is for.
pub(super) fn common_prefix(wanted: Option<&PathSpecifier>, path: &str) -> usize {
    let wanted = match wanted {
        Some(
            PathSpecifier::Prefix(text)
            | PathSpecifier::PathSeparatedPrefix(text)
            | PathSpecifier::Path(text),
        ) => text,
        Some(PathSpecifier::SafeRegex(pattern)) => &pattern.regex,
        Some(PathSpecifier::ConnectMatcher(_) | PathSpecifier::PathMatchPolicy(_)) | None => "",
    };
    wanted.bytes().zip(path.bytes()).take_while(|(left, right)| left == right).count()
}

/// The query parameters of a path, in order, undecoded as Envoy compares them.
pub(super) fn query_parameters(path: &str) -> Vec<(&str, &str)> {
    let path = path.split('#').next().unwrap_or_default();
    let Some((_, query)) = path.split_once('?') else { return Vec::new() };
    query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .collect()
}

/// Whether the first parameter of the name meets the condition.
pub(super) fn parameter_matches(matcher: &QueryParameterMatcher, query: &[(&str, &str)]) -> bool {
    let value = query.iter().find(|(name, _)| *name == matcher.name).map(|(_, value)| *value);
    match &matcher.query_parameter_match_specifier {
        Some(QueryParameterMatchSpecifier::StringMatch(wanted)) => {
            value.is_some_and(|value| string_matches(wanted, value))
        }
        Some(QueryParameterMatchSpecifier::PresentMatch(present)) => value.is_some() == *present,
        None => value.is_some(),
    }
}
