//! Who calls the services of a mesh, and what fences are around them.
//!
//! - Callers with a real proxy: nothing redirects connections to it, so a Sidecar binds the port of
//!   all services to an address of the caller's own. The rest of its scope is as without a Sidecar.
//! - Workloads of streams: a fence that declares what they call.

use std::{
    collections::BTreeSet,
    fmt::Write,
    fs,
    net::{IpAddr, SocketAddr},
};

use anyhow::Result;

use super::{MeshFiles, MeshSize};

/// The port of all services.
const PORT: u16 = 8080;

/// A workload with a real proxy.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) name: String,
    /// Where it reaches all services.
    pub(crate) address: IpAddr,
    /// As of the label `meltemi.io/scope`.
    pub(crate) mode: &'static str,
}

impl Caller {
    pub(crate) fn namespace(&self) -> String {
        format!("callers-{}", self.mode)
    }

    pub(crate) fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.address, PORT)
    }

    fn objects(&self) -> String {
        let Self { name, address, .. } = self;
        let namespace = self.namespace();
        format!(
            "apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  workloadSelector: {{labels: {{app: {name}}}}}
  egress:
  - port: {{number: {PORT}, protocol: HTTP, name: http}}
    bind: {address}
    captureMode: NONE
    hosts: [\"*/*\"]
  - hosts: [\"*/*\"]
"
        )
    }
}

impl MeshFiles {
    /// Adds callers with their namespaces.
    pub(crate) fn write_callers(&self, callers: &[Caller]) -> Result<()> {
        let namespaces: BTreeSet<_> = callers.iter().map(|it| (it.namespace(), it.mode)).collect();
        for (namespace, mode) in namespaces {
            let text = render_namespace(&namespace, mode);
            fs::write(self.folder.join(format!("{namespace}.yaml")), text)?;
        }
        for caller in callers {
            let file = format!("caller-{}-{}.yaml", caller.mode, caller.name);
            fs::write(self.folder.join(file), caller.objects())?;
        }
        Ok(())
    }

    /// Adds the gateway of mode `gateway`, with one pod. Nobody has an identity here, so that it is told
    /// to take plain text.
    pub(crate) fn write_gateway(&self, pod: SocketAddr) -> Result<()> {
        Ok(fs::write(self.folder.join("lazy-gateway.yaml"), render_gateway(pod))?)
    }

    /// Fences each workload of streams: it is told of `services` services, which it declares.
    pub(crate) fn write_fences(&self, services: usize) -> Result<()> {
        for workload in 0..self.size.workloads {
            let text = self.size.fence(workload, services);
            fs::write(self.folder.join(format!("fence-{workload:05}.yaml")), text)?;
        }
        Ok(())
    }
}

impl MeshSize {
    fn fence(&self, workload: usize, services: usize) -> String {
        let mut text = render_namespace(&format!("ns-{workload}"), "on-demand");
        // A `String` takes everything.
        let _ = write!(
            text,
            "---
apiVersion: microservice.slime.io/v1alpha1
kind: ServiceFence
metadata: {{name: workload-{workload}, namespace: ns-{workload}}}
spec:
  enable: true
  host:
"
        );
        for index in 0..services {
            // Different ones for each workload.
            let host = Self::host((workload * services + index) % self.services);
            let _ = writeln!(text, "    {host}: {{stable: {{}}}}");
        }
        text
    }
}

/// The mode of all workloads of a namespace.
fn render_namespace(name: &str, mode: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Namespace\n\
         metadata: {{name: {name}, labels: {{meltemi.io/scope: {mode}}}}}\n"
    )
}

fn render_gateway(pod: SocketAddr) -> String {
    let (address, port) = (pod.ip(), pod.port());
    format!(
        "apiVersion: v1
kind: Service
metadata: {{name: lazy-gateway, namespace: mesh}}
spec:
  ports: [{{name: lazy, port: {port}, targetPort: {port}}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: lazy-gateway-1
  namespace: mesh
  labels: {{kubernetes.io/service-name: lazy-gateway}}
addressType: IPv4
ports: [{{name: lazy, port: {port}, protocol: TCP}}]
endpoints: [{{addresses: [{address}], conditions: {{ready: true}}}}]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: plain, namespace: mesh}}
spec: {{mtls: {{mode: DISABLE}}}}
"
    )
}

/// What the control plane is told of that gateway.
pub(crate) fn gateway_settings(port: u16) -> String {
    format!("lazyload:\n  gateway: {{host: lazy-gateway.mesh.svc.cluster.local, port: {port}}}\n")
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::mesh::{Backends, RouteScope};

    #[test]
    fn every_object_is_read_without_a_finding() {
        let parent = tempfile::tempdir().unwrap();
        let backends = Some(Backends { http: 7001, grpc: 7002 });
        let (services, endpoints, workloads) = (20, 2, 3);
        let route_scope = RouteScope::Everybody;
        let size = MeshSize { services, endpoints, workloads, route_scope, backends };
        let files = MeshFiles::write(size, parent.path()).unwrap();
        let caller = |name: &str, mode| {
            let address = Ipv4Addr::new(127, 1, 2, 3).into();
            Caller { name: name.to_owned(), address, mode }
        };
        let callers =
            [caller("one", "on-demand"), caller("two", "on-demand"), caller("one", "full")];
        files.write_callers(&callers).unwrap();
        files.write_fences(2).unwrap();
        files.write_gateway((Ipv4Addr::new(127, 1, 2, 4), 15080).into()).unwrap();
        let mut count = 0;
        for entry in fs::read_dir(&files.folder).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read(&path).unwrap();
            let (objects, findings) = api::parse_documents("file", &text);
            assert!(findings.is_empty(), "{}: {findings:?}", path.display());
            for object in &objects {
                let findings = api::validate(object);
                assert!(findings.is_empty(), "{}: {findings:?}", path.display());
            }
            count += objects.len();
        }
        // Services with their rules, callers with their namespaces, three fences with theirs, and the
        // gateway.
        assert_eq!(count, 24 + 5 + 6 + 3);
        let text = fs::read_to_string(files.folder.join("service-00002.yaml")).unwrap();
        assert!(text.contains("protocol: GRPC") && text.contains("ports: {grpc: 7002}"), "{text}");
    }
}
