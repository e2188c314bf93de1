//! Clusters that take long to warm.

use xds::{Protocol::Delta, Request};

use super::talk::Talk;

const BEFORE: &str = "cds a lds l(r) k(d) rds r(h=a) d vhds d/any";

/// A request waits for a host, a rule of which leads to a cluster (`s!`) whose name servers do not answer.
fn slow() -> Talk {
    let mut talk = Talk::synced(Delta, BEFORE);
    talk.see("cds a b s! lds l(r) k(d) rds r(h=a) d vhds d/any d/h1(=b+s)");
    talk.state.on_found("d/cart".into(), &"d/h1".into());
    talk.says("cds b s! | eds b");
    talk
}

/// The same some time later: all but the slow cluster is there. Its acknowledgement comes when it is warm.
fn slow_and_set_aside() -> (Talk, Request) {
    let mut talk = slow();
    let answer = talk.take_in();
    talk.answer("eds");
    talk.set_aside();
    talk.says("vhds d/h1(=b+s)");
    talk.answer("vhds");
    (talk, answer)
}

#[test]
fn a_slow_cluster_keeps_no_other_call_waiting() {
    let mut talk = slow();
    let answer = talk.take_in();
    talk.answer("eds");
    let more = "cds a b c s! lds l(r) k(d) rds r(h=a) d vhds d/any d/h1(=b+s) d/h2(=c)";
    talk.see(more);
    talk.state.on_found("d/pay".into(), &"d/h2".into());
    talk.says("");
    talk.set_aside();
    // The first call goes where it can, and the second one waits for nobody.
    talk.says("cds c | eds c | vhds d/h1(=b+s) d/h2(=c)");
    let further = talk.take_in();
    talk.answer("eds vhds");
    talk.says("");
    assert!(!talk.state.is_synced());
    talk.tell([answer, further]);
    talk.says("");
    assert!(talk.state.is_synced());
    assert_eq!(talk.state.awaited_response(), None);
}

#[test]
fn a_service_that_comes_meanwhile_is_told_without_a_call() {
    let (mut talk, answer) = slow_and_set_aside();
    talk.see("cds a b c s! lds l(r) k(d) rds r(h=c) d vhds d/any d/h1(=b+s)");
    talk.says("cds c");
    let further = talk.take_in();
    talk.says("eds c");
    talk.answer("eds");
    talk.says("rds r(h=c)");
    talk.answer("rds");
    talk.tell([further, answer]);
    assert!(talk.state.is_synced());
}

#[test]
fn a_slow_cluster_that_is_mended_is_sent_anew() {
    let (mut talk, answer) = slow_and_set_aside();
    talk.see("cds a b s.2! lds l(r) k(d) rds r(h=a) d vhds d/any d/h1(=b+s)");
    talk.says("cds s.2!");
    // The answer to the older one says nothing of it.
    talk.tell([answer]);
    assert!(!talk.state.is_synced());
    talk.answer("cds");
    assert!(talk.state.is_synced());
    assert_eq!(talk.holds("cds"), "a b s.2!");
}

/// Its class is told in rounds, each proxy perhaps once more.
#[test]
fn what_was_set_aside_is_not_sent_again() {
    let (mut talk, answer) = slow_and_set_aside();
    talk.see_others("cds a b s! lds l(r) k(d) rds r(h=a) d vhds d/any d/h1(=b+s)");
    talk.says("");
    talk.tell([answer]);
    talk.says("");
    assert!(talk.state.is_synced());
}

#[test]
fn nothing_is_set_aside_that_is_answered() {
    let mut talk = slow();
    let newest = talk.state.awaited_response().expect("a response");
    talk.answer("cds eds");
    talk.says("vhds d/h1(=b+s)");
    talk.state.set_aside(newest);
    talk.answer("vhds");
    assert!(talk.state.is_synced());
}

#[test]
fn a_cluster_that_comes_back_while_it_goes_is_waited_for() {
    let mut talk = Talk::synced(Delta, "cds a b c lds l(r) rds r(h=a)");
    talk.see("cds a.2 b lds l(r) rds r(h=a)");
    talk.says("cds a.2 -c | eds a");
    talk.set_aside();
    talk.see("cds a.2 b lds l(r) rds r(h=c)");
    talk.see("cds a.2 b c lds l(r) rds r(h=c)");
    talk.says("cds c");
    talk.settles("eds c | rds r(h=c)");
}
