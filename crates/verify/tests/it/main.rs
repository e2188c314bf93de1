//! Reads the recorded corpus, where there is one beside the workspace or at `MELTEMI_CORPUS`.

#![expect(clippy::disallowed_methods, reason = "a test has no binary that reads its settings")]

use std::{
    env, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use serde_json::Value;
use verify::corpus::{self, Case};

/// Every field that the corpus's description names.
const FIELDS: [&str; 45] = [
    "name",
    "source",
    "istio",
    "kubernetes",
    "meshConfig",
    "features",
    "proxy",
    "calls",
    "virtualHosts",
    "clusters",
    "skipValidation",
    "internal",
    "custom",
    "type",
    "id",
    "ips",
    "namespace",
    "dnsDomain",
    "labels",
    "locality",
    "metadata",
    "address",
    "port",
    "mode",
    "protocol",
    "tls",
    "hostHeader",
    "headers",
    "path",
    "method",
    "sni",
    "alpn",
    "mtlsSecret",
    "expect",
    "error",
    "listener",
    "filterChain",
    "routeConfig",
    "virtualHost",
    "route",
    "cluster",
    "strict",
    "knownBug",
    "domains",
    "prefix",
];
/// Objects whose keys are no field names.
const FREE: [&str; 6] = ["features", "labels", "metadata", "headers", "domains", "exact"];

fn corpus() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    let root = env::var_os("MELTEMI_CORPUS").map_or_else(beside, PathBuf::from);
    let folder = root.join("simulation");
    if folder.is_dir() {
        return Some(folder);
    }
    // Not `eprintln!`, which the test runner keeps to itself while a test passes.
    let text =
        format!("NOT TESTED: there is no corpus at {}; set MELTEMI_CORPUS\n", folder.display());
    io::stderr().write_all(text.as_bytes()).unwrap();
    None
}

fn texts() -> Vec<(PathBuf, String)> {
    let Some(folder) = corpus() else { return Vec::new() };
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn every_file_of_the_corpus_is_read_as_cases() {
    for (path, text) in texts() {
        let cases: Vec<Case> =
            corpus::parse_cases(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        assert!(!cases.is_empty(), "{path:?} has no case");
        for case in cases {
            assert!(!case.name.is_empty() && !case.proxy.ips.is_empty(), "{path:?}");
            let judged =
                !case.calls.is_empty() || !case.virtual_hosts.is_empty() || case.clusters.is_some();
            assert!(judged, "{}: nothing is expected", case.name);
        }
    }
}

#[test]
fn corpus_has_no_field_that_the_case_types_lack() {
    for (path, text) in texts() {
        let value: Value = serde_json::from_str(&text).unwrap();
        check_fields(&value, &path);
    }
}

fn check_fields(value: &Value, path: &Path) {
    match value {
        Value::Array(list) => list.iter().for_each(|item| check_fields(item, path)),
        Value::Object(map) => {
            for (key, value) in map {
                let known = FIELDS.contains(&key.as_str()) || FREE.contains(&key.as_str());
                assert!(known, "{path:?} has the unknown field `{key}`");
                if !FREE.contains(&key.as_str()) {
                    check_fields(value, path);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => (),
    }
}

#[test]
fn case_written_and_read_again_is_the_same() {
    for (path, text) in texts() {
        let cases = corpus::parse_cases(&text).unwrap();
        let written = serde_json::to_string(&cases).unwrap();
        let again = corpus::parse_cases(&written).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), written, "{path:?}");
    }
}
