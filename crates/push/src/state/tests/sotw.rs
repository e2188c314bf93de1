//! The rules of the state-of-the-world protocol.

use envoy::service::discovery::v3::DiscoveryRequest;
use xds::{Protocol::Sotw, Request};

use super::talk::Talk;
use crate::ResourceKind;

const A: &str = "cds a lds l(r) rds r(h=a)";

fn request(kind: ResourceKind, names: &[&str], version: &str, nonce: &str) -> Request {
    Request::Sotw(DiscoveryRequest {
        type_url: kind.type_url().to_owned(),
        resource_names: names.iter().map(ToString::to_string).collect(),
        version_info: version.to_owned(),
        response_nonce: nonce.to_owned(),
        ..DiscoveryRequest::default()
    })
}

#[test]
fn clusters_and_listeners_are_sent_whole() {
    let mut talk = Talk::synced(Sotw, A);
    talk.see("cds a b lds l(r) m(r) rds r(h=a)");
    talk.settles("cds a b | lds l(r) m(r) | eds b");
    talk.see("cds a lds l.2(r) rds r(h=a)");
    talk.settles("cds a | lds l.2(r)");
    assert_eq!(talk.holds("cds"), "a");
}

#[test]
fn a_cluster_stays_in_the_whole_until_no_route_names_it() {
    let mut talk = Talk::synced(Sotw, A);
    talk.see("cds b lds l(r) rds r(h=b)");
    talk.says("cds a b");
    talk.answer("cds");
    talk.says("eds b");
    talk.answer("eds");
    talk.says("rds r(h=b)");
    talk.answer("rds");
    talk.says("cds b");
}

#[test]
fn a_listener_that_waits_is_left_as_it_was_in_the_whole() {
    let mut talk = Talk::synced(Sotw, "cds a lds t(=a) u(=a)");
    talk.see("cds a b lds t(=b) u.2(=a)");
    talk.says("cds a b | lds t(=a) u.2(=a)");
    talk.answer("cds lds");
    talk.settles("eds b | lds t(=b) u.2(=a)");
}

#[test]
fn routes_and_assignments_are_sent_alone() {
    let mut talk = Talk::synced(Sotw, "cds a b lds l(r) m(s) rds r(h=a) s(h=a)");
    talk.see("cds a b eds a b.2 lds l(r) m(s) rds r(h=a) s(h.2=a)");
    talk.settles("eds b.2 | rds s(h.2=a)");
}

#[test]
fn an_unknown_assignment_has_no_answer() {
    let mut talk = Talk::synced(Sotw, A);
    talk.ask("eds", "a x");
    talk.settle();
    talk.see("cds a eds x lds l(r) rds r(h=a)");
    talk.settles("eds x");
}

#[test]
fn a_new_list_of_names_is_the_subscription() {
    let mut talk = Talk::synced(Sotw, "cds a b lds l(r) rds r(h=a)");
    talk.ask("eds", "b");
    talk.settles("");
    talk.see("cds a b eds a.2 b.2 lds l(r) rds r(h=a)");
    talk.settles("eds b.2");
    talk.ask("eds", "a b");
    talk.settles("eds a.2");
}

#[test]
fn a_request_to_an_older_response_answers_nothing() {
    let mut talk = Talk::synced(Sotw, A);
    talk.see("cds a eds a.2 lds l(r) rds r(h=a)");
    talk.says("eds a.2");
    talk.tell([request(ResourceKind::Endpoint, &["a", "x"], "", "1")]);
    talk.see("cds a eds a.3 x lds l(r) rds r(h=a)");
    talk.says("");
    // What it asks for counts until the next request says otherwise.
    assert_eq!(talk.state.pending(ResourceKind::Endpoint), 3);
    talk.answer("eds");
    talk.says("eds a.3");
}

#[test]
fn asking_again_with_the_same_words_is_answered_once() {
    let mut talk = Talk::synced(Sotw, A);
    talk.see("cds a.2 lds l(r) rds r(h=a)");
    // Envoy repeats its request for what warms; the assignment is on its way already.
    talk.settles("cds a.2 | eds a");
    assert!(talk.proxy.warming().is_empty());
}

