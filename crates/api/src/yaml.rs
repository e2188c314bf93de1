//! YAML and JSON text into trees that know their lines.
//!
//! - Never panics, whatever the bytes; depth and the growth by aliases are bounded.
//! - Plain block style, which is what people and `kubectl` write, takes a short way (`block`);
//!   everything else goes through a complete parser (`full`). Both give the same tree.
//! - Not here: what the values mean (`de`).

mod block;
mod expand;
mod full;
mod split;

use std::borrow::Cow;

pub use split::Piece;
pub(crate) use split::{Chunk, split, split_pieces};

/// How deep objects and lists may be nested.
const MAX_DEPTH: usize = 100;

/// Nodes of one document in the order in which they are written: a list is followed by its items,
/// a map by its keys and values in turn. The root is the first.
#[derive(Debug, Default)]
pub(crate) struct Tree<'a> {
    pub(crate) nodes: Vec<Node<'a>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Node<'a> {
    pub(crate) line: u32,
    /// Index of the first node after this one and everything in it.
    pub(crate) end: u32,
    pub(crate) content: Content<'a>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content<'a> {
    /// Without quotes: may be a number, a truth value or nothing at all.
    Plain(Cow<'a, str>),
    Text(Cow<'a, str>),
    List,
    Map,
    /// Another place of the same node; replaced before a tree is handed out.
    Alias(u32),
}

/// Why a document is not YAML.
#[derive(Debug)]
pub(crate) struct SyntaxError {
    pub(crate) line: u32,
    pub(crate) message: String,
}

/// Reads every document of a chunk. Those before a mistake are given beside it.
pub(crate) fn parse<'a>(chunk: &Chunk<'a>) -> (Vec<Tree<'a>>, Option<SyntaxError>) {
    if chunk.text.lines().all(is_blank) {
        return (Vec::new(), None);
    }
    if let Some(tree) = block::parse(chunk) {
        return (vec![tree], None);
    }
    let (trees, error) = full::parse(chunk);
    let mut expanded = Vec::with_capacity(trees.len());
    for tree in trees {
        match expand::expand(tree) {
            Ok(tree) => expanded.push(tree),
            Err(error) => return (expanded, Some(error)),
        }
    }
    (expanded, error)
}

fn is_blank(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with(['#', '%'])
}

impl<'a> Tree<'a> {
    fn push(&mut self, line: u32, content: Content<'a>) -> usize {
        let at = self.nodes.len();
        self.nodes.push(Node { line, end: at as u32 + 1, content });
        at
    }

    /// Ends the list or map at `at` after the last node.
    fn close(&mut self, at: usize) {
        self.nodes[at].end = self.nodes.len() as u32;
    }

    pub(crate) fn line(&self, at: u32) -> u32 {
        self.nodes.get(at as usize).map_or(0, |node| node.line)
    }

    pub(crate) fn content(&self, at: u32) -> &Content<'a> {
        &self.nodes[at as usize].content
    }

    /// The text of a scalar.
    pub(crate) fn scalar(&self, at: u32) -> Option<&str> {
        match self.content(at) {
            Content::Plain(text) | Content::Text(text) => Some(text),
            Content::List | Content::Map | Content::Alias(_) => None,
        }
    }

    pub(crate) fn is_null(&self, at: u32) -> bool {
        matches!(self.content(at), Content::Plain(text) if is_null(text))
    }

    /// The items of a list.
    pub(crate) fn items(&self, at: u32) -> impl Iterator<Item = u32> {
        let end = self.nodes[at as usize].end;
        let mut next = at + 1;
        std::iter::from_fn(move || {
            let item = (next < end).then_some(next)?;
            next = self.nodes[item as usize].end;
            Some(item)
        })
    }

    /// Keys and values of a map.
    pub(crate) fn entries(&self, at: u32) -> impl Iterator<Item = (u32, u32)> {
        let mut items = self.items(at);
        std::iter::from_fn(move || Some((items.next()?, items.next()?)))
    }

    /// The value of a key, if `at` is a map that has it.
    pub(crate) fn get(&self, at: u32, name: &str) -> Option<u32> {
        if *self.content(at) != Content::Map {
            return None;
        }
        let mut entries = self.entries(at);
        entries.find(|(key, _)| self.scalar(*key) == Some(name)).map(|(_, value)| value)
    }

    /// Where a node is, below `root`: `spec.http[0].match`.
    pub(crate) fn path(&self, root: u32, target: u32) -> String {
        let mut path = String::new();
        let mut at = root;
        while at < target {
            let inside = |child: u32| (child..self.nodes[child as usize].end).contains(&target);
            match self.content(at) {
                Content::Map => {
                    let Some((key, value)) =
                        self.entries(at).find(|(key, value)| *key == target || inside(*value))
                    else {
                        break;
                    };
                    push_key(&mut path, self.scalar(key).unwrap_or("?"));
                    if key == target {
                        break;
                    }
                    at = value;
                }
                Content::List => {
                    let Some((index, item)) =
                        self.items(at).enumerate().find(|(_, item)| inside(*item))
                    else {
                        break;
                    };
                    path.push_str(&format!("[{index}]"));
                    at = item;
                }
                Content::Plain(_) | Content::Text(_) | Content::Alias(_) => break,
            }
        }
        path
    }
}

fn push_key(path: &mut String, key: &str) {
    if key.is_empty() || key.contains(['.', '/', '[', ' ']) {
        path.push_str(&format!("[{key:?}]"));
        return;
    }
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(key);
}

pub(crate) fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

#[cfg(test)]
mod tests;
