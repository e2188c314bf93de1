//! `wait`: live, silent, refusing and vanishing proxies; broken files.

use std::fs;

use envoy::{config::route::v3::RouteConfiguration, type_url};

use crate::plane::{Plane, RULE, live};

fn shifted() -> String {
    RULE.replace("weight: 90", "weight: 80").replace("weight: 10", "weight: 20")
}

#[tokio::test]
async fn what_was_just_written_is_live_when_the_command_ends() {
    let plane = Plane::shop().await;
    let mut proxy = plane.proxy("client").await;
    let stepping = proxy.sync_until_quiet(std::time::Duration::from_secs(2));
    // Written in place, as an editor or a script may do, and waited for at once.
    fs::write(plane.mesh.objects().join("rule.yaml"), shifted()).unwrap();
    let (said, _) = tokio::join!(plane.run(&["wait", "--timeout", "30s"]), stepping);
    let report = said.expect(0).json();
    assert_eq!(report["outcome"], "live");
    assert_eq!((&report["live"], &report["total"]), (&1.into(), &1.into()));
    let route: RouteConfiguration = proxy.get("80").unwrap();
    assert!(format!("{route:?}").contains("weight: Some(80)"), "{route:?}");
}

#[tokio::test]
async fn a_document_that_was_taken_out_is_gone_when_the_command_ends() {
    let plane = Plane::shop().await;
    let proxy = live(plane.proxy("client").await);
    let (rule, _) = RULE.split_once("---\n").unwrap();
    let rule = rule.replace(", subset: v1", "").replace(", subset: v2", "");
    fs::write(plane.mesh.objects().join("rule.yaml"), rule).unwrap();
    plane.run(&["wait"]).await.expect(0);
    let config = plane.mesh.proxy_config("client.shop").await.unwrap().to_string();
    assert!(!config.contains("outbound|80|v2|web"), "{config}");
    drop(proxy);
}

#[tokio::test]
async fn a_silent_proxy_is_named_when_the_time_is_over() {
    let plane = Plane::shop().await;
    let silent = plane.proxy("silent").await;
    let _other = live(plane.proxy("other").await);
    plane.mesh.write("rule.yaml", &shifted()).unwrap();
    let said = plane.run(&["wait", "--timeout", "1500ms"]).await.expect(81);
    assert!(said.err.contains("silent.shop  waits for route 1"), "{said:?}");
    let report = said.json();
    assert_eq!(report["outcome"], "timedOut");
    assert_eq!((&report["live"], &report["total"]), (&1.into(), &2.into()));
    assert_eq!(report["waiting"][0]["proxy"], "silent.shop");
    drop(silent);
}

#[tokio::test]
async fn a_refusal_ends_it_at_once_with_the_words_of_the_proxy() {
    let plane = Plane::shop().await;
    let _good = live(plane.proxy("good").await);
    let mut bad = plane.proxy("bad").await;
    bad.reject(type_url::ROUTE, "I do not like weights");
    let _bad = live(bad);
    plane.mesh.write("rule.yaml", &shifted()).unwrap();
    let said = plane.run(&["wait", "--timeout", "60s", "-o", "json"]).await.expect(82);
    let report = said.json();
    let refused = &report["refused"][0];
    assert_eq!(refused["proxy"], "bad.shop");
    assert_eq!((&refused["type"], &refused["name"]), (&"route".into(), &"80".into()));
    assert_eq!(refused["message"], "I do not like weights");
    assert!(report["milliseconds"].as_u64().unwrap() < 30_000, "{report}");
    // It stays true, and is said again without anything being sent again.
    plane.run(&["wait", "--timeout", "60s"]).await.expect(82);
    // Other content is another chance.
    plane.mesh.write("rule.yaml", RULE).unwrap();
    plane.run(&["wait"]).await.expect(0);
}

#[tokio::test]
async fn proxies_that_go_away_are_told_apart() {
    let plane = Plane::shop().await;
    let _stays = live(plane.proxy("stays").await);
    let goes = plane.proxy("goes").await;
    plane.mesh.write("rule.yaml", &shifted()).unwrap();
    let waiting = plane.run(&["wait", "--timeout", "60s"]);
    let leaving = async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        drop(goes);
    };
    let (said, ()) = tokio::join!(waiting, leaving);
    let report = said.expect(83).json();
    assert_eq!(report["lost"], serde_json::json!(["goes.shop"]));

    let goes = plane.proxy("goes").await;
    plane.mesh.write("rule.yaml", RULE).unwrap();
    let waiting = plane.run(&["wait", "--timeout", "60s", "--quorum", "50"]);
    let leaving = async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        drop(goes);
    };
    let (said, ()) = tokio::join!(waiting, leaving);
    assert_eq!(said.expect(0).json()["lost"], serde_json::json!(["goes.shop"]));
}

#[tokio::test]
async fn broken_files_are_shown_and_count() {
    let plane = Plane::shop().await;
    plane.mesh.write("broken.yaml", "apiVersion: v1\nkind: [\n").unwrap();
    let said = plane.run(&["wait"]).await.expect(65);
    assert!(said.err.contains("broken.yaml:2: error[MEL0001]"), "{said:?}");
    assert_eq!(said.json()["findings"][0]["code"], "MEL0001");
    plane.mesh.remove("broken.yaml").unwrap();
    plane.run(&["wait"]).await.expect(0);
}

#[tokio::test]
async fn a_rule_for_a_subset_that_nothing_defines_is_not_live() {
    let plane = Plane::shop().await;
    let _proxy = live(plane.proxy("client").await);
    let (rule, destination) = RULE.split_once("---\n").unwrap();
    let rule = rule.replace("subset: v2", "subset: v3");
    plane.mesh.write("rule.yaml", &format!("{rule}---\n{destination}")).unwrap();
    let said = plane.run(&["wait", "--timeout", "1s"]).await.expect(81);
    assert!(said.err.contains("waits for `outbound|80|v3|web.shop"), "{said:?}");
}

#[tokio::test]
async fn without_a_control_plane_the_exit_code_says_so() {
    let mut plane = Plane::shop().await;
    plane.mesh.kill();
    let said = plane.run(&["wait", "--timeout", "60s"]).await.expect(69);
    assert!(said.err.contains("no control plane answers"), "{said:?}");
}

#[tokio::test]
async fn a_control_plane_that_ends_meanwhile_is_no_success() {
    let mut plane = Plane::shop().await;
    let _silent = plane.proxy("silent").await;
    plane.mesh.write("rule.yaml", &shifted()).unwrap();
    let server = plane.mesh.admin_address().to_string();
    let waiting = tokio::task::spawn_blocking(move || {
        std::process::Command::new(env!("CARGO_BIN_EXE_meltemi"))
            .args(["wait", "--timeout", "60s", "--server", &server])
            .output()
            .unwrap()
    });
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    plane.mesh.kill();
    let output = waiting.await.unwrap();
    assert_eq!(output.status.code(), Some(75), "{output:?}");
}
