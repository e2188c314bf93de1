//! What a first call needs is sent at once: a cluster, its assignment and the virtual host, one behind the other.
//! The proxy can use each by the time that it reads the next.

use testkit::http::{Backend, Request};

use crate::{
    fence,
    mtls::{ANY_HTTP, HTTP, Pair, PairSettings, peers},
    shop::{Instance, PORT, Shop, ShopSettings, backend, send, service},
};

/// A fenced client and what it may call.
async fn fenced(yaml: &str) -> Shop {
    let fence = fence::namespace("on-demand");
    let files = &[(fence::FILE, &*fence)];
    Shop::start_with(ShopSettings { versions: &["v1"], yaml, files, ..Default::default() }).await
}

#[tokio::test]
async fn an_assignment_that_is_sent_ahead_is_taken_once() {
    let (cart, pay) = (backend("cart").await, backend("pay").await);
    let yaml = service("cart", &[Instance::new("v1", &cart)]);
    let shop = fenced(&(yaml + &service("pay", &[Instance::new("v1", &pay)]))).await;
    // The first of all begins to ask for assignments.
    for host in ["web", "cart", "pay"] {
        assert_eq!(send(&Request::get(shop.address, host, "/")).await.status, 200, "{host}");
    }
    let stats = shop.envoy.stats(r"^cluster\.outbound.*\.update_success$").await.unwrap();
    let taken = |host: &str| stats.iter().find(|(name, _)| name.contains(&format!("||{host}.")));
    for host in ["web", "cart", "pay"] {
        assert_eq!(taken(host).map(|it| *it.1), Some(1), "{host}: {stats:?}");
    }
}

/// The first call to a port uses the secrets that the proxy has.
#[tokio::test]
async fn a_first_call_proves_who_calls() {
    let yaml = &*peers("{mtls: {mode: STRICT}}");
    let pair = Pair::start_with(PairSettings { yaml, is_fenced: true, ..Default::default() }).await;
    for port in [HTTP, ANY_HTTP] {
        let caller = pair.caller(&pair.request(port)).await;
        assert!(caller.is_some_and(|it| it.contains("/ns/shop/sa/client")), "{port}");
    }
}

/// A cluster whose names are looked up can be used some time after it came.
#[tokio::test]
async fn a_first_call_waits_for_a_lookup() {
    let outside = Backend::start("outside").await.unwrap();
    let shop = fenced(&format!(
        "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: outside, namespace: shop}}
spec:
  hosts: [outside.example]
  resolution: DNS
  ports: [{{number: {PORT}, name: http, protocol: HTTP, targetPort: {}}}]
  endpoints: [{{address: localhost}}]
",
        outside.address().port()
    ))
    .await;
    for (host, backend) in [("web", "web-v1"), ("outside.example", "outside")] {
        let answer = send(&Request::get(shop.address, host, "/")).await;
        assert_eq!(answer.backend(), Some(backend), "{host}: {}", answer.status);
    }
}
