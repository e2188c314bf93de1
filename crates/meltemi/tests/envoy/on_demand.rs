//! A fenced workload asks for virtual hosts at its first calls.

use std::time::Duration;

use http::Method;
use testkit::{
    http::{Backend, Behaviour, Client, GrpcBackend, Load, LoadSettings, Request},
    mesh::{ProxyProtocol, ProxySettings},
    ports,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    fence,
    shop::{
        BINARY, Instance, PORT, Shop, ShopSettings, backend, eventually, require, send, service,
        service_on,
    },
};

const REGISTRY_ONLY: &str = "outboundTrafficPolicy: {mode: REGISTRY_ONLY}";

/// A fenced client, `web`, and a service `cart`.
struct Fenced {
    shop: Shop,
    cart: Backend,
}

impl Fenced {
    async fn start() -> Self {
        Self::start_with("", "", ProxySettings::sidecar("client.shop")).await
    }

    async fn start_with(yaml: &str, mesh_config: &str, proxy: ProxySettings) -> Self {
        let cart = backend("cart").await;
        let service = service("cart", &[Instance::new("v1", &cart)]);
        let yaml = format!("{service}{yaml}");
        let fence = fence::namespace("on-demand");
        let files = [(fence::FILE, &*fence)];
        let settings = ShopSettings {
            versions: &["v1"],
            yaml: &yaml,
            files: &files,
            mesh_config,
            ..Default::default()
        };
        let shop = Shop::start_with(ShopSettings { proxy: Some(proxy), ..settings }).await;
        Self { shop, cart }
    }

    fn request(&self, host: &str) -> Request {
        Request::get(self.shop.address, host, "/")
    }

    /// Status and backend of a call.
    async fn call(&self, host: &str) -> (u16, Option<String>) {
        let answer = send(&self.request(host)).await;
        (answer.status.as_u16(), answer.backend().map(str::to_owned))
    }

