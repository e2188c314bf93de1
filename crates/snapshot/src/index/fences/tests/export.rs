//! Fences as Sidecars.

use std::collections::BTreeSet;

use model::{Hostname, Shared, WorkloadKey};

use super::Mesh;
use crate::{Change, FencingSettings, Member, WorkloadLabel};

#[test]
fn fences_are_told_as_sidecars() {
    let label = WorkloadLabel { key: "team".to_owned(), alias: "team".to_owned() };
    let mut mesh =
        Mesh::new(FencingSettings { workload_label: Some(label), ..FencingSettings::default() });
    mesh.time(10);
    let over = "{deadline: {expire: {seconds: 1}}}";
    mesh.put_fence("web", &format!("{{enable: true, host: {{base/*: , a.x: , old.x: {over}}}}}"));
    mesh.put_fence("off", "{host: {b.x: }}");
    let member = |app: &str, labels: &[(&str, &str)]| Member {
        workload: WorkloadKey { namespace: "shop".into(), name: app.into() },
        labels: labels.iter().copied().collect(),
    };
    let web = member("web", &[("app", "web"), ("v", "1")]);
    let pay = member("pay", &[("app", "pay"), ("team", "money")]);
    let silent = member("full", &[("app", "web"), ("meltemi.io/scope", "full")]);
    let strict = member("strict", &[("app", "web"), ("meltemi.io/scope", "declared")]);
    for (member, host) in [(&web, "old.x"), (&web, "c.x"), (&pay, "d.x"), (&strict, "e.x")] {
        let known = mesh.0.snapshot().learned.get(&member.workload).cloned();
        let hosts = known.iter().flat_map(|hosts| hosts.iter()).cloned();
        let hosts = Shared::new(hosts.chain([Hostname::new(host)]).collect());
        mesh.0.apply([Change::Learned(member.workload.clone(), Some(hosts))]);
    }
    let members = BTreeSet::from([web, pay, silent, strict]);
    assert_eq!(
        mesh.exported(&members),
        [
            "shop/team-money.workload.identity team=money: */d.x istio-system/*",
            "shop/web app=web: */a.x */c.x base/* istio-system/*",
            "limited too: shop/full by web",
        ]
    );
}

#[test]
fn fences_around_one_workload_are_named() {
    let mut mesh = Mesh::new(FencingSettings::default());
    let fence = |host: &str, selector: &str| {
        format!("{{enable: true, host: {{{host}: }}, workloadSelector: {{labels: {selector}}}}}")
    };
    mesh.put_fence("one", &fence("a.x", "{app: web}"));
    mesh.put_fence("other", &fence("b.x", "{app: web, tier: front}"));
    mesh.put_fence("apart", &fence("c.x", "{app: pay}"));
    mesh.put_fence("team", &fence("d.x", "{team: money}"));
    let scopes = [
        "shop/apart app=pay: */c.x istio-system/*",
        "shop/one app=web: */a.x istio-system/*",
        "shop/other app=web,tier=front: */b.x istio-system/*",
        "shop/team team=money: */d.x istio-system/*",
    ];
    let of_selectors = "overlapping in shop: one other";
    let exported = mesh.exported(&BTreeSet::new());
    assert_eq!(exported, [&scopes[..], &[of_selectors]].concat());
    let workload = WorkloadKey { namespace: "shop".into(), name: "pay".into() };
    let labels = [("app", "pay"), ("team", "money")].into_iter().collect();
    let exported = mesh.exported(&[Member { workload, labels }].into());
    let of_pay = "overlapping in shop: apart team";
    assert_eq!(exported, [&scopes[..], &[of_pay, of_selectors]].concat());
}

#[test]
fn workloads_that_a_label_alone_fences_are_told_as_sidecars_too() {
    let mut mesh = Mesh::new(FencingSettings::default());
    mesh.put_namespace("meltemi.io/scope: learned");
    mesh.put_fence("fenced", "{enable: true, host: {a.x: }}");
    let member = |name: &str, labels: &[(&str, &str)]| Member {
        workload: WorkloadKey { namespace: "shop".into(), name: name.into() },
        labels: labels.iter().copied().collect(),
    };
    let members = BTreeSet::from([
        member("fenced-v1", &[("app", "fenced")]),
        // Two revisions, which the name tells from all others.
        member("web", &[("app", "web"), ("pod-template-hash", "1"), ("tier", "front")]),
        member("web", &[("app", "web"), ("pod-template-hash", "2"), ("tier", "front")]),
        // One application in two versions.
        member("pay-v1", &[("app", "pay"), ("version", "v1")]),
        member("pay-v2", &[("app", "pay"), ("version", "v2")]),
        // No pair of labels is its own, but all together are.
        member("both", &[("a", "1"), ("b", "2")]),
        member("left", &[("a", "1"), ("meltemi.io/scope", "full")]),
        member("right", &[("b", "2"), ("meltemi.io/scope", "declared")]),
        // Nothing tells these two apart, and both are fenced: each is told what both call.
        member("one", &[("app", "twins")]),
        member("two", &[("app", "twins")]),
        // Whom a Sidecar would select besides has everything, or there is nothing to select by.
        member("narrow", &[("app", "mixed")]),
        member("wide", &[("app", "mixed"), ("meltemi.io/scope", "full")]),
        member("bare", &[("pod-template-hash", "3")]),
        // A fence has its name already.
        member("fenced", &[("app", "other")]),
    ]);
    for (workload, host) in
        [("web", "w.x"), ("right", "r.x"), ("one", "o.x"), ("two", "t.x"), ("left", "l.x")]
    {
        let workload = WorkloadKey { namespace: "shop".into(), name: workload.into() };
        let hosts = Shared::new(BTreeSet::from([Hostname::new(host)]));
        mesh.0.apply([Change::Learned(workload, Some(hosts))]);
    }
    assert_eq!(
        mesh.exported(&members),
        [
            "shop/both a=1,b=2: istio-system/*",
            "shop/fenced app=fenced: */a.x istio-system/*",
            "shop/fenced-scope app=other: istio-system/*",
            "shop/one app=twins: */o.x */t.x istio-system/*",
            "shop/pay-v1 app=pay,version=v1: istio-system/*",
            "shop/pay-v2 app=pay,version=v2: istio-system/*",
            "shop/right b=2: istio-system/*",
            "shop/two app=twins: */o.x */t.x istio-system/*",
            "shop/web app=web: */w.x istio-system/*",
            "left out: shop/bare",
            "left out: shop/narrow",
        ]
    );
}
