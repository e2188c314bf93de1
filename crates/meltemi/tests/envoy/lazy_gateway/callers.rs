//! With identities: a destination judges the caller, and not the gateway on its way.

use std::net::{IpAddr, SocketAddr};

use testkit::{
    EnvoyProcess, Mesh,
    http::{Backend, Request},
    mesh::{MeshSettings, ProxySettings},
    ports,
};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
};

use super::{gateway_proxy, gateway_service, settings, taken};
use crate::{
    mtls::{CALLER, HTTP, client_sidecar, mode, server_sidecar, service},
    shop::{BINARY, eventually, require, send},
};

/// `web` with a sidecar, two clients that know it through the gateway only, and that.
struct Callers {
    mesh: Mesh,
    client: IpAddr,
    other: IpAddr,
    gateway: EnvoyProcess,
    _proxies: Vec<EnvoyProcess>,
    _web: Backend,
}

const LABEL: &str = ", security.istio.io/tlsMode: istio";
const POLICY_FILE: &str = "policy.yaml";

impl Callers {
    async fn start(policy: &str) -> Self {
        let backend = Backend::start("web").await.unwrap();
        let [client, other, web, address] = std::array::from_fn(|_| ports::loopback_address());
        let port = ports::free_port();
        let behind = [(HTTP, "HTTP", backend.address().port())];
        // At a place of bytes all is told from the start.
        let sidecar = |name: &str, address| {
            let all = client_sidecar(address).replace("client", name);
            let lines = all.lines().filter(|line| !line.contains("protocol: TCP"));
            lines.map(|line| format!("{line}\n")).collect::<String>()
        };
        let yaml = [
            service(web, LABEL),
            server_sidecar(web, &behind),
            sidecar("client", client),
            sidecar("other", other),
            "apiVersion: v1\nkind: Namespace\n\
             metadata: {name: shop, labels: {meltemi.io/scope: gateway}}\n"
                .to_owned(),
        ];
        let yaml = format!(
            "{}{}{}",
            yaml.join("---\n"),
            gateway_service(address, port, LABEL),
            mode("STRICT")
        );
        let files = [("mesh.yaml", yaml.as_str()), (POLICY_FILE, policy)];
        let base = MeshSettings::new(BINARY, &files).with_identities();
        let mesh = Mesh::start(&MeshSettings { settings: &settings(port), ..base }).await.unwrap();
        mesh.expect_no_errors().await.unwrap();
        // Without reports nothing is learned, and every call takes the detour.
        let proxy = |name: &str| {
            let proxy = ProxySettings::sidecar(&format!("{name}.shop")).identity(name);
            proxy.metadata("MELTEMI_REPORTS=")
        };
        let mut proxies = Vec::new();
        for proxy in
            [proxy("client"), proxy("other"), ProxySettings { address: web, ..proxy("web") }]
        {
            proxies.push(mesh.proxy(&proxy).await.unwrap());
        }
        let gateway = gateway_proxy(address).identity("lazy-gateway");
        let gateway = mesh.proxy(&gateway).await.unwrap();
        for address in [(client, HTTP), (other, HTTP), (web, HTTP), (address, port)] {
            eventually(async || TcpStream::connect(address).await).await;
        }
        Self { mesh, client, other, gateway, _proxies: proxies, _web: backend }
    }

    fn request(&self, from: IpAddr) -> Request {
        Request::get(SocketAddr::new(from, HTTP), "web", "/")
    }

    async fn statuses(&self) -> [u16; 2] {
        let mut statuses = [0; 2];
        for (status, from) in statuses.iter_mut().zip([self.client, self.other]) {
            *status = send(&self.request(from)).await.status.as_u16();
        }
        statuses
    }

    /// Until the policy has got to `web`.
    async fn expect(&self, policy: &str, statuses: [u16; 2]) {
        self.mesh.write(POLICY_FILE, policy).unwrap();
        eventually(async || {
            let now = self.statuses().await;
            require(now == statuses, format!("{now:?} and not {statuses:?}: {policy}"))
        })
        .await;
    }
}

fn policy(spec: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: web, namespace: shop}}
spec: {{selector: {{matchLabels: {{app: web}}}}, {spec}}}
"
    )
}

/// A rule about callers of these accounts.
fn from(accounts: &str) -> String {
    format!("rules: [{{from: [{{source: {{principals: [{accounts}]}}}}]}}]")
}

const CLIENT: &str = "cluster.local/ns/shop/sa/client";
const OTHER: &str = "cluster.local/ns/shop/sa/other";
const GATEWAY: &str = "cluster.local/ns/mesh/sa/lazy-gateway";

