//! The budgets of files and functions, and what no file may say.

use std::path::Path;

use regex::Regex;

use crate::workspace::{assert_none, files, is_test_file, relative, written_rust_files};

const HARD_FILE: usize = 800;
const SOFT_FILE: usize = 400;
const HARD_FUNCTION: usize = 120;

#[test]
fn no_file_is_too_long() {
    let mut findings = Vec::new();
    let mut warnings = Vec::new();
    for (path, text) in written_rust_files() {
        let lines = if is_test_file(&path) { 0 } else { lines_without_tests(&text) };
        let finding = format!("{}: {lines} lines", relative(&path));
        if lines > HARD_FILE {
            findings.push(finding);
        } else if lines > SOFT_FILE {
            warnings.push(finding);
        }
    }
    if !warnings.is_empty() {
        println!("over the soft budget of {SOFT_FILE} lines:\n  {}", warnings.join("\n  "));
    }
    assert_none("a file has at most 800 lines without its tests", &findings);
}

/// Counts the lines up to the tests, which by the house style come last.
fn lines_without_tests(text: &str) -> usize {
    let mut lines = text.lines().peekable();
    let mut count = 0;
    while let Some(line) = lines.next() {
        let inline_tests = line == "#[cfg(test)]"
            && lines.peek().is_some_and(|next| next.starts_with("mod ") && next.ends_with('{'));
        if inline_tests {
            break;
        }
        count += 1;
    }
    count
}

#[test]
fn no_function_is_too_long() {
    let mut findings = Vec::new();
    for (path, text) in written_rust_files() {
        for (name, lines) in functions(&text) {
            if lines > HARD_FUNCTION {
                findings.push(format!("{}: {name} has {lines} lines", relative(&path)));
            }
        }
    }
    assert_none("a function has at most 120 lines", &findings);
}

/// The functions of a formatted file with their lengths. A function ends with the first line that
/// is a closing brace at the indentation of its `fn` line.
fn functions(text: &str) -> Vec<(String, usize)> {
    let start = Regex::new(
        r#"^( *)(?:pub(?:\([a-z: ]+\))? )?(?:const )?(?:async )?(?:unsafe )?(?:extern "C" )?fn (\w+)"#,
    )
    .expect("the pattern is right");
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(parts) = start.captures(line) else { continue };
        // A function of one line, or one without a body.
        if line.ends_with('}') || line.ends_with(';') {
            continue;
        }
        let end = format!("{}}}", &parts[1]);
        let without_body = format!("{});", &parts[1]);
        let length = lines[index..]
            .iter()
            .position(|line| *line == end || line.starts_with(&without_body))
            .map_or(0, |last| last + 1);
        found.push((parts[2].to_owned(), length));
    }
    found
}

/// What no file may say, and what to call it.
fn forbidden() -> [(&'static str, Regex); 4] {
    // The classes keep this file from finding itself.
    [
        ("a path of one machine", r"(^|[^\w.~-])/(wor[k]|roo[t]|tm[p]|User[s])/[\w.]"),
        ("a path of one home", r"(^|[^\w.~-])/hom[e]/[a-z]"),
        (
            "a registry's host",
            r"pyp[i]\.org|pythonhoste[d]|(index|static)\.crate[s]\.io|registry\.npmj[s]|proxy\.golan[g]|mave[n]\.org",
        ),
        ("who typed it", r"(?i)\bclaud[e]\b|anthropi[c]|chatgp[t]|\bcopilo[t]\b"),
    ]
    .map(|(what, pattern)| (what, Regex::new(pattern).expect("the pattern is right")))
}

#[test]
fn no_file_names_a_machine() {
    let forbidden = forbidden();
    let mut findings = Vec::new();
    for path in files() {
        // Binary files, such as descriptor sets, are not ours to word.
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        if is_foreign(&path) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            for (what, _) in forbidden.iter().filter(|(_, pattern)| pattern.is_match(line)) {
                findings.push(format!("{}:{}: {what}", relative(&path), number + 1));
            }
        }
    }
    assert_none("no file names a machine", &findings);
}

/// Text that others wrote and we carry unchanged.
fn is_foreign(path: &Path) -> bool {
    let inside = relative(path);
    inside == "Cargo.lock" || inside == "LICENSE" || inside.contains("/third_party/")
}

#[test]
fn function_lengths_are_counted() {
    let text = "fn one() {\n    two();\n}\n\nimpl A {\n    fn short(&self) {}\n\n    \
                pub(crate) async fn long(\n        &self,\n    ) {\n    }\n}\n";
    let expected = vec![("one".to_owned(), 3), ("long".to_owned(), 4)];
    assert_eq!(functions(text), expected);
}

#[test]
fn a_machine_is_recognised() {
    let is_forbidden = |text: &str| forbidden().iter().any(|(_, pattern)| pattern.is_match(text));
    for (first, rest) in [("wor", "k/main"), ("tm", "p/x"), ("roo", "t/.cargo"), ("hom", "e/me")] {
        assert!(is_forbidden(&format!("see `/{first}{rest}`")), "{first}{rest}");
        assert!(!is_forbidden(&format!("docs/{first}{rest}")), "{first}{rest}");
    }
    assert!(!is_forbidden("the worker's /work and ~/home"));
}
