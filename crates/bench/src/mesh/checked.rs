//! A mesh as `check` gets it: Kubernetes services with their pods, and rules and a policy for each.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;

/// How much of it there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CheckedMesh {
    pub(crate) services: usize,
    pub(crate) namespaces: usize,
    /// Whether services have a VirtualService and a DestinationRule beside their policy.
    pub(crate) rules: bool,
    /// Whether all proxies report metrics, which names their workloads.
    pub(crate) metrics: bool,
}

const METRICS: &str = "apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: default, namespace: istio-system}
spec: {metrics: [{providers: [{name: prometheus}]}]}
";

impl CheckedMesh {
    /// Writes a file for each service into a new folder below `parent`.
    pub(crate) fn write(&self, parent: &Path) -> Result<PathBuf> {
        let folder = parent.join("config");
        fs::create_dir(&folder)?;
        for service in 0..self.services {
            fs::write(folder.join(format!("service-{service:05}.yaml")), self.service(service))?;
        }
        if self.metrics {
            fs::write(folder.join("telemetry.yaml"), METRICS)?;
        }
        Ok(folder)
    }

    fn service(&self, service: usize) -> String {
        let (namespace, caller) =
            (service % self.namespaces, (service + self.namespaces) % self.services);
        let (a, b) = (service / 250, service % 250 + 1);
        let mut text = format!(
            "apiVersion: v1
kind: Service
metadata: {{name: svc-{service}, namespace: ns-{namespace}}}
spec:
  clusterIP: 10.96.{a}.{b}
  selector: {{app: svc-{service}}}
  ports:
  - {{name: http, port: 80, targetPort: 8080}}
  - {{name: grpc, port: 90, targetPort: 9090}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: svc-{service}, namespace: ns-{namespace}}}
spec:
  selector: {{matchLabels: {{app: svc-{service}}}}}
  rules:
  - from: [{{source: {{principals: [cluster.local/ns/ns-{namespace}/sa/svc-{caller}]}}}}]
    to: [{{operation: {{methods: [GET], paths: [/api/*]}}}}]
"
        );
        for version in [1, 2] {
            // A `String` takes everything.
            let _ = write!(
                text,
                "---
apiVersion: v1
kind: Pod
metadata:
  name: svc-{service}-v{version}
  namespace: ns-{namespace}
  labels: {{app: svc-{service}, version: v{version}}}
spec: {{serviceAccountName: svc-{service}}}
status: {{podIP: 10.{version}.{a}.{b}, phase: Running}}
"
            );
        }
        if self.rules {
            text.push_str(&rules(service, namespace));
        }
        text
    }
}

fn rules(service: usize, namespace: usize) -> String {
    format!(
        "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: svc-{service}, namespace: ns-{namespace}}}
spec:
  hosts: [svc-{service}]
  http:
  - match: [{{uri: {{prefix: /v2}}}}]
    route: [{{destination: {{host: svc-{service}, subset: v2}}}}]
    timeout: 5s
  - route:
    - {{destination: {{host: svc-{service}, subset: v1}}, weight: 90}}
    - {{destination: {{host: svc-{service}, subset: v2}}, weight: 10}}
    retries: {{attempts: 3, perTryTimeout: 2s}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: svc-{service}, namespace: ns-{namespace}}}
spec:
  host: svc-{service}
  trafficPolicy:
    connectionPool: {{tcp: {{maxConnections: 100}}}}
    outlierDetection: {{consecutive5xxErrors: 5}}
  subsets:
  - {{name: v1, labels: {{version: v1}}}}
  - {{name: v2, labels: {{version: v2}}}}
"
    )
}
