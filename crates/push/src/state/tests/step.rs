//! New versions of assignments, for proxies that hold all of their views.

use std::sync::Arc;

use xds::{
    Protocol::{Delta, Sotw},
    Request,
};

use super::{
    language::{parse_content, views},
    proxy::ModelProxy,
    talk::{Talk, differences, state_of},
};
use crate::{
    ResourceKind,
    facet::unknown_route,
    parcels::Parcels,
    state::{Contents, Outgoing, StreamState},
};

const ENDPOINT: ResourceKind = ResourceKind::Endpoint;

fn is_step(response: &Outgoing) -> bool {
    response.kind == ENDPOINT && matches!(response.resources.0, Contents::Whole(_))
}

/// The names that the stream lists of assignments.
fn listed(talk: &Talk) -> usize {
    let state = talk.state.of(ENDPOINT);
    state.held.differences() + state.dirty.len()
}

#[test]
fn no_name_is_listed_for_new_versions() {
    for protocol in [Delta, Sotw] {
        let mut talk = Talk::synced(protocol, "cds a b c");
        let steps = [("eds a.2", "eds a.2", 1), ("eds a.2 b.2", "eds b.2", 1), ("", "eds a b", 2)];
        for (view, said, count) in steps {
            talk.see(&format!("cds a b c {view}"));
            assert_eq!(listed(&talk), 0, "{protocol}");
            talk.says(said);
            assert_eq!((talk.state.pending(ENDPOINT), listed(&talk)), (count, 0));
            talk.answer("eds");
            assert!(talk.state.is_synced() && listed(&talk) == 0, "{protocol}");
        }
        assert_eq!(talk.holds("eds"), "a b c", "{protocol}");
    }
}

#[test]
fn what_changes_meanwhile_is_merged_into_the_next_step() {
    for protocol in [Delta, Sotw] {
        let mut talk = Talk::synced(protocol, "cds a b c");
        talk.see("cds a b c eds a.2");
        talk.says("eds a.2");
        talk.see("cds a b c eds a.2 b.2");
        talk.see("cds a b c eds a.3 b.2");
        talk.see("cds a b c eds a.3 b.2 c.2");
        talk.says("");
        // There and back again is nothing.
        talk.see("cds a b c eds a.3 b.2");
        talk.answer("eds");
        talk.says("eds a.3 b.2");
        talk.answer("eds");
        assert_eq!((talk.holds("eds").as_str(), listed(&talk)), ("a.3 b.2 c", 0));
        talk.see("cds a b c eds a.4 b.2");
        talk.see("cds a b c eds a.3 b.2");
        talk.says("");
        assert!(talk.state.is_synced(), "{protocol}");
    }
}

#[test]
fn names_that_come_or_go_are_listed_until_they_have_arrived() {
    for protocol in [Delta, Sotw] {
        let mut talk = Talk::synced(protocol, "cds a b");
        talk.see("cds a b c eds a.2");
        talk.settle();
        talk.see("cds a c eds a.3");
        talk.settle();
        talk.see("cds a c eds a.4");
        talk.settle();
        assert_eq!((talk.holds("eds").as_str(), listed(&talk)), ("a.4 c", 0), "{protocol}");
        talk.see("cds a c eds a.5 c.2");
        let response = talk.state.next_response().expect("assignments");
        assert!(is_step(&response), "{protocol}");
    }
}

#[test]
fn a_step_that_is_refused_leaves_what_was_there() {
    for protocol in [Delta, Sotw] {
        let mut talk = Talk::synced(protocol, "cds a b c");
        talk.see("cds a b c eds a.2 b.bad");
        talk.says("eds a.2 b.bad");
        assert_eq!(talk.state.held(ENDPOINT)["b"].sent.iter().count(), 1);
        talk.answer("eds");
        assert_eq!((talk.holds("eds").as_str(), listed(&talk)), ("a b c", 2), "{protocol}");
        assert_eq!(talk.refused("eds").len(), 2, "{protocol}");
        // A better version brings the other one up again, and then there are steps again.
        talk.see("cds a b c eds a.2 b.3");
        talk.settles("eds a.2 b.3");
        assert_eq!(listed(&talk), 0, "{protocol}");
        talk.see("cds a b c eds a.2 b.4");
        talk.settles("eds b.4");
    }
}

