//! A fenced workload asks for virtual hosts at its first calls.

use testkit::http::Request;

use crate::shop::{Instance, Shop, ShopSettings, backend, send, service};

/// The client's namespace is fenced: it is told of nothing until it calls.
const FENCE: &str = "---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {meltemi.io/scope: on-demand}}
";

async fn start(yaml: &str, files: &[(&str, &str)]) -> Shop {
    let yaml = format!("{FENCE}{yaml}");
    Shop::start_with(ShopSettings { versions: &["v1"], yaml: &yaml, files, ..Default::default() })
        .await
}

/// Services of whose clusters the proxy has been told, of those called.
async fn told(shop: &Shop, services: &[&'static str]) -> Vec<&'static str> {
    let dump = shop.envoy.admin_get("/config_dump?resource=dynamic_active_clusters").await;
    let dump = dump.unwrap().text();
    let name = |service: &&&str| dump.contains(&format!("||{service}.shop.svc"));
    services.iter().filter(name).copied().collect()
}

#[tokio::test]
async fn the_first_call_waits_for_its_route() {
    let cart = backend("cart").await;
    let cart = service("cart", &[Instance::new("v1", &cart)]);
    let shop = start("", &[("cart.yaml", &cart)]).await;
    assert!(told(&shop, &["web", "cart"]).await.is_empty());
    for (host, backend) in [("web", "web-v1"), ("cart.shop", "cart"), ("cart", "cart")] {
        let answer = send(&Request::get(shop.address, host, "/")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.backend()),
            (200, Some(backend)),
            "{}",
            answer.text()
        );
    }
    assert_eq!(told(&shop, &["web", "cart"]).await, ["web", "cart"]);
}
