//! The meshes that are measured, as files: one for each object.
//!
//! The shape is that of published measurements of istiod: static ServiceEntries in ten namespaces;
//! each tenth has a TCP port, a VirtualService with two routes and a DestinationRule with two
//! subsets. No Sidecar narrows what a proxy sees.
//!
//! A file is changed as a careful writer does it: written beside the served folder, then renamed
//! into it, so that nobody ever reads half of it.

mod callers;
mod checked;
mod entries;

use std::{
    fmt::Write,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

pub(crate) use self::{
    callers::{Caller, gateway_settings},
    checked::CheckedMesh,
    entries::EntriesMesh,
};
use crate::client::ProxyIdentity;

/// The namespaces of services.
const NAMESPACES: usize = 10;
/// Each so-manieth service has rules and a TCP port.
const RULED: usize = 10;
/// The service whose first endpoint changes; one without rules.
const ENDPOINT_SERVICE: usize = 7;
/// The service whose VirtualService changes.
const ROUTE_SERVICE: usize = 0;
/// Addresses of endpoints that were changed: the number of the change lies in them.
const MARKED: u32 = u32::from_be_bytes([172, 16, 0, 0]);
/// How many numbers fit.
const MARKS: u32 = 1 << 20;

/// The number of the change that an endpoint's address shows.
pub(crate) fn marker_of(address: Ipv4Addr) -> Option<u32> {
    u32::from(address).checked_sub(MARKED).filter(|mark| *mark < MARKS)
}

fn marked(mark: u32) -> Ipv4Addr {
    Ipv4Addr::from(MARKED + mark % MARKS)
}

/// Who sees the VirtualService that is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RouteScope {
    Everybody,
    /// Proxies of its own namespace.
    Namespace,
}

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MeshSize {
    pub(crate) services: usize,
    /// Of each service.
    pub(crate) endpoints: usize,
    /// Workloads that proxies belong to, each in a namespace of its own.
    pub(crate) workloads: usize,
    pub(crate) route_scope: RouteScope,
    /// Where every endpoint leads, if anybody is to be there: addresses of loopback.
    pub(crate) backends: Option<Backends>,
}

/// Ports on which somebody answers, at all addresses of loopback. With them, each third service
/// speaks gRPC.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backends {
    pub(crate) http: u16,
    pub(crate) grpc: u16,
}

/// A mesh in a folder.
#[derive(Clone, Debug)]
pub(crate) struct MeshFiles {
    pub(crate) size: MeshSize,
    pub(crate) folder: PathBuf,
    /// On the same file system, so that a rename is one step.
    staging: PathBuf,
}

impl MeshFiles {
    /// Writes all files into new folders below `parent`.
    pub(crate) fn write(size: MeshSize, parent: &Path) -> Result<Self> {
        let (folder, staging) = (parent.join("config"), parent.join("staging"));
        fs::create_dir(&folder)?;
        fs::create_dir(&staging)?;
        let files = Self { size, folder, staging };
        for service in 0..size.services {
            let put = |name: &str, text: String| {
                let path = files.folder.join(format!("{name}-{service:05}.yaml"));
                fs::write(&path, text)
                    .with_context(|| format!("failed to write {}", path.display()))
            };
            put("service", size.service(service, None))?;
            if service.is_multiple_of(RULED) {
                put("virtual-service", size.virtual_service(service, 0))?;
                put("destination-rule", size.destination_rule(service))?;
            }
        }
        Ok(files)
    }

    /// A mesh whose files nobody reads.
    pub(crate) fn none(size: MeshSize, parent: &Path) -> Self {
        Self { size, folder: parent.to_owned(), staging: parent.to_owned() }
    }

    /// Makes a new version of a file ready; the returned step puts it in place.
    fn stage(&self, name: &str, text: &str) -> Result<impl FnOnce() -> Result<()> + use<>> {
        let (from, to) = (self.staging.join(name), self.folder.join(name));
        fs::write(&from, text).with_context(|| format!("failed to write {}", from.display()))?;
        Ok(move || {
            fs::rename(&from, &to).with_context(|| format!("failed to replace {}", to.display()))
        })
    }

