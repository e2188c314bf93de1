//! What a fenced proxy holds is what its calls need, whatever else there is.

use std::fmt::Write;

use serde_json::Value;
use testkit::{
    EnvoyProcess,
    mesh::{ProxyKind, ProxySettings},
};

use crate::shop::{PORT, Shop, ShopSettings, backend, eventually, require, send};

const SERVICES: usize = 100;
const CALLED: [usize; 5] = [7, 21, 42, 63, 99];

/// The names of clusters that lead to services of the mesh, and the bytes of the proxy's dump.
async fn held(envoy: &EnvoyProcess) -> (Vec<String>, usize) {
    let answer = envoy.admin_get("/config_dump?include_eds").await.unwrap();
    let dump: Value = serde_json::from_slice(&answer.body).unwrap();
    let sections = dump["configs"].as_array().unwrap().iter();
    let clusters = sections.filter_map(|it| it["dynamic_active_clusters"].as_array()).flatten();
    let names = clusters.filter_map(|it| it["cluster"]["name"].as_str());
    let mut own: Vec<String> = names.filter(|it| it.contains("item-")).map(str::to_owned).collect();
    own.sort();
    (own, answer.body.len())
}

fn items(address: std::net::IpAddr) -> String {
    let mut yaml = String::new();
    for item in 0..SERVICES {
        write!(
            yaml,
            "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: item-{item}, namespace: shop}}
spec:
  hosts: [item-{item}.shop.example]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{number: {PORT}, name: http, protocol: HTTP}}]
  endpoints: [{{address: {address}}}]
"
        )
        .unwrap();
    }
    yaml
}

#[tokio::test]
async fn a_fenced_proxy_holds_what_its_calls_need() {
    let market = backend("market").await;
    let yaml = items(market.address().ip());
    let proxy = ProxySettings::sidecar("client.shop").label("meltemi.io/scope=on-demand");
    let settings = ShopSettings { yaml: &yaml, proxy: Some(proxy), ..ShopSettings::default() };
    let shop = Shop::start_with(settings).await;
    let (names, empty) = held(&shop.envoy).await;
    assert_eq!(names, [""; 0]);

    let other = ProxySettings::sidecar("other.shop");
    let other = ProxySettings { kind: ProxyKind::RedirectedSidecar, ..other };
    let other = shop.mesh.proxy(&other).await.unwrap();
    let (names, full) = held(&other).await;
    assert_eq!(names.len(), SERVICES);

    for item in CALLED {
        let mut request = shop.request("/");
        request.host = format!("item-{item}.shop.example");
        assert_eq!(send(&request).await.backend(), Some("market"), "item {item}");
    }
    let mut expected: Vec<String> =
        CALLED.iter().map(|it| format!("outbound|{PORT}||item-{it}.shop.example")).collect();
    expected.sort();
    let fenced = eventually(async || {
        let (names, bytes) = held(&shop.envoy).await;
        require(names == expected, format!("{names:?}")).map(|()| bytes)
    })
    .await;
    // Both have listeners, logs and much else that is no service's.
    let (own, all) = (fenced - empty, full - empty);
    assert!(own * 10 < all, "5 of 100 services take {own} bytes, all of them {all}");
    let counters = shop.mesh.control_plane().get("/debug/counters").await.unwrap();
    assert_eq!(counters["questions"], 5, "{counters}");
}
