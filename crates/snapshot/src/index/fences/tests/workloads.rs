//! Whom fences are for.

use std::collections::BTreeSet;

use model::{FenceSwitch, Kind, Name, Namespace, WorkloadKey};

use super::{Mesh, render, touches_shop};
use crate::{
    FencingSettings, LabelExpression, NamespaceNames, NamespaceScope, NamespaceSelector, ReadKey,
    WorkloadLabel,
};

#[test]
fn a_fence_finds_its_workloads() {
    let mut mesh = Mesh::new(FencingSettings::default());
    mesh.put_service("shop", "web", "");
    assert!(
        mesh.put_fence(
            "web",
            "{enable: true, host: {a.x: }, workloadSelector: {fromService: true}}"
        )
    );
    assert_eq!(mesh.around("web"), "on-demand: istio-system/* a.x");
    assert_eq!(mesh.around("cart"), "none");
    // Labels beat the Service.
    let labels = "workloadSelector: {fromService: true, labels: {app: cart}}";
    assert!(mesh.put_fence("web", &format!("{{enable: true, host: {{a.x: }}, {labels}}}")));
    assert_eq!(mesh.around("cart"), "on-demand: istio-system/* a.x");
    assert_eq!(mesh.around("web"), "none");
    // Without a selector the label `app` has the name.
    assert!(mesh.put_fence("web", "{enable: true, host: {b.x: }}"));
    assert_eq!(mesh.around("web"), "on-demand: istio-system/* b.x");
}

#[test]
fn a_fence_follows_its_service() {
    let mut mesh = Mesh::new(FencingSettings::default());
    let from_service = "{enable: true, workloadSelector: {fromService: true}}";
    mesh.put_fence("web", from_service);
    assert_eq!(mesh.around("web"), "none", "the Service is missing");
    assert!(mesh.put_service("shop", "web", ""));
    assert_eq!(mesh.around("web"), "on-demand: istio-system/*");
    assert!(mesh.delete(Kind::Service, "web"));
    assert_eq!(mesh.around("web"), "none");
}

#[test]
fn who_says_how_much_is_sent() {
    let settings =
        FencingSettings { mode: "learned".parse().expect("a mode"), ..Default::default() };
    let mut mesh = Mesh::new(settings);
    mesh.put_fence("web", "{enable: true}");
    assert_eq!(mesh.around("web"), "learned: istio-system/*", "the settings");
    assert!(mesh.put_namespace("meltemi.io/scope: declared"));
    assert_eq!(mesh.around("web"), "declared: istio-system/*", "the namespace");
    assert_eq!(mesh.around("cart"), "declared: istio-system/*", "it fences all");
    let own = |mode| render(mesh.fence(&[("app", "web"), ("meltemi.io/scope", mode)]));
    assert_eq!(own("gateway"), "gateway: istio-system/*", "the pod");
    assert_eq!(own("full"), "none", "the pod may also step out");
    assert!(mesh.put_namespace("meltemi.io/scope: full"));
    assert_eq!(mesh.around("web"), "none");
}

#[test]
fn what_is_switched_off_beats_fences_and_labels_and_touches_its_workloads() {
    let mut mesh = Mesh::new(FencingSettings::default());
    mesh.put_namespace("meltemi.io/scope: learned");
    mesh.put_fence("web", "{enable: true, host: {pay.bank.svc.cluster.local: {}}}");
    let web = || WorkloadKey { namespace: Namespace::from("shop"), name: Name::from("web") };
    let fenced = "learned: istio-system/* pay.bank";
    assert_eq!(mesh.around("web"), fenced);
    let keys = mesh.switch("shop/web", FenceSwitch::Off);
    assert_eq!(keys, [ReadKey::FenceSwitch(web())].into());
    assert_eq!(mesh.around("web"), "none");
    assert_eq!(mesh.around("cart"), "learned: istio-system/*");
    assert!(mesh.switch("shop/web", FenceSwitch::Off).is_empty(), "the same again");
    assert!(touches_shop(&mesh.switch("shop", FenceSwitch::Off)));
    assert_eq!(mesh.around("cart"), "none");
    assert_eq!(mesh.fence(&[("app", "web"), ("meltemi.io/scope", "on-demand")]), None);
    mesh.switch("shop/web", FenceSwitch::AsWritten);
    assert_eq!(mesh.around("web"), "none", "the namespace is off as a whole");
    assert!(touches_shop(&mesh.switch("shop", FenceSwitch::AsWritten)));
    assert_eq!(mesh.around("web"), fenced);
    assert!(mesh.switch("elsewhere", FenceSwitch::AsWritten).is_empty());
}

