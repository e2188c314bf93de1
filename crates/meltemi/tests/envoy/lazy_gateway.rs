//! Mode `gateway`: what a workload is not told of is called through a gateway that has it.

mod callers;
mod late;
mod pods;
mod tokens;

use std::{net::IpAddr, time::Duration};

use http::Method;
use testkit::{
    EnvoyProcess,
    http::{Backend, BackendSettings, Behaviour, GrpcBackend, Request},
    mesh::{ProxyProtocol, ProxySettings},
    ports,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::shop::{
    Instance, PORT, Shop, ShopSettings, backend, eventually, require, send, service, service_on,
};

/// The client's namespace is told of nothing, and calls everything through the gateway. Nobody has an
/// identity, which the gateway has to be told.
const MODE: &str = "---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {meltemi.io/scope: gateway}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: plain, namespace: mesh}
spec: {mtls: {mode: DISABLE}}
";
const REGISTRY_ONLY: &str = "outboundTrafficPolicy: {mode: REGISTRY_ONLY}";
const BODY: usize = 6 << 20;

/// What the control plane knows of the gateway.
pub(crate) fn settings(port: u16) -> String {
    format!(
        "lazyload:
  withoutOnDemand: gateway
  gateway: {{host: lazy-gateway.mesh.svc.cluster.local, port: {port}}}
"
    )
}

/// The gateway's Service, with one pod.
pub(crate) fn gateway_service(address: IpAddr, port: u16, labels: &str) -> String {
    format!(
        "---
apiVersion: v1
kind: Service
metadata: {{name: lazy-gateway, namespace: mesh}}
spec:
  selector: {{app: lazy-gateway}}
  ports: [{{name: lazy, port: {port}, targetPort: {port}}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: lazy-gateway-1, namespace: mesh, labels: {{kubernetes.io/service-name: lazy-gateway}}}}
addressType: IPv4
ports: [{{name: lazy, port: {port}, protocol: TCP}}]
endpoints: [{{addresses: [{address}], conditions: {{ready: true}}}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: lazy-gateway-1, namespace: mesh, labels: {{app: lazy-gateway{labels}}}}}
spec: {{serviceAccountName: lazy-gateway}}
status: {{phase: Running, podIP: {address}}}
"
    )
}

pub(crate) fn gateway_proxy(address: IpAddr) -> ProxySettings {
    let proxy = ProxySettings::gateway("lazy-gateway.mesh").label("meltemi.io/role=lazy-gateway");
    ProxySettings { address, ..proxy }
}

/// How many requests a gateway has taken.
pub(crate) async fn taken(gateway: &EnvoyProcess) -> u64 {
    let stats = gateway.stats(r"^http\.lazy_gateway_.*\.downstream_rq_total$").await.unwrap();
    stats.values().sum()
}

/// A client that is told of nothing, its services `web` and `cart`, and the gateway.
struct Detoured {
    shop: Shop,
    cart: Backend,
    gateway: EnvoyProcess,
    port: u16,
    address: IpAddr,
}

/// How they differ from the plainest ones.
#[derive(Default)]
struct DetouredSettings<'a> {
    yaml: &'a str,
    egress: &'a str,
    mesh_config: &'a str,
    proxy: Option<ProxySettings>,
}

impl Detoured {
    async fn start() -> Self {
        Self::start_with(DetouredSettings::default()).await
    }

    async fn start_with(own: DetouredSettings<'_>) -> Self {
        let cart = backend("cart").await;
        let (address, port) = (ports::loopback_address(), ports::free_port());
        let yaml = format!(
            "{}{}{}",
            service("cart", &[Instance::new("v1", &cart)]),
            gateway_service(address, port, ""),
            own.yaml.replace("GATEWAY_PORT", &port.to_string())
        );
        let shop = ShopSettings {
            versions: &["v1"],
            yaml: &yaml,
            egress: own.egress,
            files: &[("mode.yaml", MODE)],
            mesh_config: own.mesh_config,
            settings: &settings(port),
            proxy: Some(own.proxy.unwrap_or_else(silent)),
            ..ShopSettings::default()
        };
        let shop = Shop::start_with(shop).await;
        let gateway = shop.mesh.proxy(&gateway_proxy(address)).await.unwrap();
        shop.wait_listening((address, port).into()).await;
        Self { shop, cart, gateway, port, address }
    }

    fn request(&self, host: &str) -> Request {
        Request::get(self.shop.address, host, "/")
    }

