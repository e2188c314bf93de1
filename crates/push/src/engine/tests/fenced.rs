//! A call that a fenced workload makes ends where the same call ends without a fence.

use proptest::{collection::vec, prelude::*};
use snapshot::Change;
use verify::{Call, Outcome, Protocol, WalkOptions, walk};

use super::{
    incremental::{Edit, HOSTS, edits, lazy, question},
    stage::{Stage, puts},
};

const FENCE: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: edge, labels: {meltemi.io/scope: on-demand}}
";

/// Where a call ends.
#[derive(Debug, PartialEq)]
struct End {
    error: Option<verify::WalkError>,
    answer: Option<verify::Answer>,
    clusters: Vec<String>,
    upstreams: Vec<verify::Upstream>,
}

impl End {
    fn of(outcome: Outcome) -> Self {
        let clusters = outcome.cluster.names().into_iter().map(str::to_owned).collect();
        Self {
            error: outcome.error,
            answer: outcome.answer,
            clusters,
            upstreams: outcome.upstreams,
        }
    }
}

fn call(host: &str, path: &str) -> Call {
    Call {
        port: 80,
        protocol: Protocol::Http,
        host_header: host.to_owned(),
        path: path.to_owned(),
        ..Call::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_fence_changes_no_call(
        start in vec(edits(), 5..60),
        asked_at_once in any::<bool>(),
        later in vec(edits(), 0..4),
    ) {
        let changes = |edits: &[Edit]| edits.iter().map(Edit::change).collect::<Vec<Change>>();
        let mut stage = Stage::new(changes(&start));
        stage.put(FENCE);
        let fenced = stage.connect(lazy("10.4.0.2", "app=other"));
        let open = stage.connect(lazy("10.4.0.3", "meltemi.io/scope=full"));
        if asked_at_once {
            HOSTS.iter().for_each(|host| drop(stage.ask(fenced, &question(host))));
        }
        stage.apply(changes(&later));
        stage.apply(puts(FENCE));
        // A dispatch is for fenced workloads alone.
        for host in HOSTS.into_iter().filter(|host| !host.ends_with(".org")) {
            stage.ask(fenced, &question(host));
            let [fenced, open] = [fenced, open].map(|stream| stage.resources(stream));
            for path in ["/", "/v2/x"] {
                let ends = [&fenced, &open].map(|resources| {
                    End::of(walk(resources, &call(host, path), &WalkOptions::FULL))
                });
                prop_assert_eq!(&ends[0], &ends[1], "{}{}", host, path);
            }
        }
    }
}
