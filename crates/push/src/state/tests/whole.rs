//! A proxy that starts is answered as a whole, and what does not fit goes the long way.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use xds::Protocol::{self, Delta, Sotw};

use super::{
    language::{parse_content, views},
    proxy::ModelProxy,
    talk::{Talk, state_of},
};
use crate::{
    ResourceKind,
    facet::unknown_route,
    state::{Contents, Outgoing, StreamState},
};

const MESH: &str = "cds a b c! lds l(r) m(q) t(=c) rds r(h=a) q(h=b)";

fn is_whole(response: &Outgoing) -> bool {
    matches!(response.resources.0, Contents::Whole(_))
}

/// Lets a proxy and a stream talk until nothing is left to say; what each response was.
fn sync(protocol: Protocol, state: &mut StreamState) -> Vec<(ResourceKind, bool)> {
    let mut proxy = ModelProxy::new(protocol);
    let mut said = Vec::new();
    for request in proxy.start() {
        state.on_request(&request);
    }
    while let Some(response) = state.next_response() {
        said.push((response.kind, is_whole(&response)));
        for request in proxy.receive(&response) {
            state.on_request(&request);
        }
    }
    assert!(state.is_synced());
    said
}

#[test]
fn no_name_is_looked_at_while_a_proxy_starts() {
    for protocol in [Delta, Sotw] {
        let mut state = state_of(protocol, &parse_content(MESH));
        let said = sync(protocol, &mut state);
        let kinds = [
            ResourceKind::Cluster,
            ResourceKind::Endpoint,
            ResourceKind::Listener,
            ResourceKind::Route,
        ];
        for kind in kinds {
            let whole = said.iter().filter(|(it, whole)| *it == kind && *whole).count();
            assert_eq!(whole, 1, "{protocol}, {kind:?}: {said:?}");
        }
        for kind in kinds {
            assert_eq!(state.of(kind).held.differences(), 0, "{protocol}, {kind:?}");
        }
    }
}

#[test]
fn listeners_go_out_as_a_whole_when_the_clusters_are_acknowledged() {
    for protocol in [Delta, Sotw] {
        let mut talk = Talk::new(protocol, MESH);
        let mut requests = talk.proxy.start();
        let listeners = requests.pop().expect("a request for listeners");
        talk.tell(requests);
        talk.settles("cds a b c! | eds a b");
        talk.tell([listeners]);
        let response = talk.state.next_response().expect("listeners");
        assert!(is_whole(&response), "{protocol}");
        assert_eq!(talk.state.pending(ResourceKind::Listener), 3);
        assert_eq!(talk.state.pending(ResourceKind::Endpoint), 0);
    }
}

#[test]
fn the_bytes_are_those_of_each_resource() {
    for protocol in [Delta, Sotw] {
        let mut talk = Talk::started(protocol, MESH);
        let response = talk.state.next_response().expect("clusters");
        let each = response.resources.iter().map(|it| match protocol {
            Delta => it.resource.delta_chunks().to_bytes(),
            Sotw => it.resource.sotw_chunks().to_bytes(),
        });
        let each: Vec<Bytes> = each.collect();
        assert_eq!(response.resources.chunks(protocol).concat(), each.concat());
    }
}

#[test]
fn what_changes_before_the_answer_is_in_it() {
    for protocol in [Delta, Sotw] {
        let mut talk = Talk::started(protocol, "cds a b");
        talk.see("cds a.2 c");
        talk.says("cds a.2 c | lds");
        talk.answer("cds");
        talk.settles("eds a c");
    }
}

#[test]
fn what_changes_while_the_answer_is_on_its_way_follows_it() {
    for protocol in [Delta, Sotw] {
        let mut talk = Talk::started(protocol, "cds a b");
        talk.says("cds a b | lds");
        talk.see("cds a.2 c");
        talk.says("");
        talk.answer("cds");
        let all = talk.settle();
        assert!(all.contains("a.2 c"), "{protocol}: {all}");
        assert_eq!(talk.holds("cds"), "a.2 c", "{protocol}");
        assert_eq!(talk.holds("eds"), "a c", "{protocol}");
    }
}

#[test]
fn a_refusal_of_one_leaves_the_others() {
    for protocol in [Delta, Sotw] {
        let mut talk = Talk::started(protocol, "cds a b.bad c");
        talk.settle();
        assert_eq!(talk.holds("cds"), "a c", "{protocol}");
        assert_eq!(talk.refused("cds").len(), 1, "{protocol}");
        talk.see("cds a b.2 c");
        talk.settle();
        assert_eq!(talk.holds("cds"), "a b.2 c", "{protocol}");
    }
}

#[test]
fn a_name_that_is_taken_back_is_not_held() {
    let mut talk = Talk::synced(Delta, "cds a b");
    talk.ask("eds", "a");
    assert_eq!(talk.state.held(ResourceKind::Endpoint).len(), 1);
    talk.see("cds a b eds a.2 b.2");
    talk.settles("eds a.2");
}

#[test]
fn the_same_name_in_two_facets_is_sent_once() {
    for protocol in [Delta, Sotw] {
        let content = parse_content("cds a b");
        let facets: Vec<_> =
            views(&content, 1).into_iter().chain(views(&parse_content("cds b c"), 1)).collect();
        let mut state =
            StreamState::new(protocol, Arc::default(), facets, unknown_route, Arc::default());
        for request in ModelProxy::new(protocol).start() {
            state.on_request(&request);
        }
        let response = state.next_response().expect("clusters");
        let names: Vec<_> =
            response.resources.iter().map(|it| it.resource.name().clone()).collect();
        let distinct: BTreeSet<_> = names.iter().cloned().collect();
        assert_eq!((names.len(), distinct.len()), (3, 3), "{protocol}");
    }
}

/// Ten clusters, of which the first is this one.
fn ten(first: &str) -> String {
    format!("cds {first} c1 c2 c3 c4 c5 c6 c7 c8 c9 lds l(r) rds r(h=c0)")
}

#[test]
fn no_name_is_listed_when_a_proxy_comes_back() {
    for protocol in [Delta, Sotw] {
        let mut talk = Talk::synced(protocol, &ten("c0"));
        talk.reconnect(&ten("c0"));
        talk.settles("");
        assert!(talk.state.is_synced() && !talk.state.is_resuming(), "{protocol}");
        for kind in ResourceKind::ALL {
            assert_eq!(talk.state.of(kind).held.differences(), 0, "{protocol}, {kind:?}");
        }
        assert_eq!(talk.state.held(ResourceKind::Endpoint).len(), 10, "{protocol}");
    }
}

#[test]
fn who_comes_back_is_sent_what_has_changed() {
    let mut talk = Talk::synced(Delta, &ten("c0"));
    talk.reconnect(&format!("{} eds c1.3", ten("c0.2")));
    talk.settles("cds c0.2 | eds c0 c1.3");
    assert_eq!(talk.state.of(ResourceKind::Cluster).held.differences(), 0);
    assert!(talk.state.is_synced());
}
