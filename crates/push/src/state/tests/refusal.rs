//! What a proxy refuses.

use xds::Protocol::{Delta, Sotw};

use super::talk::Talk;

const A: &str = "cds a lds l(r) rds r(h=a)";

#[test]
fn a_refused_route_is_shown_and_not_sent_again() {
    for protocol in [Delta, Sotw] {
        let mut talk = Talk::synced(protocol, A);
        talk.see("cds a lds l(r) rds r(h.bad=a)");
        talk.settles("rds r(h.bad=a)");
        assert_eq!(talk.refused("rds"), ["r: Error adding/updating Route r: bad"]);
        assert_eq!(talk.holds("rds"), "r(h=a)");
        talk.see("cds a eds a.2 lds l(r) rds r(h.bad=a)");
        talk.settles("eds a.2");
    }
}

#[test]
fn a_refused_route_is_sent_again_when_its_content_changes() {
    for protocol in [Delta, Sotw] {
        let mut talk = Talk::synced(protocol, A);
        talk.see("cds a lds l(r) rds r(h.bad=a)");
        talk.settle();
        talk.see("cds a lds l(r) rds r(h.2=a)");
        talk.settles("rds r(h.2=a)");
        assert!(talk.refused("rds").is_empty());
    }
}

#[test]
fn a_refused_change_that_is_taken_back_needs_no_response() {
    let mut talk = Talk::synced(Delta, A);
    talk.see("cds a lds l(r) rds r(h.bad=a)");
    talk.settle();
    talk.see(A);
    talk.settles("");
    assert!(talk.refused("rds").is_empty());
}

#[test]
fn only_the_clusters_that_are_named_count_as_refused() {
    for protocol in [Delta, Sotw] {
        let mut talk = Talk::synced(protocol, A);
        talk.see("cds a b.bad c lds l(r) rds r(h=c)");
        talk.settle();
        assert_eq!(talk.refused("cds"), ["b: Error adding/updating Cluster b: bad"]);
        // The good one is used.
        assert_eq!(talk.holds("rds"), "r(h=c)");
        talk.see("cds a b.2 c lds l(r) rds r(h=b)");
        talk.settle();
        assert_eq!(talk.holds("cds"), "a b.2 c");
        assert_eq!(talk.holds("rds"), "r(h=b)");
    }
}

#[test]
fn only_the_listeners_that_are_named_count_as_refused() {
    let mut talk = Talk::synced(Delta, "cds a lds t(=a)");
    talk.see("cds a lds t(=a) u.bad(=a) v(=a)");
    talk.settles("lds u.bad(=a) v(=a)");
    assert_eq!(talk.refused("lds"), ["u: Error adding/updating Listener u: bad"]);
    talk.see("cds a lds t(=a) v(=a)");
    talk.settles("");
    assert!(talk.refused("lds").is_empty(), "nothing wants it any more");
}

#[test]
fn a_name_within_another_does_not_count_as_named() {
    let mut talk = Talk::synced(Delta, "cds a lds t(=a)");
    talk.see("cds a lds t(=a) 0_80(=a) 0_8080.bad(=a)");
    talk.settles("lds 0_80(=a) 0_8080.bad(=a)");
    assert_eq!(talk.refused("lds").len(), 1);
    talk.see("cds a lds t(=a)");
    talk.settles("lds -0_80");
}

#[test]
fn a_route_to_a_refused_cluster_is_held_back() {
    let mut talk = Talk::synced(Delta, "cds a lds l(r) rds r(g=a,h=a)");
    talk.see("cds a b.bad lds l(r) rds r(g.2=a,h=b)");
    talk.settles("cds b.bad | rds r(g.2=a,h=a)");
    talk.see("cds a b.2 lds l(r) rds r(g.2=a,h=b)");
    talk.settles("cds b.2 | eds b | rds r(g.2=a,h=b)");
}

#[test]
fn a_route_to_a_cluster_whose_assignment_is_refused_is_held_back() {
    let mut talk = Talk::synced(Delta, "cds a lds l(r) rds r(g=a,h=a)");
    talk.see("cds a b eds b.bad lds l(r) rds r(g.2=a,h=b)");
    talk.settles("cds b | eds b.bad | rds r(g.2=a,h=a)");
    talk.see("cds a b eds b.2 lds l(r) rds r(g.2=a,h=b)");
    talk.settles("eds b.2 | rds r(g.2=a,h=b)");
}

