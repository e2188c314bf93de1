//! Keys and values that are complete on one line.

use std::borrow::Cow;

use crate::yaml::Content;

pub(super) enum Value<'a> {
    Scalar(Content<'a>),
    /// An object in braces or a list in brackets.
    Flow,
    Literal(Chomp),
}

/// What happens to the line breaks at the end of a literal text.
#[derive(Clone, Copy)]
pub(super) enum Chomp {
    Clip,
    Strip,
    Keep,
}

impl Chomp {
    pub(super) fn apply(self, text: &mut String) {
        let length = text.trim_end_matches('\n').len();
        match self {
            Self::Strip => text.truncate(length),
            Self::Clip => text.truncate(length + 1),
            Self::Keep => (),
        }
    }
}

/// The key that a line begins with, and the rest of the line without spaces and comments before
/// the value.
pub(super) fn key(line: &str) -> Option<(Content<'_>, &str)> {
    let (content, rest) = match line.as_bytes().first()? {
        b'"' | b'\'' => {
            let (text, rest) = quoted(line)?;
            (Content::Text(text), rest)
        }
        _ => {
            let is_simple = |byte: &u8| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'/' | b'-' | b'$')
            };
            let end = line.bytes().position(|byte| !is_simple(&byte))?;
            if end == 0 || line.starts_with('-') {
                return None;
            }
            (Content::Plain(line[..end].into()), &line[end..])
        }
    };
    let value = rest.strip_prefix(':')?;
    if !value.is_empty() && !value.starts_with(' ') {
        return None;
    }
    let value = value.trim_start_matches(' ');
    Some((content, if value.starts_with('#') { "" } else { value }))
}

/// A whole value; `text` is not empty and has no spaces at its ends.
pub(super) fn value(text: &str) -> Option<Value<'_>> {
    match text.as_bytes()[0] {
        b'"' | b'\'' => {
            let (text, rest) = quoted(text)?;
            is_end(rest).then_some(Value::Scalar(Content::Text(text)))
        }
        b'{' | b'[' => Some(Value::Flow),
        b'|' => match text {
            "|" => Some(Value::Literal(Chomp::Clip)),
            "|-" => Some(Value::Literal(Chomp::Strip)),
            "|+" => Some(Value::Literal(Chomp::Keep)),
            _ => None,
        },
        _ => plain(text).map(Value::Scalar),
    }
}

/// Whether nothing but a comment follows.
pub(super) fn is_end(rest: &str) -> bool {
    let trimmed = rest.trim_start_matches(' ');
    trimmed.is_empty() || (trimmed.starts_with('#') && trimmed.len() < rest.len())
}

fn plain(text: &str) -> Option<Content<'_>> {
    let bytes = text.as_bytes();
    match bytes[0] {
        b'-' if matches!(bytes.get(1), None | Some(b' ')) => return None,
        b'?' | b':' | b',' | b']' | b'}' | b'#' | b'&' | b'*' | b'!' | b'>' | b'%' | b'@'
        | b'`' => return None,
        _ => (),
    }
    let text = match text.find(" #") {
        Some(at) => text[..at].trim_end_matches(' '),
        None => text,
    };
    if text.ends_with(':') || text.contains(": ") {
        return None;
    }
    Some(Content::Plain(text.into()))
}

/// A text in quotes and what follows it. Escapes of double quotes are left to the complete parser.
pub(super) fn quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let inner = &text[1..];
    if text.starts_with('"') {
        let end = inner.find(['"', '\\'])?;
        return inner[end..].starts_with('"').then(|| (inner[..end].into(), &inner[end + 1..]));
    }
    let mut from = 0;
    loop {
        let end = from + inner[from..].find('\'')?;
        if !inner[end + 1..].starts_with('\'') {
            let raw = &inner[..end];
            let text = if from == 0 { raw.into() } else { raw.replace("''", "'").into() };
            return Some((text, &inner[end + 1..]));
        }
        from = end + 2;
    }
}
