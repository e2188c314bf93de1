//! Questions that have no answer when they come.

use xds::{DeltaRequest, Protocol::Delta, Request};

use super::talk::Talk;
use crate::ResourceKind;

/// The questions for which an answer is looked for now: new ones, and those of before.
fn taken(talk: &mut Talk) -> [Vec<String>; 2] {
    let open = talk.state.take_questions();
    [open.new, open.again].map(|it| it.iter().map(|question| question.to_string()).collect())
}

#[test]
fn a_question_is_asked_again_once_its_route_configuration_is_to_be_had() {
    let mut talk = Talk::synced(Delta, "cds a lds l(r) rds r(h=a)");
    talk.state.on_request(&Request::Delta(DeltaRequest {
        type_url: ResourceKind::VirtualHost.type_url().to_owned(),
        resource_names_subscribe: vec!["d/cart".to_owned()],
        ..DeltaRequest::default()
    }));
    assert_eq!(taken(&mut talk), [vec!["d/cart".to_owned()], vec![]]);
    // What has changed is about others.
    talk.see("cds a b lds l(r) rds r(h=b)");
    talk.state.ask_again();
    assert_eq!(taken(&mut talk), [[""; 0]; 2]);
    talk.see("cds a b lds l(r) k(d) rds r(h=b) d(h1=a) vhds d/h1(=a)");
    talk.state.ask_again();
    assert_eq!(taken(&mut talk), [vec![], vec!["d/cart".to_owned()]]);
    talk.state.on_found("d/cart".into(), &"d/h1".into());
    talk.state.ask_again();
    assert_eq!(taken(&mut talk), [[""; 0]; 2]);
}

/// An answer that went before it was sent is not sent because of the question when it is back: another one is
/// looked for.
#[test]
fn nobody_waits_for_an_answer_that_was_gone() {
    let lazy = "cds a lds l(r) k(d) rds r(h=a) d(h1=a) vhds d/h1(=a)";
    let mut talk = Talk::synced(Delta, lazy);
    talk.state.on_found("d/cart".into(), &"d/h1".into());
    talk.see("cds a lds l(r) k(d) rds r(h=a) d");
    talk.state.ask_again();
    talk.see(lazy);
    assert_eq!(taken(&mut talk), [vec![], vec!["d/cart".to_owned()]]);
    talk.settles("");
    talk.state.on_found("d/cart".into(), &"d/h1".into());
    assert_eq!(talk.state.unanswered().len(), 1);
    talk.says("vhds d/h1(=a)");
    let answered: Vec<_> = talk.state.answered().map(|it| it.to_string()).collect();
    assert_eq!((answered, talk.state.unanswered().len()), (vec!["d/cart".to_owned()], 0));
}

/// A response that answers something is refused for another of its hosts, after the answer went.
#[test]
fn what_was_refused_and_is_gone_is_asked_again() {
    let lazy = "cds a lds l(r) k(d) rds r(h=a) d vhds d/any";
    let mut talk = Talk::synced(Delta, lazy);
    talk.see("cds a lds l(r) k(d) rds r(h=a) d vhds d/any d/h1(=a)");
    talk.state.on_found("d/cart".into(), &"d/h1".into());
    talk.says("vhds d/h1(=a)");
    talk.see(lazy);
    talk.state.ask_again();
    assert_eq!(taken(&mut talk), [[""; 0]; 2], "it is on its way");
    talk.refuse("vhds", "bad");
    assert_eq!(taken(&mut talk), [vec![], vec!["d/cart".to_owned()]]);
}

/// A name of a cluster is a question where all clusters are sent.
#[test]
fn a_connection_waits_for_a_cluster_until_that_is_found_or_refused() {
    let name = "outbound|443||secure";
    let mut talk = Talk::synced(Delta, "cds a lds l(r) rds r(h=a)");
    let ask = |talk: &mut Talk| {
        talk.state.on_request(&Request::Delta(DeltaRequest {
            type_url: ResourceKind::Cluster.type_url().to_owned(),
            resource_names_subscribe: vec![name.to_owned()],
            ..DeltaRequest::default()
        }));
        talk.settles("");
        assert_eq!(taken(talk), [vec![name.to_owned()], vec![]]);
    };
    ask(&mut talk);
    talk.state.refuse_clusters();
    talk.says(&format!("cds -{name}"));
    talk.answer("cds");
    talk.settles("");
    ask(&mut talk);
    talk.state.on_found(name.into(), &name.into());
    talk.state.refuse_clusters();
    // It comes with the view that it was found in.
    talk.settles("");
}

