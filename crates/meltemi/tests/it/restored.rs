//! A process that begins with what the one before it has left.

use std::{fs, time::Duration};

use serde_json::Value as Json;
use testkit::{
    http::{Client, Request},
    mesh::{Mesh, MeshSettings},
};
use tokio::time::{self, Instant};

use crate::plane::{Plane, RULE, SHOP};

const PATIENCE: Duration = Duration::from_secs(30);

async fn sources(plane: &Plane) -> Json {
    let request = Request::get(plane.mesh.admin_address(), "localhost", "/debug/sources");
    let text = Client::new().send(&request).await.unwrap().text();
    serde_json::from_str(&text).unwrap()
}

/// The names of the clusters of a new proxy.
async fn clusters(plane: &Plane, name: &str) -> Vec<String> {
    let proxy = plane.proxy(name).await;
    let names = proxy.resources(envoy::type_url::CLUSTER).map(|(name, _)| name.to_owned());
    names.filter(|name| name.contains("web")).collect()
}

#[tokio::test]
async fn a_new_process_says_the_same_and_then_what_has_changed() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let environment = [("MELTEMI_STATE_DIRECTORY", state.to_str().unwrap())];
    let files = [("shop.yaml", SHOP), ("rule.yaml", RULE)];
    let settings = MeshSettings::new(env!("CARGO_BIN_EXE_meltemi"), &files);
    let settings = MeshSettings { environment: &environment, ..settings };
    let mut plane = Plane { mesh: Mesh::start(&settings).await.unwrap() };
    let before = clusters(&plane, "one").await;
    assert!(before.len() > 1, "{before:?}");
    let file = state.join("state.jsonl");
    let deadline = Instant::now() + PATIENCE;
    while !file.exists() {
        assert!(Instant::now() < deadline, "no state is written");
        time::sleep(Duration::from_millis(50)).await;
    }
    plane.mesh.kill();
    // Gone while nobody looked: served at most until the folder has been read.
    plane.mesh.remove("rule.yaml").unwrap();
    plane.mesh.restart().await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while sources(&plane).await["items"][0]["synced"] != true {
        assert!(Instant::now() < deadline, "{}", sources(&plane).await);
        time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(sources(&plane).await["items"][0]["restored"], Json::Null);
    assert_eq!(clusters(&plane, "two").await, ["outbound|80||web.shop.svc.cluster.local"]);
    // A state that is broken is as good as none.
    plane.mesh.kill();
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, &text[..text.len() / 2]).unwrap();
    plane.mesh.restart().await.unwrap();
    assert_eq!(clusters(&plane, "three").await, ["outbound|80||web.shop.svc.cluster.local"]);
}
