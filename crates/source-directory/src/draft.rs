//! The bytes of a file → the pieces that hold one object each, and where they are.
//!
//! - A piece is a document, or an item of a `List` in block style or JSON.
//! - Never wrong in silence: what a piece says is what `api` reads in it. Where the pieces of a
//!   file do not add up to what the whole file says, the caller sees it (`edit`).
//! - Pure. Not here: putting a new object into a piece's place (`edit`).

use std::ops::Range;

use api::Object;
use model::{Diagnostics, Kind, ObjectKey};
use serde::Deserialize;
use serde_json::value::RawValue;

/// How a piece stands in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// All between two `---` lines.
    Document,
    /// An item of a list, whose dash is behind so many spaces.
    Item { indent: usize },
    /// A JSON value inside of another one.
    JsonItem,
}

/// One object in the bytes of a file.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) range: Range<usize>,
    pub(crate) form: Form,
    /// What the piece says, its own text being the whole file.
    pub(crate) objects: Vec<Object>,
}

/// One object that is to be written, with its text.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The object and, for the ConfigMap `istio`, the MeshConfig in it.
    pub objects: Vec<Object>,
    /// The text of one document, without `---`.
    pub text: String,
}

impl Draft {
    /// The object that the text is.
    pub fn object(&self) -> &Object {
        primary(&self.objects).expect("a draft holds an object")
    }

    /// Its key.
    pub fn key(&self) -> &ObjectKey {
        &self.object().key
    }
}

/// Reads the objects of a file that was handed in. Documents of kinds that the mesh does not read
/// are left out, with a finding.
pub fn parse_drafts(name: &str, bytes: &[u8]) -> (Vec<Draft>, Diagnostics) {
    let (whole, mut diagnostics) = api::parse_documents(name, bytes);
    for object in &whole {
        diagnostics.extend(api::validate(object));
    }
    let mut drafts: Vec<Draft> = Vec::new();
    // A piece does not know its place in the file; the whole does, and has them in this order.
    let mut rest = whole.clone();
    for piece in pieces(bytes) {
        if primary(&piece.objects).is_none() {
            continue;
        }
        let located = piece.objects.iter().filter_map(|own| {
            let at = rest.iter().position(|it| it.key == own.key && it.hash == own.hash)?;
            Some(rest.remove(at))
        });
        let objects: Vec<Object> = located.collect();
        if objects.len() == piece.objects.len() {
            drafts.push(Draft { objects, text: text_of(bytes, &piece) });
        }
    }
    let is_lost = |object: &&Object| {
        object.key.kind != Kind::MeshConfig && !drafts.iter().any(|it| *it.key() == object.key)
    };
    for object in whole.iter().filter(is_lost) {
        let message = "the object cannot be told apart from others in its document";
        let finding = api::codes::SYNTAX.diagnostic(message);
        let hint = "write each object as a document of its own, in block style or JSON";
        let finding = finding.hint(hint).object(object.key.clone());
        diagnostics.push(finding.at(object.location.clone()));
    }
    (drafts, diagnostics)
}

/// The object that a piece stands for: not the MeshConfig that lies in a ConfigMap.
pub(crate) fn primary(objects: &[Object]) -> Option<&Object> {
    let mut own = objects.iter().filter(|object| object.key.kind != Kind::MeshConfig);
    let first = own.next()?;
    own.next().is_none().then_some(first)
}

/// The pieces of a file, in order.
pub(crate) fn pieces(bytes: &[u8]) -> Vec<Piece> {
    chunks(bytes).into_iter().flat_map(|range| pieces_of_chunk(bytes, range)).collect()
}

/// The text of a piece as a document of its own.
pub(crate) fn text_of(bytes: &[u8], piece: &Piece) -> String {
    let text = String::from_utf8_lossy(&bytes[piece.range.clone()]);
    let text = match piece.form {
        Form::Document | Form::JsonItem => text.into_owned(),
        Form::Item { indent } => dedent(&text, indent),
    };
    let text = text.trim_start_matches(['\r', '\n']).trim_end();
    format!("{text}\n")
}

/// Ranges of the texts between `---` lines, as `api` splits them. What stands on such a line
/// behind the dashes belongs to the text only if it is content.
fn chunks(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut start = if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    let (mut at, mut found) = (start, Vec::new());
    while at < bytes.len() {
        let rest = &bytes[at..];
        let length = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |it| it + 1);
        if is_marker(rest) {
            found.push(start..at);
            let behind = rest[3..length].trim_ascii();
            let is_content = !behind.is_empty() && !behind.starts_with(b"#");
            start = if is_content { at + 3 } else { at + length };
        }
        at += length;
    }
    found.push(start..bytes.len());
    found
}

