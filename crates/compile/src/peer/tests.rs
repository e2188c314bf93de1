//! Golden tests: PeerAuthentications, and what the workload `app: web` of the namespace `shop` accepts.

use std::fmt::Write;

use expect_test::{Expect, expect};
use model::{Labels, Namespace};
use snapshot::Reader;

use super::{PeerModes, select_peer_modes, select_plain_peers};
use crate::fixture;

/// `namespace [age] [app=…] [mode] [port=mode …]`, one policy a line; a lower age is older.
fn policies(table: &str) -> String {
    let mut yaml = String::new();
    for (index, line) in table.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
        let mut words = line.split_whitespace();
        let namespace = words.next().unwrap();
        let (mut age, mut selector, mut mode, mut ports) =
            (index, String::new(), String::new(), String::new());
        for word in words {
            match word.split_once('=') {
                Some(("app", app)) => {
                    selector = format!("  selector: {{matchLabels: {{app: {app}}}}}\n");
                }
                Some((port, mode)) => writeln!(ports, "    {port}: {{mode: {mode}}}").unwrap(),
                None if word.parse::<usize>().is_ok() => age = word.parse().unwrap(),
                None => mode = format!("  mtls: {{mode: {word}}}\n"),
            }
        }
        if !ports.is_empty() {
            ports = format!("  portLevelMtls:\n{ports}");
        }
        let spec = match format!("{selector}{mode}{ports}") {
            empty if empty.is_empty() => "  {}\n".to_owned(),
            spec => spec,
        };
        write!(
            yaml,
            "---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: p{index}, namespace: {namespace}, creationTimestamp: '20{:02}-01-01T00:00:00Z'}}
spec:
{spec}",
            age + 1
        )
        .unwrap();
    }
    yaml
}

fn modes(table: &str, namespace: &str) -> PeerModes {
    let snapshot = fixture::snapshot(&policies(table));
    let labels: Labels = [("app", "web")].into_iter().collect();
    select_peer_modes(&Namespace::from(namespace), &labels, &Reader::new(&snapshot))
}

/// Cases are separated by empty lines; each is told with its result.
#[track_caller]
fn check(cases: &[&str], expected: Expect) {
    let mut out = String::new();
    for case in cases {
        let modes = modes(case, "shop");
        let lines: Vec<&str> = case.lines().map(str::trim).filter(|it| !it.is_empty()).collect();
        write!(out, "{} => {:?}", lines.join("; "), modes.workload).unwrap();
        for (port, mode) in &modes.ports {
            write!(out, " {port}={mode:?}").unwrap();
        }
        out.push('\n');
    }
    expected.assert_eq(&out);
}

