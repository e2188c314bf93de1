//! The bytes of a file and an object → the bytes with the object in them, or without it.
//!
//! - The object takes the place of its former self; every other byte stays.
//! - Checked: the new bytes say what the old ones said, but for the object. Else there is no edit.
//! - Pure. Not here: which file (`plan`), writing it (`write`).

use std::{collections::BTreeMap, ops::Range};

use api::Object;
use model::{Kind, ObjectKey};

use crate::draft::{Draft, Form, Piece, pieces, primary, text_of};

/// Why an object cannot be put into a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EditError {
    /// The file does not show the object, although it is in effect from there.
    #[error("it is not found there: the file has changed meanwhile, or a part of it is broken")]
    NotFound,
    /// What the file says would change in other places too.
    #[error("it cannot be replaced there without touching its neighbours")]
    Entangled,
}

/// What an edit leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edited {
    /// The whole file.
    pub(crate) bytes: Vec<u8>,
    /// The text of the object as it was.
    pub(crate) before: String,
    /// And as it is now, with the comments that stay.
    pub(crate) after: String,
}

/// Puts `draft` in the place of the object with its key.
pub(crate) fn replace(bytes: &[u8], draft: &Draft) -> Result<Edited, EditError> {
    let all = pieces(bytes);
    let own = |piece: &&Piece| primary(&piece.objects).is_some_and(|it| it.key == *draft.key());
    let piece = all.iter().find(own).ok_or(EditError::NotFound)?;
    let old = &bytes[piece.range.clone()];
    let new = render(old, piece.form, &draft.text);
    let new = if old.windows(2).any(|two| two == b"\r\n") {
        new.replace("\r\n", "\n").replace('\n', "\r\n")
    } else {
        new
    };
    let mut edited = Vec::with_capacity(bytes.len() + new.len());
    edited.extend_from_slice(&bytes[..piece.range.start]);
    edited.extend_from_slice(new.as_bytes());
    edited.extend_from_slice(&bytes[piece.range.end..]);
    check(bytes, &edited, draft)?;
    let before = text_of(bytes, piece);
    let range = piece.range.start..piece.range.start + new.len();
    let after = text_of(&edited, &Piece { range, ..piece.clone() });
    Ok(Edited { bytes: edited, before, after })
}

/// Puts `draft` behind everything else.
pub(crate) fn append(bytes: &[u8], draft: &Draft) -> Result<Vec<u8>, EditError> {
    let mut edited = bytes.to_vec();
    if !bytes.trim_ascii().is_empty() {
        if !edited.ends_with(b"\n") {
            edited.push(b'\n');
        }
        edited.extend_from_slice(b"---\n");
    }
    edited.extend_from_slice(draft.text.as_bytes());
    check(bytes, &edited, draft)?;
    Ok(edited)
}

/// Takes the object with this key out. No bytes are left of a file that says nothing else.
pub(crate) fn remove(bytes: &[u8], key: &ObjectKey) -> Result<Edited, EditError> {
    let all = pieces(bytes);
    let own = |piece: &&Piece| primary(&piece.objects).is_some_and(|it| it.key == *key);
    let piece = all.iter().find(own).ok_or(EditError::NotFound)?;
    let range = match piece.form {
        Form::Document => with_marker(bytes, piece.range.clone()),
        Form::Item { .. } => piece.range.clone(),
        // A comma before or behind it would have to go too.
        Form::JsonItem => return Err(EditError::Entangled),
    };
    let mut edited = bytes.to_vec();
    edited.drain(range);
    let mut expected = read(bytes);
    expected.objects.remove(key);
    expected.count -= 1;
    if expected != read(&edited) {
        return Err(EditError::Entangled);
    }
    if is_quiet(&edited) {
        edited.clear();
    }
    Ok(Edited { bytes: edited, before: text_of(bytes, piece), after: String::new() })
}

