//! What enters by a gateway: plain, encrypted, passed through by server name, as bytes.

use std::{net::SocketAddr, time::Duration};

use testkit::{
    EnvoyProcess,
    certs::{CertificateAuthority, Leaf},
    http::{Backend, BackendSettings, Client, Request, TcpBackend, TlsSettings, tcp_exchange},
    mesh::ProxySettings,
    ports,
};

use crate::shop::{Instance, Shop, eventually, require, send, service_on};

const HTTP: u16 = 7081;
const HTTPS: u16 = 7443;

/// A shop with a gateway proxy, whose servers (items of a list) listen on an address of their own.
struct Edge {
    shop: Shop,
    envoy: EnvoyProcess,
    address: SocketAddr,
}

impl Edge {
    /// `servers` is a list of the Gateway's; each is bound to the edge's address. `ports` are
    /// those that must be listened on.
    async fn start(versions: &[&str], servers: &[&str], yaml: &str, listening: &[u16]) -> Self {
        let address = ports::loopback_address();
        let servers: String =
            servers.iter().map(|it| format!("  - {{bind: {address}, {it}}}\n")).collect();
        let yaml = format!(
            "---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: edge, namespace: shop}}
spec:
  selector: {{app: edge}}
  servers:
{servers}{yaml}"
        );
        let shop = Shop::start(versions, &yaml).await;
        let envoy = shop.mesh.proxy(&ProxySettings::gateway("edge.shop")).await.unwrap();
        for port in listening {
            eventually(async || {
                let connected = tokio::net::TcpStream::connect((address, *port)).await;
                connected
                    .map_err(|error| format!("{address}:{port}: {error}\n{}", envoy.log_tail()))
            })
            .await;
        }
        Self { shop, envoy, address: SocketAddr::new(address, 0) }
    }

    fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address.ip(), port)
    }

    async fn expect_accepted(&self) {
        eventually(async || self.shop.mesh.expect_synced(2).await).await;
        let refused = self.envoy.stats("update_rejected$").await.unwrap();
        assert!(refused.values().all(|count| *count == 0), "{refused:?}");
    }
}

/// A rule of `edge` for `host`, with this text below `spec`.
fn rule(host: &str, spec: &str) -> String {
    format!(
        "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: at-edge, namespace: shop}}
spec:
  hosts: ['{host}']
  gateways: [edge]
{spec}
"
    )
}

const TO_WEB: &str = "  http: [{route: [{destination: {host: web}}]}]";

#[tokio::test]
async fn requests_enter_by_host_and_path() {
    let servers = ["port: {number: 7081, name: http, protocol: HTTP}, hosts: ['*.example.com']"];
    let spec = "
  http:
  - match: [{uri: {prefix: /v2/}}]
    rewrite: {uri: /}
    route: [{destination: {host: web, subset: v2}}]
  - match: [{uri: {prefix: /v1/}}]
    route: [{destination: {host: web, subset: v1}}]
";
    let subsets = crate::shop::destination_rule(
        "  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]",
    );
    let yaml = subsets + &rule("www.example.com", spec);
    let edge = Edge::start(&["v1", "v2"], &servers, &yaml, &[HTTP]).await;
    let get = async |host: &str, path: &str| send(&Request::get(edge.at(HTTP), host, path)).await;
    let echo = get("www.example.com", "/v2/x").await.echo().unwrap();
    assert_eq!((echo.backend.as_str(), echo.path.as_str()), ("web-v2", "/x"));
    // The port in the host does not matter.
    assert_eq!(get("www.example.com:7081", "/v1/x").await.backend(), Some("web-v1"));
    assert_eq!(get("www.example.com", "/v3/x").await.status, 404);
    assert_eq!(get("other.example.com", "/v1/x").await.status, 404);
    edge.expect_accepted().await;
}

#[tokio::test]
async fn a_rule_that_changes_is_followed() {
    let servers = ["port: {number: 7081, name: http, protocol: HTTP}, hosts: ['*']"];
    let edge = Edge::start(&["v1"], &servers, "", &[]).await;
    edge.shop.mesh.write("rule.yaml", &rule("a.example", TO_WEB)).unwrap();
    let status = async |host: &str| {
        let answer = Client::new().send(&Request::get(edge.at(HTTP), host, "/")).await?;
        Ok::<_, anyhow::Error>(answer.status.as_u16())
    };
    eventually(async || require(status("a.example").await? == 200, "a is not served")).await;
    edge.shop.mesh.write("rule.yaml", &rule("b.example", TO_WEB)).unwrap();
    eventually(async || require(status("b.example").await? == 200, "b is not served")).await;
    assert_eq!(status("a.example").await.unwrap(), 404);
    edge.expect_accepted().await;
}

