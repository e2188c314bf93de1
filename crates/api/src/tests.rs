//! Where the corpus is, and that all of it can be read.

use std::path::{Path, PathBuf};

use model::Severity;

use crate::{parse_documents, validate};

/// The corpus, or `None` with a loud line.
#[allow(clippy::disallowed_methods, reason = "tests have no settings to be handed down")]
pub(crate) fn corpus() -> Option<PathBuf> {
    let root = match std::env::var_os("MELTEMI_CORPUS") {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus"),
    };
    if root.is_dir() {
        return Some(root);
    }
    eprintln!("NOT RUN: there is no corpus; set MELTEMI_CORPUS to its folder");
    None
}

/// Every YAML file below a folder, sorted.
pub(crate) fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(yaml_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn samples_are_read_and_accepted() {
    let Some(root) = corpus() else { return };
    let (mut objects, mut failures) = (0, Vec::new());
    for folder in ["samples", "authz"] {
        for file in yaml_files(&root.join(folder)) {
            let name = file.display().to_string();
            // Outputs are Envoy's configuration, and `pairs.yaml` is a list of files.
            if name.ends_with("out.yaml") || name.ends_with("pairs.yaml") || name.contains("-out") {
                continue;
            }
            let (read, mut diagnostics) = parse_documents(&name, &std::fs::read(&file).unwrap());
            objects += read.len();
            read.iter().for_each(|object| diagnostics.extend(validate(object)));
            let errors = diagnostics.iter().filter(|found| found.severity != Severity::Info);
            failures.extend(errors.map(ToString::to_string));
        }
    }
    assert!(objects > 50, "only {objects} objects");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn simulated_configuration_is_read() {
    let Some(root) = corpus() else { return };
    let (mut objects, mut failures) = (0, Vec::new());
    for entry in std::fs::read_dir(root.join("simulation")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let value: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let mut texts = Vec::new();
        collect(&value, &mut texts);
        for text in texts {
            let (read, diagnostics) = parse_documents(&path.display().to_string(), text.as_bytes());
            objects += read.len();
            let bad = diagnostics.iter().filter(|found| found.severity != Severity::Info);
            failures.extend(bad.map(ToString::to_string));
        }
    }
    assert!(objects > 50, "only {objects} objects");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn collect<'v>(value: &'v serde_json::Value, texts: &mut Vec<&'v str>) {
    match value {
        serde_json::Value::String(text) if text.contains("apiVersion:") => texts.push(text),
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, texts)),
        serde_json::Value::Object(fields) => fields.values().for_each(|item| collect(item, texts)),
        _ => (),
    }
}
