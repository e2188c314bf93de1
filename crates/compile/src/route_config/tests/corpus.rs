//! The recorded cases about routes of sidecars.

#![expect(clippy::disallowed_methods, reason = "a test has no binary that reads its settings")]

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use envoy::config::route::v3::{RouteConfiguration, route::Action, route_action::ClusterSpecifier};
use model::{Locality, Proxy};
use serde_json::Value;
use snapshot::Reader;

use super::golden::{compile, decode};
use crate::{Client, fixture};

fn read_cases(file: &str) -> Option<Vec<Value>> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    let root = env::var_os("MELTEMI_CORPUS").map_or_else(beside, PathBuf::from);
    let path = root.join("simulation").join(file);
    if !path.is_file() {
        // Past the capture of test output, which hides what a passing test prints.
        let line = format!("NOT TESTED: there is no {file} in a corpus; set MELTEMI_CORPUS\n");
        io::stderr().write_all(line.as_bytes()).expect("standard error is open");
        return None;
    }
    let text = fs::read(path).expect("the corpus can be read");
    Some(serde_json::from_slice(&text).expect("the corpus is valid JSON"))
}

fn clusters_by_domain(config: &RouteConfiguration) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut out = BTreeMap::new();
    for host in &config.virtual_hosts {
        let mut clusters = BTreeSet::new();
        for route in &host.routes {
            let Some(Action::Route(action)) = &route.action else { continue };
            match &action.cluster_specifier {
                Some(ClusterSpecifier::Cluster(name)) => {
                    clusters.insert(name.as_str());
                }
                Some(ClusterSpecifier::WeightedClusters(list)) => {
                    clusters.extend(list.clusters.iter().map(|it| it.name.as_str()));
                }
                other => panic!("unexpected {other:?}"),
            }
        }
        out.extend(host.domains.iter().map(|domain| (domain.as_str(), clusters.clone())));
    }
    out
}

fn check_case(case: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let yaml = format!("{}\n---\n{}", text(&case["istio"]), text(&case["kubernetes"]));
    let snapshot = fixture::snapshot(&yaml);
    let proxy = &case["proxy"];
    let id = format!(
        "sidecar~{}~{}~{}",
        text(&proxy["ips"][0]),
        text(&proxy["id"]),
        text(&proxy["dnsDomain"])
    );
    let metadata = proxy["metadata"].as_object().cloned().unwrap_or_default();
    let proxy = Proxy::parse(&id, metadata, Locality::default()).expect("the proxy is valid");
    let client = Client::reduce(&proxy, &Reader::new(&snapshot));
    for expectation in case["virtualHosts"].as_array().into_iter().flatten() {
        let compiled = compile(&snapshot, &client, &text(&expectation["routeConfig"]));
        let config = decode(&compiled);
        let found = clusters_by_domain(&config);
        for (domain, expected) in expectation["domains"].as_object().into_iter().flatten() {
            let found = found.get(domain.as_str()).map(|it| it.iter().copied().collect::<Vec<_>>());
            let expected = expected
                .as_array()
                .map(|list| list.iter().filter_map(Value::as_str).collect::<Vec<_>>());
            assert_eq!(found, expected, "{} {domain}", case["name"]);
        }
    }
}

#[test]
fn recorded_sidecar_routes_come_out_the_same() {
    let Some(cases) = read_cases("TestSidecarRoutes.json") else { return };
    // The others need the Gateway API.
    let own = cases
        .iter()
        .filter(|case| case["name"].as_str().is_some_and(|name| name.contains("/virtualservice/")));
    let mut count = 0;
    for case in own {
        check_case(case);
        count += 1;
    }
    assert!(count > 0, "the corpus has no such case");
}
