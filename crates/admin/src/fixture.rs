//! The small mesh that tests of scopes share: whom `shop/web` may call, and one of its proxies.

use std::sync::Arc;

use model::{Hostname, Locality, Proxy, WorkloadKey};
use serde_json::json;
use snapshot::{Change, Dispatch, DispatchTarget, Features, FencingSettings, Index, LazyGateway};

const SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {ports: [{port: 80, name: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: pay, namespace: bank}
spec: {ports: [{port: 80, name: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: log, namespace: infra}
spec: {ports: [{port: 80, name: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: hidden, namespace: infra, annotations: {networking.istio.io/exportTo: .}}
spec: {ports: [{port: 80, name: http}]}
";

/// The services and further objects, in the tenth second of 1970. A lazy gateway would be there, had it a
/// Service, and `*.org` is dispatched.
#[track_caller]
pub(crate) fn mesh(more: &[&str]) -> Index {
    let gateway = LazyGateway {
        host: full("lazy-gateway.mesh"),
        port: LazyGateway::PORT,
        namespace: "mesh".into(),
        service_account: "lazy-gateway".into(),
    };
    let dispatch = Dispatch {
        name: "sites".to_owned(),
        target: DispatchTarget::Cluster("outbound|80||edge.infra.svc.cluster.local".to_owned()),
        domains: vec!["*.org".to_owned()],
        domain_regex: None,
    };
    let fencing = FencingSettings {
        gateway: Some(gateway),
        dispatches: vec![dispatch],
        ..FencingSettings::default()
    };
    let index = Index::new(Arc::default(), Features::default(), "cluster.local");
    let mut index = index.with_fencing(fencing);
    for text in [SERVICES].iter().chain(more) {
        let (objects, findings) = api::parse_documents("mesh.yaml", text.as_bytes());
        assert!(findings.is_empty(), "{findings:?}");
        index.apply(objects.into_iter().map(Change::Put));
    }
    index.apply([Change::Time(10)]);
    index
}

/// A sidecar of `shop/web` that can ask, with this label of a mode if there is one.
pub(crate) fn web(label: &str) -> Proxy {
    let labels = match label {
        "" => json!({"app": "web"}),
        mode => json!({"app": "web", "meltemi.io/scope": mode}),
    };
    let metadata = json!({ "LABELS": labels }).as_object().unwrap().clone();
    let id = "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local";
    let proxy = Proxy::parse(id, metadata, Locality::default()).unwrap();
    Proxy { loads_on_demand: true, ..proxy }
}

/// What `shop/web` was seen to call.
pub(crate) fn learned(hosts: &[&str]) -> Change {
    let workload = WorkloadKey { namespace: "shop".into(), name: "web".into() };
    let hosts = hosts.iter().map(|host| full(host)).collect();
    Change::Learned(workload, Some(model::Shared::new(hosts)))
}

/// `cart.shop` as Kubernetes calls it in full.
pub(crate) fn full(host: &str) -> Hostname {
    Hostname::new(&format!("{host}.svc.cluster.local"))
}
