//! Make before break.

use xds::Protocol::{Delta, Sotw};

use super::talk::Talk;

const A: &str = "cds a lds l(r) rds r(h=a)";

#[test]
fn a_new_cluster_and_its_assignment_are_acknowledged_before_a_route_names_it() {
    let mut talk = Talk::synced(Delta, A);
    talk.see("cds a b lds l(r) rds r(h=b)");
    talk.says("cds b");
    // Envoy asks for the assignment before it acknowledges the cluster.
    talk.answer("cds");
    talk.says("eds b");
    talk.answer("eds");
    talk.says("rds r(h=b)");
}

#[test]
fn a_new_cluster_is_acknowledged_before_a_listener_names_it() {
    let mut talk = Talk::synced(Delta, A);
    talk.see("cds a b lds l(r) t(=b) rds r(h=a)");
    talk.says("cds b");
    talk.answer("cds");
    talk.says("eds b");
    talk.answer("eds");
    talk.says("lds t(=b)");
}

#[test]
fn what_needs_no_new_cluster_does_not_wait_for_one() {
    let mut talk = Talk::synced(Delta, "cds a lds l(r) m(s) rds r(h=a) s(h=a)");
    talk.see("cds a b lds l(r) m(s) rds r(h=b) s(h.2=a)");
    talk.says("cds b | rds s(h.2=a)");
}

#[test]
fn a_cluster_without_assignment_is_ready_when_it_is_acknowledged() {
    let mut talk = Talk::synced(Delta, A);
    talk.see("cds a b! lds l(r) rds r(h=b)");
    talk.says("cds b!");
    talk.answer("cds");
    talk.says("rds r(h=b)");
}

#[test]
fn a_cluster_is_removed_once_the_route_that_named_it_is_acknowledged_gone() {
    let mut talk = Talk::synced(Delta, "cds a b lds l(r) rds r(h=a)");
    talk.see("cds b lds l(r) rds r(h=b)");
    talk.says("rds r(h=b)");
    talk.says("");
    talk.answer("rds");
    talk.says("cds -a");
}

#[test]
fn a_cluster_is_removed_only_after_every_route_that_named_it() {
    let mut talk = Talk::synced(Delta, "cds a b lds l(r) t(=a) rds r(h=a)");
    talk.see("cds b lds l(r) t(=b) rds r(h=b)");
    talk.says("lds t(=b) | rds r(h=b)");
    talk.answer("rds");
    talk.says("");
    talk.answer("lds");
    talk.says("cds -a");
}

#[test]
fn a_cluster_of_a_listener_that_goes_is_removed_after_it() {
    let mut talk = Talk::synced(Delta, "cds a b lds t(=a) rds");
    talk.see("cds b lds");
    talk.says("lds -t");
    talk.answer("lds");
    talk.says("cds -a");
}

#[test]
fn a_cluster_that_comes_back_before_it_is_removed_stays() {
    let mut talk = Talk::synced(Delta, "cds a b lds l(r) rds r(h=a)");
    talk.see("cds b lds l(r) rds r(h=b)");
    talk.says("rds r(h=b)");
    talk.see("cds a b lds l(r) rds r(h=b)");
    talk.answer("rds");
    talk.says("");
    talk.see("cds a b lds l(r) rds r(h=a)");
    talk.settles("rds r(h=a)");
}

#[test]
fn a_cluster_whose_removal_is_on_its_way_is_sent_anew_before_a_route_names_it() {
    let mut talk = Talk::synced(Delta, "cds a b lds l(r) rds r(h=b)");
    talk.see("cds b lds l(r) rds r(h=b)");
    talk.says("cds -a");
    talk.see("cds a b lds l(r) rds r(h=a)");
    talk.says("");
    talk.answer("cds");
    talk.settles("cds a | eds a | rds r(h=a)");
}

#[test]
fn the_rule_may_be_written_before_the_subset_that_it_names() {
    let mut talk = Talk::synced(Delta, A);
    talk.see("cds a lds l(r) rds r(h=b)");
    talk.settles("");
    talk.see("cds a b lds l(r) rds r(h=b)");
    talk.settles("cds b | eds b | rds r(h=b)");
}

#[test]
fn the_subset_may_be_written_before_the_rule_that_names_it() {
    let mut talk = Talk::synced(Delta, A);
    talk.see("cds a b lds l(r) rds r(h=a)");
    talk.settles("cds b | eds b");
    talk.see("cds a b lds l(r) rds r(h=b)");
    talk.settles("rds r(h=b)");
}

