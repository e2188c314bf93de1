//! A mesh with one gRPC service, `greeter.shop`, of two versions.

use std::time::Duration;

use anyhow::Result;
use testkit::{
    http::GrpcBackend,
    mesh::{Mesh, MeshSettings},
    ports,
};

use crate::application::Application;

/// The names under which a client in the same namespace may call the service.
pub(crate) const TARGET: &str = "xds:///greeter:9080";

/// The mesh, its backends and an application that calls them.
#[derive(Debug)]
pub(crate) struct Shop {
    pub(crate) mesh: Mesh,
    pub(crate) application: Application,
    pub(crate) v1: GrpcBackend,
    pub(crate) v2: GrpcBackend,
}

impl Shop {
    /// Starts everything; `rules` are documents beside the service.
    pub(crate) async fn start(rules: &str) -> Result<Self> {
        let v1 = backend("v1").await?;
        let v2 = backend("v2").await?;
        let service = service(&[(&v1, "v1", "r/1/a"), (&v2, "v2", "r/2/b")]);
        let files = [("service.yaml", service.as_str()), ("rules.yaml", rules)];
        let mesh = Mesh::start(&MeshSettings::new(env!("CARGO_BIN_EXE_meltemi"), &files)).await?;
        mesh.expect_no_errors().await?;
        let application = Application::start(&mesh, "web-1.shop", &["--locality", "r/1/a"]).await?;
        Ok(Self { mesh, application, v1, v2 })
    }

    /// Waits until everything is acknowledged, and nothing was refused. gRPC has a stream of its
    /// own for each target.
    pub(crate) async fn wait_synced(&self, streams: usize) -> Result<()> {
        let mut last = self.mesh.expect_synced(streams).await;
        for _ in 0..200 {
            if last.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            last = self.mesh.expect_synced(streams).await;
        }
        last
    }
}

/// A backend on an address of its own.
pub(crate) async fn backend(name: &str) -> Result<GrpcBackend> {
    GrpcBackend::start(name, (ports::loopback_address(), 0).into()).await
}

/// The service with these endpoints: backend, version and locality.
pub(crate) fn service(endpoints: &[(&GrpcBackend, &str, &str)]) -> String {
    let endpoints: String = endpoints
        .iter()
        .map(|(backend, version, locality)| {
            let (ip, port) = (backend.address().ip(), backend.address().port());
            format!(
                "  - {{address: {ip}, ports: {{grpc: {port}}}, locality: {locality}, \
                 labels: {{app: greeter, version: {version}}}}}\n"
            )
        })
        .collect();
    format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: greeter, namespace: shop}}
spec:
  hosts: [greeter.shop.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{name: grpc, number: 9080, protocol: GRPC}}]
  endpoints:
{endpoints}"
    )
}

/// Subsets by version, with further fields of the rule.
pub(crate) fn subsets(more: &str) -> String {
    format!(
        "---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: greeter, namespace: shop}}
spec:
  host: greeter.shop.svc.cluster.local
  subsets:
  - {{name: v1, labels: {{version: v1}}}}
  - {{name: v2, labels: {{version: v2}}}}
{more}
"
    )
}

/// A VirtualService with this `http` section.
pub(crate) fn rule(http: &str) -> String {
    let indented: String = http.trim().lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: greeter, namespace: shop}}
spec:
  hosts: [greeter.shop.svc.cluster.local]
  http:
{indented}"
    )
}

/// All calls to one version.
pub(crate) fn only(subset: &str) -> String {
    rule(&format!(
        "- route: [{{destination: {{host: greeter.shop.svc.cluster.local, subset: {subset}}}}}]"
    ))
}
