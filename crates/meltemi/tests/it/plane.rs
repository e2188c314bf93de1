//! A control plane as a process, scripted proxies, and the command line beside it.

use std::{
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use envoy::config::core::v3::{Locality, Node};
use prost_types::{Struct, Value, value::Kind};
use serde_json::Value as Json;
use testkit::mesh::{Mesh, MeshSettings};
use tokio::task::JoinHandle;
use xds::{
    Protocol,
    client::{ClientSettings, SyncedProxy},
};

/// How long a stream must be silent to be called in sync.
const QUIET: Duration = Duration::from_millis(100);

/// A service with two versions, and the rule that shares the requests out.
pub(crate) const SHOP: &str = r#"apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  clusterIP: 10.96.0.10
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints:
- {addresses: [10.0.0.1], conditions: {ready: true}, targetRef: {kind: Pod, name: web-1, namespace: shop}}
- {addresses: [10.0.0.2], conditions: {ready: true}, targetRef: {kind: Pod, name: web-2, namespace: shop}}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web, version: v1}}
status: {podIP: 10.0.0.1, phase: Running, conditions: [{type: Ready, status: "True"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-2, namespace: shop, labels: {app: web, version: v2}}
status: {podIP: 10.0.0.2, phase: Running, conditions: [{type: Ready, status: "True"}]}
"#;

/// The rule of [`SHOP`].
pub(crate) const RULE: &str = r#"# Who gets which version.
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: [web]
  http:
  - name: canary
    match: [{uri: {prefix: /v1}, headers: {x-canary: {exact: "yes"}}}]
    timeout: 2s
    route: [{destination: {host: web, subset: v2}}]
  - name: main
    retries: {attempts: 3, retryOn: 5xx}
    route:
    - {destination: {host: web, subset: v1}, weight: 90}
    - {destination: {host: web, subset: v2}, weight: 10}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, namespace: shop}
spec:
  host: web
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
"#;

pub(crate) struct Plane {
    pub(crate) mesh: Mesh,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }
}

impl Plane {
    pub(crate) async fn start(files: &[(&str, &str)]) -> Self {
        let settings = MeshSettings::new(env!("CARGO_BIN_EXE_meltemi"), files);
        Self { mesh: Mesh::start(&settings).await.unwrap() }
    }

    /// A control plane that serves [`SHOP`] and [`RULE`].
    pub(crate) async fn shop() -> Self {
        Self::start(&[("shop.yaml", SHOP), ("rule.yaml", RULE)]).await
    }

    /// Runs a command against the control plane.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Said {
        self.run_with(arguments, "").await
    }

    /// Runs a command with something on standard input.
    pub(crate) async fn run_with(&self, arguments: &[&str], input: &str) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_meltemi"));
        command
            .args(arguments)
            .env("MELTEMI_SERVER", self.mesh.admin_address().to_string())
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let input = input.to_owned();
        let run = tokio::task::spawn_blocking(move || {
            let mut child = command.spawn().unwrap();
            child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
            child.wait_with_output().unwrap()
        });
        let output = run.await.unwrap();
        Said {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Applies this text, which must be taken.
    pub(crate) async fn apply(&self, text: &str) -> Said {
        self.run_with(&["apply", "-f", "-"], text).await.expect(0)
    }

    /// A sidecar that has everything and does nothing further by itself.
    pub(crate) async fn proxy(&self, name: &str) -> SyncedProxy {
        self.connect(name, &[]).await
    }

    /// The same, of a workload without interception.
    pub(crate) async fn bare_proxy(&self, name: &str) -> SyncedProxy {
        self.connect(name, &[("INTERCEPTION_MODE", "NONE")]).await
    }

    async fn connect(&self, name: &str, metadata: &[(&str, &str)]) -> SyncedProxy {
        let id = format!("sidecar~10.1.0.1~{name}.shop~shop.svc.cluster.local");
        let node = node(&id, metadata);
        let address = self.mesh.xds_address();
        let settings = ClientSettings::new(address, Protocol::Delta, node);
        let mut proxy = SyncedProxy::connect(settings).await.unwrap();
        proxy.sync_until_quiet(QUIET).await.unwrap();
        proxy
    }
}

/// Lets a proxy answer whatever comes, until this is dropped.
pub(crate) fn live(mut proxy: SyncedProxy) -> Live {
    Live(tokio::spawn(async move { while let Ok(Some(_)) = proxy.step().await {} }))
}

pub(crate) struct Live(JoinHandle<()>);

impl Drop for Live {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(crate) fn node(id: &str, metadata: &[(&str, &str)]) -> Node {
    let text = |text: &str| Value { kind: Some(Kind::StringValue(text.to_owned())) };
    let fields = metadata.iter().chain(&[("NAMESPACE", "shop")]);
    let fields = fields.map(|(key, value)| ((*key).to_owned(), text(value)));
    Node {
        id: id.to_owned(),
        metadata: Some(Struct { fields: fields.collect() }),
        locality: Some(Locality::default()),
        ..Node::default()
    }
}
