//! A crate depends on crates below it, and on no other.

use crate::workspace::{Package, assert_none, packages};

/// The shipped crates in the order in which they may depend on each other: a crate may use those
/// before it. A new crate is added here, in its room's place in `ARCHITECTURE.md`.
const ORDER: &[(&str, u64)] = &[
    ("model", 0),
    ("api", 0),
    ("envoy", 0),
    ("snapshot", 1),
    ("policy", 1),
    ("compile", 1),
    ("verify", 1),
    ("lint", 1),
    ("runtime", 2),
    ("source", 2),
    ("store", 2),
    ("xds", 2),
    ("push", 2),
    ("storage", 2),
    ("scope", 2),
    ("ratelimit", 2),
    ("identity", 2),
    ("extensions", 2),
    ("dns", 2),
    ("source-kubernetes", 3),
    ("source-directory", 3),
    ("source-consul", 3),
    ("source-nacos", 3),
    ("source-zookeeper", 3),
    ("source-eureka", 3),
    ("controllers", 3),
    ("webhook", 3),
    ("discovery", 3),
    ("mcp", 3),
    ("saved", 3),
    ("jwks", 3),
    ("admin", 3),
    ("agent", 4),
    ("meltemi", 4),
];
/// Crates beside the floors: no user ever runs them.
const BESIDE: &[&str] = &["testkit", "bench", "demo", "envoy-codegen", "fuzzing", "xtask"];
const BESIDE_FLOOR: u64 = 9;
/// The most direct dependencies from outside that a crate of floor 0 or 1 may have.
const MAX_FOREIGN: usize = 12;

fn place(name: &str) -> Option<usize> {
    ORDER.iter().position(|(crate_name, _)| *crate_name == name)
}

#[test]
fn the_order_goes_up_the_floors() {
    assert!(ORDER.is_sorted_by_key(|(_, floor)| *floor));
}

#[test]
fn every_crate_names_its_floor() {
    let findings = packages().iter().filter_map(wrong_floor).collect::<Vec<_>>();
    assert_none("Cargo.toml and xtask/tests/it/floors.rs must agree", &findings);
}

fn wrong_floor(package: &Package) -> Option<String> {
    let name = &package.name;
    let wanted = if BESIDE.contains(&name.as_str()) {
        BESIDE_FLOOR
    } else {
        match place(name) {
            Some(index) => ORDER[index].1,
            None => return Some(format!("{name} is in neither list of the test")),
        }
    };
    match package.floor {
        None => Some(format!("{name} has no package.metadata.meltemi.floor")),
        Some(floor) if floor != wanted => Some(format!("{name} says {floor}, the test {wanted}")),
        Some(_) => None,
    }
}

#[test]
fn a_crate_uses_only_crates_below_it() {
    let mut findings = Vec::new();
    for package in packages() {
        let Some(own) = place(&package.name) else { continue };
        for dependency in package.dependencies.iter().filter(|dependency| !dependency.dev_only) {
            let used = &dependency.name;
            if BESIDE.contains(&used.as_str()) {
                findings.push(format!("{} ships {used}, which is for tests", package.name));
            } else if place(used).is_some_and(|place| place >= own) {
                findings.push(format!("{} uses {used}, which is not below it", package.name));
            }
        }
    }
    assert_none("dependencies go down the floors", &findings);
}

#[test]
fn low_crates_have_few_dependencies_from_outside() {
    let mut findings = Vec::new();
    for package in packages().iter().filter(|package| package.floor.is_some_and(|f| f <= 1)) {
        let foreign = package
            .dependencies
            .iter()
            .filter(|dependency| !dependency.dev_only && place(&dependency.name).is_none())
            .count();
        if foreign > MAX_FOREIGN {
            findings.push(format!("{} has {foreign}, at most {MAX_FOREIGN}", package.name));
        }
    }
    assert_none("too many direct dependencies", &findings);
}