    /// Gives a service that every proxy knows another first endpoint.
    pub(crate) fn stage_endpoint(&self, round: u32) -> Result<impl FnOnce() -> Result<()> + use<>> {
        self.stage_change(ENDPOINT_SERVICE.min(self.size.services - 1), round)
    }

    /// Gives any service another first endpoint, that shows the number `change`.
    pub(crate) fn stage_change(
        &self,
        service: usize,
        change: u32,
    ) -> Result<impl FnOnce() -> Result<()> + use<>> {
        self.stage(&format!("service-{service:05}.yaml"), &self.size.service(service, Some(change)))
    }

    /// Changes a prefix in a VirtualService.
    pub(crate) fn stage_route(&self, round: u32) -> Result<impl FnOnce() -> Result<()> + use<>> {
        let text = self.size.virtual_service(ROUTE_SERVICE, round);
        self.stage(&format!("virtual-service-{ROUTE_SERVICE:05}.yaml"), &text)
    }

    /// A file that cannot be read as an object.
    pub(crate) fn stage_broken(&self, round: u32) -> Result<impl FnOnce() -> Result<()> + use<>> {
        let name = format!("broken-{}.yaml", round % 8);
        self.stage(&name, &format!("kind: ServiceEntry\nmetadata: {{name: [broken-{round}\n"))
    }

    /// Takes away what [`MeshFiles::stage_broken`] made, if it is there.
    pub(crate) fn remove_broken(&self, round: u32) {
        let _ = fs::remove_file(self.folder.join(format!("broken-{}.yaml", round % 8)));
    }
}

impl MeshSize {
    /// All objects, each a text.
    pub(crate) fn documents(&self) -> Vec<String> {
        let of = |service: usize| {
            let rules = service
                .is_multiple_of(RULED)
                .then(|| [self.virtual_service(service, 0), self.destination_rule(service)]);
            [self.service(service, None)].into_iter().chain(rules.into_iter().flatten())
        };
        (0..self.services).flat_map(of).collect()
    }

    /// The service that every proxy knows, with another first endpoint.
    pub(crate) fn changed_service(&self) -> String {
        self.service(ENDPOINT_SERVICE.min(self.services - 1), Some(1))
    }

    /// The VirtualService that is changed.
    pub(crate) fn changed_route(&self) -> String {
        self.virtual_service(ROUTE_SERVICE, 1)
    }

    /// Whether a service speaks gRPC.
    pub(crate) fn is_grpc(&self, service: usize) -> bool {
        self.backends.is_some() && service % 3 == 2
    }

    pub(crate) fn host(service: usize) -> String {
        format!("svc-{service}.ns-{}.example", service % NAMESPACES)
    }

