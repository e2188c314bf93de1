//! What a check costs, in things done: it grows with the mesh, and no faster.

use std::fmt::Write as _;
use std::sync::Arc;

use api::Object;
use compile::Compiled;
use snapshot::{Change, Features, Index};
use verify::Work;

use super::{
    compiler::Compiler,
    destination::Destinations,
    judge::{Judge, Seen},
    proxies,
};

/// As many namespaces, each with a service, its rules and two workloads.
fn mesh(namespaces: usize) -> Vec<Object> {
    let mut text = String::new();
    for number in 0..namespaces {
        let _ = write!(
            text,
            "apiVersion: v1
kind: Service
metadata: {{name: web, namespace: n{number}}}
spec: {{clusterIP: 10.0.{number}.1, selector: {{app: web}}, ports: [{{name: http, port: 80}}, \
             {{name: tcp, port: 90}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: web-1, namespace: n{number}, labels: {{app: web, version: v1}}}}
status: {{podIP: 10.1.{number}.1, phase: Running}}
---
apiVersion: v1
kind: Pod
metadata: {{name: web-2, namespace: n{number}, labels: {{app: web, version: v2}}}}
status: {{podIP: 10.1.{number}.2, phase: Running}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: web, namespace: n{number}}}
spec: {{hosts: [web], http: [{{route: [{{destination: {{host: web, subset: v1}}}}]}}]}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: web, namespace: n{number}}}
spec: {{host: web, subsets: [{{name: v1, labels: {{version: v1}}}}]}}
---
",
        );
    }
    let (objects, found) = api::parse_documents("mesh", text.as_bytes());
    assert!(found.is_empty(), "{found:?}");
    objects
}

/// All proxies report metrics, whose labels are names.
const METRICS: &str = "apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: default, namespace: istio-system}
spec: {metrics: [{providers: [{name: prometheus}]}]}
";

/// What was done for a mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Done {
    classes: usize,
    /// Resources and hosts of routes that are compiled and judged, all classes together.
    compiled: usize,
    judged: Work,
}

fn work(mut objects: Vec<Object>, more: &str) -> Done {
    let (others, found) = api::parse_documents("more", more.as_bytes());
    assert!(found.is_empty(), "{found:?}");
    objects.extend(others);
    let mut index = Index::new(Arc::default(), Features::default(), "cluster.local");
    index.apply(objects.iter().cloned().map(Change::Put));
    let snapshot = index.snapshot();
    let mut compiler = Compiler::new(&snapshot);
    for proxy in proxies::representatives(&objects, &snapshot) {
        compiler.add(&proxy);
    }
    let mut classes = Vec::new();
    let found = compiler.compile(&mut |class| classes.push(class));
    assert!(found.is_empty(), "{found:?}");
    let seen = Seen::default();
    let mut judge = Judge::new(Destinations::new(&objects, &snapshot), &seen);
    let mut found = Vec::new();
    for class in &classes {
        judge.judge(class, &mut found);
    }
    assert!(found.is_empty(), "{found:?}");
    let resources = classes.iter().flat_map(|class| &class.resources);
    let hosts = |it: &Arc<Compiled>| it.parts.as_ref().map_or(0, |parts| parts.hosts.len());
    let compiled = resources.map(|it| 1 + hosts(it)).sum();
    Done { classes: classes.len(), compiled, judged: judge.work() }
}

/// A namespace costs what is its own. All that the first sees is compiled with the first. Of what
/// is without fault, nothing is taken apart by reflection.
#[test]
fn work_grows_with_the_namespaces_and_no_faster() {
    for (unit, others) in [(20, ""), (4, METRICS)] {
        let [few, more, many] = [1, 2, 4].map(|times| work(mesh(times * unit), others));
        assert!(many.classes >= 4 * unit, "{many:?}");
        let grows = |part: fn(&Done) -> usize| {
            assert_eq!(
                part(&many) - part(&more),
                2 * (part(&more) - part(&few)),
                "{few:?} {more:?}"
            );
        };
        grows(|it| it.classes);
        grows(|it| it.compiled);
        grows(|it| it.judged.scanned);
        assert_eq!(many.judged.explained, 0, "{many:?}");
    }
}

/// Names make no application a kind of its own, wherever they stand.
#[test]
fn metrics_make_no_more_work() {
    let pods: String = (0..50)
        .map(|number| {
            format!(
                "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: more-{number}, namespace: n0, labels: \
                 {{app: web, version: v{number}}}}}\nstatus: {{podIP: 10.2.0.{number}, phase: \
                 Running}}\n"
            )
        })
        .collect();
    assert_eq!(work(mesh(2), &pods).judged.explained, 0);
    assert_eq!(work(mesh(2), &format!("{METRICS}{pods}")).classes, work(mesh(2), &pods).classes);
}
