//! What is around a workload: what its fences name, what follows from that, and what was learned.

use std::{collections::BTreeSet, sync::Arc};

use api::istio::mesh_config::MeshConfig;
use model::{Hostname, Kind, Name, Namespace, Shared, WorkloadKey};

use super::{Mesh, RULE, touches_shop};
use crate::{
    Change, Declared, DomainAlias, DomainAliases, Features, FencingSettings, Index, ReadKey, Reader,
};

#[test]
fn every_fence_holds_what_is_set() {
    let mut always = Declared::default();
    always.namespaces.insert("infra".into(), Default::default());
    always.hosts.insert("log.example.com".into());
    let mut mesh = Mesh::new(FencingSettings { always, ..FencingSettings::default() });
    mesh.put_fence("web", "{enable: true}");
    assert_eq!(mesh.around("web"), "on-demand: infra/* istio-system/* log.example.com");
}

#[test]
fn of_several_fences_all_dependencies_count() {
    let mut mesh = Mesh::new(FencingSettings::default());
    mesh.time(1_000);
    let over = "{deadline: {expire: {seconds: 1}}}";
    let select = "workloadSelector: {labels: {app: web}}";
    mesh.put_fence("a", &format!("{{enable: true, host: {{x.y: {over}, b/*: }}, {select}}}"));
    assert_eq!(mesh.around("web"), "on-demand: b/* istio-system/* -x.y");
    mesh.put_fence("b", &format!("{{enable: true, host: {{x.y: , z.y: {over}}}, {select}}}"));
    assert_eq!(mesh.around("web"), "on-demand: b/* istio-system/* x.y -z.y");
    assert!(mesh.put_fence("b", &format!("{{enable: false, host: {{x.y: }}, {select}}}")));
    assert_eq!(mesh.around("web"), "on-demand: b/* istio-system/* -x.y");
    assert!(mesh.put_fence("a", "{}"));
    assert_eq!(mesh.around("web"), "none");
}

#[test]
fn labels_select_services_as_they_come_and_change() {
    let mut mesh = Mesh::new(FencingSettings::default());
    mesh.put_service("base", "early", "tier: back");
    mesh.put_fence(
        "web",
        "{enable: true, labelSelector: [{selector: {tier: back}}, {selector: {a: b, c: d}}, {}]}",
    );
    assert_eq!(mesh.around("web"), "on-demand: istio-system/* early.base");
    assert!(mesh.put_service("base", "late", "a: b, c: d"));
    assert!(!mesh.put_service("base", "other", "a: b"));
    assert_eq!(mesh.around("web"), "on-demand: istio-system/* early.base late.base");
    assert!(mesh.put_service("base", "early", "tier: front"));
    assert_eq!(mesh.around("web"), "on-demand: istio-system/* late.base");
    mesh.put_fence("web", "{enable: true, labelSelector: [{selector: {tier: front}}]}");
    assert_eq!(mesh.around("web"), "on-demand: istio-system/* early.base");
    assert!(!mesh.put_service("base", "late", "x: y"), "its selector is gone");
}

#[test]
fn rules_lead_on_as_they_come_and_go() {
    let mut mesh = Mesh::new(FencingSettings::default());
    mesh.put_fence("web", "{enable: true, host: {cart: }}");
    let alone = "on-demand: istio-system/* cart.shop";
    assert_eq!(mesh.around("web"), alone);
    assert!(touches_shop(&mesh.put(RULE)));
    let led =
        "on-demand: istio-system/* cart-tcp.shop cart-tls.shop cart-v2.shop cart.shop shadow.shop";
    assert_eq!(mesh.around("web"), led);
    assert!(touches_shop(&mesh.put(&RULE.replace("cart-v2", "cart-v3"))));
    assert_eq!(mesh.around("web"), led.replace("cart-v2", "cart-v3"));
    assert!(!touches_shop(
        &mesh.put(&RULE.replace("name: rule", "name: other").replace("[cart.", "[pay."))
    ));
    let private = RULE
        .replace("namespace: shop", "namespace: far")
        .replace("spec:", "spec:\n  exportTo: [.]");
    assert!(!touches_shop(&mesh.put(&private)), "its namespace alone sees it");
    assert!(mesh.delete(Kind::VirtualService, "rule"));
    assert_eq!(mesh.around("web"), alone);
}

#[test]
fn rules_with_wildcards_lead_on() {
    let mut mesh = Mesh::new(FencingSettings::default());
    let wild =
        RULE.replace("hosts: [cart.shop.svc.cluster.local]", "hosts: ['*.shop.svc.cluster.local']");
    mesh.put(&wild);
    mesh.put_fence("web", "{enable: true, host: {pay: }}");
    let led =
        "on-demand: istio-system/* cart-tcp.shop cart-tls.shop cart-v2.shop pay.shop shadow.shop";
    assert_eq!(mesh.around("web"), led);
    assert!(mesh.delete(Kind::VirtualService, "rule"));
    assert_eq!(mesh.around("web"), "on-demand: istio-system/* pay.shop");
}

