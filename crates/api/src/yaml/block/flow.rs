//! Objects and lists in braces and brackets, as far as they are complete on one line.

use super::scalar;
use crate::yaml::{Content, MAX_DEPTH, Tree};

/// Adds the object or list that `text` begins with, at `depth`, to the tree. Returns what follows
/// it.
pub(super) fn push<'a>(
    tree: &mut Tree<'a>,
    text: &'a str,
    line: u32,
    depth: usize,
) -> Option<&'a str> {
    if depth > MAX_DEPTH {
        return None;
    }
    let (content, end) = match text.as_bytes().first()? {
        b'{' => (Content::Map, '}'),
        b'[' => (Content::List, ']'),
        _ => return None,
    };
    let is_map = content == Content::Map;
    let at = tree.push(line, content);
    let mut rest = skip(&text[1..]);
    loop {
        if let Some(after) = rest.strip_prefix(end) {
            tree.close(at);
            return Some(after);
        }
        if is_map {
            rest = skip(push_scalar(tree, rest, line)?.strip_prefix(": ")?);
        }
        rest = match rest.as_bytes().first()? {
            b'{' | b'[' => push(tree, rest, line, depth + 1)?,
            _ => push_scalar(tree, rest, line)?,
        };
        rest = skip(rest);
        match rest.strip_prefix(',') {
            Some(after) => rest = skip(after),
            None if rest.starts_with(end) => (),
            None => return None,
        }
    }
}

fn skip(text: &str) -> &str {
    text.trim_start_matches(' ')
}

fn push_scalar<'a>(tree: &mut Tree<'a>, text: &'a str, line: u32) -> Option<&'a str> {
    if text.starts_with(['"', '\'']) {
        let (content, rest) = scalar::quoted(text)?;
        tree.push(line, Content::Text(content));
        return Some(rest);
    }
    let length = plain_length(text.as_bytes());
    if length == 0 || text.starts_with('-') {
        return None;
    }
    tree.push(line, Content::Plain(text[..length].into()));
    Some(&text[length..])
}

/// Length of a text without quotes. A colon belongs to it where no space can follow.
fn plain_length(text: &[u8]) -> usize {
    let is_simple =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'/' | b'-');
    let belongs = |(at, byte): (usize, &u8)| match byte {
        b':' => {
            at > 0
                && text
                    .get(at + 1)
                    .is_some_and(|next| next.is_ascii_alphanumeric() || *next == b'/')
        }
        byte => is_simple(*byte),
    };
    text.iter().enumerate().position(|it| !belongs(it)).unwrap_or(text.len())
}
