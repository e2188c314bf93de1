//! What a stream remembers of a proxy that has everything.

use std::fmt::Write;

use xds::Protocol::{Delta, Sotw};

use super::{
    language::{parse_content, views},
    talk::Talk,
};
use crate::ResourceKind;

const SIZE: usize = 200;

/// Many clusters, with one listener and one route each; `special` replaces one of them.
fn many(special: &str) -> String {
    let mut text = String::new();
    for kind in ["cds c", "lds l", "rds r"] {
        let (word, letter) = kind.split_at(4);
        text.push_str(word);
        for number in 0..SIZE {
            let inside = match letter {
                "l" => format!("(r{number})"),
                "r" => format!("(h=c{number})"),
                _ => String::new(),
            };
            write!(text, " {letter}{number}{inside}").unwrap();
        }
        text.push(' ');
    }
    text + special
}

#[test]
fn a_proxy_that_has_everything_is_not_listed() {
    for protocol in [Delta, Sotw] {
        let mut talk = Talk::synced(protocol, &many(""));
        // A look at each type, after its last answer.
        talk.see(&many("cds c0.2 eds c0.2 lds l0.2(r0) rds r0(h.2=c0)"));
        talk.settle();
        for kind in ResourceKind::ALL {
            let differences = talk.state.of(kind).held.differences();
            assert!(differences <= 32, "{protocol}, {kind:?}: {differences} differ");
        }
        assert_eq!(talk.state.held(ResourceKind::Route).len(), SIZE);
    }
}

#[test]
fn what_is_not_listed_is_held_all_the_same() {
    for protocol in [Delta, Sotw] {
        let mut talk = Talk::synced(protocol, &many(""));
        talk.see(&many("cds c0.2"));
        talk.settle();
        talk.see(&many("cds c1.3 rds r0(h=c1)"));
        talk.settle();
        assert!(talk.state.is_synced());
        for ((kind, name), resource) in parse_content(&many("cds c1.3 rds r0(h=c1)")) {
            let held = talk.state.held(kind).remove(&name).expect("it is held");
            assert_eq!(held.version, Some(resource.resource.version()), "{kind:?} {name}");
            let same = talk.proxy.held(kind)[&name].resource == resource.resource;
            assert!(same, "{kind:?} {name}");
        }
    }
}

#[test]
fn removals_from_what_is_not_listed_are_sent() {
    let mut talk = Talk::synced(Delta, &many(""));
    talk.see(&many("cds c0.2"));
    talk.settle();
    let less = "cds c7 lds l7(r7) rds r7(h=c7)";
    talk.see(less);
    talk.settle();
    assert_eq!(talk.holds("cds"), "c7");
    assert_eq!(talk.holds("rds"), "r7(h=c7)");
    assert_eq!(talk.state.held(ResourceKind::Cluster).len(), 1);
    assert_eq!(talk.state.held(ResourceKind::Endpoint).len(), 1);
}

#[test]
fn a_look_at_everything_finds_what_the_engine_did_not_name() {
    let mut talk = Talk::synced(Delta, "cds a b lds l(r) rds r(h=a)");
    let content = parse_content("cds a.2 c lds l(r) rds r(h=a)");
    talk.state.update(views(&content, 9), None);
    talk.settles("cds a.2 c -b | eds a | eds c");
}
