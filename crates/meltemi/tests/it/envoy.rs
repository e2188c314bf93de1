//! With a real Envoy: its own words when it refuses, and `why` against what it really does.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use http::Method;
use testkit::{
    EnvoyProcess,
    http::{Backend, Client, Request, Response},
    mesh::ProxySettings,
    ports,
};

use crate::plane::Plane;

const PORT: u16 = 7090;

/// A gateway in front of two backends.
struct Edge {
    plane: Plane,
    address: SocketAddr,
    _backends: [Backend; 2],
    _envoy: EnvoyProcess,
}

const RULE: &str = r#"
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: shop}
spec:
  hosts: ["shop.example", "*.shop.example"]
  gateways: [edge]
  http:
  - name: old
    match: [{uri: {prefix: /old}}]
    redirect: {uri: /new, scheme: https, redirectCode: 308}
  - name: teapot
    match: [{uri: {exact: /tea}, ignoreUriCase: true}]
    directResponse: {status: 418}
  - name: regex
    match: [{uri: {regex: "/v[0-9]+/.*"}}]
    route: [{destination: {host: two.example}}]
  - name: query
    match: [{queryParams: {version: {exact: "2"}}}]
    route: [{destination: {host: two.example}}]
  - name: post
    match: [{method: {exact: POST}, withoutHeaders: {x-plain: {}}}]
    route: [{destination: {host: two.example}}]
  - name: header
    match: [{headers: {x-user: {regex: "b.*"}}}, {headers: {x-user: {exact: ann}}}]
    timeout: 3s
    route: [{destination: {host: two.example}}]
  - name: main
    match: [{uri: {prefix: /}, authority: {exact: shop.example}}]
    route: [{destination: {host: one.example}}]
"#;

impl Edge {
    async fn start() -> Self {
        let backends = [Backend::start("one").await.unwrap(), Backend::start("two").await.unwrap()];
        let address = ports::loopback_socket(PORT);
        let entry = |backend: &Backend| {
            let (name, at) = (backend.name(), backend.address());
            format!(
                "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: shop}}
spec:
  hosts: [{name}.example]
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  resolution: STATIC
  endpoints: [{{address: {}, ports: {{http: {}}}}}]
",
                at.ip(),
                at.port()
            )
        };
        let gateway = format!(
            "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: edge, namespace: shop}}
spec:
  selector: {{app: edge}}
  servers:
  - {{bind: {}, port: {{number: {PORT}, name: http, protocol: HTTP}}, hosts: ['*']}}
",
            address.ip()
        );
        let mesh = gateway + &entry(&backends[0]) + &entry(&backends[1]);
        let plane = Plane::start(&[("mesh.yaml", &mesh), ("rule.yaml", RULE)]).await;
        let envoy = plane.mesh.proxy(&ProxySettings::gateway("edge.shop")).await.unwrap();
        plane.run(&["wait"]).await.expect(0);
        let edge = Self { plane, address, _backends: backends, _envoy: envoy };
        edge.until_listening().await;
        edge
    }

    /// An acknowledged listener is bound a moment later.
    async fn until_listening(&self) {
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(self.address).await.is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "nothing listens");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What Envoy does with a request, and what `why` says that it does.
    async fn compare(&self, host: &str, path: &str, more: &[(&str, &str)]) -> (String, String) {
        let (ip, port) = (self.address.ip().to_string(), PORT.to_string());
        let mut arguments = vec!["why", "edge.shop", "--host", host, "--port", &port];
        arguments.extend(["--address", &ip, "--path", path, "-o", "json"]);
        let mut request = Request::get(self.address, host, path);
        let pairs: Vec<String> =
            more.iter().map(|(name, value)| format!("{name}={value}")).collect();
        for ((name, value), pair) in more.iter().zip(&pairs) {
            if *name == "method" {
                arguments.extend(["--method", value]);
                request = request.method(Method::from_bytes(value.as_bytes()).unwrap());
            } else {
                arguments.extend(["--header", pair]);
                request = request.header(name, value);
            }
        }
        let report = self.plane.run(&arguments).await.expect(0).json();
        let response = Client::new().send(&request).await.unwrap();
        (real(&response), told(&report))
    }
}

fn real(response: &Response) -> String {
    match (response.status.as_u16(), response.backend(), response.header("location")) {
        (_, Some(backend), _) => backend.to_owned(),
        (404, None, _) => "404".to_owned(),
        (status, None, Some(location)) => format!("{status} to {location}"),
        (status, None, None) => status.to_string(),
    }
}

fn told(report: &serde_json::Value) -> String {
    if let Some(answer) = report["answer"].as_str() {
        return answer.split(',').next().unwrap_or_default().to_owned();
    }
    match report["clusters"][0]["name"].as_str() {
        Some(name) => name.split("||").last().unwrap_or_default().replace(".example", ""),
        None => {
            assert!(!report["error"].is_null(), "{report}");
            "404".to_owned()
        }
    }
}

/// Host, path, headers, and who answers.
type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)], &'static str);

#[tokio::test]
async fn why_says_what_envoy_does() {
    let edge = Edge::start().await;
    let cases: &[Case] = &[
        ("shop.example", "/", &[], "one"),
        ("SHOP.example", "/", &[], "404"),
        ("a.shop.example", "/", &[], "404"),
        ("other.example", "/", &[], "404"),
        ("shop.example", "/old/x?y=1", &[], "308 to https://shop.example/new?y=1"),
        ("shop.example", "/TEA", &[], "418"),
        ("shop.example", "/tea/x", &[], "one"),
        ("shop.example", "/v12/x", &[], "two"),
        ("shop.example", "/x/v12/x", &[], "one"),
        ("shop.example", "/?a=1&version=2", &[], "two"),
        ("shop.example", "/?version=22", &[], "one"),
        ("shop.example", "/", &[("method", "POST")], "two"),
        ("shop.example", "/", &[("method", "POST"), ("x-plain", "1")], "one"),
        ("shop.example", "/", &[("x-user", "bob")], "two"),
        ("shop.example", "/", &[("x-user", "abob")], "one"),
        ("shop.example", "/", &[("x-user", "ann")], "two"),
        ("a.shop.example", "/", &[("x-user", "ann")], "two"),
    ];
    let mut wrong = Vec::new();
    for (host, path, more, expected) in cases {
        let (real, told) = edge.compare(host, path, more).await;
        if real != *expected || told != *expected {
            wrong.push(format!("{host}{path} {more:?}: {expected}, Envoy {real}, why {told}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn envoys_own_words_end_the_wait() {
    let edge = Edge::start().await;
    let bad = "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: one, namespace: shop}
spec:
  host: one.example
  trafficPolicy:
    tls: {mode: MUTUAL, clientCertificate: /no/such/cert.pem, privateKey: /no/such/key.pem, caCertificates: /no/such/ca.pem}
";
    let said = edge.plane.run_with(&["apply", "-f", "-", "--wait"], bad).await.expect(82);
    assert!(said.err.contains("edge.shop  cluster outbound|80||one.example: "), "{said:?}");
    assert!(said.err.contains("/no/such/"), "{said:?}");
    // Traffic goes on as before, and mending it is enough.
    let response = Client::new().send(&Request::get(edge.address, "shop.example", "/")).await;
    assert_eq!(response.unwrap().backend(), Some("one"));
    edge.plane.mesh.remove("shop/destinationrule-one.yaml").unwrap();
    edge.plane.run(&["wait"]).await.expect(0);
}
