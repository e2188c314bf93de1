//! What we depend on follows `deny.toml`: licences, bans, sources, and one version of each crate.
//!
//! The same rules as `cargo deny check bans licenses sources` where they concern us, read from the
//! same file, and without a tool that takes minutes to build.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use regex::Regex;
use serde_json::Value;

use crate::workspace::{assert_none, items, output, read, root, text};

/// What we ship for: the targets of `deny.toml`.
const TARGETS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

struct Foreign {
    name: String,
    version: String,
    license: Option<String>,
    /// `None` is a folder of ours.
    source: Option<String>,
}

/// Every crate that is built for one of the targets.
fn dependencies() -> BTreeMap<String, Foreign> {
    let mut found = BTreeMap::new();
    for target in TARGETS {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["metadata", "--locked", "--all-features", "--format-version=1"]);
        let listed = output(cargo.args(["--filter-platform", target]));
        let metadata: Value = serde_json::from_str(&listed).expect("cargo metadata is JSON");
        for package in items(&metadata["packages"]) {
            let foreign = Foreign {
                name: text(&package["name"]),
                version: text(&package["version"]),
                license: package["license"].as_str().map(str::to_owned),
                source: package["source"].as_str().map(str::to_owned),
            };
            found.insert(text(&package["id"]), foreign);
        }
    }
    assert!(found.len() > 50, "cargo metadata lists only {} packages", found.len());
    found
}

/// The rules of `deny.toml` that we check.
struct Rules {
    /// Names of licences.
    allowed: BTreeSet<String>,
    /// Crate and a further licence of it.
    exceptions: BTreeSet<(String, String)>,
    banned: BTreeSet<String>,
    /// `name@version` of second versions that we accept, the version as far as it is written.
    second_versions: BTreeSet<String>,
}

