//! A request waits, and what it needs goes out without a round trip in between.

use xds::{DeltaRequest, Protocol::Delta, Request};

use super::talk::Talk;
use crate::ResourceKind;

const BEFORE: &str = "cds a lds l(r) k(d) rds r(h=a) d vhds d/any";

/// A fenced proxy that calls a host, which is this cluster.
fn called(cluster: &str) -> Talk {
    let mut talk = Talk::synced(Delta, BEFORE);
    let name = cluster.trim_end_matches(['~', '!', '$']);
    talk.see(&format!("cds a {cluster} lds l(r) k(d) rds r(h=a) d vhds d/any d/h1(={name})"));
    talk.state.on_found("d/cart".into(), &"d/h1".into());
    talk
}

#[test]
fn a_first_call_takes_one_round_trip() {
    let mut talk = called("b");
    talk.says("cds b | eds b | vhds d/h1(=b)");
    talk.answer("cds eds vhds");
    talk.says("");
    assert!(talk.state.is_synced());
    assert_eq!([talk.holds("eds"), talk.holds("vhds")], ["a b", "d/any d/h1(=b)"]);
}

#[test]
fn nothing_is_sent_ahead_that_nobody_waits_for() {
    let mut talk = Talk::synced(Delta, BEFORE);
    talk.see("cds a b lds l(r) k(d) rds r(h=a) d vhds d/any d/h1(=b)");
    talk.says("cds b");
    talk.answer("cds");
    talk.says("eds b");
    talk.answer("eds");
    talk.says("vhds d/h1(=b)");
}

#[test]
fn a_cluster_that_can_be_used_later_is_waited_for() {
    let mut talk = called("b~");
    talk.says("cds b~ | eds b");
    talk.answer("cds eds");
    talk.says("vhds d/h1(=b)");
    let mut talk = called("b!");
    talk.says("cds b!");
    talk.answer("cds");
    talk.says("vhds d/h1(=b)");
}

/// Envoy fetches it when it has the cluster.
#[test]
fn a_cluster_whose_secret_the_proxy_lacks_is_waited_for() {
    let mut talk = called("b$");
    talk.says("cds b$ | eds b");
    talk.answer("cds eds");
    talk.says("vhds d/h1(=b)");
    let mut talk = Talk::synced(Delta, &format!("{BEFORE} sds s"));
    talk.ask("sds", "s");
    talk.settles("sds s");
    talk.see("cds a b$ lds l(r) k(d) rds r(h=a) d vhds d/any d/h1(=b) sds s");
    talk.state.on_found("d/cart".into(), &"d/h1".into());
    talk.says("cds b$ | eds b | vhds d/h1(=b)");
}

/// Had it wanted the assignment when that came, it would have asked before it answered.
#[test]
fn what_a_proxy_looked_past_is_sent_when_it_asks() {
    for asks_with_answer in [true, false] {
        let mut talk = called("b");
        talk.says("cds b | eds b | vhds d/h1(=b)");
        let request = |nonce: &str, names: &[&str]| {
            Request::Delta(DeltaRequest {
                type_url: ResourceKind::Endpoint.type_url().to_owned(),
                response_nonce: nonce.to_owned(),
                resource_names_subscribe: names.iter().map(ToString::to_string).collect(),
                ..DeltaRequest::default()
            })
        };
        let nonce = talk.nonce("eds");
        match asks_with_answer {
            true => talk.tell([request(&nonce, &["b"])]),
            false => {
                talk.tell([request(&nonce, &[])]);
                talk.says("");
                talk.tell([request("", &["b"])]);
            }
        }
        talk.says("eds b");
    }
}

#[test]
fn an_assignment_ahead_of_a_refused_cluster_is_sent_with_the_next_one() {
    let mut talk = called("b");
    talk.says("cds b | eds b | vhds d/h1(=b)");
    talk.refuse("cds", "bad");
    talk.answer("eds vhds");
    talk.see("cds a b.2 lds l(r) k(d) rds r(h=a) d vhds d/any d/h1(=b)");
    talk.says("cds b.2");
    talk.answer("cds");
    talk.says("eds b");
    talk.answer("eds");
    talk.settles("");
    assert_eq!(talk.holds("eds"), "a b");
}

/// The stream ended before the assignment came. An Envoy that was fenced from its start asks for assignments
/// behind all else.
#[test]
fn a_proxy_that_comes_back_with_a_cluster_that_waits_is_sent_no_route_before_the_assignment() {
    let mut talk = called("b");
    talk.says("cds b | eds b | vhds d/h1(=b)");
    talk.answer("cds");
    let requests = talk.new_stream("cds a b lds l(r) k(d) rds r(h=a) d vhds d/any d/h1(=b)");
    let (assignments, others): (Vec<_>, Vec<_>) = requests.into_iter().partition(|request| {
        let Request::Delta(request) = request else { return false };
        request.type_url == ResourceKind::Endpoint.type_url()
    });
    talk.tell(others);
    talk.state.on_found("d/cart".into(), &"d/h1".into());
    talk.says("");
    talk.tell(assignments);
    talk.says("eds b | vhds d/h1(=b)");
}
