//! Random meshes, delays, refusals and reconnects, and a proxy that behaves like Envoy.
//!
//! At every step, no listener or route of the proxy names a cluster that cannot be used; at the
//! end, the proxy holds exactly what the mesh says, and whatever it asked for was answered.

mod line;
mod mesh;

use std::sync::Arc;

use proptest::{collection::vec, prelude::*};
use xds::Protocol;

use self::{
    line::Line,
    mesh::{Mesh, Move, lazy_moves, moves, one_move},
};
use super::language::{render, views};
use crate::{facet::unknown_route, parcels::Parcels};

fn check(protocol: Protocol, moves: &[Move]) -> Result<(), TestCaseError> {
    let mut line = Line::new(protocol, Mesh::new(), Arc::default());
    for step in moves {
        line.step(step)?;
    }
    line.mesh.heal();
    line.show();
    line.settle()?;
    line.check_end()
}

/// Proxies of two classes, told in rounds.
struct Crowd {
    mesh: Mesh,
    lines: Vec<Line>,
}

/// How many proxies there are, and how many classes.
const PROXIES: usize = 3;
const CLASSES: usize = 2;

impl Crowd {
    fn new(protocol: Protocol) -> Self {
        let (mesh, parcels) = (Mesh::new(), Arc::new(Parcels::default()));
        parcels.open();
        let line = |number| Line::new(protocol, mesh.seen_by(number % CLASSES), parcels.clone());
        let lines = (0..PROXIES).map(line).collect();
        Self { mesh, lines }
    }

    fn step(&mut self, proxy: usize, step: &Move) -> Result<(), TestCaseError> {
        match step {
            Move::Tell => self.tell(),
            change if self.mesh.apply(change) => {}
            other => self.lines[proxy].step(other)?,
        }
        Ok(())
    }

    fn tell(&mut self) {
        for class in 0..CLASSES {
            let mesh = self.mesh.seen_by(class);
            let facets = views(&mesh.content(), 1);
            for line in self.lines.iter_mut().skip(class).step_by(CLASSES) {
                line.mesh = mesh.clone();
                line.show_views(facets.clone());
            }
        }
    }
}

fn check_crowd(protocol: Protocol, moves: &[(usize, Move)]) -> Result<(), TestCaseError> {
    let mut crowd = Crowd::new(protocol);
    for (proxy, step) in moves {
        crowd.step(*proxy, step)?;
    }
    crowd.mesh.heal();
    crowd.tell();
    for line in &mut crowd.lines {
        line.settle()?;
        line.check_end()?;
    }
    Ok(())
}

fn crowd_moves() -> impl Strategy<Value = Vec<(usize, Move)>> {
    vec((0..PROXIES, prop_oneof![5 => one_move(), 1 => Just(Move::Tell)]), 1..100)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_delta_proxy_never_breaks_and_ends_up_with_everything(moves in moves()) {
        check(Protocol::Delta, &moves)?;
    }

    #[test]
    fn a_fenced_proxy_never_breaks_and_is_answered_all_that_it_asks(moves in lazy_moves()) {
        check(Protocol::Delta, &moves)?;
    }

    #[test]
    fn a_sotw_proxy_never_breaks_and_ends_up_with_everything(moves in moves()) {
        check(Protocol::Sotw, &moves)?;
    }

    #[test]
    fn delta_proxies_told_in_rounds_end_up_with_everything(moves in crowd_moves()) {
        check_crowd(Protocol::Delta, &moves)?;
    }

    #[test]
    fn sotw_proxies_told_in_rounds_end_up_with_everything(moves in crowd_moves()) {
        check_crowd(Protocol::Sotw, &moves)?;
    }
}

/// Found by the first test above: an assignment that followed its cluster was taken while others of
/// a refused response waited for a better version, and then sent with them again.
#[test]
fn what_is_on_its_way_is_not_sent_again_with_what_was_refused_beside_it() {
    use Move::{Assignment, Cluster, Hear, Receive, Send};
    let moves = [
        Cluster(0, Some(1)),
        Assignment(1, 3),
        Hear,
        Send,
        Receive,
        Hear,
        Cluster(0, Some(0)),
        Hear,
        Assignment(2, 0),
        Send,
        Receive,
        Hear,
        Hear,
        Send,
        Send,
    ];
    check(Protocol::Delta, &moves).unwrap();
}

