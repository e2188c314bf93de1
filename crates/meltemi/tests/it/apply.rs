//! `apply`: where objects go, what stays, and what is refused.

use std::{fs, os::unix::fs::symlink};

use crate::plane::{Plane, RULE, SHOP, live};

const ENTRY: &str = "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ext, namespace: shop}
spec:
  hosts: [ext.example]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 10.9.9.9}]
";

fn weights(first: u32, second: u32) -> String {
    let (rule, _) = RULE.split_once("---\n").unwrap();
    rule.replace("weight: 90", &format!("weight: {first}"))
        .replace("weight: 10", &format!("weight: {second}"))
        .replace("# Who gets which version.\n", "")
}

#[tokio::test]
async fn an_object_takes_the_place_of_its_former_self() {
    let plane = Plane::shop().await;
    let _proxy = live(plane.proxy("client").await);
    let said = plane.run_with(&["apply", "-f", "-", "--wait"], &weights(70, 30)).await.expect(0);
    assert!(said.out.starts_with("virtualservice/web configured"), "{said:?}");
    assert!(said.err.contains("live: 1 of 1"), "{said:?}");
    let expected = RULE.replace("weight: 90", "weight: 70").replace("weight: 10", "weight: 30");
    assert_eq!(plane.mesh.read("rule.yaml").unwrap(), expected);
    assert_eq!(plane.mesh.read("shop.yaml").unwrap(), SHOP);

    let before = fs::metadata(plane.mesh.objects().join("rule.yaml")).unwrap();
    let said = plane.apply(&weights(70, 30)).await;
    assert!(said.out.starts_with("virtualservice/web unchanged"), "{said:?}");
    let after = fs::metadata(plane.mesh.objects().join("rule.yaml")).unwrap();
    assert_eq!(before.modified().unwrap(), after.modified().unwrap());
}

#[tokio::test]
async fn a_new_object_gets_a_file_of_its_own() {
    let plane = Plane::shop().await;
    let said = plane.apply(ENTRY).await;
    assert!(said.out.starts_with("serviceentry/ext created"), "{said:?}");
    assert_eq!(plane.mesh.read("shop/serviceentry-ext.yaml").unwrap(), ENTRY);
    let said = plane.run_with(&["apply", "-f", "-", "-o", "name"], ENTRY).await.expect(0);
    assert_eq!(said.out, "serviceentry/ext\n");
    // No draft is left behind.
    let names = fs::read_dir(plane.mesh.objects().join("shop")).unwrap().count();
    assert_eq!(names, 1);
}

#[tokio::test]
async fn one_bad_object_keeps_all_others_out() {
    let plane = Plane::shop().await;
    let bad = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: x}\nspec: {hosts: 3}\n";
    let text = format!("{ENTRY}---\n{bad}---\n{}", weights(1, 99));
    let said = plane.run_with(&["apply", "-f", "-"], &text).await.expect(65);
    assert!(said.err.contains("stdin:13: error[MEL0004] VirtualService default/x"), "{said:?}");
    assert!(!plane.mesh.objects().join("shop").exists());
    assert_eq!(plane.mesh.read("rule.yaml").unwrap(), RULE);
}

#[tokio::test]
async fn a_file_that_does_not_show_its_object_keeps_all_files_as_they_are() {
    let plane = Plane::shop().await;
    // The last good rule stays in effect, and is not in the file any more.
    let broken = RULE.replace("hosts: [web]", "hosts: [web");
    plane.mesh.write("rule.yaml", &broken).unwrap();
    plane.run(&["wait"]).await.expect(65);
    let text = format!("{ENTRY}---\n{}", weights(1, 99));
    let said = plane.run_with(&["apply", "-f", "-"], &text).await.expect(80);
    assert!(said.err.contains("rule.yaml"), "{said:?}");
    assert!(!plane.mesh.objects().join("shop").exists(), "the entry is not written either");
    assert_eq!(plane.mesh.read("rule.yaml").unwrap(), broken);
}