#[tokio::test]
async fn tls_ends_at_the_gateway_and_plain_requests_are_sent_there() {
    let authority = CertificateAuthority::new("authority").unwrap();
    let leaf = authority.leaf(&["www.example.com"]).unwrap();
    let tls = format!("tls: {{mode: SIMPLE, {}}}", files(&leaf));
    let servers = [
        "port: {number: 7081, name: http, protocol: HTTP}, hosts: ['*'], tls: {httpsRedirect: true}",
        &format!(
            "port: {{number: 7443, name: https, protocol: HTTPS}}, hosts: ['www.example.com'], {tls}"
        ),
    ];
    let yaml = rule("www.example.com", TO_WEB);
    let edge = Edge::start(&["v1"], &servers, &yaml, &[HTTP, HTTPS]).await;
    let plain = Request::get(edge.at(HTTP), "www.example.com", "/a?b=c");
    let response = send(&plain).await;
    let seen = (response.status.as_u16(), response.header("location"));
    assert_eq!(seen, (301, Some("https://www.example.com/a?b=c")));

    let encrypted = Request::get(edge.at(HTTPS), "www.example.com", "/a");
    let encrypted = encrypted.tls(TlsSettings::new("www.example.com"));
    for request in [encrypted.clone(), encrypted.http2()] {
        let response = send(&request).await;
        assert_eq!(response.backend(), Some("web-v1"));
        let shown = response.peer_certificates[0].as_ref();
        assert_eq!(shown, leaf.certificate_der().unwrap().as_ref());
        assert_eq!(response.echo().unwrap().headers["x-forwarded-proto"], "https");
    }
    let other = Request::get(edge.at(HTTPS), "x", "/").tls(TlsSettings::new("other.example"));
    assert!(Client::new().send(&other).await.is_err(), "no server has this name");
    edge.expect_accepted().await;
}

fn files(leaf: &Leaf) -> String {
    let (certificate, key) = (leaf.certificate_path.display(), leaf.key_path.display());
    format!("serverCertificate: {certificate}, privateKey: {key}")
}

#[tokio::test]
async fn clients_without_a_certificate_are_refused_where_one_is_asked_for() {
    let authority = CertificateAuthority::new("authority").unwrap();
    let leaf = authority.leaf(&["www.example.com"]).unwrap();
    let server = format!(
        "port: {{number: 7443, name: https, protocol: HTTPS}}, hosts: ['*'], \
         tls: {{mode: MUTUAL, {}, caCertificates: {}}}",
        files(&leaf),
        authority.path.display()
    );
    let yaml = rule("www.example.com", TO_WEB);
    let edge = Edge::start(&["v1"], &[&server], &yaml, &[HTTPS]).await;
    let request = |identity: Option<Leaf>| {
        let tls = TlsSettings { identity, ..TlsSettings::new("www.example.com") };
        Request::get(edge.at(HTTPS), "www.example.com", "/").tls(tls)
    };
    let known = authority.leaf(&["client.example"]).unwrap();
    assert_eq!(send(&request(Some(known))).await.backend(), Some("web-v1"));
    let stranger = CertificateAuthority::new("other").unwrap().leaf(&["client.example"]).unwrap();
    for identity in [None, Some(stranger)] {
        assert!(Client::new().send(&request(identity)).await.is_err());
    }
    edge.expect_accepted().await;
}

#[tokio::test]
async fn encrypted_connections_pass_through_by_server_name() {
    let authority = CertificateAuthority::new("authority").unwrap();
    let (mut backends, mut yaml, mut routes) = (Vec::new(), String::new(), String::new());
    for name in ["one", "two"] {
        let leaf = authority.leaf(&[&format!("{name}.example")]).unwrap();
        let settings = BackendSettings {
            address: ports::loopback_socket(HTTPS),
            tls: Some(authority.server_config(&leaf).unwrap()),
            ..BackendSettings::new(name)
        };
        let backend = Backend::start_with(settings).await.unwrap();
        yaml += &service_on(name, ("tls", HTTPS), &[Instance::new("v1", &backend)]);
        routes += &format!(
            "  - match: [{{port: {HTTPS}, sniHosts: [{name}.example]}}]
    route: [{{destination: {{host: {name}}}}}]
"
        );
        backends.push((backend, leaf));
    }
    yaml += &rule("*.example", &format!("  tls:\n{routes}"));
    let servers = [
        "port: {number: 7443, name: tls, protocol: TLS}, hosts: ['*.example'], tls: {mode: PASSTHROUGH}",
    ];
    let edge = Edge::start(&[], &servers, &yaml, &[HTTPS]).await;
    for (backend, leaf) in &backends {
        let name = TlsSettings::new(&format!("{}.example", backend.name()));
        let response = send(&Request::get(edge.at(HTTPS), "any", "/").tls(name)).await;
        assert_eq!(response.backend(), Some(backend.name()));
        let shown = response.peer_certificates[0].as_ref();
        assert_eq!(shown, leaf.certificate_der().unwrap().as_ref());
    }
    edge.expect_accepted().await;
}

#[tokio::test]
async fn bytes_enter_by_port() {
    let backend = TcpBackend::start("bytes", ports::loopback_socket(9000)).await.unwrap();
    let instance = Instance { version: "v1", address: backend.address(), node: None };
    let yaml = service_on("bytes", ("tcp", 9000), &[instance])
        + &rule("*", "  tcp: [{match: [{port: 7081}], route: [{destination: {host: bytes}}]}]");
    let servers = ["port: {number: 7081, name: tcp, protocol: TCP}, hosts: ['*']"];
    let edge = Edge::start(&[], &servers, &yaml, &[HTTP]).await;
    let answer = tcp_exchange(edge.at(HTTP), b"hello", Duration::from_secs(10)).await.unwrap();
    assert_eq!(answer, b"bytes\nhello");
    edge.expect_accepted().await;
}