fn is_marker(line: &[u8]) -> bool {
    line.starts_with(b"---") && matches!(line.get(3), None | Some(b'\n' | b'\r' | b' ' | b'\t'))
}

fn pieces_of_chunk(bytes: &[u8], range: Range<usize>) -> Vec<Piece> {
    let Ok(text) = std::str::from_utf8(&bytes[range.clone()]) else { return Vec::new() };
    let items =
        if text.trim_start().starts_with('{') { json_items(text) } else { block_items(text) };
    let Some(items) = items else {
        let objects = api::parse_documents("", text.as_bytes()).0;
        return vec![Piece { range, form: Form::Document, objects }];
    };
    let moved = items.into_iter().map(|(own, form)| {
        let text = match form {
            Form::Item { indent } => dedent(&text[own.clone()], indent),
            Form::Document | Form::JsonItem => text[own.clone()].to_owned(),
        };
        let objects = api::parse_documents("", text.as_bytes()).0;
        Piece { range: range.start + own.start..range.start + own.end, form, objects }
    });
    moved.collect()
}

#[derive(Deserialize)]
struct JsonList<'a> {
    #[serde(default)]
    kind: String,
    #[serde(borrow, default)]
    items: Vec<&'a RawValue>,
}

fn json_items(text: &str) -> Option<Vec<(Range<usize>, Form)>> {
    let list: JsonList<'_> = serde_json::from_str(text).ok()?;
    if !list.kind.ends_with("List") {
        return None;
    }
    let items = list.items.into_iter().map(|raw| {
        let start = raw.get().as_ptr() as usize - text.as_ptr() as usize;
        (start..start + raw.get().len(), Form::JsonItem)
    });
    Some(items.collect())
}

/// The items of a `List` in block style.
fn block_items(text: &str) -> Option<Vec<(Range<usize>, Form)>> {
    let lines = lines(text);
    let is_list = |line: &str| {
        let kind = line.strip_prefix("kind:").map(|rest| rest.split('#').next().unwrap_or(rest));
        kind.is_some_and(|kind| kind.trim().trim_matches(['"', '\'']).ends_with("List"))
    };
    lines.iter().find(|(_, line)| is_list(line))?;
    let begin = lines.iter().position(|(_, line)| line.trim_end() == "items:")?;
    let mut items: Vec<(Range<usize>, Form)> = Vec::new();
    let mut dash = None;
    for (range, line) in &lines[begin + 1..] {
        let indent = line.len() - line.trim_start_matches(' ').len();
        let content = line.trim();
        let is_quiet = content.is_empty() || content.starts_with('#');
        let is_dash = content == "-" || content.starts_with("- ");
        let own = match dash {
            Some(own) => own,
            None if is_quiet => continue,
            None if is_dash => *dash.insert(indent),
            // `items` is not a list in block style.
            None => return None,
        };
        if is_dash && indent == own {
            items.push((range.clone(), Form::Item { indent: own }));
        } else if indent > own {
            items.last_mut()?.0.end = range.end;
        } else if !is_quiet {
            break;
        }
    }
    Some(items)
}

fn lines(text: &str) -> Vec<(Range<usize>, &str)> {
    let mut at = 0;
    let each = text.split_inclusive('\n').map(|line| {
        let range = at..at + line.len();
        at = range.end;
        (range, line.trim_end_matches(['\n', '\r']))
    });
    each.collect()
}

/// An item of a list as a text of its own: without its dash, and moved to the left.
fn dedent(text: &str, dash: usize) -> String {
    let mut lines = text.split_inclusive('\n');
    let first = lines.next().unwrap_or_default();
    let behind = first.get(dash + 1..).unwrap_or_default();
    let gap = behind.len() - behind.trim_start_matches(' ').len();
    // A dash alone on its line is followed by content two further to the right, as a rule.
    let column = if behind.trim().is_empty() { dash + 2 } else { dash + 1 + gap };
    let mut out = String::with_capacity(text.len());
    if !behind.trim().is_empty() {
        out.push_str(&behind[gap..]);
    }
    for line in lines {
        let spaces = line.len() - line.trim_start_matches(' ').len();
        out.push_str(&line[spaces.min(column)..]);
    }
    out
}
