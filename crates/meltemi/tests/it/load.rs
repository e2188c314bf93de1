//! What a replica does when it has too much to do: refuse, and hand over.

use std::time::Duration;

use serde_json::Value as Json;
use testkit::{
    http::{Client, Request},
    mesh::{Mesh, MeshSettings},
};
use tokio::time::{self, Instant};
use xds::{
    Code, Protocol,
    client::{AdsClient, ClientError},
};

use crate::plane::{Plane, SHOP, live, node};

/// Peers are asked every 15 seconds, and what goes goes within ten.
const PATIENCE: Duration = Duration::from_secs(60);

async fn plane(environment: &[(&str, &str)]) -> Plane {
    let files = [("shop.yaml", SHOP)];
    let settings = MeshSettings::new(env!("CARGO_BIN_EXE_meltemi"), &files);
    Plane { mesh: Mesh::start(&MeshSettings { environment, ..settings }).await.unwrap() }
}

async fn get(plane: &Plane, path: &str) -> String {
    let request = Request::get(plane.mesh.admin_address(), "localhost", path);
    Client::new().send(&request).await.unwrap().text()
}

async fn load(plane: &Plane) -> Json {
    serde_json::from_str(&get(plane, "/debug/load").await).unwrap()
}

#[tokio::test]
async fn a_replica_hands_half_of_its_excess_to_a_new_one() {
    let new = plane(&[]).await;
    let peer = new.mesh.admin_address().to_string();
    let old = plane(&[("MELTEMI_PEERS", &peer)]).await;
    let mut proxies = Vec::new();
    for number in 0..30 {
        proxies.push(live(old.proxy(&format!("web-{number}")).await));
    }
    assert_eq!(load(&old).await["streams"], 30);
    let deadline = Instant::now() + PATIENCE;
    // Scripted proxies do not come back, so that each round finds fewer.
    while load(&old).await["streams"].as_u64() > Some(25) {
        assert!(Instant::now() < deadline, "{:?}", load(&old).await);
        time::sleep(Duration::from_millis(200)).await;
    }
    let metrics = get(&old, "/metrics").await;
    let sent = metrics.lines().find(|it| it.contains("sent_away_total{reason=\"hand-over\"}"));
    let count: u64 = sent.and_then(|it| it.rsplit(' ').next()?.parse().ok()).unwrap();
    assert!((1..25).contains(&count), "{sent:?}");
    assert_ne!(load(&old).await["instance"], load(&new).await["instance"]);
}

#[tokio::test]
async fn short_memory_refuses_new_streams_and_says_so() {
    let plane = plane(&[("MELTEMI_MEMORY_LIMIT", "1Mi")]).await;
    let deadline = Instant::now() + PATIENCE;
    while load(&plane).await["accepts"] == true {
        assert!(Instant::now() < deadline, "memory is never looked at");
        time::sleep(Duration::from_millis(100)).await;
    }
    let node = node("sidecar~10.1.0.1~web-1.shop~shop.svc.cluster.local", &[]);
    let address = plane.mesh.xds_address();
    let mut client = AdsClient::connect(address, Protocol::Delta, node).await.unwrap();
    match time::timeout(PATIENCE, client.next_response()).await.unwrap() {
        Err(ClientError::Ended(status)) => {
            assert_eq!(status.code, Code::ResourceExhausted);
            assert!(status.message.contains("memory"), "{}", status.message);
            assert!(status.retry_after.is_some());
        }
        other => panic!("expected a status, found {other:?}"),
    }
    let metrics = get(&plane, "/metrics").await;
    assert!(
        metrics.contains("meltemi_xds_streams_refused_total{reason=\"memory\"} 1"),
        "{metrics}"
    );
}