/// A document with the line of dashes that tells it from the one before, or else from the next.
fn with_marker(bytes: &[u8], range: Range<usize>) -> Range<usize> {
    let line_before = match bytes[..range.start].strip_suffix(b"\n") {
        Some(rest) => rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1),
        None => range.start,
    };
    if bytes[line_before..range.start].starts_with(b"---") {
        return line_before..range.end;
    }
    let behind = &bytes[range.end..];
    let line = behind.iter().position(|byte| *byte == b'\n').map_or(behind.len(), |at| at + 1);
    let marker = if behind.starts_with(b"---") { line } else { 0 };
    range.start..range.end + marker
}

/// Whether nothing is left but comments and lines between documents.
fn is_quiet(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    text.lines().all(|line| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#') || line.starts_with("---")
    })
}

fn render(old: &[u8], form: Form, text: &str) -> String {
    let old = String::from_utf8_lossy(old);
    match form {
        Form::Document if old.trim_start().starts_with('{') => {
            as_json(text).unwrap_or_else(|| text.to_owned())
        }
        Form::Document => with_comments(&old, text),
        Form::JsonItem => as_json(text).unwrap_or_else(|| text.to_owned()).trim_end().to_owned(),
        Form::Item { indent } => indented(text, indent),
    }
}

/// Comments above and below a document that has none of its own there stay.
fn with_comments(old: &str, text: &str) -> String {
    let is_quiet = |line: &&str| line.trim().is_empty() || line.trim_start().starts_with('#');
    let has_above = text.lines().next().is_some_and(|line| is_quiet(&line));
    let has_below = text.lines().last().is_some_and(|line| is_quiet(&line));
    let lines: Vec<&str> = old.split_inclusive('\n').collect();
    let above: String = lines.iter().take_while(|line| is_quiet(line)).copied().collect();
    let count = lines.iter().rev().take_while(|line| is_quiet(line)).count();
    let below: String = lines[lines.len() - count..].concat();
    let mut new = String::with_capacity(old.len() + text.len());
    if !has_above {
        new.push_str(&above);
    }
    new.push_str(text);
    if !has_below {
        new.push_str(&below);
    }
    new
}

/// As an item of a list.
fn indented(text: &str, indent: usize) -> String {
    let pad = " ".repeat(indent);
    let mut out = String::with_capacity(text.len() * 2);
    let mut has_dash = false;
    for line in text.lines() {
        if line.trim().is_empty() {
            out.push('\n');
        } else if has_dash || line.trim_start().starts_with('#') {
            out.push_str(&format!("{pad}  {line}\n"));
        } else {
            has_dash = true;
            out.push_str(&format!("{pad}- {line}\n"));
        }
    }
    out
}

/// The same content as JSON; `None` where it is JSON already, or cannot be read.
fn as_json(text: &str) -> Option<String> {
    if serde_json::from_str::<serde_json::Value>(text).is_ok() {
        return None;
    }
    let value: serde_json::Value = serde_saphyr::from_str(text).ok()?;
    Some(serde_json::to_string_pretty(&value).ok()? + "\n")
}

/// What a file says.
#[derive(PartialEq, Eq)]
struct Said {
    objects: BTreeMap<ObjectKey, u128>,
    count: usize,
}

fn read(bytes: &[u8]) -> Said {
    // A MeshConfig comes and goes with the ConfigMap that it lies in.
    let is_own = |object: &Object| object.key.kind != Kind::MeshConfig;
    let objects: Vec<Object> =
        api::parse_documents("", bytes).0.into_iter().filter(is_own).collect();
    let count = objects.len();
    // Of two with one key the first is in effect.
    let objects = objects.into_iter().rev().map(|it| (it.key, it.hash)).collect();
    Said { objects, count }
}

/// Whether only the draft's objects differ.
fn check(old: &[u8], new: &[u8], draft: &Draft) -> Result<(), EditError> {
    let mut expected = read(old);
    let object = draft.object();
    expected.count += usize::from(!expected.objects.contains_key(&object.key));
    expected.objects.insert(object.key.clone(), object.hash);
    match expected == read(new) {
        true => Ok(()),
        false => Err(EditError::Entangled),
    }
}

#[cfg(test)]
mod tests;
