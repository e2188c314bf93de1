//! Fences around the client of the shop.

/// The file that they are written to.
pub(crate) const FILE: &str = "fence.yaml";

/// The client's namespace has this mode: unless that is `full`, it is told of nothing until it calls.
pub(crate) fn namespace(mode: &str) -> String {
    format!(
        "---
apiVersion: v1
kind: Namespace
metadata: {{name: shop, labels: {{meltemi.io/scope: {mode}}}}}
"
    )
}

/// The same, and the client is told of `web`.
pub(crate) fn told_of_web(mode: &str) -> String {
    let declared = "---
apiVersion: microservice.slime.io/v1alpha1
kind: ServiceFence
metadata: {name: client, namespace: shop}
spec:
  enable: true
  host: {web.shop.svc.cluster.local: {stable: {}}}
";
    namespace(mode) + declared
}