#[test]
fn services_and_namespaces_ask_for_fences() {
    let mut mesh = Mesh::new(FencingSettings::default());
    assert!(!mesh.put_service("shop", "web", ""), "nobody asks");
    assert!(mesh.put_service("shop", "web", "slime.io/serviceFenced: 'true'"));
    assert_eq!(mesh.around("web"), "on-demand: istio-system/*");
    assert!(mesh.put_service("shop", "web", ""));
    assert!(mesh.put_namespace("slime.io/serviceFenced: 'true'"));
    assert_eq!(mesh.around("web"), "on-demand: istio-system/*");
    assert!(mesh.put_service("shop", "web", "slime.io/serviceFenced: 'false'"));
    assert_eq!(mesh.around("web"), "none", "the Service knows better");
    mesh.put_service("shop", "web", "");
    // A fence of that name that somebody wrote decides alone.
    assert!(mesh.put_fence("web", "{enable: false}"));
    assert_eq!(mesh.around("web"), "none");
    assert!(mesh.delete(Kind::ServiceFence, "web"));
    assert_eq!(mesh.around("web"), "on-demand: istio-system/*");
    assert!(mesh.delete(Kind::Service, "web"));
    assert_eq!(mesh.around("web"), "none");
}

#[test]
fn fences_are_made_where_the_settings_say() {
    let with = |names, selectors: &[NamespaceSelector]| {
        let namespaces = NamespaceScope { names, selectors: selectors.to_vec() };
        let mut mesh = Mesh::new(FencingSettings {
            by_default: true,
            namespaces,
            ..FencingSettings::default()
        });
        mesh.put_service("shop", "web", "");
        mesh
    };
    let one = || BTreeSet::from([Namespace::from("shop")]);
    let fenced = "on-demand: istio-system/*";
    assert_eq!(with(NamespaceNames::All, &[]).around("web"), fenced);
    assert_eq!(with(NamespaceNames::Only(one()), &[]).around("web"), fenced);
    assert_eq!(with(NamespaceNames::Only(BTreeSet::new()), &[]).around("web"), "none");
    assert_eq!(with(NamespaceNames::AllBut(one()), &[]).around("web"), "none");
    let mut never = with(NamespaceNames::All, &[]);
    never.put_service("shop", "web", "slime.io/serviceFenced: 'false'");
    assert_eq!(never.around("web"), "none");

    let labels = NamespaceSelector {
        labels: [("lazy", "yes")].into_iter().collect(),
        expressions: vec![LabelExpression::DoesNotExist("old".to_owned())],
    };
    let team = LabelExpression::In("team".to_owned(), ["a".to_owned()].into());
    let team = NamespaceSelector { expressions: vec![team], ..NamespaceSelector::default() };
    let mut mesh = with(NamespaceNames::All, &[labels, team]);
    assert_eq!(mesh.around("web"), "none", "the Namespace has no labels");
    assert!(mesh.put_namespace("lazy: 'yes'"));
    assert_eq!(mesh.around("web"), fenced);
    assert!(mesh.put_namespace("lazy: 'yes', old: x"));
    assert_eq!(mesh.around("web"), "none");
    assert!(mesh.put_namespace("team: a, old: x"));
    assert_eq!(mesh.around("web"), fenced);

    let off = FencingSettings { auto: false, by_default: true, ..FencingSettings::default() };
    let mut mesh = Mesh::new(off);
    mesh.put_service("shop", "web", "slime.io/serviceFenced: 'true'");
    assert_eq!(mesh.around("web"), "none");
}

#[test]
fn a_label_fences_its_workloads() {
    let label = WorkloadLabel { key: "sidecar".to_owned(), alias: "app".to_owned() };
    let mut mesh =
        Mesh::new(FencingSettings { workload_label: Some(label), ..FencingSettings::default() });
    let fence = |mesh: &Mesh| render(mesh.fence(&[("sidecar", "web")]));
    assert_eq!(fence(&mesh), "on-demand: istio-system/*");
    assert_eq!(mesh.around("web"), "none");
    assert!(mesh.put_fence("app-web.workload.identity", "{enable: false}"));
    assert_eq!(fence(&mesh), "none", "somebody wrote that fence");
    let select = "workloadSelector: {labels: {sidecar: web}}";
    let written = format!("{{enable: true, host: {{a.x: }}, {select}}}");
    assert!(mesh.put_fence("app-web.workload.identity", &written));
    assert_eq!(fence(&mesh), "on-demand: istio-system/* a.x");
}