#[tokio::test]
async fn names_lead_nowhere() {
    let plane = Plane::shop().await;
    for (namespace, name) in [("../../etc", "x"), ("shop", "../x"), ("shop", "a/b"), ("..", "x")] {
        let text = ENTRY.replace("name: ext,", &format!("name: \"{name}\","));
        let text = text.replace("namespace: shop", &format!("namespace: \"{namespace}\""));
        let said = plane.run_with(&["apply", "-f", "-"], &text).await;
        assert_eq!(said.code, 65, "{namespace} {name}: {said:?}");
    }
    let outside = tempfile::tempdir().unwrap();
    symlink(outside.path(), plane.mesh.objects().join("shop")).unwrap();
    plane.run_with(&["apply", "-f", "-"], ENTRY).await.expect(80);
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_link_is_followed_inside_the_directory_and_not_out_of_it() {
    let plane = Plane::start(&[("shop.yaml", SHOP)]).await;
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("rule.yaml"), RULE).unwrap();
    symlink(outside.path().join("rule.yaml"), plane.mesh.objects().join("rule.yaml")).unwrap();
    plane.run(&["wait"]).await.expect(0);
    let said = plane.run_with(&["apply", "-f", "-"], &weights(1, 99)).await.expect(80);
    assert!(said.err.contains("which is not served"), "{said:?}");
    assert_eq!(fs::read_to_string(outside.path().join("rule.yaml")).unwrap(), RULE);
}

#[tokio::test]
async fn a_list_of_kubectl_is_taken_apart_and_kept_together() {
    let items: Vec<&str> = RULE.split("---\n").collect();
    let item = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let lines: Vec<String> = lines
            .enumerate()
            .map(|(index, line)| format!("{}{line}\n", if index == 0 { "- " } else { "  " }))
            .collect();
        lines.concat()
    };
    let list = format!("apiVersion: v1\nkind: List\nitems:\n{}{}", item(items[0]), item(items[1]));
    let plane = Plane::start(&[("shop.yaml", SHOP), ("list.yaml", &list)]).await;
    let shifted = list.replace("weight: 90", "weight: 60").replace("weight: 10", "weight: 40");
    let said = plane.apply(&shifted).await;
    assert!(said.out.contains("virtualservice/web configured"), "{said:?}");
    assert!(said.out.contains("destinationrule/web unchanged"), "{said:?}");
    assert_eq!(plane.mesh.read("list.yaml").unwrap(), shifted);
}

#[tokio::test]
async fn json_stays_json() {
    let rule = r#"{"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
 "metadata": {"name": "web", "namespace": "shop"},
 "spec": {"host": "web", "subsets": [{"name": "v1", "labels": {"version": "v1"}}]}}
"#;
    let plane = Plane::start(&[("shop.yaml", SHOP), ("rule.json", rule)]).await;
    let (_, destination) = RULE.split_once("---\n").unwrap();
    plane.apply(destination).await;
    let text = plane.mesh.read("rule.json").unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["spec"]["subsets"][1]["name"], "v2");
}

#[tokio::test]
async fn what_is_applied_together_takes_effect_together() {
    let plane = Plane::start(&[("shop.yaml", SHOP)]).await;
    let _proxy = live(plane.proxy("client").await);
    let counters = || plane.mesh.control_plane().get("/debug/counters");
    let before = counters().await.unwrap()["snapshots"].as_u64().unwrap();
    // Two objects in two files, one of which is in a directory that was not there.
    let said = plane.run_with(&["apply", "-f", "-", "--wait"], RULE).await.expect(0);
    assert_eq!(said.out.lines().count(), 2, "{said:?}");
    let after = counters().await.unwrap()["snapshots"].as_u64().unwrap();
    assert_eq!(after, before + 1);
}

#[tokio::test]
async fn two_files_with_one_object_are_refused() {
    let plane = Plane::shop().await;
    let text = format!("{ENTRY}---\n{ENTRY}");
    let said = plane.run_with(&["apply", "-f", "-"], &text).await.expect(65);
    assert!(said.err.contains("is given twice, at stdin:1 and at stdin:10"), "{said:?}");
}

#[tokio::test]
async fn an_object_with_errors_is_mended_where_it_is() {
    let bad = "# The way out.\n".to_owned() + &ENTRY.replace("protocol: HTTP", "protocol: nope");
    let plane = Plane::start(&[("shop.yaml", SHOP), ("ext.yaml", &bad)]).await;
    plane.run(&["wait"]).await.expect(65);
    let said = plane.apply(ENTRY).await;
    assert!(said.out.starts_with("serviceentry/ext created"), "{said:?}");
    assert_eq!(plane.mesh.read("ext.yaml").unwrap(), format!("# The way out.\n{ENTRY}"));
    plane.run(&["wait"]).await.expect(0);
}