#[test]
fn rules_lead_out_of_a_namespace() {
    let mut mesh = Mesh::new(FencingSettings::default());
    mesh.put_fence("web", "{enable: true, namespaceSelector: [base]}");
    let rule = RULE.replace("cart.shop.svc", "cart.base.svc");
    assert!(!touches_shop(&mesh.put(&rule)), "nothing has that host yet");
    assert_eq!(mesh.around("web"), "on-demand: base/* istio-system/*");
    assert!(mesh.put_service("base", "cart", ""));
    let led =
        "on-demand: base/* istio-system/* cart-tcp.shop cart-tls.shop cart-v2.shop shadow.shop";
    assert_eq!(mesh.around("web"), led);
    assert!(!mesh.put_service("base", "other", ""));
    assert!(mesh.delete(Kind::VirtualService, "rule"));
    assert_eq!(mesh.around("web"), "on-demand: base/* istio-system/*");
}

#[test]
fn the_time_ends_what_is_over() {
    let mut mesh = Mesh::new(FencingSettings { expire_wait: 60, ..FencingSettings::default() });
    mesh.time(100);
    mesh.put_fence(
        "web",
        "{enable: true, host: {a.x: {deadline: {expire: {seconds: 200}}}, b.x: }}",
    );
    assert_eq!(mesh.around("web"), "on-demand: istio-system/* a.x b.x");
    assert!(!mesh.time(200));
    assert!(mesh.time(201));
    assert_eq!(mesh.around("web"), "on-demand: istio-system/* b.x -a.x");
    assert!(!mesh.time(202), "once is enough");
    assert!(mesh.put_fence("web", "{enable: true}"), "a.x is barred no more");
    assert_eq!(mesh.around("web"), "on-demand: istio-system/* b.x", "it stays for a while");
    assert!(!mesh.time(262));
    assert!(mesh.time(263));
    assert_eq!(mesh.around("web"), "on-demand: istio-system/*");
}

#[test]
fn what_waits_is_told_apart_from_what_is_asked_for() {
    let mut mesh = Mesh::new(FencingSettings { expire_wait: 60, ..FencingSettings::default() });
    let waits = |mesh: &Mesh| {
        let snapshot = mesh.0.snapshot();
        let all = snapshot.fence_waits().iter();
        let all = all.map(|(key, domains)| (key.to_string(), domains.keys().cloned().collect()));
        all.collect::<Vec<(String, Vec<String>)>>()
    };
    mesh.time(100);
    mesh.put_fence("web", "{enable: true, host: {a.x: {}, b.x: {}}}");
    let before = mesh.0.snapshot();
    assert!(waits(&mesh).is_empty());
    mesh.put_service("bank", "pay", "");
    assert!(mesh.0.snapshot().fence_waits().is(before.fence_waits()), "it changes nothing there");
    let keys = mesh.put(
        "apiVersion: microservice.slime.io/v1alpha1\nkind: ServiceFence\n\
         metadata: {name: web, namespace: shop}\nspec: {enable: true, host: {b.x: {}}}\n",
    );
    assert_eq!(keys, [ReadKey::FenceWaits].into(), "scopes are as before");
    assert!(!mesh.0.snapshot().fence_waits().is(before.fence_waits()));
    assert_eq!(waits(&mesh), [("ServiceFence shop/web".to_owned(), vec!["a.x".to_owned()])]);
    assert_eq!(before.fence_waits().iter().count(), 0, "a revision stays as it is");
    assert!(mesh.time(161));
    assert!(waits(&mesh).is_empty());
    mesh.put_fence("web", "{enable: true}");
    assert_eq!(waits(&mesh).len(), 1);
    mesh.delete(Kind::ServiceFence, "web");
    assert!(waits(&mesh).is_empty(), "without a fence nothing waits");
}

#[test]
fn what_is_learned_touches_its_workload() {
    let mut index = Index::new(Arc::new(MeshConfig::default()), Features::default(), "local");
    let web = WorkloadKey { namespace: Namespace::from("shop"), name: Name::from("web") };
    let hosts = || {
        let hosts: BTreeSet<Hostname> = ["b.shop".into(), "a.shop".into()].into();
        Some(Shared::new(hosts))
    };
    let changes = index.apply([Change::Learned(web.clone(), hosts())]);
    assert_eq!(changes.keys, [ReadKey::Learned(web.clone())].into());
    let snapshot = index.snapshot();
    assert_eq!(Reader::new(&snapshot).learned(&web), hosts().as_ref());
    assert!(index.apply([Change::Learned(web.clone(), hosts())]).is_empty());
    let changes = index.apply([Change::Learned(web.clone(), None)]);
    assert_eq!(changes.keys, [ReadKey::Learned(web.clone())].into());
    assert_eq!(Reader::new(&index.snapshot()).learned(&web), None);
}

#[test]
fn aliases_of_what_is_learned_are_learned() {
    let alias = DomainAlias::parse(r"^([^.]+)\.shop$", &["$1.example".to_owned()]);
    let aliases = DomainAliases::from_iter(alias);
    let mut mesh = Mesh::new(FencingSettings { aliases, ..FencingSettings::default() });
    let web = WorkloadKey { namespace: Namespace::from("shop"), name: Name::from("web") };
    let hosts = || Some(Shared::new(BTreeSet::from(["a.shop".into()])));
    mesh.0.apply([Change::Learned(web.clone(), hosts())]);
    let snapshot = mesh.0.snapshot();
    let learned = Reader::new(&snapshot).learned(&web).expect("it was learned");
    assert_eq!(**learned, ["a.example".into(), "a.shop".into()].into());
    assert!(mesh.0.apply([Change::Learned(web, hosts())]).is_empty());
}
