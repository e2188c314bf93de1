//! Paths of fields → the lines where they are written.
//!
//! - Only for messages: what a file says is parsed again, so nothing has to remember its lines.
//! - A field that is not there has the line of what it is missing in.

use crate::yaml::{self, Content, Tree};

/// A step of a path such as `spec.http[0].headers["x.y"]`.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// The lines of fields in a file, from 1. Each is given as the line where its object begins, and
/// the path in the object, as findings have them. `None` where no object begins there.
pub fn find_lines(text: &[u8], fields: &[(u32, &str)]) -> Vec<Option<u32>> {
    let mut lines = vec![None; fields.len()];
    for chunk in yaml::split(text).into_iter().flatten() {
        for tree in yaml::parse(&chunk).0 {
            for ((object, path), line) in fields.iter().zip(&mut lines) {
                if line.is_none() {
                    *line = root(&tree, *object).map(|root| descend(&tree, root, &steps(path)));
                }
            }
        }
    }
    lines
}

/// The object that begins in a line.
fn root(tree: &Tree<'_>, line: u32) -> Option<u32> {
    let mut nodes = (0u32..).zip(&tree.nodes);
    nodes.find(|(_, it)| it.line == line && it.content == Content::Map).map(|(at, _)| at)
}

fn descend(tree: &Tree<'_>, root: u32, steps: &[Step]) -> u32 {
    let (mut at, mut line) = (root, tree.line(root));
    for step in steps {
        let found = match (step, tree.content(at)) {
            (Step::Key(name), Content::Map) => tree
                .entries(at)
                .find(|(key, _)| tree.scalar(*key).is_some_and(|key| is_same(key, name)))
                .map(|(key, value)| (tree.line(key), value)),
            (Step::Index(index), Content::List) => {
                tree.items(at).nth(*index).map(|item| (tree.line(item), item))
            }
            _ => None,
        };
        let Some((found, value)) = found else { break };
        (line, at) = (found, value);
    }
    line
}

/// Fields may be written in snake case.
fn is_same(written: &str, name: &str) -> bool {
    let letters = |text: &str| -> Vec<u8> {
        text.bytes().filter(|it| *it != b'_').map(|it| it.to_ascii_lowercase()).collect()
    };
    written == name || letters(written) == letters(name)
}

fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix("[\"") {
            let (key, after) = quoted.split_once("\"]").unwrap_or((quoted, ""));
            steps.push(Step::Key(key.to_owned()));
            rest = after;
        } else if let Some(bracket) = rest.strip_prefix('[') {
            let (index, after) = bracket.split_once(']').unwrap_or((bracket, ""));
            steps.push(match index.parse() {
                Ok(index) => Step::Index(index),
                Err(_) => Step::Key(index.to_owned()),
            });
            rest = after;
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            if end > 0 {
                steps.push(Step::Key(rest[..end].to_owned()));
            }
            rest = rest[end..].strip_prefix('.').unwrap_or(&rest[end..]);
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::find_lines;

    const FILE: &str = "\
# one
kind: VirtualService
spec:
  http:
  - match:
    - ignore_uri_case: true
      headers:
        x.y: {exact: a}
  - route: [{destination: {host: a},
             weight: 1}]
---
kind: List
items:
- kind: Service
  spec: {ports: []}
";

    #[test]
    fn a_field_has_the_line_where_it_is_written() {
        let cases = [
            (2, "spec.http[0].match[0].ignoreUriCase", Some(6)),
            (2, "spec.http[0].match[0].headers[\"x.y\"]", Some(8)),
            (2, "spec.http[1].route[0].weight", Some(10)),
            (14, "spec.ports", Some(15)),
            // What is missing is missed where it should be.
            (2, "spec.http[1].timeout", Some(9)),
            (2, "spec.http[7]", Some(4)),
            (2, "", Some(2)),
            (99, "spec", None),
        ];
        let fields: Vec<(u32, &str)> = cases.iter().map(|(line, path, _)| (*line, *path)).collect();
        let found = find_lines(FILE.as_bytes(), &fields);
        for ((line, path, expected), found) in cases.iter().zip(found) {
            assert_eq!(found, *expected, "{path} of the object in line {line}");
        }
    }

    #[test]
    fn odd_paths_and_files_do_no_harm() {
        for path in ["[", "[\"", "..", "a[b", "a]b", "[\"x"] {
            assert_eq!(find_lines(b"a: {b: c}\n", &[(1, path)]).len(), 1, "{path}");
        }
        assert_eq!(find_lines(b"\xff\n---\n{", &[(1, "a")]), [None]);
    }
}
