//! A gateway of several pods.

use testkit::ports;

use super::{Detoured, DetouredSettings, REGISTRY_ONLY, from};

#[tokio::test]
async fn a_pod_that_is_down_costs_no_request_while_another_is_up() {
    // Nothing listens there, and nobody leaves it out after some failures.
    let yaml = format!(
        "---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: lazy-gateway-2, namespace: mesh, labels: {{kubernetes.io/service-name: lazy-gateway}}}}
addressType: IPv4
ports: [{{name: lazy, port: {}, protocol: TCP}}]
endpoints: [{{addresses: [{}], conditions: {{ready: true}}}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: lazy-gateway, namespace: mesh}}
spec:
  host: lazy-gateway
  trafficPolicy: {{outlierDetection: {{consecutive5xxErrors: 100000}}}}
",
        ports::free_port(),
        ports::loopback_address()
    );
    let settings =
        DetouredSettings { yaml: &yaml, mesh_config: REGISTRY_ONLY, ..DetouredSettings::default() };
    let mesh = Detoured::start_with(settings).await;
    for _ in 0..40 {
        assert_eq!(mesh.call("web").await, from("web-v1"));
    }
    let failed = mesh.shop.envoy.stats("lazy-gateway.*upstream_cx_connect_fail$").await.unwrap();
    assert!(failed.values().sum::<u64>() > 5, "the other pod was tried: {failed:?}");
}
