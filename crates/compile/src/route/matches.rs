//! Conditions on requests: `HTTPMatchRequest` → `RouteMatch`.

use api::istio::{StringMatch, virtual_service::HttpMatchRequest};
use envoy::{
    config::route::v3::{
        HeaderMatcher, QueryParameterMatcher, RouteMatch, header_matcher::HeaderMatchSpecifier,
        query_parameter_matcher::QueryParameterMatchSpecifier, route_match::PathSpecifier,
    },
    types::matcher::v3::{
        ListMatcher, MetadataMatcher, OrMatcher, RegexMatcher, StringMatcher, ValueMatcher,
        list_matcher,
        metadata_matcher::{PathSegment, path_segment},
        string_matcher, value_matcher,
    },
};

/// Whatever the path.
pub(crate) fn every_path() -> RouteMatch {
    RouteMatch {
        path_specifier: Some(PathSpecifier::Prefix("/".to_owned())),
        ..RouteMatch::default()
    }
}

/// Conditions on the caller are not looked at: they are decided before.
pub(super) fn translate_match(condition: Option<&HttpMatchRequest>) -> RouteMatch {
    let mut out = every_path();
    let Some(condition) = condition else { return out };
    for (name, pattern) in &condition.headers {
        match claim_matcher(name, pattern) {
            Some(claim) => out.dynamic_metadata.push(claim),
            None => out.headers.push(header_matcher(name, pattern)),
        }
    }
    for (name, pattern) in &condition.without_headers {
        match claim_matcher(name, pattern) {
            Some(claim) => out.dynamic_metadata.push(MetadataMatcher { invert: true, ..claim }),
            None => out.headers.push(HeaderMatcher {
                invert_match: true,
                // Without this a request that lacks the header would not match.
                treat_missing_header_as_empty: string_matcher(pattern).is_some(),
                ..header_matcher(name, pattern)
            }),
        }
    }
    out.headers.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(path) = condition.uri.as_ref().and_then(path_specifier) {
        out.path_specifier = Some(path);
    }
    out.case_sensitive = condition.ignore_uri_case.then_some(false);
    let pseudo = [
        (":method", &condition.method),
        (":authority", &condition.authority),
        (":scheme", &condition.scheme),
    ];
    for (name, pattern) in pseudo {
        out.headers.extend(pattern.as_ref().map(|pattern| header_matcher(name, pattern)));
    }
    let parameters = condition.query_params.iter();
    out.query_parameters.extend(parameters.map(|(name, it)| parameter_matcher(name, it)));
    out
}

fn path_specifier(pattern: &StringMatch) -> Option<PathSpecifier> {
    match pattern {
        StringMatch::Unset => None,
        StringMatch::Exact(path) => Some(PathSpecifier::Path(path.clone())),
        StringMatch::Prefix(prefix) => Some(PathSpecifier::Prefix(prefix.clone())),
        StringMatch::Regex(pattern) => Some(PathSpecifier::SafeRegex(regex(pattern))),
    }
}

pub(super) fn regex(pattern: &str) -> RegexMatcher {
    RegexMatcher { regex: pattern.to_owned(), engine_type: None }
}

/// `None` when any value will do: nothing set, `*` as a regular expression, an empty prefix.
pub(super) fn string_matcher(pattern: &StringMatch) -> Option<StringMatcher> {
    let pattern = match pattern {
        StringMatch::Unset => return None,
        StringMatch::Prefix(prefix) if prefix.is_empty() => return None,
        StringMatch::Regex(pattern) if pattern.is_empty() || pattern == "*" => return None,
        StringMatch::Exact(value) => string_matcher::MatchPattern::Exact(value.clone()),
        StringMatch::Prefix(prefix) => string_matcher::MatchPattern::Prefix(prefix.clone()),
        StringMatch::Regex(pattern) => string_matcher::MatchPattern::SafeRegex(regex(pattern)),
    };
    Some(StringMatcher { ignore_case: false, match_pattern: Some(pattern) })
}

fn header_matcher(name: &str, pattern: &StringMatch) -> HeaderMatcher {
    let specifier = match string_matcher(pattern) {
        Some(matcher) => HeaderMatchSpecifier::StringMatch(matcher),
        None => HeaderMatchSpecifier::PresentMatch(true),
    };
    HeaderMatcher {
        name: name.to_owned(),
        header_match_specifier: Some(specifier),
        ..HeaderMatcher::default()
    }
}

fn parameter_matcher(name: &str, pattern: &StringMatch) -> QueryParameterMatcher {
    let specifier = match string_matcher(pattern) {
        Some(matcher) => QueryParameterMatchSpecifier::StringMatch(matcher),
        None => QueryParameterMatchSpecifier::PresentMatch(true),
    };
    QueryParameterMatcher {
        name: name.to_owned(),
        query_parameter_match_specifier: Some(specifier),
    }
}

/// `@request.auth.claims.group.id` or `@request.auth.claims[group][id]`: a claim of a token that
/// the JWT filter has checked. Its value is a text or a list with the text.
fn claim_matcher(name: &str, pattern: &StringMatch) -> Option<MetadataMatcher> {
    const PREFIX: &str = "@request.auth.claims";
    let head = name.get(..PREFIX.len())?;
    if !head.eq_ignore_ascii_case(PREFIX) {
        return None;
    }
    let rest = &name[PREFIX.len()..];
    let claims: Vec<&str> = match rest.strip_prefix('.') {
        Some(dotted) => dotted.split('.').collect(),
        None => rest.strip_prefix('[')?.strip_suffix(']')?.split("][").collect(),
    };
    if claims.iter().any(|claim| claim.is_empty()) {
        return None;
    }
    let segment =
        |key: &str| PathSegment { segment: Some(path_segment::Segment::Key(key.to_owned())) };
    let value = |pattern| ValueMatcher { match_pattern: Some(pattern) };
    let value = match string_matcher(pattern) {
        None => value(value_matcher::MatchPattern::PresentMatch(true)),
        Some(matcher) => {
            let text = value(value_matcher::MatchPattern::StringMatch(matcher));
            let element = list_matcher::MatchPattern::OneOf(Box::new(text.clone()));
            let list = ListMatcher { match_pattern: Some(element) };
            let list = value(value_matcher::MatchPattern::ListMatch(Box::new(list)));
            let either = OrMatcher { value_matchers: vec![text, list] };
            value(value_matcher::MatchPattern::OrMatch(either))
        }
    };
    Some(MetadataMatcher {
        filter: "envoy.filters.http.jwt_authn".to_owned(),
        path: std::iter::once("payload").chain(claims).map(segment).collect(),
        value: Some(value),
        invert: false,
    })
}