#[tokio::test]
async fn a_destination_judges_the_caller() {
    let callers = Callers::start(&policy(&from(CLIENT))).await;
    assert_eq!(callers.statuses().await, [200, 403]);
    assert!(taken(&callers.gateway).await >= 2, "all of them go through the gateway");
    // What the application says of itself is nothing.
    let forged = callers.request(callers.other);
    let forged = forged.header("x-meltemi-caller", &format!("spiffe://{CLIENT}"));
    assert_eq!(send(&forged).await.status.as_u16(), 403);
    let echo = send(&callers.request(callers.client)).await.echo().unwrap();
    assert!(!echo.headers.keys().any(|name| name.starts_with("x-meltemi")), "{:?}", echo.headers);
    // The application is told of both, in order.
    let told = &echo.headers[CALLER];
    let uri = |name: &str| told.find(&format!("URI=spiffe://{name}"));
    let place = |name: &str| uri(name).unwrap_or_else(|| panic!("no {name} in {told}"));
    assert!(place(CLIENT) < place(GATEWAY), "{told}");
    // Who allows the gateway allows nobody.
    callers.expect(&policy(&from(GATEWAY)), [403, 403]).await;
    callers.expect(&policy("rules: [{from: [{source: {namespaces: [mesh]}}]}]"), [403, 403]).await;
    callers.expect(&policy("rules: [{from: [{source: {namespaces: [shop]}}]}]"), [200, 200]).await;
    let deny = |accounts| policy(&format!("action: DENY, {}", from(accounts)));
    callers.expect(&deny(CLIENT), [403, 200]).await;
    callers.expect(&deny(GATEWAY), [200, 200]).await;
    // Nobody knows the caller's address.
    callers
        .expect(&policy("rules: [{from: [{source: {ipBlocks: [127.0.0.0/8]}}]}]"), [403; 2])
        .await;
}

#[tokio::test]
async fn a_policy_for_all_is_judged_by_destinations_and_not_on_the_way() {
    let deny = "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny, namespace: istio-system}
spec: {}
---
";
    let callers = Callers::start(deny).await;
    callers.expect(deny, [403, 403]).await;
    callers.expect(&format!("{deny}{}", policy(&from(CLIENT))), [200, 403]).await;
    // One that names the gateway says who may use it.
    let own = format!("{}---\n{}", policy(&from(CLIENT)), policy(&from(OTHER)))
        .replacen("name: web, namespace: shop", "name: own, namespace: mesh", 1)
        .replacen("app: web", "app: lazy-gateway", 1);
    callers.expect(&own, [403, 403]).await;
    callers.expect(&own.replace(OTHER, CLIENT), [200, 403]).await;
}

/// A server outside of the mesh.
fn outside(host: &str, server: SocketAddr) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {host}, namespace: shop}}
spec:
  hosts: [{host}.example.com]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{{number: {HTTP}, name: http, protocol: HTTP}}]
  endpoints: [{{address: {}, ports: {{http: {}}}}}]
---
",
        server.ip(),
        server.port()
    )
}

#[tokio::test]
async fn a_server_outside_of_the_mesh_is_not_told_who_calls() {
    let far = Backend::start("far").await.unwrap();
    let copies = TcpListener::bind((ports::loopback_address(), 0)).await.unwrap();
    let rule = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: [web]
  http:
  - match: [{uri: {prefix: /far}}]
    route: [{destination: {host: far.example.com}}]
  - match: [{uri: {prefix: /shared}}]
    route: [{destination: {host: far.example.com}, weight: 100}, {destination: {host: web}}]
  - match: [{uri: {prefix: /copied}}]
    route: [{destination: {host: web}}]
    mirror: {host: copies.example.com}
  - route: [{destination: {host: web}}]
";
    let others = outside("far", far.address()) + &outside("copies", copies.local_addr().unwrap());
    let callers = Callers::start(&format!("{others}{rule}")).await;
    let at = SocketAddr::new(callers.client, HTTP);
    let get = |path: &str| Request::get(at, "web", path);
    let is_caller = |name: &str| name.starts_with("x-meltemi") || name == CALLER;
    for path in ["/far", "/shared"] {
        let echo = send(&get(path)).await.echo().unwrap();
        assert_eq!(echo.backend, "far", "{path}");
        assert!(!echo.headers.keys().any(|it| is_caller(it)), "{path}: {:?}", echo.headers);
    }
    let echo = send(&get("/copied")).await.echo().unwrap();
    assert_eq!((echo.backend.as_str(), echo.headers.contains_key(CALLER)), ("web", true));
    let (mut copy, _) = copies.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(copy.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let mut names = head.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name);
    assert!(!names.any(is_caller), "{head}");
    assert_eq!(taken(&callers.gateway).await, 3);
}

#[tokio::test]
async fn nobody_reaches_the_gateway_without_an_identity() {
    let callers = Callers::start("").await;
    assert_eq!(callers.statuses().await, [200, 200]);
    let gateway = callers.gateway.admin_get("/listeners?format=json").await.unwrap().text();
    let listeners: serde_json::Value = serde_json::from_str(&gateway).unwrap();
    let port = listeners["listener_statuses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["local_address"]["socket_address"]["port_value"].as_u64().unwrap())
        .find(|port| *port > 15_090 || *port < 15_000)
        .unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).unwrap()));
    let request = Request::get(address, "web.shop", "/").header("x-meltemi-route", "7080");
    assert!(testkit::http::Client::new().send(&request).await.is_err(), "plain text is refused");
}