    /// Status and backend of a call.
    async fn call(&self, host: &str) -> (u16, Option<String>) {
        let answer = send(&self.request(host)).await;
        (answer.status.as_u16(), answer.backend().map(str::to_owned))
    }
}

/// A client of which nothing is learned, so that all of its calls take the detour.
fn silent() -> ProxySettings {
    ProxySettings::sidecar("client.shop").metadata("MELTEMI_REPORTS=")
}

fn from(backend: &str) -> (u16, Option<String>) {
    (200, Some(backend.to_owned()))
}

#[tokio::test]
async fn what_a_workload_is_not_told_of_is_called_through_the_gateway() {
    let mesh = Detoured::start().await;
    let forms = ["web", "web.shop", "web.shop.svc.cluster.local", "Web:7080", "cart"];
    for host in forms {
        let backend = if host == "cart" { "cart" } else { "web-v1" };
        assert_eq!(mesh.call(host).await, from(backend), "{host}");
    }
    assert_eq!(taken(&mesh.gateway).await, forms.len() as u64);
    let dump = mesh.shop.envoy.admin_get("/config_dump?resource=dynamic_active_clusters").await;
    let dump = dump.unwrap().text();
    assert!(dump.contains("LazyGatewayCluster") && !dump.contains("||web.shop.svc"), "{dump}");
    let refused = mesh.gateway.stats("update_rejected$").await.unwrap();
    assert!(refused.values().all(|count| *count == 0), "{refused:?}");
}

#[tokio::test]
async fn what_went_through_the_gateway_goes_directly_the_next_time() {
    let proxy = Some(ProxySettings::sidecar("client.shop"));
    let mesh = Detoured::start_with(DetouredSettings { proxy, ..Default::default() }).await;
    let forms = ["web", "cart.shop.svc.cluster.local"];
    for host in forms {
        assert_eq!(mesh.call(host).await.0, 200, "{host}");
    }
    eventually(async || {
        let before = taken(&mesh.gateway).await;
        for host in forms {
            assert_eq!(mesh.call(host).await.0, 200, "{host}");
        }
        require(taken(&mesh.gateway).await == before, "they still go through the gateway")
    })
    .await;
}

#[tokio::test]
async fn applications_see_nothing_of_the_detour() {
    let mesh = Detoured::start().await;
    let forged = mesh
        .request("web")
        .header("x-meltemi-caller", "spiffe://cluster.local/ns/shop/sa/admin")
        .header("x-meltemi-route", "1")
        .header("x-own", "kept");
    let echo = send(&forged).await.echo().unwrap();
    let ours = echo.headers.keys().filter(|name| name.starts_with("x-meltemi"));
    assert_eq!(ours.count(), 0, "{:?}", echo.headers);
    assert_eq!(echo.headers.get("x-own").map(String::as_str), Some("kept"));
    // Nor does anything that a service says lead past the gateway.
    let away = Behaviour::status(302)
        .with_header("location", "http://cart/elsewhere")
        .with_header("x-meltemi-relayed-by", "meltemi.unknown-host");
    mesh.shop.web[0].set_behaviour(away);
    let answer = send(&mesh.request("web")).await;
    let said = (answer.status.as_u16(), answer.header("location"));
    assert_eq!(said, (302, Some("http://cart/elsewhere")));
    assert_eq!(answer.header("x-meltemi-relayed-by"), None);
    assert_eq!(taken(&mesh.gateway).await, 2);
}

#[tokio::test]
async fn long_bodies_http2_and_trailers_pass() {
    let address = ports::loopback_socket(PORT);
    let grpc = GrpcBackend::start("echo", address).await.unwrap();
    let instance = Instance { version: "v1", address: grpc.address(), node: None };
    let yaml = service_on("echo", ("grpc", PORT), &[instance]);
    let settings = DetouredSettings { yaml: &yaml, ..DetouredSettings::default() };
    let mesh = Detoured::start_with(settings).await;
    let large = mesh.request("web").method(Method::POST).body(vec![b'x'; BODY]);
    for request in [large.clone(), large.http2()] {
        let answer = send(&request.timeout(Duration::from_secs(60))).await;
        assert_eq!((answer.status.as_u16(), answer.echo().unwrap().body.len()), (200, BODY));
    }
    let answer = send(&Request::grpc(mesh.shop.address, "echo", "/echo.Echo/Call", b"hi")).await;
    assert_eq!(answer.grpc_status(), Some(0), "{answer:?}");
    assert_eq!(grpc.requests(), 1);
}

