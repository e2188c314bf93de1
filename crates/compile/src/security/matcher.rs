//! Texts of policies → matchers of Envoy.
//!
//! - A `*` in front or behind stands for anything; alone, it means that there is a value.
//! - A text without a matcher is an error: what follows from it is the rule's matter (`rule`).

use std::net::IpAddr;

use envoy::{
    Any,
    config::{
        core::v3::{CidrRange, TypedExtensionConfig},
        route::v3::{HeaderMatcher, header_matcher::HeaderMatchSpecifier},
    },
    extensions::path::r#match::uri_template::v3::UriTemplateMatchConfig,
    types::matcher::v3::{
        ListMatcher, MetadataMatcher, OrMatcher, PathMatcher, RegexMatcher, StringMatcher,
        ValueMatcher, list_matcher,
        metadata_matcher::{PathSegment, path_segment},
        path_matcher, string_matcher, value_matcher,
    },
};

/// The filter whose metadata hold the claims of checked tokens.
pub(super) const JWT_FILTER: &str = "envoy.filters.http.jwt_authn";
/// Where in these metadata the claims are.
pub(super) const PAYLOAD: &str = "payload";

/// How a text with wildcards is to be read.
enum Pattern<'a> {
    Present,
    Exact(&'a str),
    Prefix(&'a str),
    Suffix(&'a str),
}

impl<'a> Pattern<'a> {
    fn parse(text: &'a str) -> Self {
        match (text, text.strip_prefix('*'), text.strip_suffix('*')) {
            ("*", _, _) => Self::Present,
            (_, Some(suffix), _) => Self::Suffix(suffix),
            (_, None, Some(prefix)) => Self::Prefix(prefix),
            (exact, None, None) => Self::Exact(exact),
        }
    }
}

fn matcher(pattern: string_matcher::MatchPattern) -> StringMatcher {
    StringMatcher { ignore_case: false, match_pattern: Some(pattern) }
}

pub(super) fn exact(text: impl Into<String>) -> StringMatcher {
    matcher(string_matcher::MatchPattern::Exact(text.into()))
}

pub(super) fn prefix(text: impl Into<String>) -> StringMatcher {
    matcher(string_matcher::MatchPattern::Prefix(text.into()))
}

pub(super) fn suffix(text: impl Into<String>) -> StringMatcher {
    matcher(string_matcher::MatchPattern::Suffix(text.into()))
}

pub(super) fn regex(text: impl Into<String>) -> StringMatcher {
    let regex = RegexMatcher { regex: text.into(), engine_type: None };
    matcher(string_matcher::MatchPattern::SafeRegex(regex))
}

/// Any text but none.
pub(super) fn something() -> StringMatcher {
    regex(".+")
}

/// Without the meaning that some characters have in regular expressions.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if r"\.+*?()|[]{}^$".contains(character) {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

/// The same, with `.*` for each `*`.
pub(super) fn glob(text: &str) -> String {
    text.split('*').map(escape).collect::<Vec<_>>().join(".*")
}

pub(super) fn string(text: &str) -> StringMatcher {
    match Pattern::parse(text) {
        Pattern::Present => something(),
        Pattern::Exact(text) => exact(text),
        Pattern::Prefix(text) => prefix(text),
        Pattern::Suffix(text) => suffix(text),
    }
}

/// The name in a certificate: a pattern without `spiffe://`.
pub(super) fn spiffe(text: &str) -> StringMatcher {
    const SCHEME: &str = "spiffe://";
    match Pattern::parse(text) {
        Pattern::Present => something(),
        Pattern::Exact(text) => exact(format!("{SCHEME}{text}")),
        Pattern::Prefix(text) => prefix(format!("{SCHEME}{text}")),
        Pattern::Suffix(text) => regex(format!("{SCHEME}.*{}", escape(text))),
    }
}

pub(super) fn header(name: &str, text: &str) -> HeaderMatcher {
    header_matcher(name, text, |matcher| matcher)
}

/// Names of hosts are compared without case.
pub(super) fn host(text: &str) -> HeaderMatcher {
    let any_case = |matcher| StringMatcher { ignore_case: true, ..matcher };
    header_matcher(":authority", text, any_case)
}

fn header_matcher(
    name: &str,
    text: &str,
    refine: impl FnOnce(StringMatcher) -> StringMatcher,
) -> HeaderMatcher {
    let specifier = match Pattern::parse(text) {
        Pattern::Present => HeaderMatchSpecifier::PresentMatch(true),
        _ => HeaderMatchSpecifier::StringMatch(refine(string(text))),
    };
    HeaderMatcher {
        name: name.to_owned(),
        header_match_specifier: Some(specifier),
        ..HeaderMatcher::default()
    }
}

pub(super) fn path(text: &str) -> PathMatcher {
    PathMatcher { rule: Some(path_matcher::Rule::Path(string(text))) }
}

/// Whether the text is a template and not a pattern.
pub(super) fn is_path_template(text: &str) -> bool {
    text.contains("{*}") || text.contains("{**}")
}

/// `{*}` is one segment, `{**}` any number of them. What Envoy cannot read is an error here: it
/// does not refuse such a template, but ends by it.
pub(super) fn path_template(text: &str) -> Result<TypedExtensionConfig, String> {
    let unusable = |why: &str| Err(format!("`{text}` is not a template of paths: {why}"));
    let Some(rest) = text.strip_prefix('/') else { return unusable("it begins with `/`") };
    let segments: Vec<&str> = rest.split('/').collect();
    let mut ended = false;
    for (index, segment) in segments.iter().enumerate() {
        let is_last = index + 1 == segments.len();
        match *segment {
            "{*}" | "{**}" if ended => return unusable("no wildcard follows `{**}`"),
            "{*}" => {}
            "{**}" => ended = true,
            "" if !is_last => return unusable("a segment is empty"),
            literal if !is_path_literal(literal) => {
                return unusable("a wildcard is a segment of its own, and others are plain text");
            }
            _ => {}
        }
    }
    let template =
        UriTemplateMatchConfig { path_template: text.replace("{**}", "**").replace("{*}", "*") };
    Ok(TypedExtensionConfig {
        name: "uri-template".to_owned(),
        typed_config: Some(Any::pack(&template)),
    })
}

/// The characters of a segment of a path, by RFC 3986, without `*`.
fn is_path_literal(segment: &str) -> bool {
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        let is_plain = byte.is_ascii_alphanumeric() || b"-._~!$&'()+,;=:@".contains(&byte);
        let mut escapes = || bytes.next().is_some_and(|digit| digit.is_ascii_hexdigit());
        if is_plain || byte == b'%' && escapes() && escapes() {
            continue;
        }
        return false;
    }
    true
}

/// Whether Envoy takes the name of a header, which may be one of its own such as `:method`.
pub(super) fn is_header_name(name: &str) -> bool {
    let plain = name.strip_prefix(':').unwrap_or(name);
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !plain.is_empty() && plain.bytes().all(is_token)
}

/// An address or a range of them.
pub(super) fn range(text: &str) -> Result<CidrRange, String> {
    let unusable = || format!("`{text}` is not an address or a range of them");
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let parsed: IpAddr = address.parse().map_err(|_| unusable())?;
    let most = if parsed.is_ipv4() { 32 } else { 128 };
    let length = match length {
        Some(length) => length.parse().ok().filter(|it| *it <= most).ok_or_else(unusable)?,
        None => most,
    };
    Ok(CidrRange { address_prefix: address.to_owned(), prefix_len: Some(length) })
}

pub(super) fn port(text: &str) -> Result<u32, String> {
    text.parse::<u16>().map(u32::from).map_err(|_| format!("`{text}` is not a port"))
}

fn value(pattern: value_matcher::MatchPattern) -> ValueMatcher {
    ValueMatcher { match_pattern: Some(pattern) }
}

fn text_value(matcher: StringMatcher) -> ValueMatcher {
    value(value_matcher::MatchPattern::StringMatch(matcher))
}

fn list_value(element: ValueMatcher) -> ValueMatcher {
    let one = list_matcher::MatchPattern::OneOf(Box::new(element));
    let list = ListMatcher { match_pattern: Some(one) };
    value(value_matcher::MatchPattern::ListMatch(Box::new(list)))
}

fn one_of(mut values: Vec<ValueMatcher>) -> ValueMatcher {
    match values.len() {
        1 => values.remove(0),
        _ => value(value_matcher::MatchPattern::OrMatch(OrMatcher { value_matchers: values })),
    }
}

pub(super) fn metadata<'a>(
    filter: &str,
    path: impl IntoIterator<Item = &'a str>,
    value: ValueMatcher,
) -> MetadataMatcher {
    let segment =
        |key: &str| PathSegment { segment: Some(path_segment::Segment::Key(key.to_owned())) };
    MetadataMatcher {
        filter: filter.to_owned(),
        path: path.into_iter().map(segment).collect(),
        value: Some(value),
        invert: false,
    }
}

/// Metadata of a filter; a text in brackets is looked for in a list.
pub(super) fn filter_metadata(filter: &str, key: &str, texts: &[String]) -> MetadataMatcher {
    let values = texts.iter().map(|text| {
        let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        match inner {
            Some(inner) => list_value(text_value(string(inner))),
            None => text_value(string(text)),
        }
    });
    metadata(filter, [key], one_of(values.collect()))
}

/// A claim of a checked token that is a text.
pub(super) fn claim_text(claim: &str, text: StringMatcher) -> MetadataMatcher {
    metadata(JWT_FILTER, [PAYLOAD, claim], text_value(text))
}

/// A claim of a checked token that is one of the texts, or a list with one of them.
pub(super) fn claim(path: &[&str], texts: &[String]) -> MetadataMatcher {
    let texts = one_of(texts.iter().map(|text| text_value(string(text))).collect());
    let either = one_of(vec![list_value(texts.clone()), texts]);
    let path = std::iter::once(PAYLOAD).chain(path.iter().copied());
    metadata(JWT_FILTER, path, either)
}

/// Metadata that begin with a text.
pub(super) fn metadata_prefix(filter: &str, key: &str, text: String) -> MetadataMatcher {
    metadata(filter, [key], text_value(prefix(text)))
}
