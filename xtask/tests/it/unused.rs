//! What a manifest asks for is used.

use std::collections::BTreeSet;

use regex::Regex;

use crate::workspace::{assert_none, packages, read, root, written_rust_files};

#[test]
fn every_dependency_is_named_in_the_code() {
    let files = written_rust_files();
    let mut findings = Vec::new();
    for package in packages() {
        let own: Vec<&String> = files
            .iter()
            .filter(|(path, _)| path.starts_with(&package.folder))
            .map(|(_, text)| text)
            .collect();
        for dependency in &package.dependencies {
            let name = dependency.name.replace('-', "_");
            let word = Regex::new(&format!(r"\b{name}\b")).expect("the pattern is right");
            if !own.iter().any(|text| word.is_match(text)) {
                findings.push(format!("{} does not use {}", package.name, dependency.name));
            }
        }
    }
    assert_none("remove it from the manifest", &findings);
}

#[test]
fn every_dependency_of_the_workspace_is_some_packages() {
    let used: BTreeSet<String> = packages()
        .into_iter()
        .flat_map(|package| package.dependencies)
        .map(|dependency| dependency.name)
        .collect();
    let manifest = read(&root().join("Cargo.toml"));
    let table = manifest.split("[workspace.dependencies]").nth(1).unwrap_or_default();
    let table = table.split("\n[").next().unwrap_or_default();
    let entry = Regex::new(r"(?m)^([A-Za-z0-9_-]+) *=").expect("the pattern is right");
    let names: Vec<&str> =
        entry.captures_iter(table).map(|found| found.get(1).map_or("", |it| it.as_str())).collect();
    assert!(names.len() > 20, "the table is not read: {names:?}");
    let findings: Vec<String> =
        names.iter().filter(|name| !used.contains(**name)).map(ToString::to_string).collect();
    assert_none("no package has these dependencies of the workspace", &findings);
}
