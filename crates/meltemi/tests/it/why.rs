//! `why`: the way of a request, and the objects behind it.

use crate::plane::{Plane, RULE, SHOP, live};

#[tokio::test]
async fn a_request_is_followed_to_its_endpoints_and_objects() {
    let plane = Plane::shop().await;
    let _proxy = live(plane.proxy("client").await);
    let canary = ["--path", "/v1/a?b=c", "--header", "x-canary=yes"];
    let request = ["why", "client.shop", "--host", "web", "--port", "80"];
    let said = plane.run(&[&request[..], &canary, &["-o", "json"]].concat()).await.expect(0);
    let report = said.json();
    assert_eq!(report["route"]["config"], "80");
    assert_eq!(report["route"]["name"], "canary");
    assert_eq!(report["route"]["number"], 1);
    let origin = &report["route"]["origins"][0];
    assert_eq!(origin["object"], "VirtualService shop/web");
    assert!(origin["location"].as_str().unwrap().ends_with("rule.yaml:2"), "{origin}");
    let cluster = &report["clusters"][0];
    assert_eq!(cluster["name"], "outbound|80|v2|web.shop.svc.cluster.local");
    assert_eq!(cluster["share"], "100%");
    assert_eq!(cluster["endpoints"][0]["address"], "10.0.0.2:8080");
    let objects = cluster["origins"].to_string();
    assert!(objects.contains("Service shop/web") && objects.contains("DestinationRule shop/web"));
    assert_eq!(effect(&report, "timeout"), "2s");

    let text = plane.run(&[&request[..], &canary].concat()).await.expect(0).out;
    assert!(text.contains("80 › web.shop.svc.cluster.local:80 › canary (#1 of 2)"), "{text}");
}

#[tokio::test]
async fn without_interception_the_listener_of_the_port_is_taken() {
    let sidecar = r#"apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: client, namespace: shop}
spec:
  egress:
  - port: {number: 80, name: http, protocol: HTTP}
    bind: 127.0.0.9
    captureMode: NONE
    hosts: [./web.shop.svc.cluster.local]
"#;
    let files = [("shop.yaml", SHOP), ("rule.yaml", RULE), ("sidecar.yaml", sidecar)];
    let plane = Plane::start(&files).await;
    let _proxy = live(plane.bare_proxy("client").await);
    let request = ["why", "client.shop", "--host", "web", "--port", "80", "-o", "json"];
    let report = plane.run(&request).await.expect(0).json();
    assert_eq!(report["listener"]["name"], "127.0.0.9_80", "{report}");
}

#[tokio::test]
async fn a_route_that_is_passed_over_says_what_differs() {
    let plane = Plane::shop().await;
    let _proxy = live(plane.proxy("client").await);
    let said = plane
        .run(&["why", "client.shop", "--host", "web.shop", "--port", "80", "--path", "/v1"])
        .await
        .expect(0);
    assert!(said.out.contains("tried   `canary`: header `x-canary` is missing, wanted is `yes`"));
    assert!(said.out.contains("main (#2 of 2)"), "{said:?}");
    assert!(said.out.contains("outbound|80|v1|web.shop.svc.cluster.local  90%"), "{said:?}");
    assert!(said.out.contains("3 × on 5xx"), "{said:?}");
}

#[tokio::test]
async fn a_misspelt_host_finds_its_neighbour() {
    let plane = Plane::shop().await;
    let _proxy = live(plane.proxy("client").await);
    let said = plane.run(&["why", "client.shop", "--host", "wep.shop", "--port", "80"]).await;
    let said = said.expect(0);
    assert!(said.out.contains("PassthroughCluster"), "{said:?}");
    assert!(said.out.contains("its domain is `web.shop`"), "{said:?}");
}

#[tokio::test]
async fn what_is_not_acknowledged_is_not_on_the_way() {
    let plane = Plane::shop().await;
    let silent = plane.proxy("silent").await;
    let newer = crate::plane::RULE.replace("timeout: 2s", "timeout: 9s");
    plane.mesh.write("rule.yaml", &newer).unwrap();
    plane.run(&["wait", "--timeout", "500ms"]).await.expect(81);
    let canary = ["--path", "/v1", "--header", "x-canary=yes"];
    let request = ["why", "silent.shop", "--host", "web", "--port", "80"];
    let report = plane.run(&[&request[..], &canary, &["-o", "json"]].concat()).await.json();
    assert_eq!(effect(&report, "timeout"), "2s");
    assert_eq!(report["notes"][0], "a newer version of route `80` is on its way");
    assert_eq!(report["state"], "STALE");
    drop(silent);
}

#[tokio::test]
async fn an_unknown_proxy_is_an_error() {
    let plane = Plane::shop().await;
    let said = plane.run(&["why", "nobody.shop", "--port", "80"]).await.expect(1);
    assert!(said.err.contains("no connected proxy is called `nobody.shop`"), "{said:?}");
}

fn effect<'a>(report: &'a serde_json::Value, field: &str) -> &'a str {
    let effects = report["effects"].as_array().unwrap();
    let found = effects.iter().find(|effect| effect["field"] == field);
    found.and_then(|effect| effect["value"].as_str()).unwrap_or_default()
}