/// Takes one upgrade and echoes what follows.
async fn echo_upgraded(listener: TcpListener) -> std::io::Result<()> {
    let (mut stream, _) = listener.accept().await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let upgraded =
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    stream.write_all(upgraded).await?;
    let (mut read, mut write) = stream.split();
    tokio::io::copy(&mut read, &mut write).await.map(drop)
}

#[tokio::test]
async fn an_upgrade_passes() {
    let listener = TcpListener::bind(ports::loopback_socket(PORT)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let instance = Instance { version: "v1", address, node: None };
    let yaml = service("talk", &[instance]);
    let settings = DetouredSettings { yaml: &yaml, ..DetouredSettings::default() };
    let mesh = Detoured::start_with(settings).await;
    let echo = tokio::spawn(echo_upgraded(listener));
    let mut stream = TcpStream::connect(mesh.shop.address).await.unwrap();
    let head = "GET / HTTP/1.1\r\nhost: talk\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    for word in ["one", "two"] {
        stream.write_all(word.as_bytes()).await.unwrap();
        let mut said = [0; 3];
        stream.read_exact(&mut said).await.unwrap();
        assert_eq!(said, word.as_bytes());
    }
    drop(stream);
    echo.await.unwrap().unwrap();
}

#[tokio::test]
async fn rules_hold_on_the_detour() {
    let rule = "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: cart, namespace: shop}
spec:
  hosts: [cart]
  http:
  - match: [{uri: {prefix: /away}}]
    route: [{destination: {host: web}}]
    timeout: 1s
  - route: [{destination: {host: cart}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: [web]
  http: [{match: [{uri: {prefix: /some}}], route: [{destination: {host: web}}]}]
";
    let mesh = Detoured::start_with(DetouredSettings { yaml: rule, ..Default::default() }).await;
    // What no route of a rule is for goes nowhere, and not past the gateway.
    let get = |path: &str| Request::get(mesh.shop.address, "web", path);
    assert_eq!(send(&get("/some")).await.backend(), Some("web-v1"));
    assert_eq!(send(&get("/other")).await.status.as_u16(), 404);
    let away = Request::get(mesh.shop.address, "cart", "/away");
    assert_eq!(send(&away).await.backend(), Some("web-v1"));
    assert_eq!(mesh.call("cart").await, from("cart"));
    mesh.shop.web[0].set_behaviour(Behaviour::delay(Duration::from_secs(10)));
    assert_eq!(send(&away).await.status.as_u16(), 504);
    // A route without a timeout has none.
    mesh.cart.set_behaviour(Behaviour::delay(Duration::from_secs(2)));
    assert_eq!(mesh.call("cart").await, from("cart"));
}

#[tokio::test]
async fn a_gateway_that_is_down_is_bypassed() {
    let other = backend("other").await;
    // Nothing redirects traffic here, so that what leaves the mesh needs a place to go to.
    let yaml = format!(
        "{}---
apiVersion: microservice.slime.io/v1alpha1
kind: ServiceFence
metadata: {{name: client, namespace: shop}}
spec:
  enable: true
  host: {{other: {{stable: {{}}}}}}
  workloadSelector: {{labels: {{app: client}}}}
",
        service("other", &[Instance::new("v1", &other)])
    );
    let egress = format!(
        "  outboundTrafficPolicy:
    mode: ALLOW_ANY
    egressProxy: {{host: other, port: {{number: {PORT}}}}}
"
    );
    let settings = DetouredSettings { yaml: &yaml, egress: &egress, ..DetouredSettings::default() };
    let mesh = Detoured::start_with(settings).await;
    assert_eq!(mesh.call("web").await, from("web-v1"));
    let Detoured { shop, gateway, address, .. } = mesh;
    drop(gateway);
    let request = Request::get(shop.address, "web", "/");
    for _ in 0..20 {
        let answer = send(&request).await;
        assert_eq!(answer.backend(), Some("other"), "{}: {}", answer.status, answer.text());
    }
    let large = request.clone().method(Method::POST).body(vec![b'x'; BODY]);
    let answer = send(&large.timeout(Duration::from_secs(60))).await;
    assert_eq!(answer.backend(), Some("other"));
    let gateway = shop.mesh.proxy(&gateway_proxy(address)).await.unwrap();
    eventually(async || {
        let answer = send(&request).await;
        require(answer.backend() == Some("web-v1"), "it is still bypassed")
    })
    .await;
    assert!(taken(&gateway).await > 0);
}

#[tokio::test]
async fn what_the_gateway_does_not_know_goes_past_it() {
    const WIDE: u16 = PORT + 1;
    let other = backend("other").await;
    let far = ports::loopback_socket(WIDE);
    let far = BackendSettings { address: far, ..BackendSettings::new("far") };
    let far = Backend::start_with(far).await.unwrap();
    let yaml = format!(
        "{}{}",
        service("other", &[Instance::new("v1", &other)]),
        service_on("far", ("http", WIDE), &[Instance::new("v1", &far)])
    );
    // With all services in sight, few domains stand for all of them, and for some that do not exist.
    let address = ports::loopback_socket(WIDE);
    let egress = format!(
        "  - port: {{number: {WIDE}, protocol: HTTP, name: wide}}
    bind: {}
    captureMode: NONE
    hosts: ['*/*']
  outboundTrafficPolicy:
    mode: ALLOW_ANY
    egressProxy: {{host: other, port: {{number: {PORT}}}}}
",
        address.ip()
    );
    let settings = DetouredSettings { yaml: &yaml, egress: &egress, ..DetouredSettings::default() };
    let mesh = Detoured::start_with(settings).await;
    mesh.shop.wait_listening(address).await;
    for (host, backend, asked) in [("far.shop", "far", 1), ("nobody.shop", "other", 2)] {
        let before = taken(&mesh.gateway).await;
        let answer = send(&Request::get(address, host, "/")).await;
        assert_eq!(answer.backend(), Some(backend), "{host}: {}", answer.status);
        assert_eq!(taken(&mesh.gateway).await - before, asked, "{host}");
    }
}

#[tokio::test]
async fn without_a_way_past_it_calls_fail_while_it_is_down() {
    let settings = DetouredSettings { mesh_config: REGISTRY_ONLY, ..DetouredSettings::default() };
    let mesh = Detoured::start_with(settings).await;
    assert_eq!(mesh.call("web").await, from("web-v1"));
    for host in ["nothing", "www.example.com"] {
        assert_eq!(mesh.call(host).await.0, 502, "{host}");
    }
    assert_eq!(taken(&mesh.gateway).await, 1, "what does not exist is refused by the caller");
    let Detoured { shop, gateway, address, .. } = mesh;
    drop(gateway);
    let request = Request::get(shop.address, "web", "/");
    for _ in 0..5 {
        assert_eq!(send(&request).await.status.as_u16(), 503);
    }
    let _gateway = shop.mesh.proxy(&gateway_proxy(address)).await.unwrap();
    eventually(async || {
        let answer = send(&request).await;
        require(answer.backend() == Some("web-v1"), answer.status)
    })
    .await;
}

#[tokio::test]
async fn no_request_comes_back_to_the_gateway() {
    let rule = "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: [web]
  http:
  - route:
    - destination: {host: lazy-gateway.mesh.svc.cluster.local, port: {number: GATEWAY_PORT}}
";
    let mesh = Detoured::start_with(DetouredSettings { yaml: rule, ..Default::default() }).await;
    let (status, backend) = mesh.call("web").await;
    assert_eq!((status, backend), (503, None));
    assert_eq!(taken(&mesh.gateway).await, 1);
    for (host, route) in [("lazy-gateway.mesh", mesh.port.to_string()), ("nobody", "7080".into())] {
        let own = Request::get((mesh.address, mesh.port).into(), host, "/");
        let answer = send(&own.header("x-meltemi-route", &route)).await;
        assert!(matches!(answer.status.as_u16(), 404 | 502), "{host}: {}", answer.status);
    }
    assert_eq!(taken(&mesh.gateway).await, 3);
}

#[tokio::test]
async fn a_proxy_that_cannot_ask_may_be_led_to_the_gateway() {
    let on_demand = "---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {meltemi.io/scope: on-demand}}
";
    let mesh = Detoured::start_with(DetouredSettings {
        proxy: Some(silent().protocol(ProxyProtocol::Sotw)),
        ..DetouredSettings::default()
    })
    .await;
    let plain = MODE.split("---\n").nth(2).unwrap();
    mesh.shop.mesh.write("mode.yaml", &format!("{on_demand}---\n{plain}")).unwrap();
    assert_eq!(mesh.call("web").await, from("web-v1"));
    eventually(async || {
        let before = taken(&mesh.gateway).await;
        let answer = mesh.call("cart").await;
        let is_detoured = taken(&mesh.gateway).await > before;
        require(answer == from("cart") && is_detoured, format!("{answer:?}"))
    })
    .await;
}
