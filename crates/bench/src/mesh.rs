//! The mesh that is measured, as files: one for each service.
//!
//! The shape is that of published measurements of istiod: static ServiceEntries in ten namespaces;
//! each tenth has a TCP port, a VirtualService with two routes and a DestinationRule with two
//! subsets. No Sidecar narrows what a proxy sees.

use std::{fmt::Write, fs, path::Path};

use anyhow::{Context, Result};

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MeshSize {
    pub(crate) services: usize,
    /// Of each service.
    pub(crate) endpoints: usize,
    /// Workloads that proxies belong to, each in a namespace of its own.
    pub(crate) workloads: usize,
}

/// The namespaces of services.
const NAMESPACES: usize = 10;
/// Each so-manieth service has rules and a TCP port.
const RULED: usize = 10;
/// The service whose first endpoint changes; one without rules.
const ENDPOINT_SERVICE: usize = 7;
/// The service whose VirtualService changes.
const ROUTE_SERVICE: usize = 0;

/// How often something of a service has changed.
#[derive(Clone, Copy, Debug, Default)]
struct Rounds {
    endpoint: usize,
    route: usize,
}

impl MeshSize {
    /// Writes all files.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        (0..self.services)
            .try_for_each(|service| self.write_service(folder, service, Rounds::default()))
    }

    fn write_service(&self, folder: &Path, service: usize, rounds: Rounds) -> Result<()> {
        let path = folder.join(format!("service-{service:05}.yaml"));
        fs::write(&path, self.service(service, rounds))
            .with_context(|| format!("failed to write {}", path.display()))
    }

    /// Gives a service another first endpoint. Every proxy knows the service.
    pub(crate) fn change_endpoint(&self, folder: &Path, round: usize) -> Result<()> {
        let rounds = Rounds { endpoint: round, route: 0 };
        self.write_service(folder, ENDPOINT_SERVICE.min(self.services - 1), rounds)
    }

    /// Changes a prefix in a VirtualService. Every proxy sees the rule.
    pub(crate) fn change_route(&self, folder: &Path, round: usize) -> Result<()> {
        self.write_service(folder, ROUTE_SERVICE, Rounds { endpoint: 0, route: round })
    }

    fn service(&self, service: usize, rounds: Rounds) -> String {
        let ruled = service.is_multiple_of(RULED);
        let namespace = format!("ns-{}", service % NAMESPACES);
        let host = format!("svc-{service}.{namespace}.example");
        let tcp = if ruled { ", {number: 9000, protocol: TCP, name: tcp}" } else { "" };
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
  ports: [{{number: 8080, protocol: HTTP, name: http}}{tcp}]
  endpoints:
"
        );
        for endpoint in 0..self.endpoints {
            let version = endpoint % 2 + 1;
            let zone = endpoint % 3;
            let [_, a, b, c] = number(service * self.endpoints + endpoint);
            // The first endpoint moves with each round.
            let network = if endpoint == 0 { 20 + rounds.endpoint % 100 } else { 20 };
            let a = usize::from(a) + network;
            // A `String` takes everything.
            let _ = writeln!(
                text,
                "  - {{address: 10.{a}.{b}.{c}, labels: {{app: svc-{service}, version: v{version}}}, \
                 locality: region/zone-{zone}, serviceAccount: svc-{service}}}"
            );
        }
        if ruled {
            text.push_str(&rules(service, &namespace, &host, rounds.route));
        }
        text
    }
}

fn rules(service: usize, namespace: &str, host: &str, round: usize) -> String {
    format!(
        "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: svc-{service}, namespace: {namespace}}}
spec:
  hosts: [{host}]
  http:
  - match: [{{uri: {{prefix: /round-{round}}}}}]
    route: [{{destination: {{host: {host}, subset: v2}}}}]
  - route: [{{destination: {{host: {host}, subset: v1}}}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: svc-{service}, namespace: {namespace}}}
spec:
  host: {host}
  subsets:
  - {{name: v1, labels: {{version: v1}}}}
  - {{name: v2, labels: {{version: v2}}}}
"
    )
}

fn number(value: usize) -> [u8; 4] {
    u32::try_from(value).unwrap_or(u32::MAX).to_be_bytes()
}

/// Who a proxy is.
#[derive(Clone, Debug)]
pub(crate) struct ProxyIdentity {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) workload: String,
    pub(crate) address: String,
}

impl MeshSize {
    /// The proxy of stream `index`: a replica of one of the workloads, in turn.
    pub(crate) fn proxy(&self, index: usize) -> ProxyIdentity {
        let workload = index % self.workloads;
        let [_, a, b, c] = number(index);
        ProxyIdentity {
            name: format!("workload-{workload}-{index}"),
            namespace: format!("ns-{workload}"),
            workload: format!("workload-{workload}"),
            address: format!("10.{}.{b}.{c}", 130 + usize::from(a)),
        }
    }
}