    /// Of these services those of whose clusters the proxy has been told.
    async fn told(&self, services: &[&'static str]) -> Vec<&'static str> {
        let dump = self.shop.envoy.admin_get("/config_dump?resource=dynamic_active_clusters").await;
        let dump = dump.unwrap().text();
        let name = |service: &&&str| dump.contains(&format!("||{service}.shop.svc"));
        services.iter().filter(name).copied().collect()
    }

    /// What a command prints.
    async fn run(&self, arguments: &[&str]) -> String {
        let mut command = tokio::process::Command::new(BINARY);
        command.args(arguments).env("MELTEMI_SERVER", self.shop.mesh.admin_address().to_string());
        String::from_utf8(command.output().await.unwrap().stdout).unwrap()
    }

    async fn questions(&self) -> u64 {
        let counters = self.shop.mesh.control_plane().get("/debug/counters").await.unwrap();
        counters["questions"].as_u64().unwrap()
    }
}

fn from(backend: &str) -> (u16, Option<String>) {
    (200, Some(backend.to_owned()))
}

#[tokio::test]
async fn the_first_call_waits_for_its_route() {
    let fenced = Fenced::start().await;
    assert!(fenced.told(&["web", "cart"]).await.is_empty());
    assert_eq!(fenced.call("web").await, from("web-v1"));
    assert_eq!(fenced.told(&["web", "cart"]).await, ["web"]);
    for host in ["cart.shop", "cart", "cart.shop.svc.cluster.local", "Cart:7080"] {
        assert_eq!(fenced.call(host).await, from("cart"), "{host}");
    }
    assert_eq!(fenced.told(&["web", "cart"]).await, ["web", "cart"]);
    assert_eq!(fenced.questions().await, 2, "all forms of a name come with the first");
}

#[tokio::test]
async fn what_was_loaded_on_demand_is_explained_as_any_other() {
    let fenced = Fenced::start().await;
    let port = PORT.to_string();
    let why = ["why", "client.shop", "--host", "web", "--port", &port, "-o", "json"];
    let before: serde_json::Value = serde_json::from_str(&fenced.run(&why).await).unwrap();
    assert!(before["notes"][0].as_str().unwrap().contains("is loaded on demand"), "{before}");
    assert_eq!(fenced.call("web").await, from("web-v1"));
    eventually(async || {
        let report: serde_json::Value = serde_json::from_str(&fenced.run(&why).await).unwrap();
        let origin = &report["route"]["origins"][0]["object"];
        require(
            report["clusters"][0]["kind"] == "endpoints" && *origin == "Service shop/web",
            &report,
        )
    })
    .await;
    let routes = fenced.run(&["pc", "client.shop", "routes"]).await;
    assert!(routes.contains("web.shop.svc.cluster.local"), "{routes}");
}

#[tokio::test]
async fn bodies_and_http2_survive_the_wait() {
    let fenced = Fenced::start().await;
    let large = fenced.request("cart").method(Method::POST).body(vec![b'x'; 3 << 20]);
    let answer = send(&large).await;
    assert_eq!((answer.status.as_u16(), answer.echo().unwrap().body.len()), (200, 3 << 20));
    let answer = send(&fenced.request("web").http2().method(Method::POST).body("small")).await;
    assert_eq!((answer.status.as_u16(), answer.backend()), (200, Some("web-v1")));
}

#[tokio::test]
async fn a_grpc_call_waits_too() {
    let address = ports::loopback_socket(PORT);
    let backend = GrpcBackend::start("echo", address).await.unwrap();
    let instance = Instance { version: "v1", address: backend.address(), node: None };
    let echo = service_on("echo", ("grpc", PORT), &[instance]);
    let fenced = Fenced::start_with(&echo, "", ProxySettings::sidecar("client.shop")).await;
    let answer = send(&Request::grpc(fenced.shop.address, "echo", "/echo.Echo/Call", b"hi")).await;
    assert_eq!(answer.grpc_status(), Some(0), "{answer:?}");
    assert_eq!(backend.requests(), 1);
}

#[tokio::test]
async fn unknown_hosts_are_refused_at_once_and_asked_for_once() {
    let fenced = Fenced::start_with("", REGISTRY_ONLY, ProxySettings::sidecar("client.shop")).await;
    for number in 0..50 {
        let (status, _) = fenced.call(&format!("host-{number}.example.com")).await;
        assert_eq!(status, 502);
    }
    assert_eq!(fenced.questions().await, 1, "one answer is for all of them");
    // What comes to exist is not hidden by that answer.
    let entry = "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: example, namespace: shop}
spec:
  hosts: [host-7.example.com]
  ports: [{number: 7080, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: ADDRESS}]
";
    let entry = entry.replace("ADDRESS", &fenced.cart.address().ip().to_string());
    fenced.shop.mesh.write("example.yaml", &entry).unwrap();
    eventually(async || {
        let answer = fenced.call("host-7.example.com").await;
        require(answer == from("cart"), format!("{answer:?}"))
    })
    .await;
    assert_eq!(fenced.call("host-8.example.com").await.0, 502);
}

/// An asterisk in a Host is nobody's, and no pattern.
#[tokio::test]
async fn a_host_with_an_asterisk_stands_for_no_other() {
    let fenced = Fenced::start_with("", REGISTRY_ONLY, ProxySettings::sidecar("client.shop")).await;
    for (host, expected) in
        [("*", 404), ("*b", 404), ("*.shop", 404), ("*:80", 404), ("c*", 502), ("w*b", 502)]
    {
        assert_eq!(fenced.call(host).await.0, expected, "{host}");
    }
    assert_eq!(fenced.call("web").await, from("web-v1"));
    assert_eq!(fenced.call("cart.shop").await, from("cart"));
    // Again: none of them waits for an answer that does not come.
    assert_eq!(fenced.call("*").await.0, 404);
}

#[tokio::test]
async fn rules_hold_from_the_first_call_on() {
    let rule = "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: cart, namespace: shop}
spec:
  hosts: [cart]
  http:
  - match: [{uri: {prefix: /away}}]
    route: [{destination: {host: web}}]
    timeout: 2s
  - route: [{destination: {host: cart}}]
";
    let fenced = Fenced::start_with(rule, "", ProxySettings::sidecar("client.shop")).await;
    let away = Request::get(fenced.shop.address, "cart", "/away");
    assert_eq!(send(&away).await.backend(), Some("web-v1"));
    // A timeout of a rule is still one, though the wait for a route has a limit of its own.
    let slow = Behaviour::delay(Duration::from_secs(20));
    fenced.shop.web[0].set_behaviour(slow);
    let answer = send(&away).await;
    assert_eq!(answer.status.as_u16(), 504);
    // Without one, a call may take longer than the wait for a route.
    let slow = Behaviour::delay(Duration::from_secs(6));
    fenced.cart.set_behaviour(slow);
    assert_eq!(fenced.call("cart").await, from("cart"));
}

#[tokio::test]
async fn a_second_pod_knows_what_the_first_has_called() {
    let fenced = Fenced::start().await;
    assert_eq!(fenced.call("cart").await, from("cart"));
    let second = fenced.shop.mesh.proxy(&ProxySettings::sidecar("client.shop")).await.unwrap();
    eventually(async || {
        let dump = second.admin_get("/config_dump?resource=dynamic_active_clusters").await?.text();
        require(dump.contains("||cart.shop.svc") && !dump.contains("||web.shop.svc"), dump)
    })
    .await;
    assert_eq!(fenced.questions().await, 1);
}

#[tokio::test]
async fn a_proxy_without_delta_is_told_everything() {
    let proxy = ProxySettings::sidecar("client.shop").protocol(ProxyProtocol::Sotw);
    let fenced = Fenced::start_with("", "", proxy).await;
    assert_eq!(fenced.told(&["web", "cart"]).await, ["web", "cart"]);
    assert_eq!(fenced.call("cart").await, from("cart"));
}

#[tokio::test]
async fn endpoints_and_rules_change_under_load_as_elsewhere() {
    let fenced = Fenced::start().await;
    let settings = LoadSettings {
        client: Client::keep_alive(),
        ..LoadSettings::new(fenced.request("cart"), 100)
    };
    let load = Load::start(settings);
    for round in 0..10 {
        let rule = format!(
            "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: cart, namespace: shop}}
spec:
  hosts: [cart]
  http: [{{route: [{{destination: {{host: cart}}, headers: {{request: {{set: {{round: '{round}'}}}}}}}}]}}]
"
        );
        fenced.shop.mesh.write("cart.yaml", &rule).unwrap();
        eventually(async || {
            let answer = send(&fenced.request("cart")).await;
            let echo = answer.echo()?;
            let is_new = echo.headers.get("round").is_some_and(|it| *it == round.to_string());
            require(is_new, format!("round {round}"))
        })
        .await;
    }
    load.stop().await.expect_no_failure().unwrap();
}

#[tokio::test]
async fn without_a_control_plane_the_wait_ends_and_it_recovers() {
    let mut fenced = Fenced::start().await;
    assert_eq!(fenced.call("web").await, from("web-v1"));
    fenced.shop.mesh.kill();
    assert_eq!(fenced.call("web").await, from("web-v1"));
    let plain = fenced.request("cart").timeout(Duration::from_secs(20));
    // More than Envoy reads before it knows where to.
    let long = plain.clone().method(Method::POST).body(vec![b'x'; 3 << 20]);
    for request in [plain, long] {
        let answer = send(&request).await;
        assert_eq!(answer.status.as_u16(), 503, "{}", answer.text());
        assert!(answer.text().contains("control plane"), "{}", answer.text());
    }
    fenced.shop.mesh.restart().await.unwrap();
    eventually(async || {
        let answer = fenced.call("cart").await;
        require(answer == from("cart"), format!("{answer:?}"))
    })
    .await;
    assert_eq!(fenced.call("web").await, from("web-v1"));
}

/// Whatever callers write as their Host: neither side grows with it.
#[tokio::test]
async fn junk_is_answered_in_bulk() {
    let fenced = Fenced::start().await;
    let client = Client::keep_alive();
    for number in 0_u64..2_000 {
        // The low digits of a multiple of a prime are as good as random.
        let junk = format!("{:x}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let host = match number % 4 {
            0 => junk,
            1 => format!("{junk}.shop"),
            2 => format!("{junk}.shop.svc.cluster.local:7080"),
            _ => format!("www.{junk}.com"),
        };
        client.send(&fenced.request(&host)).await.unwrap();
    }
    let asked = fenced.questions().await;
    assert!(asked < 100, "{asked} questions for 2,000 hosts");
    for host in ["web", "cart.shop"] {
        assert_eq!(fenced.call(host).await.0, 200, "{host}");
    }
}

/// A fence that comes or goes is a change like any other: nobody feels it.
#[tokio::test]
async fn a_fence_comes_and_goes_under_load() {
    let idle = backend("idle").await;
    let idle = service("idle", &[Instance::new("v1", &idle)]);
    let fenced = Fenced::start_with(&idle, "", ProxySettings::sidecar("client.shop")).await;
    let load = |host: &str| {
        let client = Client::keep_alive();
        Load::start(LoadSettings { client, ..LoadSettings::new(fenced.request(host), 100) })
    };
    let loads = [load("web"), load("cart")];
    for _ in 0..3 {
        fenced.shop.mesh.remove(fence::FILE).unwrap();
        eventually(async || {
            let told = fenced.told(&["web", "cart", "idle"]).await;
            require(told == ["web", "cart", "idle"], format!("{told:?}"))
        })
        .await;
        fenced.shop.mesh.write(fence::FILE, &fence::namespace("on-demand")).unwrap();
        eventually(async || {
            let told = fenced.told(&["web", "cart", "idle"]).await;
            require(told == ["web", "cart"], format!("{told:?}"))
        })
        .await;
    }
    for load in loads {
        load.stop().await.expect_no_failure().unwrap();
    }
}

/// What still drains after a fence went asks on: nobody waits for what is sent to everybody.
#[tokio::test]
async fn first_calls_go_on_while_a_fence_goes() {
    const SERVICES: usize = 60;
    let all = backend("all").await;
    let services = (0..SERVICES).map(|it| service(&format!("s{it}"), &[Instance::new("v1", &all)]));
    let proxy = ProxySettings::sidecar("client.shop");
    let fenced = Fenced::start_with(&services.collect::<String>(), "", proxy).await;
    let client = Client::keep_alive();
    let call = async |host: &str| client.send(&fenced.request(host)).await.unwrap();
    assert_eq!(call("web").await.status, 200);
    fenced.shop.mesh.remove(fence::FILE).unwrap();
    for number in 0..SERVICES {
        let host = format!("s{number}");
        let answer = call(&host).await;
        assert_eq!(answer.backend(), Some("all"), "{host}: {answer:?}");
        // Longer than it takes to drain.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(fenced.told(&["web", "cart"]).await, ["web", "cart"]);
}

/// Everything is sent before a fence counts as off, and its clients feel neither that nor the way
/// back.
#[tokio::test]
async fn a_fence_is_switched_off_and_on_under_load() {
    let idle = backend("idle").await;
    let idle = service("idle", &[Instance::new("v1", &idle)]);
    let fenced = Fenced::start_with(&idle, "", ProxySettings::sidecar("client.shop")).await;
    let scope = async |verb: &'static str| {
        let server = fenced.shop.mesh.admin_address().to_string();
        let run = tokio::task::spawn_blocking(move || {
            let mut command = std::process::Command::new(BINARY);
            command.args(["scope", verb, "shop", "--server", &server]).output().unwrap()
        });
        let output = run.await.unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    let load = |host: &str| {
        let client = Client::keep_alive();
        Load::start(LoadSettings { client, ..LoadSettings::new(fenced.request(host), 100) })
    };
    let loads = [load("web"), load("cart")];
    for _ in 0..2 {
        scope("disable").await;
        assert_eq!(fenced.told(&["web", "cart", "idle"]).await, ["web", "cart", "idle"]);
        scope("enable").await;
        eventually(async || {
            let told = fenced.told(&["web", "cart", "idle"]).await;
            require(told == ["web", "cart"], format!("{told:?}"))
        })
        .await;
    }
    for load in loads {
        load.stop().await.expect_no_failure().unwrap();
    }
}

#[tokio::test]
async fn first_calls_and_their_waits_are_counted() {
    let fenced = Fenced::start_with("", REGISTRY_ONLY, ProxySettings::sidecar("client.shop")).await;
    assert_eq!(fenced.call("web").await, from("web-v1"));
    assert_eq!(fenced.call("cart").await, from("cart"));
    assert_eq!(fenced.call("nobody.example").await.0, 502);
    let metrics = fenced.shop.mesh.control_plane().metrics().await.unwrap();
    let value = |name: &str| -> u64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{metrics}")).parse().unwrap()
    };
    let answers = ["known", "unknown", "closed", "dropped"];
    let answers = answers.map(|it| value(&format!("meltemi_on_demand_{it}_total")));
    assert_eq!(answers, [2, 1, 0, 0]);
    assert_eq!(value("meltemi_on_demand_questions_total"), 3);
    assert_eq!(value("meltemi_on_demand_wait_seconds_count"), 3);
    let scopes = fenced.shop.mesh.control_plane().get("/debug/scope").await.unwrap();
    let client = &scopes["items"][0]["fenced"];
    assert_eq!((&client["mode"], &client["asked"]), (&"on-demand".into(), &2.into()));
    assert_eq!((&client["services"], &client["visible"]), (&2.into(), &2.into()), "{scopes:#}");
}

/// Takes one upgrade, and says everything back from then on.
async fn switch(listener: TcpListener) -> std::io::Result<()> {
    let (mut stream, _) = listener.accept().await?;
    read_head(&mut stream).await?;
    let answer =
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(answer).await?;
    let (mut from, mut to) = stream.split();
    tokio::io::copy(&mut from, &mut to).await?;
    Ok(())
}

async fn read_head(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

#[tokio::test]
async fn an_upgrade_survives_the_wait() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    let server = tokio::spawn(switch(server));
    let entry = format!(
        "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: chat, namespace: shop}}
spec:
  hosts: [chat.internal]
  resolution: STATIC
  ports: [{{name: http, number: {PORT}, protocol: HTTP, targetPort: {port}}}]
  endpoints: [{{address: 127.0.0.1}}]
"
    );
    let fenced = Fenced::start_with(&entry, "", ProxySettings::sidecar("client.shop")).await;
    let mut stream = TcpStream::connect(fenced.shop.address).await.unwrap();
    let head = "GET / HTTP/1.1\r\nHost: chat.internal\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = read_head(&mut stream).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    for _ in 0..3 {
        stream.write_all(b"hello").await.unwrap();
        let mut heard = [0; 5];
        stream.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
    }
    assert_eq!(fenced.questions().await, 1);
    drop(stream);
    server.await.unwrap().unwrap();
}

/// What was loaded goes with its service, and comes back with it.
#[tokio::test]
async fn a_host_that_was_loaded_goes_and_comes_back() {
    const LATE: &str = "late.yaml";
    let fenced = Fenced::start_with("", REGISTRY_ONLY, ProxySettings::sidecar("client.shop")).await;
    let late = backend("late").await;
    let yaml = service("late", &[Instance::new("v1", &late)]);
    let answers = async |expected: (u16, Option<String>)| {
        eventually(async || {
            let answer = fenced.call("late").await;
            require(answer == expected, format!("{answer:?}"))
        })
        .await;
    };
    assert_eq!(fenced.call("late").await, (502, None));
    for _ in 0..3 {
        fenced.shop.mesh.write(LATE, &yaml).unwrap();
        answers(from("late")).await;
        // Nobody has asked for it since it exists, and it is learned all the same.
        eventually(async || {
            let path = "/debug/scope/edges?workload=shop/client";
            let edges = fenced.shop.mesh.control_plane().get(path).await?;
            require(edges["items"][0]["state"] == "learned", edges)
        })
        .await;
        fenced.shop.mesh.remove(LATE).unwrap();
        answers((502, None)).await;
        // The cluster goes when no route names it any more.
        eventually(async || require(fenced.told(&["late"]).await.is_empty(), "told of it")).await;
    }
}