#[test]
fn the_narrowest_policy_wins_and_one_without_a_mode_inherits() {
    check(
        &[
            "",
            "istio-system STRICT",
            "istio-system UNSET",
            "shop STRICT",
            "other STRICT",
            "istio-system STRICT\n shop PERMISSIVE",
            "istio-system STRICT\n shop UNSET",
            "istio-system STRICT\n shop",
            "istio-system DISABLE\n shop STRICT\n shop app=web PERMISSIVE",
            "shop STRICT\n shop app=web",
            "shop STRICT\n shop app=web UNSET",
            "shop STRICT\n shop app=other DISABLE",
            "istio-system STRICT\n shop app=web 80=DISABLE",
        ],
        expect![[r#"
             => Permissive
            istio-system STRICT => Strict
            istio-system UNSET => Permissive
            shop STRICT => Strict
            other STRICT => Permissive
            istio-system STRICT; shop PERMISSIVE => Permissive
            istio-system STRICT; shop UNSET => Strict
            istio-system STRICT; shop => Strict
            istio-system DISABLE; shop STRICT; shop app=web PERMISSIVE => Permissive
            shop STRICT; shop app=web => Strict
            shop STRICT; shop app=web UNSET => Strict
            shop STRICT; shop app=other DISABLE => Strict
            istio-system STRICT; shop app=web 80=DISABLE => Strict 80=Disable
        "#]],
    );
}

#[test]
fn the_oldest_of_equals_counts_alone() {
    check(
        &[
            "shop 2 STRICT\n shop 1 DISABLE",
            "istio-system 2 STRICT\n istio-system 1 DISABLE",
            "shop 2 app=web STRICT\n shop 1 app=web DISABLE",
            "shop 1 app=web 80=STRICT\n shop 2 app=web DISABLE 81=DISABLE",
            "shop 1 UNSET\n shop 2 STRICT",
        ],
        expect![[r#"
            shop 2 STRICT; shop 1 DISABLE => Disable
            istio-system 2 STRICT; istio-system 1 DISABLE => Disable
            shop 2 app=web STRICT; shop 1 app=web DISABLE => Disable
            shop 1 app=web 80=STRICT; shop 2 app=web DISABLE 81=DISABLE => Permissive 80=Strict
            shop 1 UNSET; shop 2 STRICT => Permissive
        "#]],
    );
}

#[test]
fn ports_have_their_own_mode_only_for_chosen_workloads() {
    check(
        &[
            "shop app=web STRICT 80=DISABLE 81=PERMISSIVE",
            "shop app=web DISABLE 80=UNSET 81=STRICT",
            "istio-system STRICT\n shop app=web UNSET 80=UNSET",
        ],
        expect![[r#"
            shop app=web STRICT 80=DISABLE 81=PERMISSIVE => Strict 80=Disable 81=Permissive
            shop app=web DISABLE 80=UNSET 81=STRICT => Disable 80=Disable 81=Strict
            istio-system STRICT; shop app=web UNSET 80=UNSET => Strict 80=Strict
        "#]],
    );
}

#[test]
fn a_policy_of_the_root_namespace_for_chosen_workloads_is_for_its_own_only() {
    let table = "istio-system app=web STRICT";
    assert_eq!(format!("{:?}", modes(table, "shop").workload), "Permissive");
    assert_eq!(format!("{:?}", modes(table, "istio-system").workload), "Strict");
    let general = "istio-system STRICT";
    assert_eq!(format!("{:?}", modes(general, "istio-system").workload), "Strict");
}

/// Whether `app: web` and others of the namespace are called in plain text on 80 and on 81.
fn plain(table: &str) -> [bool; 4] {
    let snapshot = fixture::snapshot(&policies(table));
    let peers = select_plain_peers(&Namespace::from("shop"), &Reader::new(&snapshot));
    let web: Labels = [("app", "web")].into_iter().collect();
    let other: Labels = [("app", "other")].into_iter().collect();
    [(&web, 80), (&web, 81), (&other, 80), (&other, 81)].map(|(it, port)| peers.contains(it, port))
}

#[test]
fn only_those_who_take_nothing_else_are_called_in_plain_text() {
    assert_eq!(plain(""), [false; 4]);
    assert_eq!(plain("shop STRICT"), [false; 4]);
    assert_eq!(plain("shop DISABLE"), [true; 4]);
    assert_eq!(plain("istio-system DISABLE\n shop PERMISSIVE"), [false; 4]);
    assert_eq!(plain("shop app=web DISABLE"), [true, true, false, false]);
    assert_eq!(plain("shop app=web STRICT 80=DISABLE"), [true, false, false, false]);
    assert_eq!(plain("shop DISABLE\n shop app=web 81=STRICT"), [true, false, true, true]);
}

#[test]
fn from_permissive_to_strict_nothing_changes_for_callers() {
    let select = |table: &str| {
        let snapshot = fixture::snapshot(&policies(table));
        select_plain_peers(&Namespace::from("shop"), &Reader::new(&snapshot))
    };
    assert_eq!(select("shop PERMISSIVE\n shop app=web 80=STRICT"), select("shop STRICT"));
}
