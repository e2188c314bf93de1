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
