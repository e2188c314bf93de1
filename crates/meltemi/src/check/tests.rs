//! What a check costs, in things done: it grows with the mesh, and no faster.

use std::fmt::Write as _;
use std::sync::Arc;

use api::Object;
use snapshot::{Change, Features, Index};

use super::{compiler::Compiler, proxies};

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

/// Resources and hosts of routes that are compiled and judged, all classes together.
fn work(namespaces: usize) -> usize {
    let objects = mesh(namespaces);
    let mut index = Index::new(Arc::default(), Features::default(), "cluster.local");
    index.apply(objects.iter().cloned().map(Change::Put));
    let snapshot = index.snapshot();
    let mut compiler = Compiler::new(&snapshot);
    for proxy in proxies::representatives(&objects, &snapshot) {
        compiler.add(&proxy);
    }
    let (classes, found) = compiler.compile();
    assert!(found.is_empty(), "{found:?}");
    assert!(classes.len() >= namespaces, "{} classes", classes.len());
    let resources = classes.iter().flat_map(|class| &class.resources);
    resources.map(|it| 1 + it.parts.as_ref().map_or(0, |parts| parts.hosts.len())).sum()
}

/// A namespace costs what is its own. All that the first sees is compiled with the first.
#[test]
fn work_grows_with_the_namespaces_and_no_faster() {
    let [few, more, many] = [50, 100, 200].map(work);
    assert_eq!(many - more, 2 * (more - few), "{few}, {more}, {many}");
}
