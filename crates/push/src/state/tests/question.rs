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
