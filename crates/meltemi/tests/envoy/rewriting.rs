//! What is done to a request and its answer: mirrors, redirects, rewrites, headers, CORS.

use http::Method;
use testkit::http::Request;

use crate::shop::{Shop, destination_rule, eventually, require, send, virtual_service};

#[tokio::test]
async fn a_mirror_gets_a_copy_and_its_answer_is_dropped() {
    let subsets = destination_rule(
        "  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]",
    );
    let rule = "
  http:
  - match: [{uri: {prefix: /never}}]
    mirror: {host: web, subset: v2}
    mirrorPercentage: {value: 0}
    route: [{destination: {host: web, subset: v1}}]
  - mirrors: [{destination: {host: web, subset: v2}, percentage: {value: 100}}]
    route: [{destination: {host: web, subset: v1}}]
";
    let shop = Shop::start(&["v1", "v2"], &(subsets + &virtual_service(rule))).await;
    assert_eq!(shop.count(&shop.request("/never"), 10).await, [10, 0]);
    assert_eq!(shop.count(&shop.request("/"), 10).await, [10, 0]);
    eventually(async || {
        let copies = shop.web[1].requests();
        require(copies == 10, format!("{copies} copies have come"))
    })
    .await;
    assert_eq!(shop.received(), [20, 10]);
}

#[tokio::test]
async fn redirects_say_where_to_go() {
    let rule = "
  http:
  - match: [{uri: {exact: /old}}]
    redirect: {uri: /new, authority: other.example, redirectCode: 302}
  - match: [{uri: {prefix: /secure}}]
    redirect: {scheme: https, port: 8443}
  - route: [{destination: {host: web}}]
";
    let shop = Shop::start(&["v1"], &virtual_service(rule)).await;
    for (path, status, location) in [
        ("/old", 302, "http://other.example/new"),
        ("/secure/a?b=c", 301, "https://web:8443/secure/a?b=c"),
    ] {
        let response = shop.get(path).await;
        let seen = (response.status.as_u16(), response.header("location"));
        assert_eq!(seen, (status, Some(location)), "{path}");
    }
    assert_eq!(shop.received(), [0]);
}

#[tokio::test]
async fn paths_and_hosts_are_rewritten() {
    let rule = "
  http:
  - match: [{uri: {prefix: /a/}}]
    rewrite: {uri: /b/, authority: other.example}
    route: [{destination: {host: web}}]
  - match: [{uri: {regex: '/item/[0-9]+/.*'}}]
    rewrite: {uriRegexRewrite: {match: '/item/([0-9]+)/(.*)', rewrite: '/\\2/of/\\1'}}
    route: [{destination: {host: web}}]
  - match: [{uri: {exact: /exact}}]
    rewrite: {uri: /}
    route: [{destination: {host: web}}]
  - route: [{destination: {host: web}}]
";
    let shop = Shop::start(&["v1"], &virtual_service(rule)).await;
    for (path, host, seen) in [
        ("/a/x?y=z", "other.example", "/b/x?y=z"),
        ("/item/12/parts", "web", "/parts/of/12"),
        ("/exact", "web", "/"),
        ("/as/it/is", "web", "/as/it/is"),
    ] {
        let echo = shop.get(path).await.echo().unwrap();
        assert_eq!((echo.host.as_str(), echo.path.as_str()), (host, seen), "{path}");
    }
}

#[tokio::test]
async fn headers_are_set_added_and_removed() {
    let rule = "
  http:
  - headers:
      request: {set: {x-set: new}, add: {x-add: more}, remove: [x-secret]}
      response: {set: {x-answer: set}, remove: [x-internal]}
    route:
    - destination: {host: web}
      headers: {request: {set: {x-route: one, Host: other.example}}}
";
    let shop = Shop::start(&["v1"], &virtual_service(rule)).await;
    let behaviour = testkit::http::Behaviour::answer().with_header("x-internal", "1");
    shop.web[0].set_behaviour(behaviour);
    let mut request = shop.request("/");
    for (name, value) in [("x-set", "old"), ("x-add", "some"), ("x-secret", "s")] {
        request = request.header(name, value);
    }
    let response = send(&request).await;
    assert_eq!((response.header("x-answer"), response.header("x-internal")), (Some("set"), None));
    let echo = response.echo().unwrap();
    let header = |name: &str| echo.headers.get(name).map(String::as_str);
    assert_eq!(header("x-set"), Some("new"));
    assert_eq!(header("x-add"), Some("some,more"));
    assert_eq!(header("x-secret"), None);
    assert_eq!((header("x-route"), echo.host.as_str()), (Some("one"), "other.example"));
}

#[tokio::test]
async fn a_rule_may_answer_by_itself() {
    let rule = "
  http:
  - directResponse: {status: 429, body: {string: later}}
";
    let shop = Shop::start(&["v1"], &virtual_service(rule)).await;
    let response = shop.get("/").await;
    assert_eq!((response.status.as_u16(), response.text().as_str()), (429, "later"));
    assert_eq!(shop.received(), [0]);
}

#[tokio::test]
async fn cors_requests_are_answered_for_known_origins() {
    let rule = "
  http:
  - corsPolicy:
      allowOrigins: [{exact: 'https://good.example'}, {regex: 'https://.*\\.good\\.example'}]
      allowMethods: [GET, PUT]
      allowHeaders: [x-token]
      exposeHeaders: [x-backend]
      allowCredentials: true
      maxAge: 24h
    route: [{destination: {host: web}}]
";
    let shop = Shop::start(&["v1"], &virtual_service(rule)).await;
    let preflight = |origin: &str| -> Request {
        let request = shop.request("/").method(Method::OPTIONS).header("origin", origin);
        request.header("access-control-request-method", "PUT")
    };
    let response = send(&preflight("https://a.good.example")).await;
    assert_eq!((response.status.as_u16(), shop.received()), (200, vec![0]));
    for (header, value) in [
        ("access-control-allow-origin", "https://a.good.example"),
        ("access-control-allow-methods", "GET,PUT"),
        ("access-control-allow-headers", "x-token"),
        ("access-control-allow-credentials", "true"),
        ("access-control-max-age", "86400"),
    ] {
        assert_eq!(response.header(header), Some(value), "{header}");
    }
    let response = send(&shop.request("/").header("origin", "https://good.example")).await;
    assert_eq!(response.header("access-control-allow-origin"), Some("https://good.example"));
    assert_eq!(response.header("access-control-expose-headers"), Some("x-backend"));
    let response = send(&shop.request("/").header("origin", "https://bad.example")).await;
    assert_eq!(response.header("access-control-allow-origin"), None);
}