#[test]
fn a_refused_update_of_a_cluster_leaves_routes_to_it_alone() {
    let mut talk = Talk::synced(Delta, A);
    talk.see("cds a.bad lds l(r) rds r(h.2=a)");
    talk.settles("cds a.bad | eds a | rds r(h.2=a)");
    assert_eq!(talk.holds("cds"), "a");
}

#[test]
fn a_refused_route_keeps_the_clusters_of_the_one_before() {
    let mut talk = Talk::synced(Delta, "cds a b lds l(r) rds r(h=a)");
    talk.see("cds b lds l(r) rds r(h.bad=b)");
    talk.settles("rds r(h.bad=b)");
    assert_eq!(talk.holds("cds"), "a b");
    talk.see("cds b lds l(r) rds r(h=b)");
    talk.settles("rds r(h=b) | cds -a");
}

#[test]
fn what_was_refused_together_is_sent_together_when_one_of_it_changes() {
    for protocol in [Delta, Sotw] {
        let mut talk = Talk::synced(protocol, "cds a lds l(r) m(s) rds r(h=a) s(h=a)");
        talk.see("cds a lds l(r) m(s) rds r(h.bad=a) s(h.2=a)");
        talk.settles("rds r(h.bad=a) s(h.2=a)");
        assert_eq!(talk.refused("rds").len(), 2, "a refusal of routes means all of them");
        talk.see("cds a lds l(r) m(s) rds r(h.2=a) s(h.2=a)");
        talk.settles("rds r(h.2=a) s(h.2=a)");
        assert!(talk.refused("rds").is_empty());
    }
}

#[test]
fn what_was_refused_together_is_sent_when_the_bad_one_is_taken_back() {
    let mut talk = Talk::synced(Delta, "cds a lds l(r) m(s) rds r(h=a) s(h=a)");
    talk.see("cds a lds l(r) m(s) rds r(h.bad=a) s(h.2=a)");
    talk.settle();
    talk.see("cds a lds l(r) m(s) rds r(h=a) s(h.2=a)");
    talk.settles("rds s(h.2=a)");
    assert!(talk.refused("rds").is_empty());
}

#[test]
fn a_removal_that_was_refused_with_something_else_is_made_up_for() {
    let mut talk = Talk::synced(Delta, "cds a b lds l(r) rds r(h=a)");
    talk.see("cds a c lds l(r) rds r(h=a)");
    talk.says("cds c -b");
    talk.refuse("cds", "Proto constraint validation failed");
    talk.says("");
    talk.see("cds a c.2 lds l(r) rds r(h=a)");
    talk.settles("cds c.2 -b | eds c");
}

#[test]
fn a_proxy_that_refuses_everything_is_not_sent_it_in_a_loop() {
    for protocol in [Delta, Sotw] {
        let mut talk = Talk::synced(protocol, "cds a b lds l(r) rds r(h=a)");
        talk.see("cds a.2 c lds l(r) rds r(h=a)");
        let said = talk.hear();
        assert!(said.starts_with("cds a.2"), "{said}");
        talk.refuse("cds", "no");
        talk.settle();
        assert!(!talk.refused("cds").is_empty());
        talk.says("");
    }
}

#[test]
fn an_assignment_that_a_cluster_waits_for_is_sent_again_after_a_refusal() {
    let mut talk = Talk::synced(Delta, A);
    talk.see("cds a.2 eds a.bad lds l(r) rds r(h=a)");
    talk.settles("cds a.2 | eds a.bad");
    // It has had this one, and the cluster waits for it.
    talk.see("cds a.2 lds l(r) rds r(h=a)");
    talk.settles("eds a");
    assert!(talk.proxy.warming().is_empty());
}

#[test]
fn what_was_refused_with_something_that_nobody_asks_for_any_more_is_tried_without_it() {
    for protocol in [Delta, Sotw] {
        let mut talk = Talk::synced(protocol, "cds a lds l(r) m(s) rds r(h=a) s(h=a)");
        talk.see("cds a lds m(s) rds r(h.bad=a) s(h.2=a)");
        let said = talk.hear();
        assert!(said.ends_with("rds r(h.bad=a) s(h.2=a)"), "{said}");
        talk.answer("lds rds");
        talk.settles("rds s(h.2=a)");
        assert!(talk.refused("rds").is_empty());
    }
}
