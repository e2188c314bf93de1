//! All of YAML, by way of `granit-parser`, and JSON that is not YAML.

use std::{borrow::Cow, collections::HashMap, net::Ipv6Addr};

use granit_parser::{Event, Parser, ScalarStyle, Tag};

use super::{Chunk, Content, MAX_DEPTH, SyntaxError, Tree};

pub(super) fn parse<'a>(chunk: &Chunk<'a>) -> (Vec<Tree<'a>>, Option<SyntaxError>) {
    let mut builder = Builder { line: chunk.line, ..Builder::default() };
    let mut error = None;
    for event in Parser::new_from_str(chunk.text) {
        let step = match event {
            Ok((event, span)) => builder.event(event, span.start.line()),
            Err(scan) => Err(SyntaxError {
                line: builder.file_line(scan.marker().line()),
                message: scan.info().to_string(),
            }),
        };
        if let Err(found) = step {
            error = Some(found);
            break;
        }
    }
    // Some JSON escapes and tabs are not YAML.
    if error.is_some()
        && chunk.text.trim_start().starts_with(['{', '['])
        && let Ok(value) = serde_json::from_str::<serde_json::Value>(chunk.text)
    {
        let mut tree = Tree::default();
        push_json(&mut tree, value, chunk.line);
        return (vec![tree], None);
    }
    (builder.trees, error)
}

#[derive(Default)]
struct Builder<'a> {
    line: u32,
    trees: Vec<Tree<'a>>,
    tree: Tree<'a>,
    open: Vec<usize>,
    anchors: HashMap<usize, u32>,
}

impl<'a> Builder<'a> {
    /// The parser counts lines of the chunk from 1.
    fn file_line(&self, line: usize) -> u32 {
        self.line.saturating_add(u32::try_from(line.saturating_sub(1)).unwrap_or(u32::MAX))
    }

    fn event(&mut self, event: Event<'a>, line: usize) -> Result<(), SyntaxError> {
        let line = self.file_line(line);
        match event {
            Event::DocumentStart(..) => {
                self.tree = Tree::default();
                self.anchors.clear();
                self.open.clear();
            }
            Event::DocumentEnd => {
                let tree = std::mem::take(&mut self.tree);
                if !tree.nodes.is_empty() {
                    self.trees.push(tree);
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let content = scalar(text, style, tag.as_deref());
                let at = self.tree.push(line, content);
                self.anchor(anchor, at);
            }
            Event::SequenceStart(_, anchor, _) => self.open(Content::List, anchor, line)?,
            Event::MappingStart(_, anchor, _) => self.open(Content::Map, anchor, line)?,
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(at) = self.open.pop() {
                    self.tree.close(at);
                    self.mend_address(at);
                }
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(target) if !self.open.contains(&(*target as usize)) => {
                    self.tree.push(line, Content::Alias(*target));
                }
                Some(_) => return Err(failed(line, "an alias is inside its own anchor")),
                None => return Err(failed(line, "an alias has no anchor")),
            },
            _ => (),
        }
        Ok(())
    }

    fn open(&mut self, content: Content<'a>, anchor: usize, line: u32) -> Result<(), SyntaxError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(failed(line, "objects and lists are nested too deeply"));
        }
        let at = self.tree.push(line, content);
        self.open.push(at);
        self.anchor(anchor, at);
        Ok(())
    }

    /// `[fd00::]` is a list of an object with the key `fd00:` to YAML 1.2, but an address to
    /// everybody who writes it, and to `kubectl`.
    fn mend_address(&mut self, at: usize) {
        let [map, key, value] = &self.tree.nodes[at..] else { return };
        let (Content::Plain(key), Content::Plain(empty)) = (&key.content, &value.content) else {
            return;
        };
        let address = format!("{key}:");
        let is_empty = super::is_null(empty);
        if map.content == Content::Map && is_empty && address.parse::<Ipv6Addr>().is_ok() {
            let line = map.line;
            self.tree.nodes.truncate(at);
            self.tree.push(line, Content::Plain(address.into()));
        }
    }

    fn anchor(&mut self, anchor: usize, at: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, at as u32);
        }
    }
}

fn failed(line: u32, message: &str) -> SyntaxError {
    SyntaxError { line, message: message.to_owned() }
}

fn scalar<'a>(text: Cow<'a, str>, style: ScalarStyle, tag: Option<&Tag>) -> Content<'a> {
    let is_text = tag.is_some_and(|tag| tag.suffix() == "str");
    if style == ScalarStyle::Plain && !is_text { Content::Plain(text) } else { Content::Text(text) }
}

/// `serde_json` bounds the depth.
fn push_json(tree: &mut Tree<'_>, value: serde_json::Value, line: u32) {
    use serde_json::Value;
    match value {
        Value::Null => drop(tree.push(line, Content::Plain("null".into()))),
        Value::Bool(value) => drop(tree.push(line, Content::Plain(value.to_string().into()))),
        Value::Number(value) => drop(tree.push(line, Content::Plain(value.to_string().into()))),
        Value::String(text) => drop(tree.push(line, Content::Text(text.into()))),
        Value::Array(items) => {
            let at = tree.push(line, Content::List);
            items.into_iter().for_each(|item| push_json(tree, item, line));
            tree.close(at);
        }
        Value::Object(entries) => {
            let at = tree.push(line, Content::Map);
            for (key, value) in entries {
                tree.push(line, Content::Text(key.into()));
                push_json(tree, value, line);
            }
            tree.close(at);
        }
    }
}
