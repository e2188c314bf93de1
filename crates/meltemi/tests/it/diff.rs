//! `diff`: what would change, on how many proxies, and that nothing does.

use crate::plane::{Plane, RULE, live};

fn changed() -> String {
    RULE.replace("subset: v2}, weight: 10", "subset: v3}, weight: 10")
        + "  - {name: v3, labels: {version: v2}}\n"
}

#[tokio::test]
async fn the_effect_is_shown_and_nothing_is_written() {
    let plane = Plane::shop().await;
    let _first = live(plane.proxy("first").await);
    let _second = live(plane.proxy("second").await);
    let before = plane.run(&["wait", "-o", "json"]).await.json()["revision"].clone();
    let said = plane.run_with(&["diff", "-f", "-", "-o", "json"], &changed()).await.expect(1);
    let report = said.json();
    assert_eq!(report["affected"], 2);
    let effects: Vec<String> = report["effects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            let text = |field: &str| it[field].as_str().unwrap().to_owned();
            format!("{} {} {} {}", text("verb"), text("type"), text("name"), it["proxies"])
        })
        .collect();
    assert_eq!(
        effects,
        [
            "add cluster outbound|80|v3|web.shop.svc.cluster.local 2",
            "add endpoint outbound|80|v3|web.shop.svc.cluster.local 2",
            "change route 80 2",
        ]
    );
    assert_eq!(report["findings"][0]["code"], "MEL0459", "the order is kept for the user");
    let fields = report["effects"][2]["fields"].to_string();
    assert!(fields.contains("clusters[outbound|80|v3|web.shop.svc.cluster.local]"), "{fields}");
    assert!(report["objects"].to_string().contains("spec.http[main].route"), "{report}");
    assert_eq!(plane.mesh.read("rule.yaml").unwrap(), RULE);
    let after = plane.run(&["wait", "-o", "json"]).await.json()["revision"].clone();
    assert_eq!(before, after);
    let config = plane.mesh.proxy_config("first.shop").await.unwrap().to_string();
    assert!(!config.contains("|v3|"), "{config}");
}

#[tokio::test]
async fn people_see_a_unified_diff_and_a_table() {
    let plane = Plane::shop().await;
    let _proxy = live(plane.proxy("client").await);
    let said = plane.run_with(&["diff", "-f", "-"], &changed()).await.expect(1);
    assert!(
        said.out.contains("+    - {destination: {host: web, subset: v3}, weight: 10}"),
        "{said:?}"
    );
    assert!(
        said.out.contains("-    - {destination: {host: web, subset: v2}, weight: 10}"),
        "{said:?}"
    );
    assert!(said.out.contains("Effect on Envoy: 1 of 1 proxies"), "{said:?}");
    assert!(said.out.contains("add     1        outbound|80|v3|"), "{said:?}");
    let dry = plane.run_with(&["apply", "-f", "-", "--dry-run=server"], &changed()).await.expect(1);
    assert_eq!(dry.out, said.out);
}

#[tokio::test]
async fn what_is_there_already_differs_in_nothing() {
    let plane = Plane::shop().await;
    let said = plane.run_with(&["diff", "-f", "-"], RULE).await.expect(0);
    assert!(said.out.contains("0 of 2 objects would change"), "{said:?}");
}

#[tokio::test]
async fn failures_are_no_differences() {
    let mut plane = Plane::shop().await;
    let bad = "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {ports: 3}\n";
    plane.run_with(&["diff", "-f", "-"], bad).await.expect(65);
    plane.run(&["diff", "-f", "no-such-file.yaml"]).await.expect(65);
    plane.run(&["diff"]).await.expect(64);
    plane.mesh.kill();
    plane.run_with(&["diff", "-f", "-"], RULE).await.expect(69);
}