    /// With a mark, the first endpoint has moved.
    fn service(&self, service: usize, mark: Option<u32>) -> String {
        let namespace = format!("ns-{}", service % NAMESPACES);
        let host = Self::host(service);
        let is_ruled = service.is_multiple_of(RULED);
        let (protocol, name) =
            if self.is_grpc(service) { ("GRPC", "grpc") } else { ("HTTP", "http") };
        let tcp = if is_ruled { ", {number: 9000, protocol: TCP, name: tcp}" } else { "" };
        let [_, high, low, _] = number(service * 256);
        let mut text = format!(
            "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: svc-{service}, namespace: {namespace}}}
spec:
  hosts: [{host}]
  addresses: [10.200.{high}.{low}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{number: 8080, protocol: {protocol}, name: {name}}}{tcp}]
  endpoints:
"
        );
        for endpoint in 0..self.endpoints {
            let version = endpoint % 2 + 1;
            let zone = endpoint % 3;
            let [_, a, b, c] = number(service * self.endpoints + endpoint);
            let (own, ports) = match self.backends {
                None => (Ipv4Addr::new(10, a + 20, b, c), String::new()),
                Some(Backends { http, grpc }) => {
                    let port = if self.is_grpc(service) { grpc } else { http };
                    let ports = format!(", ports: {{{name}: {port}}}");
                    (Ipv4Addr::new(127, a + 100, b, c), ports)
                }
            };
            let address = mark.filter(|_| endpoint == 0).map_or(own, marked);
            // A `String` takes everything.
            let _ = writeln!(
                text,
                "  - {{address: {address}{ports}, labels: {{app: svc-{service}, version: v{version}}}, \
                 locality: region/zone-{zone}, serviceAccount: svc-{service}}}"
            );
        }
        text
    }

    fn virtual_service(&self, service: usize, round: u32) -> String {
        let (host, namespace) = (Self::host(service), service % NAMESPACES);
        let export = match self.route_scope {
            RouteScope::Namespace if service == ROUTE_SERVICE => "\n  exportTo: [.]",
            RouteScope::Namespace | RouteScope::Everybody => "",
        };
        format!(
            "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: svc-{service}, namespace: ns-{namespace}}}
spec:{export}
  hosts: [{host}]
  http:
  - match: [{{uri: {{prefix: /round-{round}}}}}]
    route: [{{destination: {{host: {host}, subset: v2}}}}]
  - route: [{{destination: {{host: {host}, subset: v1}}}}]
"
        )
    }

    fn destination_rule(&self, service: usize) -> String {
        let (host, namespace) = (Self::host(service), service % NAMESPACES);
        format!(
            "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: svc-{service}, namespace: ns-{namespace}}}
spec:
  host: {host}
  subsets:
  - {{name: v1, labels: {{version: v1}}}}
  - {{name: v2, labels: {{version: v2}}}}
"
        )
    }

    /// The proxy of stream `index`: a replica of one of the workloads, in turn.
    pub(crate) fn proxy(&self, index: usize) -> ProxyIdentity {
        let workload = index % self.workloads;
        let [_, a, b, c] = number(index);
        ProxyIdentity {
            name: format!("workload-{workload}-{index}"),
            namespace: format!("ns-{workload}"),
            workload: format!("workload-{workload}"),
            address: Ipv4Addr::new(10, a + 130, b, c),
        }
    }
}

fn number(value: usize) -> [u8; 4] {
    u32::try_from(value).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_back() {
        assert_eq!(
            [1, 30_000, MARKS - 1].map(|mark| marker_of(marked(mark))),
            [1, 30_000, MARKS - 1].map(Some)
        );
        assert_eq!(marker_of(Ipv4Addr::new(10, 20, 0, 1)), None);
        assert_eq!(marker_of(Ipv4Addr::new(172, 32, 0, 0)), None);
    }

    #[test]
    fn every_object_has_a_file_and_changes_replace_them() {
        let parent = tempfile::tempdir().unwrap();
        let route_scope = RouteScope::Namespace;
        let (services, endpoints, workloads, backends) = (20, 2, 3, None);
        let size = MeshSize { services, endpoints, workloads, route_scope, backends };
        let files = MeshFiles::write(size, parent.path()).unwrap();
        let count = || fs::read_dir(&files.folder).unwrap().count();
        assert_eq!(count(), 20 + 2 + 2);
        files.stage_endpoint(5).unwrap()().unwrap();
        files.stage_route(6).unwrap()().unwrap();
        let text = |name: &str| fs::read_to_string(files.folder.join(name)).unwrap();
        assert!(text("service-00007.yaml").contains("address: 172.16.0.5,"));
        assert!(text("virtual-service-00000.yaml").contains("prefix: /round-6"));
        assert!(text("virtual-service-00000.yaml").contains("exportTo: [.]"));
        assert!(!text("virtual-service-00010.yaml").contains("exportTo"));
        assert_eq!(count(), 24);
        files.stage_broken(9).unwrap()().unwrap();
        assert_eq!(count(), 25);
        files.remove_broken(9);
        assert_eq!(count(), 24);
    }
}
