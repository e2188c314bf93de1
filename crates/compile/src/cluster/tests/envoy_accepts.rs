//! A real Envoy reads every shape of cluster.

use envoy::{Resource, config::cluster::v3::Cluster, type_url};
use prost::Message;
use snapshot::OutboundPolicy;

use super::{Compiled, HOST, compile, fixture, router, rule, special_clusters};
use crate::filters::testing::validate;

/// Policies that between them set every field but files, which Envoy would read.
const POLICIES: [&str; 13] = [
    "{loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 30s, minimumPercent: 5, aggression: 2}}}",
    "{loadBalancer: {simple: LEAST_REQUEST, warmup: {duration: 30s}}}",
    "{loadBalancer: {simple: RANDOM}}",
    "{loadBalancer: {simple: PASSTHROUGH}}",
    "{loadBalancer: {consistentHash: {useSourceIp: true, ringHash: {minimumRingSize: 2048}}}}",
    "{loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 65537}}}}",
    "{outlierDetection: {consecutive5xxErrors: 3, consecutiveGatewayErrors: 0, interval: 5s, \
     baseEjectionTime: 30s, maxEjectionPercent: 50, minHealthPercent: 20, \
     splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 4, \
     outlierDetectionHttpErrorCodes: [429, 503]}, \
     loadBalancer: {localityLbSetting: {failover: [{from: a, to: b}]}}}",
    "{connectionPool: {tcp: {maxConnections: 5, connectTimeout: 250ms, maxConnectionDuration: 1h, \
     tcpKeepalive: {probes: 3, time: 60s, interval: 5s}}, http: {http1MaxPendingRequests: 6, \
     http2MaxRequests: 7, maxRetries: 8, maxRequestsPerConnection: 9, idleTimeout: 90s, \
     maxConcurrentStreams: 50, http2KeepAlive: {interval: 30s}}}}",
    "{connectionPool: {http: {useClientProtocol: true}}, retryBudget: {percent: 50, budgetInterval: 1s}}",
    "{tls: {mode: SIMPLE}, proxyProtocol: {version: V2}}",
    "{tls: {mode: SIMPLE, sni: a.b, subjectAltNames: [a.b, 'spiffe://td/sa/cart', 10.0.0.1]}}",
    "{tls: {mode: SIMPLE, insecureSkipVerify: true}, proxyProtocol: {version: V1}}",
    "{tls: {mode: MUTUAL, credentialName: cart-cert, subjectAltNames: [a.b]}}",
];

/// The same cluster under another name: all are judged together.
fn renamed(compiled: &Compiled, number: usize) -> Compiled {
    let bytes = compiled.resource.decode_bytes();
    let mut cluster = Cluster::decode(bytes).expect("the encoding is valid");
    cluster.name = format!("{number}-{}", cluster.name);
    Compiled::new(Resource::from_message(cluster.name.clone(), type_url::CLUSTER, &cluster))
}

#[test]
fn a_real_envoy_accepts_every_shape() {
    let mut clusters = Vec::new();
    let mut add = |compiled: &Compiled| {
        clusters.push(renamed(compiled, clusters.len()));
    };
    for policy in POLICIES {
        let snapshot = fixture::snapshot(&rule(policy));
        for client in [fixture::client("shop"), router("shop")] {
            for port in [80, 90, 100, 110] {
                add(&compile(&snapshot, &client, HOST, port, "").expect("a cluster"));
            }
        }
    }
    for resolution in ["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"] {
        for tls in ["", "{tls: {mode: SIMPLE}}"] {
            let host = if resolution == "DYNAMIC_DNS" { "*.bank.com" } else { "api.bank.com" };
            let snapshot = fixture::snapshot(&entry(resolution, host, tls));
            let client = fixture::client("shop");
            add(&compile(&snapshot, &client, host, 443, "").expect("a cluster"));
        }
    }
    let snapshot = fixture::snapshot("");
    let policy = OutboundPolicy::AllowAnyDynamicDns;
    for cluster in special_clusters(&fixture::client("shop"), snapshot.mesh(), policy) {
        add(&cluster.compile());
    }
    validate(&[], &clusters);
}

fn entry(resolution: &str, host: &str, policy: &str) -> String {
    let policy = if policy.is_empty() { "{retryBudget: {percent: 20}}" } else { policy };
    format!(
        "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: bank, namespace: shop}}
spec:
  hosts: ['{host}']
  location: MESH_EXTERNAL
  resolution: {resolution}
  ports: [{{name: http, number: 443, protocol: HTTP}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: bank, namespace: shop}}
spec: {{host: '{host}', trafficPolicy: {policy}}}
"
    )
}