impl Rules {
    fn read() -> Self {
        let file = read(&root().join("deny.toml"));
        let exception = Regex::new(r#"crate = "([^"]+)", allow = \["([^"]+)"\]"#)
            .expect("the pattern is right");
        let exceptions = exception.captures_iter(list(&file, "exceptions"));
        Self {
            allowed: strings(list(&file, "allow"), r#"^\s*"([^"]+)""#),
            exceptions: exceptions.map(|it| (it[1].to_owned(), it[2].to_owned())).collect(),
            banned: strings(list(&file, "deny"), r#"crate = "([^"]+)""#),
            second_versions: strings(list(&file, "skip"), r#"crate = "([^"]+)""#),
        }
    }
}

/// The lines of a list: `key = [`, its items on lines of their own, `]`.
fn list<'a>(file: &'a str, key: &str) -> &'a str {
    let (_, rest) = file
        .split_once(&format!("\n{key} = [\n"))
        .unwrap_or_else(|| panic!("deny.toml has no list `{key}` with an item on each line"));
    rest.split_once("\n]").map_or(rest, |(items, _)| items)
}

fn strings(text: &str, pattern: &str) -> BTreeSet<String> {
    let pattern = Regex::new(pattern).expect("the pattern is right");
    let found = text.lines().filter_map(|line| pattern.captures(line));
    found.map(|found| found[1].to_owned()).collect()
}

#[test]
fn every_licence_is_allowed() {
    let rules = Rules::read();
    let mut findings = Vec::new();
    for Foreign { name, version, license, source } in dependencies().values() {
        if source.is_none() {
            continue;
        }
        let Some(license) = license else {
            findings.push(format!("{name} {version} has no licence expression"));
            continue;
        };
        let is_allowed = |licence: &str| {
            rules.allowed.contains(licence)
                || rules.exceptions.contains(&(name.clone(), licence.to_owned()))
        };
        if !allows(license, &is_allowed) {
            findings.push(format!("{name} {version}: {license}"));
        }
    }
    assert_none("deny.toml does not allow these licences", &findings);
}

/// Whether a licence expression can be met: any part of an `OR`, every part of an `AND`.
fn allows(expression: &str, is_allowed: &impl Fn(&str) -> bool) -> bool {
    // What crates wrote before there were expressions.
    let expression = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = expression.split_whitespace().collect();
    let mut rest = words.as_slice();
    any_of(&mut rest, is_allowed) && rest.is_empty()
}

fn any_of(rest: &mut &[&str], is_allowed: &impl Fn(&str) -> bool) -> bool {
    let mut allowed = all_of(rest, is_allowed);
    while let ["OR", tail @ ..] = *rest {
        *rest = tail;
        allowed |= all_of(rest, is_allowed);
    }
    allowed
}

fn all_of(rest: &mut &[&str], is_allowed: &impl Fn(&str) -> bool) -> bool {
    let mut allowed = one(rest, is_allowed);
    while let ["AND", tail @ ..] = *rest {
        *rest = tail;
        allowed &= one(rest, is_allowed);
    }
    allowed
}

fn one(rest: &mut &[&str], is_allowed: &impl Fn(&str) -> bool) -> bool {
    match *rest {
        ["(", tail @ ..] => {
            *rest = tail;
            let allowed = any_of(rest, is_allowed);
            *rest = rest.strip_prefix(&[")"]).unwrap_or(rest);
            allowed
        }
        [licence, "WITH", exception, tail @ ..] => {
            *rest = tail;
            is_allowed(&format!("{licence} WITH {exception}"))
        }
        [licence, tail @ ..] => {
            *rest = tail;
            is_allowed(licence)
        }
        [] => false,
    }
}

#[test]
fn licence_expressions_are_understood() {
    let mit = |licence: &str| licence == "MIT" || licence == "A WITH B";
    for met in
        ["MIT", "GPL OR MIT", "GPL/MIT", "(GPL OR MIT) AND MIT", "GPL AND X OR MIT", "A WITH B"]
    {
        assert!(allows(met, &mit), "{met}");
    }
    for unmet in ["GPL", "MIT AND GPL", "(MIT OR GPL) AND GPL", "A", "", "MIT MIT"] {
        assert!(!allows(unmet, &mit), "{unmet}");
    }
}

#[test]
fn nothing_banned_is_used() {
    let banned = Rules::read().banned;
    let used = dependencies().into_values().filter(|it| banned.contains(&it.name));
    let findings: Vec<String> = used.map(|it| format!("{} {}", it.name, it.version)).collect();
    assert_none("deny.toml bans these; `cargo tree --invert NAME` shows who uses them", &findings);
}

#[test]
fn everything_comes_from_the_registry() {
    let foreign = dependencies().into_values().filter_map(|it| Some((it.name, it.source?)));
    let findings: Vec<String> = foreign
        .filter(|(_, source)| source != "registry+https://github.com/rust-lang/crates.io-index")
        .map(|(name, source)| format!("{name}: {source}"))
        .collect();
    assert_none("dependencies come from crates.io alone", &findings);
}

#[test]
fn a_second_version_of_a_crate_is_listed_with_its_reason() {
    let accepted = Rules::read().second_versions;
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for Foreign { name, version, .. } in dependencies().into_values() {
        versions.entry(name).or_default().insert(version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    let covers = |rule: &str, name: &str, version: &str| {
        rule.split_once('@').is_some_and(|(of, from)| {
            let rest = version.strip_prefix(from);
            of == name && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    };
    let mut findings = Vec::new();
    for (name, versions) in &versions {
        let is_unlisted =
            |version: &&String| !accepted.iter().any(|rule| covers(rule, name, version));
        if versions.iter().filter(is_unlisted).count() > 1 {
            let all = versions.iter().cloned().collect::<Vec<_>>().join(", ");
            findings.push(format!("{name} has the versions {all}; list all but one under `skip`"));
        }
    }
    for rule in &accepted {
        let mut doubles =
            versions.iter().flat_map(|(name, all)| all.iter().map(move |it| (name, it)));
        if !doubles.any(|(name, version)| covers(rule, name, version)) {
            findings.push(format!("{rule} is listed under `skip`, and there is no second version"));
        }
    }
    assert_none("one version of each crate, see deny.toml", &findings);
}
