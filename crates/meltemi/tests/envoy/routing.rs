//! Which instance answers: by host, header, path, weight and subset.

use http::Method;

use crate::shop::{Shop, destination_rule, send, virtual_service};

/// A VirtualService for `web` with this `http` section, and the subsets that it may name.
fn rule(http: &str) -> String {
    let subset = |name| format!("  - {{name: {name}, labels: {{version: {name}}}}}\n");
    let subsets: String = ["v1", "v2", "v3"].into_iter().map(subset).collect();
    let subsets = destination_rule(&format!("  subsets:\n{subsets}"));
    subsets + &virtual_service(&format!("  http:{http}"))
}

#[tokio::test]
async fn a_service_is_reached_by_all_its_names_at_all_instances() {
    let shop = Shop::start(&["v1", "v2"], "").await;
    for host in ["web", "web.shop", "web.shop.svc", "web.shop.svc.cluster.local", "web:7080"] {
        let request = testkit::http::Request::get(shop.address, host, "/a?b=c");
        let echo = send(&request).await.echo().unwrap();
        assert_eq!((echo.host.as_str(), echo.path.as_str()), (host, "/a?b=c"));
    }
    let answers = shop.count(&shop.request("/"), 40).await;
    assert!(answers.iter().all(|count| *count > 0), "{answers:?}");
    shop.mesh.expect_synced(1).await.unwrap();
}

#[tokio::test]
async fn headers_choose_the_subset() {
    let shop = Shop::start(
        &["v1", "v2", "v3"],
        &rule(
            "
  - match: [{headers: {user: {exact: ann}}}]
    route: [{destination: {host: web, subset: v2}}]
  - match: [{headers: {user: {regex: 'b.*'}}}, {withoutHeaders: {user: {}}, queryParams: {v: {exact: '3'}}}]
    route: [{destination: {host: web, subset: v3}}]
  - route: [{destination: {host: web, subset: v1}}]
",
        ),
    )
    .await;
    let user = |name: &str| shop.request("/").header("user", name);
    for (request, expected) in [
        (user("ann"), "web-v2"),
        (user("anna"), "web-v1"),
        (user("bob"), "web-v3"),
        (shop.request("/?v=3"), "web-v3"),
        (user("eve"), "web-v1"),
        (shop.request("/"), "web-v1"),
    ] {
        let response = send(&request).await;
        assert_eq!(response.backend(), Some(expected), "{request:?}: {}", response.text());
    }
}

#[tokio::test]
async fn paths_and_methods_choose_the_subset() {
    let shop = Shop::start(
        &["v1", "v2", "v3"],
        &rule(
            "
  - match: [{uri: {prefix: /api/}, method: {exact: POST}}]
    route: [{destination: {host: web, subset: v2}}]
  - match: [{uri: {exact: /API}, ignoreUriCase: true}, {uri: {regex: '/v[0-9]+/.*'}}]
    route: [{destination: {host: web, subset: v3}}]
  - match: [{uri: {prefix: /}}]
    route: [{destination: {host: web, subset: v1}}]
",
        ),
    )
    .await;
    for (method, path, expected) in [
        (Method::POST, "/api/a", "web-v2"),
        (Method::GET, "/api/a", "web-v1"),
        (Method::GET, "/api", "web-v3"),
        (Method::GET, "/v12/a", "web-v3"),
        (Method::GET, "/vx/a", "web-v1"),
    ] {
        let response = send(&shop.request(path).method(method)).await;
        assert_eq!(response.backend(), Some(expected), "{path}");
    }
}

#[tokio::test]
async fn weights_split_the_requests() {
    let shop = Shop::start(
        &["v1", "v2", "v3"],
        &rule(
            "
  - route:
    - {destination: {host: web, subset: v1}, weight: 80}
    - {destination: {host: web, subset: v2}, weight: 20}
    - {destination: {host: web, subset: v3}, weight: 0}
",
        ),
    )
    .await;
    let answers = shop.count(&shop.request("/"), 400).await;
    // Six standard deviations around 80.
    assert!((32..=128).contains(&answers[1]), "{answers:?}");
    assert_eq!(answers[2], 0);
}

#[tokio::test]
async fn an_unknown_subset_answers_503_and_spares_other_routes() {
    let shop = Shop::start(
        &["v1"],
        &rule(
            "
  - match: [{uri: {prefix: /none}}]
    route: [{destination: {host: web, subset: none}}]
  - route: [{destination: {host: web, subset: v1}}]
",
        ),
    )
    .await;
    assert_eq!(shop.get("/none").await.status, 503);
    assert_eq!(shop.get("/").await.backend(), Some("web-v1"));
}
