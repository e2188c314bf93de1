//! Every Rust file is part of a crate, has a header, and is where its module's name says.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::workspace::{
    assert_none, is_test_file, packages, read, relative, root, written_rust_files,
};

#[test]
fn every_rust_file_is_reachable() {
    let mut reached = BTreeSet::new();
    for package in packages() {
        for root in &package.roots {
            reach(root, true, &mut reached);
        }
    }
    let findings: Vec<String> = written_rust_files()
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| path.components().any(|part| part.as_os_str() == "src"))
        // A workspace of its own (the fuzz targets) is not in this one's metadata.
        .filter(|path| ["crates", "xtask"].iter().any(|top| path.starts_with(root().join(top))))
        .filter(|path| !reached.contains(path))
        .map(|path| relative(&path))
        .collect();
    assert_none("no `mod` line leads to these files", &findings);
}

/// Collects `file` and the files of its modules. The modules of a target's root lie beside it,
/// those of any other file in the folder of its name.
fn reach(file: &Path, is_root: bool, reached: &mut BTreeSet<PathBuf>) {
    if !reached.insert(file.to_owned()) {
        return;
    }
    let folder = if is_root { parent(file).to_owned() } else { file.with_extension("") };
    for name in declared_modules(&read(file)) {
        let module = folder.join(format!("{name}.rs"));
        if fs::exists(&module).is_ok_and(|exists| exists) {
            reach(&module, false, reached);
        }
    }
}

fn parent(file: &Path) -> &Path {
    file.parent().expect("a file lies in a folder")
}

/// The names in the lines `mod name;`, with any visibility, at any depth.
fn declared_modules(text: &str) -> Vec<&str> {
    let names = text.lines().filter_map(|line| {
        let declaration = line.trim().strip_suffix(';')?;
        let (visibility, name) = declaration.rsplit_once("mod ")?;
        let visibility = visibility.trim();
        let plain = visibility.is_empty() || visibility.starts_with("pub");
        (plain && !name.contains(' ')).then_some(name)
    });
    names.collect()
}

#[test]
fn a_module_is_named_by_its_file() {
    let findings: Vec<String> = written_rust_files()
        .into_iter()
        .filter(|(path, _)| path.file_name().is_some_and(|name| name == "mod.rs"))
        .map(|(path, _)| relative(&path))
        .collect();
    assert_none("`foo/mod.rs` must be `foo.rs`", &findings);
}

#[test]
fn every_module_has_a_header() {
    let findings: Vec<String> = written_rust_files()
        .into_iter()
        .filter(|(path, _)| !is_test_file(path))
        .filter(|(_, text)| !text.starts_with("//!"))
        .map(|(path, _)| relative(&path))
        .collect();
    assert_none("a file must begin with a `//!` header", &findings);
}
