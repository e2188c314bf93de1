//! The mesh that most tests share: a namespace `shop` with a service `web`, and a client's sidecar.
//!
//! Nothing redirects traffic: the sidecar binds its egress listener to an address of the test's.

use std::{
    fmt::{Display, Write},
    net::SocketAddr,
    time::Duration,
};

use anyhow::{Result, ensure};
use testkit::{
    EnvoyProcess, Mesh,
    http::{Backend, BackendSettings, Client, Request, Response},
    mesh::{MeshSettings, ProxySettings},
    ports,
};
use tokio::time::{self, Instant};

/// The port of every service, and of every backend on its own address.
pub(crate) const PORT: u16 = 7080;
/// A loaded machine does anything that a test waits for in well under this.
const DEADLINE: Duration = Duration::from_secs(30);

/// The file with the service `web`.
const WEB: &str = "web.yaml";

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_meltemi");

/// A running mesh.
pub(crate) struct Shop {
    pub mesh: Mesh,
    /// The client's sidecar.
    pub envoy: EnvoyProcess,
    /// Where the client reaches all HTTP services of the namespace.
    pub address: SocketAddr,
    /// The instances of `web`, in the order in which they were asked for.
    pub web: Vec<Backend>,
}

/// How a shop differs from the plainest one.
#[derive(Default)]
pub(crate) struct ShopSettings<'a> {
    /// The instances of `web`, each of which is also the value of its label `version`.
    pub versions: &'a [&'a str],
    /// Each instance runs on a node that is called as its version.
    pub zoned: bool,
    /// Further objects.
    pub yaml: &'a str,
    /// Further egress listeners of the client's Sidecar: items of its list.
    pub egress: &'a str,
    /// Further files.
    pub files: &'a [(&'a str, &'a str)],
    pub mesh_config: &'a str,
    /// The control plane's own.
    pub settings: &'a str,
    /// Of the control plane.
    pub environment: &'a [(&'a str, &'a str)],
    /// The client's; [`ProxySettings::sidecar`] of `client.shop` if there is none.
    pub proxy: Option<ProxySettings>,
}

impl Shop {
    /// `web` with an instance for each of `versions`, and further objects.
    pub(crate) async fn start(versions: &[&str], yaml: &str) -> Self {
        Self::start_with(ShopSettings { versions, yaml, ..ShopSettings::default() }).await
    }

    pub(crate) async fn start_with(settings: ShopSettings<'_>) -> Self {
        let ShopSettings { versions, zoned, yaml, egress, files, mesh_config, .. } = settings;
        let ShopSettings { settings, proxy, environment, .. } = settings;
        let mut web = Vec::with_capacity(versions.len());
        for version in versions {
            web.push(backend(&format!("web-{version}")).await);
        }
        let address = ports::loopback_socket(PORT);
        let instances = versions.iter().zip(&web).map(|(version, it)| Instance::new(version, it));
        let instances: Vec<Instance<'_>> =
            instances.map(|it| if zoned { it.zoned() } else { it }).collect();
        let yaml = format!("{}---\n{yaml}", sidecar(address, egress));
        let service = service("web", &instances);
        let files = [(WEB, service.as_str()), ("mesh.yaml", &yaml)]
            .into_iter()
            .chain(files.iter().copied());
        let files: Vec<(&str, &str)> = files.collect();
        let base = MeshSettings::new(BINARY, &files);
        let settings = MeshSettings { mesh_config, settings, environment, ..base };
        let mesh = Mesh::start(&settings).await.unwrap();
        mesh.expect_no_errors().await.unwrap();
        let proxy = proxy.unwrap_or_else(|| ProxySettings::sidecar("client.shop"));
        let envoy = mesh.proxy(&proxy).await.unwrap();
        let shop = Self { mesh, envoy, address, web };
        shop.wait_listening(address).await;
        shop
    }

    /// Waits until somebody listens.
    pub(crate) async fn wait_listening(&self, address: SocketAddr) {
        eventually(async || {
            let connected = tokio::net::TcpStream::connect(address).await;
            connected.map_err(|error| format!("{address}: {error}\n{}", self.envoy.log_tail()))
        })
        .await;
    }

    /// A request to `web`.
    pub(crate) fn request(&self, path: &str) -> Request {
        Request::get(self.address, "web", path)
    }

    /// Sends `GET path` to `web`.
    pub(crate) async fn get(&self, path: &str) -> Response {
        send(&self.request(path)).await
    }

    /// Sends a request `count` times and counts the answers of each instance of `web`.
    pub(crate) async fn count(&self, request: &Request, count: usize) -> Vec<usize> {
        let client = Client::keep_alive();
        let mut answers = vec![0; self.web.len()];
        for _ in 0..count {
            let response = client.send(request).await.unwrap();
            let backend = response.backend().unwrap_or_else(|| {
                panic!("{} and no backend: {}", response.status, response.text())
            });
            let index = self.web.iter().position(|it| it.name() == backend);
            answers[index.expect("an instance of web answers")] += 1;
        }
        answers
    }

    /// Replaces the service `web` with its instances.
    pub(crate) fn rewrite_web(&self, yaml: &str) {
        self.mesh.write(WEB, yaml).unwrap();
    }