#[test]
fn a_reconnect_with_nothing_changed_is_sent_nothing() {
    let mut talk = Talk::synced(Sotw, A);
    talk.reconnect(A);
    talk.settles("");
    assert!(talk.state.is_synced());
    talk.see("cds a eds a.2 lds l(r) rds r(h=a)");
    talk.settles("eds a.2");
}

#[test]
fn a_reconnect_is_sent_the_types_that_have_changed() {
    let mut talk = Talk::synced(Sotw, A);
    talk.reconnect("cds a lds l(r) rds r(h.2=a)");
    talk.settles("rds r(h.2=a)");
    talk.reconnect("cds a b lds l(r) rds r(h.2=a)");
    talk.settle();
    assert_eq!(talk.holds("cds"), "a b");
    assert_eq!(talk.holds("eds"), "a b");
}

#[test]
fn another_version_of_a_fresh_proxy_means_nothing() {
    let mut talk = Talk::new(Sotw, A);
    talk.tell([request(ResourceKind::Cluster, &[], "somebody else's", "7")]);
    talk.says("cds a");
}

#[test]
fn clusters_that_are_asked_for_by_name_are_sent_by_name() {
    let mut talk = Talk::new(Sotw, "cds a b c");
    talk.tell([request(ResourceKind::Cluster, &["a"], "", "")]);
    talk.says("cds a");
    talk.tell([request(ResourceKind::Cluster, &["a", "b"], "", "1")]);
    talk.says("cds a b");
    // No names after some is nothing, not everything.
    talk.tell([request(ResourceKind::Cluster, &[], "", "2")]);
    talk.see("cds a.2 b.2 c.2");
    talk.says("");
}

#[test]
fn a_client_that_asks_for_clusters_by_name_gets_its_route_first() {
    let mut talk = Talk::new(Sotw, A);
    talk.tell([request(ResourceKind::Listener, &["l"], "", "")]);
    talk.says("lds l(r)");
    talk.tell([request(ResourceKind::Route, &["r"], "", "")]);
    talk.says("rds r(h=a)");
    talk.tell([request(ResourceKind::Cluster, &["a"], "", "")]);
    talk.says("cds a");
    talk.tell([request(ResourceKind::Endpoint, &["a"], "", "")]);
    talk.says("eds a");
}

#[test]
fn a_version_stands_for_what_was_sent_and_not_for_what_waits() {
    let mut talk = Talk::synced(Sotw, "cds a lds l(r) m(s) rds r(h=a) s(h=a)");
    let next = "cds a b lds l(r) m(s) rds r(h=b) s(h.2=a)";
    talk.see(next);
    talk.says("cds a b | rds s(h.2=a)");
    talk.answer("rds");
    talk.reconnect(next);
    talk.settle();
    assert_eq!(talk.holds("rds"), "r(h=b) s(h.2=a)");
}

#[test]
fn a_reconnect_that_updates_clusters_is_sent_all_assignments() {
    let mut talk = Talk::synced(Sotw, "cds a b lds l(r) rds r(h=a)");
    talk.reconnect("cds a.2 b lds l(r) rds r(h=a)");
    talk.settles("cds a.2 b | eds a b");
    assert!(talk.proxy.warming().is_empty());
}

#[test]
fn what_a_proxy_asks_for_because_of_this_stream_is_sent_whatever_its_version() {
    let mut talk = Talk::synced(Sotw, A);
    talk.see("cds a rds r(h=a)");
    talk.settle();
    assert_eq!(talk.holds("rds"), "");
    // Envoy goes on naming the version of the last response, whose routes it has dropped.
    talk.reconnect(A);
    talk.settles("lds l(r) | rds r(h=a)");
}

#[test]
fn a_cluster_that_is_asked_for_by_name_stays_until_nobody_asks() {
    let mut talk = Talk::new(Sotw, "cds a b");
    talk.tell([request(ResourceKind::Cluster, &["a", "b"], "", "")]);
    talk.says("cds a b");
    talk.tell([request(ResourceKind::Cluster, &["a", "b"], "", "1")]);
    // A call may be on its way to it, though no route leads there any more.
    talk.see("cds b");
    talk.says("");
    talk.see("cds b.2");
    talk.says("cds a b.2");
    talk.tell([request(ResourceKind::Cluster, &["b"], "", "2")]);
    talk.see("cds b.3");
    talk.says("cds b.3");
}
