//! Every crate takes from the workspace what is the same for all.

use crate::workspace::{assert_none, packages, read};

#[test]
fn every_crate_inherits_from_the_workspace() {
    let mut findings = Vec::new();
    for package in packages() {
        let manifest = read(&package.folder.join("Cargo.toml"));
        let lines: Vec<&str> = manifest.lines().map(str::trim).collect();
        for line in ["version.workspace = true", "edition.workspace = true"] {
            if !lines.contains(&line) {
                findings.push(format!("{}: no `{line}`", package.name));
            }
        }
        if !lines.windows(2).any(|pair| pair == ["[lints]", "workspace = true"]) {
            findings.push(format!("{}: no `[lints]` with `workspace = true`", package.name));
        }
    }
    assert_none("Cargo.toml must inherit", &findings);
}
