//! What reaches proxies when the mesh changes.

use std::collections::BTreeSet;

use envoy::{config::endpoint::v3::ClusterLoadAssignment, type_url};
use push::ResourceKind;
use xds::{
    Protocol,
    client::{SyncedProxy, TypeCounts},
};

use crate::live::{Live, patiently, sync};

const BOTH: [Protocol; 2] = [Protocol::Delta, Protocol::Sotw];
const CART: &str = "outbound|80||cart.shop.svc.cluster.local";

fn service(name: &str, number: usize) -> String {
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec: {{clusterIP: 10.96.0.{number}, ports: [{{name: http, port: 80}}]}}
---"
    )
}

/// As many endpoints of a service; the last one tells which form this is.
fn slice(name: &str, count: usize, last: usize) -> String {
    let numbers = (1..count).chain([250 + last]);
    let addresses = numbers.map(|it| format!("{{addresses: [10.0.{}.{}]}}", it / 250, it % 250));
    format!(
        "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-1, namespace: shop, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{name: http, port: 80}}]
endpoints: [{}]
---",
        addresses.collect::<Vec<_>>().join(", ")
    )
}

fn mesh() -> String {
    service("cart", 1) + &slice("cart", 3, 0) + &service("pay", 2) + &slice("pay", 2, 0)
}

fn counts(proxy: &SyncedProxy) -> Vec<TypeCounts> {
    ResourceKind::ALL.iter().map(|kind| proxy.counts(kind.type_url())).collect()
}

fn endpoints(proxy: &SyncedProxy, name: &str) -> usize {
    let assignment = proxy.get::<ClusterLoadAssignment>(name);
    assignment.map_or(0, |it| it.endpoints.iter().map(|it| it.lb_endpoints.len()).sum())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_nobody_sees_sends_no_byte() {
    for protocol in BOTH {
        let mut live = Live::start(&mesh()).await;
        let mut proxy = live.connect("web", protocol).await;
        let before = counts(&proxy);
        let hidden = service("hidden", 9).replace(
            "{name: hidden,",
            "{annotations: {networking.istio.io/exportTo: .}, name: hidden,",
        );
        live.put(&hidden).await;
        live.put(&slice("hidden", 5, 0)).await;
        live.put(&slice("unknown", 5, 0)).await;
        // What comes after it shows that nothing came before.
        live.put(&slice("cart", 4, 0)).await;
        sync(&mut proxy, |proxy| endpoints(proxy, CART) == 4).await;
        let after = counts(&proxy);
        let endpoint = ResourceKind::Endpoint as usize;
        assert_eq!(after[endpoint].responses, before[endpoint].responses + 1, "{protocol}");
        assert_eq!(after[endpoint].resources, before[endpoint].resources + 1, "{protocol}");
        for kind in [ResourceKind::Cluster, ResourceKind::Listener, ResourceKind::Route] {
            assert_eq!(before[kind as usize], after[kind as usize], "{protocol}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reconnect_to_another_control_plane_is_sent_no_resource() {
    for protocol in BOTH {
        let first = Live::start(&mesh()).await;
        let second = Live::start(&mesh()).await;
        let mut proxy = first.connect("shop", protocol).await;
        let before: u64 = counts(&proxy).iter().map(|it| it.resources).sum();
        patiently(proxy.reconnect_to(second.address)).await.unwrap();
        sync(&mut proxy, |_| true).await;
        let standings = patiently(second.registry.standings()).await;
        assert_eq!(standings.len(), 1, "{protocol}");
        assert!(standings.values().all(|it| it.1 == push::Standing::Live), "{standings:?}");
        let after: u64 = counts(&proxy).iter().map(|it| it.resources).sum();
        assert_eq!(before, after, "{protocol}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_proxy_delays_nobody_and_its_updates_merge() {
    const CHANGES: usize = 200;
    for protocol in BOTH {
        let mut live = Live::start(&(mesh() + &slice("cart", 240, 0))).await;
        let mut slow = live.connect("web", protocol).await;
        let mut quick = live.connect("web", protocol).await;
        let before = slow.counts(type_url::ENDPOINT);
        for number in 1..=CHANGES {
            // `slow` is not polled, and so neither reads nor answers.
            live.put(&slice("cart", 240 + number % 7, number)).await;
            let last = format!("10.0.{}.{}", (250 + number) / 250, (250 + number) % 250);
            sync_to(&mut quick, &last).await;
        }
        sync(&mut slow, |proxy| endpoints(proxy, CART) == 240 + CHANGES % 7).await;
        let after = slow.counts(type_url::ENDPOINT);
        let responses = after.responses - before.responses;
        assert!(responses <= 3, "{protocol}: {responses} responses instead of the last");
        assert_eq!(slow.get::<ClusterLoadAssignment>(CART), quick.get(CART));
    }
}

/// Waits until the assignment of the cart has this address.
async fn sync_to(proxy: &mut SyncedProxy, address: &str) {
    patiently(async {
        while !format!("{:?}", proxy.get::<ClusterLoadAssignment>(CART)).contains(address) {
            proxy.step().await.unwrap();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settled_waits_for_the_revision() {
    let mut live = Live::start(&mesh()).await;
    let revision = live.index.snapshot().revision;
    patiently(live.engine.settled(revision)).await;
    let engine = live.engine.clone();
    let waiting = tokio::spawn(async move { engine.settled(revision + 2).await });
    live.put(&slice("cart", 4, 0)).await;
    assert!(!waiting.is_finished());
    live.put(&slice("cart", 5, 0)).await;
    patiently(waiting).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preview_changes_nothing_and_says_what_publishing_does() {
    let rule = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: cart, namespace: shop}
spec: {host: cart, subsets: [{name: v1, labels: {version: v1}}]}";
    let mut live = Live::start(&mesh()).await;
    let mut proxy = live.connect("web", Protocol::Delta).await;
    let (before, notified) = (counts(&proxy), live.engine.counters().notified.get());
    let compiled = live.engine.counters().compiled.get();
    let preview = live.preview(rule).await;
    let names: BTreeSet<String> = preview
        .facets
        .iter()
        .flat_map(|facet| &facet.changes)
        .filter(|change| change.kind == ResourceKind::Cluster)
        .map(|change| change.name.to_string())
        .collect();
    let subset = "outbound|80|v1|cart.shop.svc.cluster.local";
    assert!(names.contains(subset), "{names:?}");
    assert_eq!(live.engine.counters().notified.get(), notified);
    assert_eq!(live.engine.counters().compiled.get(), compiled);
    let held: BTreeSet<String> = cluster_names(&proxy);
    live.put(rule).await;
    sync(&mut proxy, |proxy| proxy.names(type_url::CLUSTER).contains(&subset)).await;
    let cluster = ResourceKind::Cluster as usize;
    assert_eq!(counts(&proxy)[cluster].resources, before[cluster].resources + names.len() as u64);
    let new = &cluster_names(&proxy) - &held;
    assert!(new.is_subset(&names), "{new:?}");
}

fn cluster_names(proxy: &SyncedProxy) -> BTreeSet<String> {
    proxy.names(type_url::CLUSTER).into_iter().map(str::to_owned).collect()
}