/// A proxy whose listeners still drain when its fence is back asks for no name again.
#[test]
fn what_was_answered_before_a_fence_went_is_answered_when_it_is_back() {
    let lazy = "cds a lds l(r) k(d) rds r(h=a) d";
    let mut talk = Talk::synced(Delta, &format!("{lazy} vhds d/any d/h1(=a)"));
    for (question, answer) in [("d/nobody", "d/any"), ("d/cart", "d/h1")] {
        talk.state.on_found(question.into(), &answer.into());
    }
    talk.settle();
    // The listener is as one that drains.
    talk.see("cds a lds l(r) k(d) rds r(h=a)");
    talk.state.ask_again();
    talk.settle();
    assert_eq!(taken(&mut talk), [[""; 0]; 2]);
    talk.see(&format!("{lazy} vhds d/h1(=a)"));
    talk.state.ask_again();
    assert_eq!(taken(&mut talk), [vec![], vec!["d/nobody".to_owned()]]);
    talk.see(&format!("{lazy} vhds d/h1(=a) d/any"));
    talk.state.on_found("d/nobody".into(), &"d/any".into());
    talk.state.ask_again();
    assert_eq!(taken(&mut talk), [[""; 0]; 2], "once");
}

/// The proxy is of another class now, or what answered is no more: the route configuration stays.
#[test]
fn what_was_answered_is_looked_for_again_when_the_answer_is_gone() {
    let lazy = "cds a lds l(r) k(d) rds r(h=a) d vhds";
    for tells_all in [true, false] {
        let mut talk = Talk::synced(Delta, &format!("{lazy} d/any d/h1(=a) d/h2(=a)"));
        for (question, answer) in [("d/nobody", "d/any"), ("d/cart", "d/h1"), ("d/pay", "d/h2")] {
            talk.state.on_found(question.into(), &answer.into());
        }
        talk.settle();
        match tells_all {
            true => talk.see_others(&format!("{lazy} d/h2(=a)")),
            false => talk.see(&format!("{lazy} d/h2(=a)")),
        }
        talk.state.ask_again();
        assert_eq!(taken(&mut talk), [vec![], vec!["d/nobody".to_owned(), "d/cart".to_owned()]]);
        talk.see(&format!("{lazy} d/any d/h1(=a) d/h2(=a)"));
        for (question, answer) in [("d/nobody", "d/any"), ("d/cart", "d/h1")] {
            talk.state.on_found(question.into(), &answer.into());
        }
        talk.settles("vhds d/any d/h1(=a)");
        assert_eq!(talk.holds("vhds"), "d/any d/h1(=a) d/h2(=a)");
        talk.state.ask_again();
        assert_eq!(taken(&mut talk), [[""; 0]; 2], "once");
    }
}

/// The same of clusters, which would be taken away with the fence's return.
#[test]
fn a_cluster_that_was_asked_for_is_asked_for_again_before_it_goes() {
    let name = "outbound|443||secure";
    let mut talk = Talk::synced(Delta, "cds a lds l(r) rds r(h=a)");
    talk.state.on_request(&Request::Delta(DeltaRequest {
        type_url: ResourceKind::Cluster.type_url().to_owned(),
        resource_names_subscribe: vec![name.to_owned()],
        ..DeltaRequest::default()
    }));
    assert_eq!(taken(&mut talk), [vec![name.to_owned()], vec![]]);
    let with = format!("cds a {name} lds l(r) rds r(h=a)");
    talk.see(&with);
    talk.state.on_found(name.into(), &name.into());
    talk.settle();
    talk.state.ask_again();
    assert_eq!(taken(&mut talk), [[""; 0]; 2]);
    talk.see("cds a lds l(r) rds r(h=a)");
    talk.state.ask_again();
    assert_eq!(taken(&mut talk), [vec![], vec![name.to_owned()]]);
    // Its service is there: it never went.
    talk.see(&with);
    talk.state.on_found(name.into(), &name.into());
    talk.settles("");
    talk.see("cds a lds l(r) rds r(h=a)");
    talk.state.ask_again();
    assert_eq!(taken(&mut talk), [vec![], vec![name.to_owned()]]);
    talk.state.refuse_clusters();
    talk.settle();
    talk.state.ask_again();
    assert_eq!(taken(&mut talk), [[""; 0]; 2], "it is gone, and known to be");
}
