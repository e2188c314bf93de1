//! Black and white lists by the command line, in a real control plane.

use std::{thread, time::Duration};

use crate::plane::Plane;

const FILE: &str = "shop/authorizationpolicy-deny-web-to-shop-cart.yaml";

#[tokio::test]
async fn a_denial_is_an_object_that_can_be_listed_and_taken_back() {
    let plane = Plane::shop().await;
    let deny = ["access", "deny", "--from", "web", "--to", "shop/cart", "--ttl", "1h"];
    let said = plane.run(&[&deny[..], &["--dry-run"]].concat()).await.expect(1);
    assert!(said.out.starts_with("apiVersion: security.istio.io/v1"), "{said:?}");
    assert!(!plane.mesh.objects().join(FILE).exists());

    let said = plane.run(&deny).await.expect(0);
    assert!(said.out.starts_with("authorizationpolicy/deny-web-to-shop-cart created"), "{said:?}");
    let text = plane.mesh.read(FILE).unwrap();
    assert!(text.contains("meltemi.io/expires-at"), "{text}");
    plane.run(&["wait"]).await.expect(0);
    let said = plane.run(&["access", "list"]).await.expect(0);
    assert!(said.out.contains("DENY") && said.out.contains("app=cart"), "{said:?}");

    let remove = ["access", "remove", "deny-web-to-shop-cart", "-n", "shop"];
    plane.run(&remove).await.expect(0);
    assert!(!plane.mesh.objects().join(FILE).exists());
    let said = plane.run(&remove).await.expect(1);
    assert!(said.err.contains("in no served file"), "{said:?}");
}

#[tokio::test]
async fn a_denial_that_has_ended_is_deleted() {
    let plane = Plane::shop().await;
    plane
        .run(&["access", "deny", "--from", "web", "--to", "shop/cart", "--ttl", "1s"])
        .await
        .expect(0);
    let path = plane.mesh.objects().join(FILE);
    for _ in 0..600 {
        if !path.exists() {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("it is still there");
}

#[tokio::test]
async fn objects_of_files_are_taken_away() {
    let plane = Plane::shop().await;
    let text = plane.mesh.read("rule.yaml").unwrap();
    let said = plane.run_with(&["apply", "-f", "-", "--delete"], &text).await.expect(0);
    assert!(said.out.contains("virtualservice/web deleted"), "{said:?}");
    assert!(!plane.mesh.objects().join("rule.yaml").exists());
    plane.run(&["wait"]).await.expect(0);
}
