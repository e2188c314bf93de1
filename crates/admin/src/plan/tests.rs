//! Plans of small meshes. Sizes are judged, not printed: they change with what is compiled.

use expect_test::{Expect, expect};
use model::{Hostname, Locality};
use serde_json::json;
use snapshot::{Change, Features, Index};

use super::*;

const MESH: &str = "
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
---
apiVersion: microservice.slime.io/v1alpha1
kind: ServiceFence
metadata: {name: web, namespace: shop}
spec:
  enable: false
  host: {pay.bank.svc.cluster.local: {deadline: {expire: {seconds: 1}}}}
";

fn mesh(more: &str) -> Arc<Snapshot> {
    let mut index = Index::new(Arc::default(), Features::default(), "cluster.local");
    for text in [MESH, more] {
        let (objects, findings) = api::parse_documents("mesh.yaml", text.as_bytes());
        assert!(findings.is_empty(), "{findings:?}");
        index.apply(objects.into_iter().map(Change::Put));
    }
    let workload = WorkloadKey { namespace: "shop".into(), name: "web".into() };
    let hosts: BTreeSet<Hostname> = ["cart.shop", "pay.bank", "hidden.infra", "gone.infra"]
        .map(|host| Hostname::new(&format!("{host}.svc.cluster.local")))
        .into();
    index.apply([Change::Time(10), Change::Learned(workload, Some(model::Shared::new(hosts)))]);
    index.snapshot()
}

fn proxy(id: &str, label: &str, loads_on_demand: bool) -> Arc<Proxy> {
    let labels = match label {
        "" => json!({"app": "web"}),
        mode => json!({"app": "web", "meltemi.io/scope": mode}),
    };
    let metadata = json!({ "LABELS": labels });
    let metadata = metadata.as_object().unwrap().clone();
    let proxy = Proxy::parse(id, metadata, Locality::default()).unwrap();
    Arc::new(Proxy { loads_on_demand, ..proxy })
}

const WEB: &str = "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local";

#[track_caller]
fn check(more: &str, proxies: &[Arc<Proxy>], expected: Expect) {
    let plan = make(&"shop".parse().unwrap(), proxies, &mesh(more));
    let mut text = String::new();
    for it in &plan.items {
        let why = it.unfenced_because.as_deref().unwrap_or("-");
        let less = match it.then.bytes.cmp(&it.now.bytes) {
            std::cmp::Ordering::Less => "less",
            std::cmp::Ordering::Equal => "as much",
            std::cmp::Ordering::Greater => "more",
        };
        let lists =
            format!("waiting {:?} cut {:?} invisible {:?}", it.waiting, it.cut, it.invisible);
        let lists = lists.replace(".svc.cluster.local", "");
        text.push_str(&format!(
            "{} x{}: {} -> {} ({why}), {less}; {lists}\n",
            it.workload, it.proxies, it.mode_now, it.mode
        ));
    }
    expected.assert_eq(&text);
}

#[test]
fn what_is_known_is_told_at_once_and_the_rest_waits() {
    let proxies = [proxy(WEB, "", true), proxy(WEB, "", true)];
    check(
        "",
        &proxies,
        expect![[r#"
        shop/web x2: full -> on-demand (-), less; waiting [] cut [] invisible ["gone.infra", "hidden.infra"]
    "#]],
    );
}

#[test]
fn a_deadline_that_has_passed_makes_a_known_call_wait() {
    let enabled = MESH.rsplit("---").next().unwrap().replace("enable: false", "enable: true");
    check(
        &enabled,
        &[proxy(WEB, "", true)],
        expect![[r#"
        shop/web x1: on-demand -> on-demand (-), as much; waiting ["pay.bank"] cut [] invisible ["gone.infra", "hidden.infra"]
    "#]],
    );
    check(
        &enabled,
        &[proxy(WEB, "learned", true)],
        expect![[r#"
        shop/web x1: learned -> learned (-), as much; waiting [] cut ["pay.bank"] invisible ["gone.infra", "hidden.infra"]
    "#]],
    );
}

#[test]
fn who_cannot_ask_keeps_everything_and_is_named_first() {
    let proxies = [proxy(WEB, "", true), proxy(WEB, "", false)];
    check(
        "",
        &proxies,
        expect![[r#"
        shop/web x1: full -> full (cannot-ask), as much; waiting [] cut [] invisible ["gone.infra", "hidden.infra"]
        shop/web x1: full -> on-demand (-), less; waiting [] cut [] invisible ["gone.infra", "hidden.infra"]
    "#]],
    );
}

#[test]
fn a_mode_without_learning_cuts_what_was_called() {
    check(
        "",
        &[proxy(WEB, "declared", true)],
        expect![[r#"
        shop/web x1: declared -> declared (-), as much; waiting [] cut ["cart.shop", "pay.bank"] invisible ["gone.infra", "hidden.infra"]
    "#]],
    );
}

#[test]
fn a_sum_counts_every_proxy() {
    let one = make(&"shop".parse().unwrap(), &[proxy(WEB, "", true)], &mesh(""));
    let proxies = [proxy(WEB, "", true), proxy(WEB, "", true), proxy(WEB, "", true)];
    let three = make(&"shop".parse().unwrap(), &proxies, &mesh(""));
    assert!(one.now.bytes > one.then.bytes && one.then.bytes > 0);
    assert_eq!(three.now.bytes, 3 * one.now.bytes);
    assert_eq!(three.then.resources, 3 * one.then.resources);
}