#[test]
fn the_subset_may_be_removed_before_the_rule_that_names_it() {
    let mut talk = Talk::synced(Delta, "cds a b lds l(r) rds r(h=b)");
    talk.see("cds a lds l(r) rds r(h=b)");
    // Kept, with its endpoints, as long as the route names it.
    talk.settles("");
    assert_eq!(talk.holds("cds"), "a b");
    assert_eq!(talk.holds("eds"), "a b");
    talk.see(A);
    talk.settles("rds r(h=a) | cds -b");
    assert_eq!(talk.holds("eds"), "a");
}

#[test]
fn a_kept_cluster_is_shown_and_does_not_count_as_pending() {
    use crate::ResourceKind::{Cluster, Endpoint};
    let mut talk = Talk::synced(Delta, "cds a b lds l(r) rds r(h=b)");
    talk.see("cds a lds l(r) rds r(h=b)");
    talk.settles("");
    assert!(talk.state.is_synced());
    for kind in [Cluster, Endpoint] {
        assert!(talk.state.kept(kind).eq([&"b".into()]), "{kind:?}");
    }
    talk.see("cds a b.2 lds l(r) rds r(h=b)");
    talk.settles("cds b.2 | eds b");
    assert!(talk.state.kept(Cluster).next().is_none());
}

#[test]
fn only_the_hosts_that_name_a_missing_cluster_are_held_back() {
    let mut talk = Talk::synced(Delta, "cds a lds l(r) rds r(g=a,h=a)");
    talk.see("cds a lds l(r) rds r(g.2=a,h=b,i=a)");
    talk.settles("rds r(g.2=a,h=a,i=a)");
    // What follows goes on, too.
    talk.see("cds a lds l(r) rds r(g.3=a,h=b)");
    talk.settles("rds r(g.3=a,h=a)");
    assert!(!talk.state.is_synced());
    talk.see("cds a b lds l(r) rds r(g.3=a,h=b)");
    talk.settles("cds b | eds b | rds r(g.3=a,h=b)");
    assert!(talk.state.is_synced());
}

#[test]
fn a_new_host_that_names_a_missing_cluster_comes_with_it() {
    let mut talk = Talk::synced(Delta, A);
    talk.see("cds a lds l(r) rds r(h=a,i=b)");
    talk.settles("");
    talk.see("cds a b lds l(r) rds r(h=a,i=b)");
    talk.settles("cds b | eds b | rds r(h=a,i=b)");
}

/// A header may lead to what is missing, and everybody else to what is there.
#[test]
fn a_new_host_of_which_some_is_missing_is_not_left_out() {
    let mut talk = Talk::synced(Delta, A);
    talk.see("cds a b lds l(r) rds r(h=a,i=b+c)");
    talk.settles("cds b | eds b | rds r(h=a,i=b+c)");
    talk.see("cds a b lds l(r) rds r(h=a+d,i=b)");
    talk.settles("rds r(h=a,i=b)");
}

#[test]
fn the_host_for_all_else_is_held_back_like_the_others() {
    let mut talk = Talk::synced(Delta, "cds a lds l(r) rds r(h=a,*=a)");
    talk.see("cds a lds l(r) rds r(h.2=a,*=b)");
    talk.settles("rds r(h.2=a,*=a)");
    talk.see("cds a b lds l(r) rds r(h.2=a,*=b)");
    talk.settles("cds b | eds b | rds r(h.2=a,*=b)");
}

#[test]
fn a_held_back_host_keeps_the_cluster_that_it_goes_on_using() {
    let mut talk = Talk::synced(Delta, "cds a b lds l(r) rds r(h=a)");
    talk.see("cds b lds l(r) rds r(h=c)");
    talk.settles("");
    assert_eq!(talk.holds("cds"), "a b");
    talk.see("cds b c lds l(r) rds r(h=c)");
    talk.settles("cds c | eds c | rds r(h=c) | cds -a");
}

#[test]
fn a_listener_that_names_a_missing_cluster_stays_as_it_was() {
    let mut talk = Talk::synced(Delta, "cds a lds t(=a)");
    talk.see("cds a lds t(=b)");
    talk.settles("");
    talk.see("cds a b lds t(=b)");
    talk.settles("cds b | eds b | lds t(=b)");
}

