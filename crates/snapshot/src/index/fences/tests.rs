//! Fences in a mesh: what is around a workload, and what each change touches.

mod dependencies;
mod export;
mod order;
mod workloads;

use std::{collections::BTreeSet, sync::Arc};

use api::istio::mesh_config::MeshConfig;
use model::{FenceSwitch, Hostname, Kind, Locality, ObjectKey, Proxy};
use serde_json::json;

use crate::{
    Change, Declared, ExportedScopes, Features, Fence, FencingSettings, Index, Member, ReadKey,
    Reader, Reads,
};

struct Mesh(Index);

impl Mesh {
    fn new(settings: FencingSettings) -> Self {
        let config = Arc::new(MeshConfig::default());
        Self(Index::new(config, Features::default(), "cluster.local").with_fencing(settings))
    }

    /// Puts objects; the keys that were touched.
    fn put(&mut self, text: &str) -> BTreeSet<ReadKey> {
        let (objects, diagnostics) = api::parse_documents("mesh.yaml", text.as_bytes());
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        assert!(!objects.is_empty());
        self.0.apply(objects.into_iter().map(Change::Put)).keys
    }

    /// Puts a fence of the namespace `shop`; whether fences of the namespace were touched.
    fn put_fence(&mut self, name: &str, spec: &str) -> bool {
        let keys = self.put(&format!(
            "apiVersion: microservice.slime.io/v1alpha1\nkind: ServiceFence\n\
             metadata: {{name: {name}, namespace: shop}}\nspec: {spec}\n"
        ));
        touches_shop(&keys)
    }

    /// Puts a Service with a selector of its name.
    fn put_service(&mut self, namespace: &str, name: &str, labels: &str) -> bool {
        let keys = self.put(&format!(
            "apiVersion: v1\nkind: Service\n\
             metadata: {{name: {name}, namespace: {namespace}, labels: {{{labels}}}}}\n\
             spec: {{selector: {{app: {name}}}, ports: [{{port: 80, name: http}}]}}\n"
        ));
        touches_shop(&keys)
    }

    fn put_namespace(&mut self, labels: &str) -> bool {
        let keys = self.put(&format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop, labels: {{{labels}}}}}\n"
        ));
        touches_shop(&keys)
    }

    fn delete(&mut self, kind: Kind, name: &str) -> bool {
        touches_shop(&self.0.apply([Change::Delete(ObjectKey::new(kind, "shop", name))]).keys)
    }

    fn time(&mut self, now: i64) -> bool {
        touches_shop(&self.0.apply([Change::Time(now)]).keys)
    }

    fn fence(&self, labels: &[(&str, &str)]) -> Option<Fence> {
        let labels: serde_json::Map<_, _> =
            labels.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        let metadata = [("LABELS".to_owned(), json!(labels))].into_iter().collect();
        let id = "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local";
        let proxy = Proxy::parse(id, metadata, Locality::default()).expect("the node is right");
        let snapshot = self.0.snapshot();
        let reader = Reader::new(&snapshot);
        let fence = reader.fence(&proxy);
        let mut expected: BTreeSet<_> = [ReadKey::Mesh, ReadKey::Fences("shop".into())].into();
        if fence.is_some() || snapshot.fence_off(&proxy.workload()).is_some() {
            expected.insert(ReadKey::FenceSwitch(proxy.workload()));
        }
        assert_eq!(reader.into_reads(), expected.iter().collect::<Reads>());
        fence
    }

    /// Switches fences; the keys that were touched.
    fn switch(&mut self, target: &str, switch: FenceSwitch) -> BTreeSet<ReadKey> {
        let target = target.parse().expect("the target is right");
        self.0.apply([Change::FenceSwitched(target, switch)]).keys
    }

    /// What Sidecars would say, and of whom none can.
    fn exported(&self, members: &BTreeSet<Member>) -> Vec<String> {
        let ExportedScopes { scopes, left_out, limited_too, overlapping } =
            self.0.snapshot().export_scopes(members);
        let told = scopes.iter().map(|it| {
            format!("{}/{} {}: {}", it.namespace, it.name, it.selector, it.hosts.join(" "))
        });
        let left_out = left_out.iter().map(|workload| format!("left out: {workload}"));
        let limited_too = limited_too.iter().map(|(it, by)| format!("limited too: {it} by {by}"));
        let overlapping = overlapping.iter().map(|(namespace, names)| {
            let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            format!("overlapping in {namespace}: {}", names.join(" "))
        });
        told.chain(left_out).chain(limited_too).chain(overlapping).collect()
    }

    /// Mode, namespaces, hosts and what is over, for a workload with the label `app`.
    fn around(&self, app: &str) -> String {
        render(self.fence(&[("app", app)]))
    }
}

fn render(fence: Option<Fence>) -> String {
    let Some(Fence { mode, declared: Declared { namespaces, hosts, expired } }) = fence else {
        return "none".to_owned();
    };
    let short = |host: &Hostname| host.as_str().replace(".svc.cluster.local", "");
    let namespaces = namespaces.keys().map(|name| format!("{name}/*"));
    let hosts = hosts.iter().map(short);
    let expired = expired.iter().map(|host| format!("-{}", short(host)));
    let all: Vec<String> = namespaces.chain(hosts).chain(expired).collect();
    format!("{mode}: {}", all.join(" "))
}

fn touches_shop(keys: &BTreeSet<ReadKey>) -> bool {
    keys.contains(&ReadKey::Fences("shop".into()))
}

/// Cart's calls lead to other services.
const RULE: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: rule, namespace: shop}
spec:
  hosts: [cart.shop.svc.cluster.local]
  http:
  - route: [{destination: {host: cart-v2.shop.svc.cluster.local}}]
    mirrors: [{destination: {host: shadow}}]
  tcp: [{route: [{destination: {host: cart-tcp}}]}]
  tls: [{match: [{sniHosts: [cart.shop.svc.cluster.local]}], route: [{destination: {host: cart-tls}}]}]
";
