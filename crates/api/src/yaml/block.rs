//! The short way: plain block style, several times as fast as a complete parser.
//!
//! It answers `None` as soon as it meets anything that it does not know for certain (braces and
//! brackets over several lines, anchors, tags, folded texts, texts over several lines, tabs,
//! mistakes); the complete parser then reads the document from the start.

mod flow;
mod scalar;

use super::{Chunk, Content, MAX_DEPTH, Tree};
use scalar::Value;

pub(super) fn parse<'a>(chunk: &Chunk<'a>) -> Option<Tree<'a>> {
    if chunk.text.bytes().any(|byte| (byte < b' ' && byte != b'\n') || byte == 0x7F) {
        return None;
    }
    let mut reader = Reader {
        rest: chunk.text,
        line: chunk.line,
        next_line: chunk.line,
        indent: 0,
        text: "",
        done: false,
        depth: 0,
        tree: Tree { nodes: Vec::with_capacity(32) },
    };
    reader.advance();
    if reader.done {
        return None;
    }
    reader.block()?;
    reader.done.then_some(reader.tree)
}

/// Stands on one line that says something; `text` is what remains of it.
struct Reader<'a> {
    rest: &'a str,
    line: u32,
    next_line: u32,
    indent: usize,
    text: &'a str,
    done: bool,
    depth: usize,
    tree: Tree<'a>,
}

impl<'a> Reader<'a> {
    fn raw_line(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        self.rest = rest;
        self.line = self.next_line;
        self.next_line = self.next_line.saturating_add(1);
        Some(line)
    }

    fn advance(&mut self) {
        while let Some(line) = self.raw_line() {
            let text = line.trim_start_matches(' ');
            if !text.is_empty() && !text.starts_with('#') {
                self.indent = line.len() - text.len();
                self.text = text.trim_end_matches(' ');
                return;
            }
        }
        self.done = true;
    }

    fn is_item(&self) -> bool {
        self.text == "-" || self.text.starts_with("- ")
    }

    /// The list or map that begins here.
    fn block(&mut self) -> Option<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        if self.is_item() {
            self.list()?
        } else {
            self.map()?
        }
        self.depth -= 1;
        Some(())
    }

    fn list(&mut self) -> Option<()> {
        let indent = self.indent;
        let at = self.tree.push(self.line, Content::List);
        while !self.done && self.indent == indent && self.is_item() {
            let after = &self.text[1..];
            let inner = after.trim_start_matches(' ');
            if inner.is_empty() || inner.starts_with('#') {
                self.below(indent, false)?;
                continue;
            }
            self.indent += 1 + after.len() - inner.len();
            self.text = inner;
            if self.is_item() || scalar::key(inner).is_some() {
                self.block()?;
            } else {
                self.inline(inner, indent)?;
            }
        }
        self.tree.close(at);
        (self.done || self.indent <= indent).then_some(())
    }

    fn map(&mut self) -> Option<()> {
        let indent = self.indent;
        let at = self.tree.push(self.line, Content::Map);
        while !self.done && self.indent == indent {
            let (key, value) = scalar::key(self.text)?;
            self.tree.push(self.line, key);
            match value {
                "" => self.below(indent, true)?,
                value => self.inline(value, indent)?,
            }
        }
        self.tree.close(at);
        (self.done || self.indent < indent).then_some(())
    }

    /// A value that begins on a later line, or nothing. The list of a key may be as far left as
    /// the key.
    fn below(&mut self, indent: usize, of_key: bool) -> Option<()> {
        let line = self.line;
        self.advance();
        let is_list = of_key && self.indent == indent && self.is_item();
        if !self.done && (self.indent > indent || is_list) {
            return self.block();
        }
        self.tree.push(line, Content::Plain("".into()));
        Some(())
    }

    /// A value on the line of its key or dash.
    fn inline(&mut self, value: &'a str, indent: usize) -> Option<()> {
        let line = self.line;
        match scalar::value(value)? {
            Value::Scalar(content) => {
                self.tree.push(line, content);
            }
            Value::Flow => {
                let rest = flow::push(&mut self.tree, value, line, self.depth + 1)?;
                if !scalar::is_end(rest) {
                    return None;
                }
            }
            Value::Literal(chomp) => return self.literal(chomp, indent),
        }
        self.advance();
        // A deeper line would continue the text.
        (self.done || self.indent <= indent).then_some(())
    }

    /// A text over several lines, kept as it is (`|`).
    fn literal(&mut self, chomp: scalar::Chomp, indent: usize) -> Option<()> {
        let (line, mut text, mut width) = (self.line, String::new(), 0);
        loop {
            let (rest, next) = (self.rest, self.next_line);
            let Some(raw) = self.raw_line() else { break };
            let content = raw.trim_start_matches(' ');
            if width == 0 {
                // Spaces on empty lines before the text can be a mistake.
                if content.is_empty() && !raw.is_empty() {
                    return None;
                }
                width = raw.len() - content.len();
                if !content.is_empty() && width <= indent {
                    return None;
                }
            } else if !content.is_empty() && raw.len() - content.len() < width {
                (self.rest, self.next_line) = (rest, next);
                break;
            }
            text.push_str(raw.get(width..).unwrap_or_default());
            text.push('\n');
        }
        if width == 0 {
            return None;
        }
        chomp.apply(&mut text);
        self.tree.push(line, Content::Text(text.into()));
        self.advance();
        (self.done || self.indent <= indent).then_some(())
    }
}
