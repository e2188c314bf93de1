//! What classes share, and for how long they are kept.

use std::sync::Arc;

use expect_test::expect;

use super::{
    counters::{check, mesh, slice},
    stage::{NOTHING, Stage, sidecar},
};
use crate::{ResourceKind, engine::facets};

#[test]
fn equal_facets_of_several_proxies_are_made_once() {
    let mut stage = mesh();
    let jobs = stage.engine.counters.jobs.get();
    stage.connect(sidecar("10.9.0.9", "shop", &["version=v3"], "r9/z9"));
    assert_eq!(stage.engine.counters.jobs.get(), jobs);
}

#[test]
fn what_classes_are_sent_alike_is_joined_once() {
    let mut stage = mesh();
    let whole = |stage: &Stage, stream, kind| stage.views(stream)[0].whole(kind);
    for kind in [ResourceKind::Cluster, ResourceKind::Endpoint] {
        // Namespaces of their own; the fifth does not see everything.
        let [one, other, lone] = [1, 3, 5].map(|stream| whole(&stage, stream, kind));
        assert!(Arc::ptr_eq(&one, &other), "{kind:?}");
        assert!(!Arc::ptr_eq(&one, &lone), "{kind:?}");
    }
    let old = whole(&stage, 1, ResourceKind::Endpoint);
    stage.put(&slice("s7", "shop", "10.0.7.9"));
    let [one, other] = [1, 3].map(|stream| whole(&stage, stream, ResourceKind::Endpoint));
    assert!(Arc::ptr_eq(&one, &other) && !Arc::ptr_eq(&one, &old));
}

#[test]
fn a_stream_that_ends_takes_its_facets_along() {
    let mut stage = mesh();
    stage.disconnect(4);
    check(
        stage.put(&slice("s7", "shop", "10.0.7.1 10.0.7.2")),
        expect!["2 jobs, 1 compiled, 0 hosts, 3 notified"],
    );
    for stream in [1, 2, 3, 5] {
        stage.disconnect(stream);
    }
    assert_eq!(stage.put(&slice("s8", "shop", "10.0.8.2")), NOTHING);
    stage.pass_rest();
    assert!(stage.engine.facets.is_empty());
}

#[test]
fn a_class_that_comes_back_soon_costs_nothing() {
    let mut stage = mesh();
    let lone = || sidecar("10.9.0.5", "lone", &[], "");
    stage.disconnect(5);
    assert_eq!(stage.cost_of_connecting(lone()), NOTHING);
    stage.disconnect(5);
    stage.pass_rest();
    check(stage.cost_of_connecting(lone()), expect!["3 jobs, 0 compiled, 0 hosts, 0 notified"]);
}

#[test]
fn nothing_is_done_for_a_class_that_has_gone() {
    let mut stage = mesh();
    let seen = stage.engine.facets.len();
    for stream in 1..=4 {
        stage.disconnect(stream);
    }
    assert_eq!(stage.engine.facets.len(), seen);
    assert_eq!(stage.put(&slice("s7", "shop", "10.0.7.1 10.0.7.2")), NOTHING);
    // What would have had to be compiled has gone with it.
    assert_eq!(stage.engine.facets.len(), seen - 3);
    stage.connect(sidecar("10.9.0.1", "shop", &[], ""));
    check(
        stage.put(&slice("s7", "shop", "10.0.7.3")),
        expect!["1 jobs, 1 compiled, 0 hosts, 1 notified"],
    );
}

#[test]
fn only_so_many_classes_are_kept_for_those_who_come_back() {
    let mut stage = mesh();
    let seen = stage.engine.facets.len();
    for number in 0..facets::MOST {
        let stream = stage.connect(sidecar("10.9.1.1", &format!("n{number}"), &[], ""));
        stage.disconnect(stream);
    }
    assert_eq!(stage.engine.facets.len(), seen + facets::MOST);
}
