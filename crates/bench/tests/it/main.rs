//! Every row, at its smallest, against the real control plane.

use std::{path::Path, process::Command};

use serde_json::Value;

/// The control plane's binary is of another package: whoever builds that has it beside ours.
fn meltemi() -> Option<std::path::PathBuf> {
    let path = Path::new(env!("CARGO_BIN_EXE_bench")).with_file_name("meltemi");
    if !path.is_file() {
        eprintln!(
            "!!! NO CONTROL PLANE: the rows were NOT tried; `cargo build --package meltemi` first"
        );
        return None;
    }
    Some(path)
}

fn bench(arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_bench")).args(arguments).output().unwrap()
}

/// Measures every row of a table, and saves the figures.
#[track_caller]
fn expect_figures(table: &[&str], file: &str) {
    let quick = ["--quick", "--output", "json", "--save", file];
    let output = bench(&[table, &quick].concat());
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = report["rows"].as_array().unwrap();
    let listed = bench(&[table, &["--list"]].concat());
    let listed = String::from_utf8_lossy(&listed.stdout);
    let names = listed.lines().filter(|line| !line.starts_with(' '));
    let names: Vec<&str> = names.filter_map(|line| line.split_whitespace().next()).collect();
    let measured: Vec<&str> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(measured, names);
    for row in rows {
        let cases = row["cases"].as_array().unwrap();
        assert!(!cases.is_empty() && row.get("error").is_none(), "{row}\n{log}");
        let figures = cases.iter().flat_map(|case| case["figures"].as_array().unwrap());
        for figure in figures {
            assert!(figure["value"].is_number(), "{figure} of {}", row["name"]);
        }
    }
}

#[test]
fn every_row_gives_figures() {
    let Some(_) = meltemi() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    let file = file.to_str().unwrap();
    expect_figures(&[], file);
    // What was saved can be compared with.
    let again = bench(&["--quick", "--only", "cold", "--compare", file]);
    let text = String::from_utf8_lossy(&again.stdout);
    assert!(text.contains("| 10 streams | sent a stream |"), "{text}");
}

/// What must be so on a small mesh and a busy machine as well.
#[test]
fn every_row_of_lazy_loading_gives_figures() {
    let Some(_) = meltemi() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    expect_figures(&["--lazy"], file.to_str().unwrap());
    let report: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let rows = report["rows"].as_array().unwrap();
    let cases = rows.iter().flat_map(|row| row["cases"].as_array().unwrap());
    let figures: Vec<&Value> = cases.flat_map(|case| case["figures"].as_array().unwrap()).collect();
    for name in ["failed", "real calls that failed", "junk without an answer"] {
        let own: Vec<_> = figures.iter().filter(|it| it["name"] == name).collect();
        assert!(!own.is_empty() && own.iter().all(|it| it["value"] == 0.0), "{own:?}");
    }
    let questions = figures.iter().filter(|it| it["name"] == "questions" && it["limit"] == 0.0);
    let questions: Vec<_> = questions.map(|it| it["value"].as_f64().unwrap()).collect();
    assert_eq!(questions, [0.0], "what was called before the restart is asked for again");
}

#[test]
fn a_soak_ends_with_everybody_right() {
    let Some(_) = meltemi() else { return };
    let output = bench(&["--quick", "--soak", "0.05", "--output", "json"]);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let figures = report["rows"][0]["cases"][0]["figures"].as_array().unwrap();
    let behind = figures.iter().find(|figure| figure["name"] == "streams behind").unwrap();
    assert_eq!(behind["value"], 0.0, "{log}");
}

#[test]
fn a_quick_run_is_not_judged() {
    let output = bench(&["--quick", "--check"]);
    assert_eq!(output.status.code(), Some(2));
}