/// Found by the second test above: a cluster was taken back before its proxy could ask for the
/// assignment, and counted as one that needs none.
#[test]
fn a_cluster_that_was_taken_back_before_its_assignment_came_is_not_used() {
    use Move::{Cluster, Fixed, Hear, Receive, Send, Tcp};
    let moves = [
        Hear,
        Cluster(1, None),
        Hear,
        Send,
        Receive,
        Hear,
        Send,
        Tcp(Some((0, 2))),
        Receive,
        Cluster(2, Some(1)),
        Hear,
        Send,
        Hear,
        Receive,
        Hear,
        Send,
        Fixed(2),
        Cluster(1, Some(0)),
        Send,
        Tcp(Some((0, 1))),
        Hear,
        Receive,
        Send,
        Receive,
        Cluster(1, None),
        Receive,
        Hear,
        Hear,
        Send,
        Hear,
        Hear,
        Hear,
        Send,
    ];
    check(Protocol::Sotw, &moves).unwrap();
}

/// Found by the same test: a cluster came, and before its assignment was asked for another one came and
/// went. The proxy counted as holding the first.
#[test]
fn an_assignment_that_nobody_asked_for_yet_is_not_held() {
    use Move::{Cluster, Hear, Receive, Send};
    let moves = [
        Hear,
        Cluster(0, None),
        Cluster(1, None),
        Send,
        Hear,
        Receive,
        Hear,
        Hear,
        Send,
        Receive,
        Hear,
        Cluster(0, Some(0)),
        Send,
        Send,
        Cluster(1, Some(0)),
        Cluster(1, None),
        Send,
    ];
    for protocol in [Protocol::Delta, Protocol::Sotw] {
        check(protocol, &moves).unwrap();
    }
}

/// Found by the same test: the request for an assignment named the response before the last one and did
/// not count, so that its cluster, which became one without an assignment, was taken for usable.
#[test]
fn what_a_late_request_asks_for_is_waited_for() {
    use Move::{Assignment, Cluster, Fixed, Hear, Host, Receive, Send};
    let moves = [
        Hear,
        Cluster(0, None),
        Hear,
        Send,
        Receive,
        Hear,
        Send,
        Send,
        Host(0, 0, Some((0, [0].into()))),
        Hear,
        Receive,
        Cluster(0, Some(0)),
        Receive,
        Hear,
        Send,
        Assignment(1, 1),
        Hear,
        Cluster(0, Some(1)),
        Send,
        Receive,
        Hear,
        Hear,
        Hear,
        Send,
        Fixed(0),
        Cluster(1, None),
    ];
    check(Protocol::Sotw, &moves).unwrap();
}

/// Found by the same test: a proxy came back with a cluster and refused its successor. Nobody had the
/// bytes of what it went on with, so that the next response left that out.
#[test]
fn what_a_proxy_came_back_with_stays_when_its_successor_is_refused() {
    use Move::{Cluster, Hear, Host, Receive, Reconnect, Send};
    let moves = [
        Hear,
        Send,
        Receive,
        Hear,
        Hear,
        Send,
        Receive,
        Cluster(2, Some(3)),
        Reconnect,
        Hear,
        Hear,
        Hear,
        Send,
        Host(0, 0, Some((0, [2].into()))),
        Send,
        Receive,
        Receive,
        Hear,
        Send,
        Hear,
        Receive,
        Hear,
        Send,
        Receive,
        Hear,
        Hear,
        Cluster(0, None),
        Send,
    ];
    check(Protocol::Sotw, &moves).unwrap();
}

#[test]
fn the_answer_to_an_unknown_route_is_empty() {
    assert_eq!(render(&unknown_route(&"r".into())), "r()");
}
