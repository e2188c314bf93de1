//! The rules of the delta protocol, and what holds in both.

use xds::Protocol::{Delta, Sotw};

use super::talk::Talk;

const A: &str = "cds a lds l(r) rds r(h=a)";

#[test]
fn nothing_is_said_before_the_proxy_asks() {
    for protocol in [Delta, Sotw] {
        let mut talk = Talk::new(protocol, A);
        talk.says("");
        talk.see("cds a b lds l(r) rds r(h=a)");
        talk.says("");
    }
}

#[test]
fn empty_first_answers_of_clusters_and_listeners_are_sent_once() {
    for protocol in [Delta, Sotw] {
        let mut talk = Talk::started(protocol, "");
        talk.settles("cds | lds");
        talk.see("rds r()");
        talk.settles("");
    }
}

#[test]
fn a_start_goes_in_the_order_that_envoy_needs() {
    let mut talk = Talk::started(Delta, A);
    // The listener names no cluster by itself.
    talk.says("cds a | lds l(r)");
    talk.answer("cds");
    talk.says("eds a");
    talk.answer("lds");
    // The route is asked for, and waits for the cluster that it names.
    talk.says("");
    talk.answer("eds");
    talk.says("rds r(h=a)");
}

#[test]
fn unknown_routes_are_answered_by_empty_ones() {
    for protocol in [Delta, Sotw] {
        let mut talk = Talk::synced(protocol, "lds l(r)");
        assert_eq!(talk.holds("rds"), "r()");
        talk.see("cds a lds l(r) rds r(h=a)");
        talk.settle();
        assert_eq!(talk.holds("rds"), "r(h=a)");
    }
}

#[test]
fn a_route_that_is_gone_stays_until_no_listener_asks_for_it() {
    let mut talk = Talk::synced(Delta, A);
    talk.see("cds b lds l(s) rds s(h=b)");
    // The old listener serves until the new one has its route.
    talk.says("cds b | lds l(s)");
    assert_eq!(talk.holds("rds"), "r(h=a)");
    talk.answer("cds");
    talk.says("eds b");
    talk.answer("eds lds");
    talk.says("cds -a | rds s(h=b)");
}

#[test]
fn a_route_that_is_gone_is_answered_by_an_empty_one_when_it_is_asked_for_again() {
    let mut talk = Talk::synced(Delta, A);
    talk.see("cds a lds l(r)");
    talk.settles("");
    talk.ask("rds", "");
    talk.ask("rds", "r");
    talk.settles("rds r()");
}

#[test]
fn unknown_assignments_and_clusters_are_answered_as_removed() {
    let mut talk = Talk::synced(Delta, A);
    talk.ask("eds", "a x");
    talk.settles("eds -x");
    talk.ask("cds", "y");
    talk.settles("cds -y");
}

#[test]
fn an_unknown_assignment_is_sent_when_it_comes() {
    let mut talk = Talk::synced(Delta, A);
    talk.ask("eds", "a x");
    talk.settles("eds -x");
    talk.see("cds a eds x lds l(r) rds r(h=a)");
    talk.settles("eds x");
}

#[test]
fn at_most_one_response_of_a_type_waits_and_later_changes_merge() {
    for protocol in [Delta, Sotw] {
        let mut talk = Talk::synced(protocol, A);
        talk.see("cds a eds a.2 lds l(r) rds r(h=a)");
        talk.says("eds a.2");
        for version in 3..50 {
            talk.see(&format!("cds a eds a.{version} lds l(r) rds r(h=a)"));
            talk.says("");
        }
        talk.answer("eds");
        talk.says("eds a.49");
        talk.answer("eds");
        talk.says("");
    }
}

#[test]
fn what_changes_back_while_the_proxy_is_silent_is_not_sent() {
    let mut talk = Talk::synced(Delta, "cds a b lds l(r) rds r(h=a)");
    talk.see("cds a b eds a.2 b lds l(r) rds r(h=a)");
    talk.says("eds a.2");
    talk.see("cds a b eds a.2 b.2 lds l(r) rds r(h=a)");
    talk.see("cds a b eds a.2 b lds l(r) rds r(h=a)");
    talk.answer("eds");
    talk.says("");
}

#[test]
fn what_changes_back_after_it_was_sent_is_sent_again() {
    let mut talk = Talk::synced(Delta, A);
    talk.see("cds a eds a.2 lds l(r) rds r(h=a)");
    talk.says("eds a.2");
    talk.see(A);
    talk.answer("eds");
    talk.settles("eds a");
}

#[test]
fn a_silent_type_holds_up_no_other() {
    let mut talk = Talk::synced(Delta, A);
    talk.see("cds a lds l.2(r) rds r(h=a)");
    talk.says("lds l.2(r)");
    talk.see("cds a eds a.2 lds l.2(r) rds r(h.2=a)");
    talk.says("eds a.2 | rds r(h.2=a)");
}

