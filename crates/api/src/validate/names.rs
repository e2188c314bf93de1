//! What names, hosts, labels and addresses may look like.

use std::net::IpAddr;

/// A DNS label; Istio accepts upper case too.
pub(crate) fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    bytes.len() <= 63
        && is_end(bytes.first())
        && is_end(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

/// `*`, `*x`, `*-x` or a label.
fn is_wildcard_label(text: &str) -> bool {
    let rest = text.strip_prefix("*-").or_else(|| text.strip_prefix('*')).unwrap_or(text);
    text == "*" || is_label(rest)
}

/// A full DNS name without wildcards. The reason is given as words that follow the name.
pub(super) fn check_fqdn(text: &str) -> Result<(), &'static str> {
    check_length(text)?;
    check_labels(text)
}

/// A DNS name whose first label may be or begin with `*`.
pub(crate) fn check_wildcard_host(text: &str) -> Result<(), &'static str> {
    check_length(text)?;
    let (first, rest) = text.split_once('.').map_or((text, None), |(a, b)| (a, Some(b)));
    if !is_wildcard_label(first) {
        return Err("has a label that is not valid");
    }
    rest.map_or(Ok(()), check_labels)
}

fn check_length(text: &str) -> Result<(), &'static str> {
    match text.len() {
        0 => Err("is empty"),
        1..=255 => Ok(()),
        _ => Err("is longer than 255 letters"),
    }
}

fn check_labels(text: &str) -> Result<(), &'static str> {
    // `example.com.` is a full name too.
    let text = text.strip_suffix('.').unwrap_or(text);
    let last = text.rsplit('.').next().unwrap_or_default();
    if !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("ends in a number");
    }
    if text.split('.').all(is_label) { Ok(()) } else { Err("has a label that is not valid") }
}

/// A wildcard that stands for a part of a label.
pub(super) fn is_partial_wildcard(host: &str) -> bool {
    host.contains('*') && host.len() != 1 && !host.starts_with("*.")
}

pub(super) fn is_ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

/// An address or a range in CIDR form.
pub(super) fn is_subnet(text: &str) -> bool {
    match text.split_once('/') {
        None => is_ip(text),
        Some((address, length)) => {
            let limit = match address.parse() {
                Ok(IpAddr::V4(_)) => 32,
                Ok(IpAddr::V6(_)) => 128,
                Err(_) => return false,
            };
            let digits = length.bytes().all(|byte| byte.is_ascii_digit());
            digits && length.parse::<u8>().is_ok_and(|length| length <= limit)
        }
    }
}

/// Path of a Unix domain socket: absolute and no folder, or abstract.
pub(super) fn check_socket(path: &str) -> Result<(), &'static str> {
    if path.is_empty() {
        return Err("the path of the socket is empty");
    }
    if path.starts_with('@') || (path.starts_with('/') && !path.ends_with('/')) {
        return Ok(());
    }
    Err("the path of a socket is absolute and not a folder, or begins with `@`")
}

/// A key of a Kubernetes label: `name` or `prefix/name`.
pub(super) fn is_label_key(key: &str) -> bool {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(a, b)| (Some(a), b));
    let prefix_is_valid = prefix.is_none_or(|prefix| {
        !prefix.is_empty() && prefix.len() <= 253 && prefix.split('.').all(is_label)
    });
    prefix_is_valid && !name.is_empty() && is_label_value(name)
}

pub(super) fn is_label_value(value: &str) -> bool {
    let bytes = value.as_bytes();
    let is_end = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    bytes.len() <= 63
        && is_end(bytes.first())
        && is_end(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

/// Name of an HTTP header as it may be matched.
pub(super) fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// `@request.auth.claims.x` and its other forms: a token claim in place of a header.
pub(super) fn is_claim(name: &str) -> bool {
    let Some(rest) = strip_prefix_ignoring_case(name, "@request.auth.claims") else { return false };
    match rest.as_bytes() {
        [b'.', first, ..] => *first != b'.',
        [b'[', .., b']'] => rest.len() > 2,
        _ => false,
    }
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

/// Whether Envoy can read a header value with `%VARIABLES%` in it.
pub(super) fn is_header_value(value: &str) -> bool {
    if value.bytes().any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7F) {
        return false;
    }
    let mut rest = value;
    while let Some(at) = rest.find('%') {
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            rest = after;
            continue;
        }
        let mut depth = 0usize;
        let end = rest.find(|c: char| {
            match c {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => (),
            }
            c == '%' && depth == 0
        });
        let Some(end) = end else { return false };
        rest = &rest[end + 1..];
    }
    true
}
