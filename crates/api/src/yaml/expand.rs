//! Aliases and merge keys into what they stand for.
//!
//! The result is bounded, so that a small text cannot become a huge object.

use super::{Content, MAX_DEPTH, SyntaxError, Tree};

/// Nodes that aliases may add to a document.
const MAX_ADDED: usize = 200_000;

/// A tree without aliases and merge keys; keys that are not scalars are refused.
pub(super) fn expand(tree: Tree<'_>) -> Result<Tree<'_>, SyntaxError> {
    let is_special = |content: &Content<'_>| match content {
        Content::Alias(_) => true,
        Content::Plain(text) => text == "<<",
        Content::Text(_) | Content::List | Content::Map => false,
    };
    if !tree.nodes.iter().any(|node| is_special(&node.content)) {
        check_keys(&tree)?;
        return Ok(tree);
    }
    let limit = tree.nodes.len() + MAX_ADDED;
    let mut copy = Copy { source: &tree, target: Tree::default(), limit };
    copy.node(0, 0)?;
    let target = copy.target;
    check_keys(&target)?;
    Ok(target)
}

fn check_keys(tree: &Tree<'_>) -> Result<(), SyntaxError> {
    for (at, node) in tree.nodes.iter().enumerate() {
        if node.content == Content::Map
            && let Some((key, _)) =
                tree.entries(at as u32).find(|(key, _)| tree.scalar(*key).is_none())
        {
            let message = "the key of an object must be a text".to_owned();
            return Err(SyntaxError { line: tree.line(key), message });
        }
    }
    Ok(())
}

struct Copy<'t, 'a> {
    source: &'t Tree<'a>,
    target: Tree<'a>,
    limit: usize,
}

impl<'a> Copy<'_, 'a> {
    fn node(&mut self, at: u32, depth: usize) -> Result<(), SyntaxError> {
        let line = self.source.line(at);
        if self.target.nodes.len() >= self.limit || depth > MAX_DEPTH {
            let message = "aliases make the document too large".to_owned();
            return Err(SyntaxError { line, message });
        }
        match self.source.content(at) {
            Content::Alias(target) => self.node(*target, depth + 1)?,
            Content::List => {
                let list = self.target.push(line, Content::List);
                let source = self.source;
                for item in source.items(at) {
                    self.node(item, depth + 1)?;
                }
                self.target.close(list);
            }
            Content::Map => {
                let map = self.target.push(line, Content::Map);
                self.entries(at, &mut Vec::new(), depth + 1)?;
                self.target.close(map);
            }
            content @ (Content::Plain(_) | Content::Text(_)) => {
                let content = content.clone();
                self.target.push(line, content);
            }
        }
        Ok(())
    }

    /// Copies the entries of a map and then what it merges. Keys that are already there win.
    fn entries(
        &mut self,
        at: u32,
        seen: &mut Vec<String>,
        depth: usize,
    ) -> Result<(), SyntaxError> {
        let source = self.source;
        let (line, is_merge) = (
            source.line(at),
            |key: u32| matches!(source.content(key), Content::Plain(text) if text == "<<"),
        );
        if depth > MAX_DEPTH {
            let message = "merged objects are nested too deeply".to_owned();
            return Err(SyntaxError { line, message });
        }
        let merging = !seen.is_empty() || source.entries(at).any(|(key, _)| is_merge(key));
        for (key, value) in source.entries(at).filter(|(key, _)| !is_merge(*key)) {
            if merging {
                let name = source.scalar(key).unwrap_or_default();
                if seen.iter().any(|seen| seen == name) {
                    continue;
                }
                seen.push(name.to_owned());
            }
            self.node(key, depth)?;
            self.node(value, depth)?;
        }
        for (_, value) in source.entries(at).filter(|(key, _)| is_merge(*key)) {
            self.merge(value, seen, depth)?;
        }
        Ok(())
    }

    fn merge(&mut self, at: u32, seen: &mut Vec<String>, depth: usize) -> Result<(), SyntaxError> {
        let source = self.source;
        match source.content(at) {
            Content::Alias(target) => self.merge(*target, seen, depth + 1),
            Content::Map => self.entries(at, seen, depth + 1),
            Content::List => {
                for item in source.items(at) {
                    self.merge(item, seen, depth + 1)?;
                }
                Ok(())
            }
            Content::Plain(_) | Content::Text(_) => {
                let message = "`<<` must be followed by an object".to_owned();
                Err(SyntaxError { line: source.line(at), message })
            }
        }
    }
}
