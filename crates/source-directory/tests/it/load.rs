//! Reading once, for checks.

use std::path::PathBuf;

use source_directory::load_once;

use crate::rig::{directory, namespace};

#[test]
fn everything_is_read_once_and_findings_are_sorted_by_file() {
    let root = directory(&[
        ("b.yaml", &namespace("b", "1")),
        ("a.yaml", &(namespace("a", "1") + "kind: [\n")),
        ("c.yaml", &namespace("a", "2")),
        ("empty/readme.md", ""),
    ]);
    let paths = [root.path().to_owned(), root.path().join("empty"), PathBuf::from("no/such/file")];
    let (objects, findings) = load_once(&paths, None);
    let names: Vec<_> = objects.iter().map(|object| object.key.name.to_string()).collect();
    assert_eq!(names, ["a", "b"]);
    let codes: Vec<_> = findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["MEL0011", "MEL0001", "MEL0010"]);
    let missing = findings.iter().next().unwrap().to_string();
    assert!(missing.contains("no/such/file"), "{missing}");
}

#[test]
fn an_empty_directory_is_a_finding() {
    let root = directory(&[]);
    let (objects, findings) = load_once(&[root.path().to_owned()], None);
    assert!(objects.is_empty());
    assert_eq!(findings.iter().next().unwrap().code, "MEL0013");
}