    /// Makes a change, and waits until the control plane works with it.
    pub(crate) async fn taken_in(&self, change: impl FnOnce(&Mesh) -> Result<()>) {
        let before = self.snapshots().await;
        change(&self.mesh).unwrap();
        eventually(async || require(self.snapshots().await > before, "it is not taken in")).await;
    }

    async fn snapshots(&self) -> u64 {
        let counters = self.mesh.control_plane().get("/debug/counters").await.unwrap();
        counters["snapshots"].as_u64().unwrap()
    }

    /// How many requests each instance of `web` has got.
    pub(crate) fn received(&self) -> Vec<u64> {
        self.web.iter().map(Backend::requests).collect()
    }
}

/// Sends one request on a connection of its own.
#[track_caller]
pub(crate) fn send(request: &Request) -> impl Future<Output = Response> {
    let caller = std::panic::Location::caller();
    async move {
        let answer = Client::new().send(request).await;
        answer.unwrap_or_else(|error| panic!("{caller}: {error:#}"))
    }
}

/// Tries again until there is no error.
pub(crate) async fn eventually<T, E: Display>(mut probe: impl AsyncFnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match probe().await {
            Ok(value) => return value,
            Err(error) if Instant::now() > deadline => panic!("still not: {error}"),
            Err(_) => time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// A plain error if `condition` does not hold: for [`eventually`].
pub(crate) fn require(condition: bool, why: impl Display) -> Result<()> {
    ensure!(condition, "{why}");
    Ok(())
}

/// A backend on [`PORT`] of an address of its own.
pub(crate) async fn backend(name: &str) -> Backend {
    let settings =
        BackendSettings { address: ports::loopback_socket(PORT), ..BackendSettings::new(name) };
    Backend::start_with(settings).await.unwrap()
}

/// An instance of a service: a pod and where it listens.
pub(crate) struct Instance<'a> {
    pub version: &'a str,
    pub address: SocketAddr,
    pub node: Option<&'a str>,
}

impl<'a> Instance<'a> {
    pub(crate) fn new(version: &'a str, backend: &Backend) -> Self {
        Self { version, address: backend.address(), node: None }
    }

    /// On a node that is called as the version.
    pub(crate) fn zoned(self) -> Self {
        Self { node: Some(self.version), ..self }
    }
}

/// A Service `name` in `shop` with pods and an EndpointSlice; `web` serves HTTP on [`PORT`].
pub(crate) fn service(name: &str, instances: &[Instance<'_>]) -> String {
    service_on(name, ("http", PORT), instances)
}

/// As [`service`], with the port: its name says its protocol.
pub(crate) fn service_on(name: &str, port: (&str, u16), instances: &[Instance<'_>]) -> String {
    let (port, number) = port;
    let mut yaml = format!(
        "---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec:
  selector: {{app: {name}}}
  ports: [{{name: {port}, port: {number}, targetPort: {number}}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-1, namespace: shop, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{name: {port}, port: {number}, protocol: TCP}}]
endpoints:
"
    );
    let mut pods = String::new();
    for (index, Instance { version, address, node }) in instances.iter().enumerate() {
        let address = address.ip();
        let node = node.map(|node| format!(", nodeName: {node}")).unwrap_or_default();
        writeln!(
            yaml,
            "- {{addresses: [{address}], conditions: {{ready: true}}{node}, \
             targetRef: {{kind: Pod, name: {name}-{index}, namespace: shop}}}}"
        )
        .unwrap();
        write!(
            pods,
            "---
apiVersion: v1
kind: Pod
metadata:
  name: {name}-{index}
  namespace: shop
  labels: {{app: {name}, version: {version}}}
spec: {{{}}}
status: {{phase: Running, podIP: {address}}}
",
            node.trim_start_matches(", ")
        )
        .unwrap();
    }
    yaml + &pods
}

/// An item of [`ShopSettings::egress`]: one host of the namespace at an address of its own. The
/// port must be one that no other item has.
pub(crate) fn egress(address: SocketAddr, protocol: &str, host: &str) -> String {
    let (ip, port) = (address.ip(), address.port());
    format!(
        "  - {{port: {{number: {port}, protocol: {protocol}, name: p}}, bind: {ip}, \
         captureMode: NONE, hosts: [shop/{host}]}}\n"
    )
}

/// A rule for `web` with this text below `spec`.
pub(crate) fn virtual_service(spec: &str) -> String {
    object("VirtualService", &format!("  hosts: [web]\n{spec}"))
}

/// A policy for `web` with this text below `spec`.
pub(crate) fn destination_rule(spec: &str) -> String {
    object("DestinationRule", &format!("  host: web\n{spec}"))
}

fn object(kind: &str, spec: &str) -> String {
    format!(
        "---
apiVersion: networking.istio.io/v1
kind: {kind}
metadata: {{name: web, namespace: shop}}
spec:
{spec}
"
    )
}

/// The Sidecar of `client`: all services of the namespace at one address, without interception.
fn sidecar(address: SocketAddr, egress: &str) -> String {
    format!(
        "---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: client, namespace: shop}}
spec:
  workloadSelector: {{labels: {{app: client}}}}
  egress:
  - port: {{number: {}, protocol: HTTP, name: http}}
    bind: {}
    captureMode: NONE
    hosts: [\"shop/*\"]
{egress}",
        address.port(),
        address.ip()
    )
}