#[test]
fn a_reconnect_with_nothing_changed_is_sent_no_resource() {
    let mut talk = Talk::synced(Delta, A);
    talk.reconnect(A);
    talk.settles("");
    assert!(talk.state.is_synced());
}

#[test]
fn a_reconnect_is_sent_exactly_what_has_changed() {
    let mut talk = Talk::synced(Delta, "cds a b lds l(r) rds r(h=a)");
    talk.reconnect("cds a b eds b.2 lds l(r) rds r(h.2=a)");
    talk.settles("eds b.2 | rds r(h.2=a)");
}

#[test]
fn a_reconnect_is_told_what_is_gone() {
    let mut talk = Talk::synced(Delta, "cds a b lds l(r) m(r) rds r(h=a)");
    talk.reconnect("cds a lds l(r) rds r(h=a)");
    talk.settles("lds -m | cds -b");
    assert_eq!(talk.holds("cds"), "a");
    assert_eq!(talk.holds("lds"), "l(r)");
}

#[test]
fn a_reconnecting_proxy_keeps_the_cluster_that_its_old_route_names() {
    let mut talk = Talk::synced(Delta, A);
    talk.reconnect("cds b lds l(r) rds r(h=b)");
    talk.settles("cds b | eds b | rds r(h=b) | cds -a");
}

#[test]
fn a_reconnecting_proxy_keeps_the_cluster_that_its_old_listener_names() {
    let mut talk = Talk::synced(Delta, "cds a lds t(=a)");
    talk.reconnect("cds b lds t(=b)");
    talk.settles("cds b | eds b | lds t(=b) | cds -a");
}

#[test]
fn a_reconnecting_proxy_that_asks_for_clusters_first_loses_none() {
    let mut talk = Talk::synced(Delta, "cds a b lds l(r) rds r(h=a)");
    let requests = talk.new_stream("cds b lds l(r) rds r(h=b)");
    for request in requests {
        talk.tell([request]);
        let said = talk.hear();
        assert!(!said.contains("-a"), "{said}");
    }
    talk.answer("rds");
    talk.says("cds -a");
}

#[test]
fn an_updated_cluster_is_followed_by_its_assignment_after_a_reconnect_too() {
    let mut talk = Talk::synced(Delta, A);
    talk.reconnect("cds a.2 lds l(r) rds r(h=a)");
    talk.settles("cds a.2 | eds a");
    assert!(talk.proxy.warming().is_empty());
}

#[test]
fn asking_for_a_name_again_means_send_it_again() {
    let mut talk = Talk::synced(Delta, "cds a b lds l(r) rds r(h=a)");
    talk.ask("eds", "a");
    talk.settles("");
    talk.ask("eds", "a b");
    talk.settles("eds b");
}

#[test]
fn what_is_not_asked_for_is_not_sent() {
    let mut talk = Talk::synced(Delta, "cds a b lds l(r) rds r(h=a)");
    talk.ask("eds", "a");
    talk.see("cds a b eds a b.2 lds l(r) rds r(h=a) s(h=a)");
    talk.settles("");
}

#[test]
fn a_removed_cluster_that_comes_back_is_sent_with_its_assignment() {
    for protocol in [Delta, Sotw] {
        let mut talk = Talk::synced(protocol, "cds a b lds l(r) rds r(h=a)");
        talk.see(A);
        talk.settle();
        assert_eq!(talk.holds("eds"), "a");
        talk.see("cds a b lds l(r) rds r(h=a)");
        talk.settle();
        assert_eq!(talk.holds("eds"), "a b");
        assert!(talk.proxy.warming().is_empty());
    }
}

#[test]
fn a_type_that_is_not_served_is_ignored() {
    let mut talk = Talk::synced(Delta, A);
    let type_url = envoy::type_url::SECRET.to_owned();
    let request = xds::DeltaRequest { type_url, ..xds::DeltaRequest::default() };
    talk.tell([xds::Request::Delta(request)]);
    talk.settles("");
}

#[test]
fn a_cluster_that_is_updated_before_its_assignment_is_asked_for_gets_it_all_the_same() {
    let mut talk = Talk::synced(Delta, A);
    let mut requests = talk.new_stream("cds a.2 lds l(r) rds r(h=a)").into_iter();
    talk.tell(requests.next());
    talk.says("cds a.2");
    talk.tell(requests);
    talk.says("eds a");
    talk.answer("cds eds");
    assert!(talk.proxy.warming().is_empty());
}

#[test]
fn a_client_that_never_says_what_uses_its_clusters_is_told_what_is_gone_after_a_while() {
    let mut talk = Talk::synced(Delta, "cds a b");
    let clusters = talk.new_stream("cds a").into_iter().next();
    talk.tell(clusters);
    talk.says("");
    assert!(talk.state.is_resuming());
    talk.state.end_resumption();
    talk.says("cds -b");
}