#[test]
fn a_proxy_that_holds_nothing_is_sent_routes_to_missing_clusters_too() {
    for protocol in [Delta, Sotw] {
        let mut talk = Talk::synced(protocol, "cds a lds l(r) rds r(h=a,i=b)");
        assert_eq!(talk.holds("rds"), "r(h=a,i=b)");
        talk.settles("");
        assert!(talk.state.is_synced());
    }
}

#[test]
fn a_route_that_named_a_missing_cluster_from_the_start_is_not_held_back_by_it() {
    let mut talk = Talk::synced(Delta, "cds a lds l(r) rds r(h=a,i=b)");
    talk.see("cds a lds l(r) rds r(h.2=a,i=b)");
    talk.settles("rds r(h.2=a,i=b)");
}

#[test]
fn an_updated_cluster_is_followed_by_its_assignment_even_if_that_is_unchanged() {
    let mut talk = Talk::synced(Delta, A);
    talk.see("cds a.2 lds l(r) rds r(h=a)");
    talk.says("cds a.2 | eds a");
    talk.answer("cds eds");
    talk.says("");
    assert!(talk.proxy.warming().is_empty());
}

#[test]
fn an_updated_cluster_of_a_busy_proxy_is_followed_by_its_newest_assignment() {
    let mut talk = Talk::synced(Delta, A);
    talk.see("cds a eds a.2 lds l(r) rds r(h=a)");
    talk.says("eds a.2");
    talk.see("cds a.2 eds a.3 lds l(r) rds r(h=a)");
    talk.says("cds a.2");
    talk.answer("eds");
    talk.says("eds a.3");
    talk.answer("cds");
    talk.says("");
    talk.answer("eds");
    assert!(talk.proxy.warming().is_empty());
}

#[test]
fn changed_endpoints_go_alone() {
    for protocol in [Delta, Sotw] {
        let mut talk = Talk::synced(protocol, "cds a b lds l(r) rds r(h=a)");
        talk.see("cds a b eds a.2 lds l(r) rds r(h=a)");
        talk.settles("eds a.2");
    }
}

#[test]
fn all_clusters_go_in_one_response() {
    let names: String = (0..500).map(|number| format!(" c{number:03}")).collect();
    let mut talk = Talk::started(Delta, &format!("cds{names}"));
    talk.says(&format!("cds{names} | lds"));
}

#[test]
fn a_listener_for_the_own_pod_is_left_out() {
    for protocol in [Delta, Sotw] {
        let mut talk = Talk::started(protocol, "cds a lds p@10.0.0.9(=a) q@10.0.0.8(=a)");
        talk.settle();
        assert_eq!(talk.holds("lds"), "q@10.0.0.8(=a)");
        talk.see("cds a lds p@10.0.0.8(=a) q@10.0.0.9(=a)");
        talk.settle();
        assert_eq!(talk.holds("lds"), "p@10.0.0.8(=a)");
    }
}

#[test]
fn a_cluster_that_never_had_an_assignment_is_not_used_because_it_is_kept() {
    let mut talk = Talk::synced(Delta, A);
    talk.see("cds a b lds l(r) rds r(h=a)");
    talk.says("cds b");
    talk.answer("cds");
    talk.see("cds a lds l(r) rds r(h=b)");
    talk.settle();
    assert_eq!(talk.holds("rds"), "r(h=a)");
    talk.see("cds a b lds l(r) rds r(h=b)");
    talk.settle();
    assert_eq!(talk.holds("rds"), "r(h=b)");
}

#[test]
fn a_cluster_that_needs_no_assignment_any_more_is_not_used_before_it_says_so() {
    let mut talk = Talk::synced(Delta, A);
    talk.see("cds a b lds l(r) rds r(h=a)");
    talk.says("cds b");
    talk.see("cds a b! lds l(r) rds r(h=b)");
    talk.answer("cds");
    talk.says("cds b! | eds -b");
    talk.answer("cds");
    talk.says("rds r(h=b)");
}

#[test]
fn the_first_listeners_come_all_at_once() {
    // Envoy takes traffic after them.
    for protocol in [Delta, Sotw] {
        let mut talk = Talk::started(protocol, "cds a lds l(r) t(=a) rds r(h=a)");
        talk.says("cds a");
        talk.answer("cds");
        talk.says("eds a");
        talk.answer("eds");
        talk.says("lds l(r) t(=a)");
    }
}
