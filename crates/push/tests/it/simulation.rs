//! Istio's simulation cases, judged by `verify` on what a proxy is really sent.
//!
//! - `testdata/simulation_not_passed.txt` lists Istio's cases that do not pass, with a reason each. A
//!   case that is listed and passes, or fails and is not listed, fails the test.
//! - `testdata/simulation/` has cases of our own in the same form, one file for each family of
//!   rules. All of them pass.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use envoy::{Any, type_url};
use verify::{
    Resources,
    corpus::{Case, CaseVerdict, judge, parse_cases},
};
use xds::Protocol;

use crate::mesh::{Mesh, node};

const OWN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/simulation");
const LIST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/simulation_not_passed.txt");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cases_that_do_not_pass_are_those_that_are_listed() {
    let Some(corpus) = testkit::corpus::require_corpus("simulation cases") else { return };
    let listed = listed();
    let (mut passed, mut problems) = (0, Vec::new());
    for file in case_files(&corpus.join("simulation")) {
        for case in parse_cases(&fs::read_to_string(&file).unwrap()).unwrap() {
            let verdict = run(&case).await;
            match (verdict.strict, listed.contains_key(&case.name)) {
                (true, false) => passed += 1,
                (false, true) => (),
                (true, true) => {
                    problems.push(format!("{} passes: take it off the list", case.name))
                }
                (false, false) => problems.push(format!("{}: {}", case.name, explain(&verdict))),
            }
        }
    }
    println!("{passed} cases pass, {} are listed as not passed", listed.len());
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_own_cases_pass() {
    let mut problems = Vec::new();
    for file in case_files(Path::new(OWN)) {
        for case in parse_cases(&fs::read_to_string(&file).unwrap()).unwrap() {
            let verdict = run(&case).await;
            if !verdict.strict {
                problems.push(format!("{}: {}", case.name, explain(&verdict)));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

fn case_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "json"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no cases in {}", folder.display());
    files
}

fn listed() -> BTreeMap<String, String> {
    let text = fs::read_to_string(Path::new(LIST)).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| line.split_once(": ").expect("`case: reason`"))
        .map(|(case, reason)| (case.to_owned(), reason.to_owned()))
        .collect()
}

async fn run(case: &Case) -> CaseVerdict {
    let yaml = format!("{}\n---\n{}", case.istio, case.kubernetes);
    let mesh = Mesh::start(&yaml, &case.mesh_config, case.features.clone()).await;
    let node = node(&case.proxy.node_id(), &case.proxy.node_metadata());
    let proxy = mesh.connect(node, Protocol::Delta).await;
    let types = [type_url::CLUSTER, type_url::ENDPOINT, type_url::LISTENER, type_url::ROUTE];
    let held: Vec<(&str, String, Any)> = types
        .into_iter()
        .flat_map(|url| {
            proxy
                .resources(url)
                .map(move |(name, it)| (url, name.to_owned(), it.resource.clone().unwrap()))
        })
        .collect();
    let resources = Resources::from_any(held.iter().map(|(url, name, any)| (*url, name, any)));
    judge(case, &resources)
}

fn explain(verdict: &CaseVerdict) -> String {
    let calls = verdict.calls.iter().filter(|call| !call.strict);
    let calls = calls.map(|call| format!("  {}: {}", call.name, call.differences.join("; ")));
    let violations = verdict.violations.iter().map(|it| format!("  {it}"));
    let lines: Vec<String> = verdict
        .differences
        .iter()
        .map(|it| format!("  {it}"))
        .chain(calls)
        .chain(violations)
        .collect();
    format!("not passed\n{}", lines.join("\n"))
}
