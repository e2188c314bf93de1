//! What first calls cost, and what is told of them.

use std::sync::Arc;

use expect_test::expect;
use model::{Hostname, Kind, WorkloadKey};

use super::{
    counters::{SERVICES, check, mesh, service},
    incremental::lazy,
    stage::Stage,
};
use crate::{Counters, ResourceKind, counters::Count, engine::StreamId, state::OpenQuestions};

/// A mesh, and a stream in it that is told of nothing yet.
fn fenced() -> (Stage, StreamId) {
    let mut stage = mesh();
    stage.put("{apiVersion: v1, kind: Namespace, metadata: {name: edge, labels: {meltemi.io/scope: on-demand}}}");
    let caller = stage.connect(lazy("10.9.0.6", "app=edge"));
    (stage, caller)
}

#[test]
fn a_first_call_costs_the_same_however_much_was_called_before() {
    let (mut stage, caller) = fenced();
    let host = |number: usize| format!("on-demand-80/s{number}.shop.svc.cluster.local:80");
    // What was called, the scope, listeners, the route with its answers, clusters and assignments; and
    // once more what was called, since it is learned.
    let first = stage.cost_of_asking(caller, &host(0));
    check(first, expect!["8 jobs, 1 compiled, 1 hosts, 1 notified"]);
    for number in 1..SERVICES - 1 {
        stage.ask(caller, &host(number));
    }
    assert_eq!(stage.cost_of_asking(caller, &host(SERVICES - 1)), first);
}

#[test]
fn a_question_counts_once_as_what_came_of_it_at_first() {
    let (mut stage, caller) = fenced();
    let ask = |stage: &mut Stage, new: &[&str], again: &[&str]| {
        let all = |hosts: &[&str]| hosts.iter().map(|host| Arc::from(*host)).collect();
        let questions = OpenQuestions { new: all(new), again: all(again) };
        stage.engine.on_questions(caller, questions);
        let counters = &stage.engine.counters;
        let Counters { questions, known, unknown, closed, dropped, .. } = &**counters;
        [questions, known, unknown, closed, dropped].map(Count::get)
    };
    let (here, nowhere) = ("on-demand-80/s1.shop.svc.cluster.local", "on-demand-80/nobody.example");
    // No listener is there, and so no route configuration.
    let closed = "on-demand-81/s1.shop.svc.cluster.local";
    assert_eq!(ask(&mut stage, &[here, nowhere, closed], &[]), [3, 1, 1, 0, 1]);
    assert_eq!(ask(&mut stage, &[], &[here, nowhere, closed]), [3, 1, 1, 0, 1]);
    assert_eq!(ask(&mut stage, &[here], &[closed]), [4, 2, 1, 0, 1]);
}

#[test]
fn what_comes_to_exist_after_it_was_called_is_learned_when_streams_are_told() {
    let (mut stage, caller) = fenced();
    stage.ask(caller, "on-demand-80/late.shop.svc.cluster.local");
    assert!(stage.engine.late.take().is_empty());
    stage.put(&service("late", "shop", 200));
    let workload = WorkloadKey { namespace: "edge".into(), name: "edge".into() };
    let late = Hostname::new("late.shop.svc.cluster.local");
    assert_eq!(stage.engine.late.take(), [(workload, late)]);
    stage.put(&service("later", "shop", 201));
    assert!(stage.engine.late.take().is_empty(), "it is told once");
}

fn outside(name: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: shop}}
spec: {{hosts: [{name}.example], resolution: STATIC, ports: [{{number: 443, name: tls, protocol: TLS}}], endpoints: [{{address: 192.0.2.1}}]}}
---"
    )
}

/// What a connection to a server name asks for.
fn cluster(name: &str) -> String {
    format!("outbound|443||{name}.example")
}

#[test]
fn a_connection_finds_the_cluster_of_its_server_name() {
    let (mut stage, caller) = fenced();
    stage.put(&outside("secure"));
    let (here, nowhere) = (cluster("secure"), cluster("nobody"));
    let has = |stage: &Stage, name: &str| {
        stage.names(caller, ResourceKind::Cluster).iter().any(|it| it == name)
    };
    assert!(!has(&stage, &here));
    assert_eq!(stage.ask(caller, &nowhere), None);
    assert_eq!(stage.ask(caller, "outbound|80||secure.example"), None, "it has no such port");
    assert_eq!(stage.ask(caller, "outbound|443|v1|secure.example"), None, "it is no question");
    assert_eq!(stage.ask(caller, &here).as_deref(), Some(&*here));
    assert!(has(&stage, &here));
    // A class asks for no name twice.
    stage.delete(Kind::ServiceEntry, "shop", "secure");
    assert!(!has(&stage, &here));
    stage.put(&outside("secure"));
    assert!(has(&stage, &here));
    assert!(!has(&stage, &nowhere));
    stage.put(&outside("nobody"));
    assert!(has(&stage, &nowhere));
}
