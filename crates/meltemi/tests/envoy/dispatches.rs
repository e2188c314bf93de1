//! Requests of fenced workloads for hosts that nothing defines, on ways of their own.

use testkit::{http::Request, mesh::ProxySettings};

use crate::{
    fence,
    shop::{Instance, Shop, ShopSettings, backend, eventually, send, service},
};

const SETTINGS: &str = "
lazyload:
  dispatches:
  - {name: rest, domainRegex: '.*[.]org', cluster: BlackHoleCluster}
  - {name: sites, domains: [www.example.com, '*.example.net'],
     cluster: outbound|7080||edge.shop.svc.cluster.local}
";

#[tokio::test]
async fn dispatched_hosts_go_to_their_cluster() {
    let edge = backend("edge").await;
    let yaml = service("edge", &[Instance::new("v1", &edge)]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.yaml");
    std::fs::write(&path, SETTINGS).unwrap();
    let told = ["on-demand", "learned"].map(fence::told_of_web);
    // Nothing of the port is told.
    for fence in told.into_iter().chain([fence::namespace("declared")]) {
        let shop = Shop::start_with(ShopSettings {
            versions: &["v1"],
            yaml: &yaml,
            files: &[(fence::FILE, &fence)],
            mesh_config: "outboundTrafficPolicy: {mode: REGISTRY_ONLY}",
            environment: &[("MELTEMI_SETTINGS", path.to_str().unwrap())],
            proxy: Some(ProxySettings::sidecar("client.shop")),
            ..ShopSettings::default()
        })
        .await;
        let call = async |host: &str| {
            let answer = send(&Request::get(shop.address, host, "/")).await;
            (answer.status.as_u16(), answer.backend().map(str::to_owned))
        };
        let edge = (200, Some("edge".to_owned()));
        for host in ["www.example.com", "WWW.example.com:7080", "a.b.example.net"] {
            assert_eq!(call(host).await, edge, "{host}: {fence}");
        }
        // Into a cluster without endpoints.
        assert_eq!(call("www.example.org").await.0, 503, "{fence}");
        for host in ["example.com", "www-example.com", "example.net", "www.example.com.cn"] {
            assert_eq!(call(host).await.0, 502, "{host}: {fence}");
        }
        // The last answer may not be acknowledged yet.
        eventually(async || shop.mesh.expect_synced(1).await).await;
    }
}
