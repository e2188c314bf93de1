//! Where the corpus is, and that all of it can be read.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use model::Severity;
use serde_json::Value;

use crate::{codes, de, parse_documents, validate, yaml};

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
    // Written past `eprintln`, whose text the test runner hides when a test passes.
    let line =
        b"\n!!! NOT RUN, no corpus: samples and documents. Set MELTEMI_CORPUS to its folder\n";
    std::io::stderr().write_all(line).unwrap_or_default();
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
            // Some samples have rules that cannot match; everything must be known and valid.
            let known = [codes::UNKNOWN_FIELD.code, codes::UNSUPPORTED_FIELD.code];
            let errors = diagnostics
                .iter()
                .filter(|found| found.severity == Severity::Error || known.contains(&found.code));
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
        let value: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
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

fn collect<'v>(value: &'v Value, texts: &mut Vec<&'v str>) {
    match value {
        Value::String(text) if text.contains("apiVersion:") => texts.push(text),
        Value::Array(items) => items.iter().for_each(|item| collect(item, texts)),
        Value::Object(fields) => fields.values().for_each(|item| collect(item, texts)),
        _ => (),
    }
}

/// One object of every kind with every field of Istio's schemas: the types must know them all.
#[test]
fn every_field_of_istios_schemas_is_known() {
    let Some(root) = corpus() else { return };
    let bytes = std::fs::read(root.join("crds/crd-all.gen.yaml")).unwrap();
    let (mut kinds, mut failures) = (0, Vec::new());
    for chunk in yaml::split(&bytes) {
        let (trees, _) = yaml::parse(&chunk.unwrap());
        let unknown = Default::default();
        let crd: Value = de::read(&trees[0], Some(0), &unknown).unwrap();
        let spec = &crd["spec"];
        for version in spec["versions"].as_array().unwrap() {
            let schema = &version["schema"]["openAPIV3Schema"]["properties"]["spec"];
            let group = spec["group"].as_str().unwrap();
            let object = serde_json::json!({
                "apiVersion": format!("{group}/{}", version["name"].as_str().unwrap()),
                "kind": spec["names"]["kind"],
                "metadata": {"name": "x"},
                "spec": example(schema),
            });
            let (read, diagnostics) = parse_documents("x", object.to_string().as_bytes());
            kinds += read.len();
            failures.extend(diagnostics.iter().map(ToString::to_string));
        }
    }
    // Lua and Wasm extensions of this kind are for a later release.
    failures.retain(|failure| !failure.contains("TrafficExtension"));
    assert!(kinds > 30, "only {kinds} kinds");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A value that has every field of a schema; of fields that exclude each other, the first.
fn example(schema: &Value) -> Value {
    if let Some(values) = schema["enum"].as_array() {
        return values[values.len() - 1].clone();
    }
    match schema["type"].as_str() {
        Some("string") => "1s".into(),
        Some("boolean") => true.into(),
        Some("array") => vec![example(&schema["items"])].into(),
        Some("object") => {
            let properties = schema["properties"].as_object();
            let mut fields = serde_json::Map::new();
            for (name, schema) in properties.into_iter().flatten() {
                let is_choice = ["prefix", "regex", "bytes", "header", "literal", "formatter"];
                let excluded = is_choice.contains(&name.as_str())
                    && properties.is_some_and(|all| {
                        all.contains_key("exact")
                            || all.contains_key("string")
                            || all.contains_key("environment")
                    });
                if !excluded && !name.contains('_') {
                    fields.insert(name.clone(), example(schema));
                }
            }
            if schema["additionalProperties"].is_object() {
                fields.insert("80".to_owned(), example(&schema["additionalProperties"]));
            }
            fields.into()
        }
        _ => 1.into(),
    }
}