#[test]
fn a_cluster_that_changes_during_a_step_is_followed_by_its_assignment() {
    for protocol in [Delta, Sotw] {
        let mut talk = Talk::synced(protocol, "cds a b lds l(r) rds r(h=a)");
        talk.see("cds a b lds l(r) rds r(h=a) eds a.2");
        talk.says("eds a.2");
        talk.see("cds a.2 b lds l(r) rds r(h=a) eds a.2");
        talk.settles(match protocol {
            Delta => "cds a.2 | eds a.2",
            Sotw => "cds a.2 b | eds a.2",
        });
        assert!(talk.proxy.warming().is_empty() && talk.state.is_synced(), "{protocol}");
    }
}

#[test]
fn what_is_no_longer_asked_for_leaves_a_step() {
    let mut talk = Talk::synced(Delta, "cds a b c");
    talk.see("cds a b c eds a.2 b.2");
    talk.says("eds a.2 b.2");
    talk.ask("eds", "a c");
    talk.answer("eds");
    assert_eq!(talk.state.held(ENDPOINT).len(), 2);
    talk.see("cds a b c eds a.3 b.3 c.3");
    talk.settles("eds a.3 c.3");
    assert!(talk.state.is_synced());
}

#[test]
fn a_stream_that_listed_names_under_load_steps_again() {
    for protocol in [Delta, Sotw] {
        let mut talk = Talk::synced(protocol, "cds a b");
        talk.see("cds a b c");
        talk.says(if protocol == Delta { "cds c" } else { "cds a b c" });
        talk.answer("cds");
        talk.says("eds c");
        // There is news whenever the proxy answers.
        talk.see("cds a b c eds a.2");
        talk.answer("eds");
        assert_eq!(listed(&talk), 0, "{protocol}");
        talk.says("eds a.2");
        talk.see("cds a b c eds a.3");
        talk.answer("eds");
        assert_eq!(listed(&talk), 0, "{protocol}");
        talk.settles("eds a.3");
    }
}

/// Streams of proxies that hold all of a view, with one shelf.
fn synced(count: usize, view: &str, parcels: &Arc<Parcels>) -> Vec<(StreamState, ModelProxy)> {
    let content = parse_content(view);
    let facets = views(&content, 1);
    let one = |_| {
        let (own, facets, shelf) = (Arc::default(), facets.clone(), parcels.clone());
        let mut state = StreamState::new(Delta, own, facets, unknown_route, shelf);
        let mut proxy = ModelProxy::new(Delta);
        let mut requests: Vec<Request> = proxy.start();
        while !requests.is_empty() {
            requests.drain(..).for_each(|request| state.on_request(&request));
            while let Some(response) = state.next_response() {
                requests.extend(proxy.receive(&response));
            }
        }
        (state, proxy)
    };
    (0..count).map(one).collect()
}

#[test]
fn streams_that_are_sent_the_same_share_it() {
    let before = "cds a b c lds l(r) rds r(h=a)";
    let after = "cds a b c lds l(r) rds r(h.2=a) eds a.2 b.2";
    let parcels = Arc::new(Parcels::default());
    let mut streams = synced(100, before, &parcels);
    let changed = differences(&parse_content(before), &parse_content(after));
    let (facets, changed) = (views(&parse_content(after), 2), [Arc::new(changed)]);
    parcels.open();
    let made = parcels.count.get();
    let mut chunks = Vec::new();
    for (state, _) in &mut streams {
        state.update(facets.clone(), Some(&changed));
        while let Some(response) = state.next_response() {
            chunks.push((response.kind, response.resources.chunks(Delta)[0].as_ptr()));
        }
    }
    assert_eq!(chunks.len(), 200);
    // Of two responses each: for the first stream nothing is copied together.
    let mut shared = chunks.split_off(2);
    shared.sort_unstable();
    shared.dedup();
    assert_eq!((shared.len(), parcels.count.get() - made), (2, 2));
    assert!(chunks.iter().all(|chunk| !shared.contains(chunk)));
}

#[test]
fn a_stream_that_comes_late_is_sent_the_same() {
    let mut state = state_of(Delta, &parse_content("cds a b"));
    let mut proxy = ModelProxy::new(Delta);
    let mut requests = proxy.start();
    for view in ["cds a b", "cds a b eds a.2"] {
        let content = parse_content(view);
        let changed = Arc::new(content.keys().cloned().collect());
        state.update(views(&content, 2), Some(&[changed]));
        loop {
            requests.drain(..).for_each(|request| state.on_request(&request));
            let Some(response) = state.next_response() else { break };
            requests.extend(proxy.receive(&response));
        }
    }
    assert!(state.is_synced());
    let held: Vec<String> =
        proxy.held(ENDPOINT).values().map(|it| super::language::render(it)).collect();
    assert_eq!(held, ["a.2", "b"]);
}
