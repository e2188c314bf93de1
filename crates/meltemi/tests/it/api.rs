//! The admin API: readiness, metrics, debug pages, and who may ask.

use http::Method;
use testkit::http::{Client, Request, Response};

use crate::plane::{Plane, RULE, SHOP, live};

impl Plane {
    fn request(&self, path: &str) -> Request {
        let address = self.mesh.admin_address();
        Request::get(address, &address.to_string(), path)
    }

    /// A page of the API, which is JSON.
    pub(crate) async fn page(&self, path: &str) -> serde_json::Value {
        let response = self.ask(self.request(path)).await;
        assert_eq!(response.status, 200, "{path}");
        serde_json::from_slice(&response.body).expect("it is JSON")
    }

    async fn ask(&self, request: Request) -> Response {
        Client::new().send(&request).await.unwrap()
    }
}

#[tokio::test]
async fn a_web_page_cannot_apply() {
    let plane = Plane::shop().await;
    let body = serde_json::json!({"files": [{"name": "x", "text": RULE.replace("90", "1")}]});
    let post =
        |plane: &Plane| plane.request("/api/apply").method(Method::POST).body(body.to_string());
    let json = ("content-type", "application/json");
    let foreign = post(&plane).header(json.0, json.1).header("origin", "https://evil.example");
    assert_eq!(plane.ask(foreign).await.status, 403);
    let form = post(&plane).header("content-type", "text/plain");
    assert_eq!(plane.ask(form).await.status, 400);
    let rebound = Request::get(plane.mesh.admin_address(), "evil.example:15014", "/api/apply");
    let rebound = rebound.method(Method::POST).body(body.to_string()).header(json.0, json.1);
    assert_eq!(plane.ask(rebound).await.status, 403);
    let rebound = Request::get(plane.mesh.admin_address(), "evil.example", "/debug/configz");
    assert_eq!(plane.ask(rebound).await.status, 403);
    assert_eq!(plane.mesh.read("rule.yaml").unwrap(), RULE);
}

#[tokio::test]
async fn bodies_are_bounded() {
    let plane = Plane::shop().await;
    let body = vec![b' '; 33 << 20];
    let request = plane.request("/api/diff").method(Method::POST).body(body);
    let request = request.header("content-type", "application/json");
    assert_eq!(plane.ask(request).await.status, 413);
}

/// Pages that say what they need to know when they are not told about whom they are.
const ABOUT_ONE: [&str; 5] = [
    "/debug/config_dump",
    "/debug/scope/edges",
    "/debug/scope/explain",
    "/debug/scope/known",
    "/debug/scope/plan",
];

#[tokio::test]
async fn debug_pages_say_what_is_there() {
    let plane = Plane::shop().await;
    let _proxy = live(plane.proxy("client").await);
    plane.run(&["wait"]).await.expect(0);
    let get = |path: &'static str| plane.mesh.control_plane().get(path);
    let syncz = get("/debug/syncz").await.unwrap();
    assert_eq!(syncz["items"][0]["proxy"], "client.shop");
    for kind in ["cluster", "endpoint", "listener", "route"] {
        assert_eq!(syncz["items"][0][kind], "SYNCED", "{syncz}");
    }
    let configz = get("/debug/configz?kind=virtualservice&name=web").await.unwrap();
    assert_eq!(configz["items"].as_array().unwrap().len(), 1);
    assert_eq!(configz["items"][0]["spec"]["hosts"][0], "web");
    let endpointz = get("/debug/endpointz?service=web").await.unwrap();
    let addresses = endpointz["items"][0]["endpoints"].to_string();
    assert!(addresses.contains("10.0.0.1") && addresses.contains("10.0.0.2"), "{addresses}");
    let registryz = get("/debug/registryz").await.unwrap();
    assert_eq!(registryz["items"][0]["hostname"], "web.shop.svc.cluster.local");
    for page in get("/debug/list").await.unwrap()["items"].as_array().unwrap() {
        let path = page["path"].as_str().unwrap().split('?').next().unwrap();
        let asked = plane.ask(plane.request(path)).await;
        let is_about_one = ABOUT_ONE.contains(&path);
        assert_eq!(asked.status == 200, !is_about_one, "{path}: {}", asked.status);
    }
}

#[tokio::test]
async fn secrets_are_not_shown() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: key, namespace: shop}\nstringData: {password: hunter2}\n";
    let plane = Plane::start(&[("secret.yaml", secret)]).await;
    let configz = plane.mesh.control_plane().get("/debug/configz?name=key").await.unwrap();
    assert_eq!(configz["items"][0]["kind"], "Secret");
    assert!(!configz.to_string().contains("hunter2"), "{configz}");
}

/// What Istio's dashboard of its control plane and its common alerts ask for, without the webhooks,
/// which are not served here, and the heap of Go.
const READ_BY_DASHBOARDS: &[&str] = &[
    "istio_build",
    "istiod_uptime_seconds",
    "pilot_info",
    "pilot_inbound_updates",
    "pilot_k8s_cfg_events",
    "pilot_k8s_reg_events",
    "pilot_proxy_convergence_time_bucket",
    "pilot_proxy_queue_time_bucket",
    "meltemi_push_stage_seconds_bucket",
    "pilot_push_triggers",
    "pilot_services",
    "pilot_total_xds_internal_errors",
    "pilot_total_xds_rejects",
    "pilot_virt_services",
    "pilot_xds",
    "pilot_xds_config_size_bytes_bucket",
    "pilot_xds_push_time_bucket",
    "pilot_xds_pushes",
    "pilot_xds_send_time_bucket",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
];

#[tokio::test]
async fn metrics_have_the_names_that_dashboards_read() {
    let plane = Plane::shop().await;
    let mut refusing = plane.proxy("refusing").await;
    let _proxy = live(plane.proxy("client").await);
    plane
        .apply(&RULE.replace("weight: 90", "weight: 80").replace("weight: 10", "weight: 20"))
        .await;
    refusing.reject(envoy::type_url::ROUTE, "no");
    let _refusing = live(refusing);
    plane.run(&["wait"]).await.expect(82);
    let metrics = plane.mesh.control_plane().metrics().await.unwrap();
    let value = |name: &str| -> f64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{metrics}")).parse().unwrap()
    };
    assert!(value("pilot_xds_pushes{type=\"rds\"}") >= 4.0);
    assert_eq!(value("pilot_total_xds_rejects{type=\"rds\"}"), 1.0);
    assert_eq!(value("pilot_total_xds_rejects{type=\"lds\"}"), 0.0);
    assert_eq!(value("pilot_xds{version=\"\"}"), 2.0);
    assert_eq!(value("pilot_services"), 1.0);
    assert_eq!(value("pilot_virt_services"), 1.0);
    assert_eq!(value("pilot_total_xds_internal_errors"), 0.0);
    assert!(value("pilot_proxy_convergence_time_count") >= 1.0);
    assert!(value("meltemi_proxy_live_seconds_count") >= 1.0);
    assert!(value("pilot_xds_config_size_bytes_bucket{le=\"10000.0\",type=\"cds\"}") >= 2.0);
    assert!(value("pilot_inbound_updates{type=\"config\"}") >= 1.0);
    assert_eq!(value("pilot_k8s_cfg_events{type=\"VirtualService\",event=\"update\"}"), 1.0);
    assert_eq!(value("pilot_k8s_reg_events{type=\"Service\",event=\"add\"}"), 1.0);
    assert!(value("process_resident_memory_bytes") > 1e6);
    let missing = READ_BY_DASHBOARDS.iter().filter(|name| {
        let is_its =
            |line: &str| line.strip_prefix(**name).is_some_and(|it| it.starts_with(['{', ' ']));
        !metrics.lines().any(is_its)
    });
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<&&str>::new(), "{metrics}");
    assert!(metrics.contains("# TYPE meltemi_engine_notified_total counter"), "{metrics}");

    let kind = |response: &Response| response.header("content-type").unwrap().to_owned();
    let plain = plane.ask(plane.request("/metrics").header("accept", "text/plain")).await;
    assert_eq!(kind(&plain), "text/plain; version=0.0.4; charset=utf-8");
    assert!(!plain.text().contains("# EOF") && !plain.text().contains(" unknown\n"));
    // As Prometheus asks.
    let accepted =
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2";
    let open = plane.ask(plane.request("/metrics").header("accept", accepted)).await;
    assert!(kind(&open).starts_with("application/openmetrics-text"), "{open:?}");
    assert!(open.text().ends_with("# EOF\n") && open.text().contains(" # {revision="));
}

#[tokio::test]
async fn findings_say_what_cannot_be_carried_out_for_the_connected_proxies() {
    let mutual = RULE.replace(
        "  host: web\n",
        "  host: web\n  trafficPolicy: {tls: {mode: SIMPLE, credentialName: x}}\n",
    );
    let plane = Plane::start(&[("shop.yaml", SHOP), ("rule.yaml", &mutual)]).await;
    let findings = async || plane.mesh.control_plane().get("/debug/findings").await.unwrap();
    assert_eq!(findings().await["items"].as_array().unwrap().len(), 0);
    let _proxy = live(plane.proxy("client").await);
    let found = findings().await;
    let found = found["items"].as_array().unwrap();
    assert_eq!(found.len(), 1, "each is said once: {found:?}");
    assert_eq!(found[0]["code"], "MEL0322");
    assert_eq!(found[0]["object"], "DestinationRule shop/web");
    let location = found[0]["location"].as_str().unwrap();
    assert!(location.ends_with("rule.yaml:18"), "{location}");
}

#[tokio::test]
async fn findings_between_objects_need_no_proxy_and_go_when_mended() {
    let plane = Plane::shop().await;
    let findings = async || plane.mesh.control_plane().get("/debug/findings").await.unwrap();
    let lost = "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: lost, \
                namespace: shop}\nspec:\n  egress:\n  - hosts: [shop/wbe.shop.svc.cluster.local]\n";
    plane.mesh.write("lost.yaml", lost).unwrap();
    plane.run(&["wait"]).await.expect(0);
    let found = findings().await;
    assert_eq!(found["items"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found["items"][0]["code"], "MEL0415");
    assert_eq!(found["items"][0]["field"], "spec.egress[0].hosts[0]");
    let location = found["items"][0]["location"].as_str().unwrap();
    assert!(location.ends_with("lost.yaml:1"), "{location}");
    plane.mesh.write("lost.yaml", &lost.replace("wbe", "web")).unwrap();
    plane.run(&["wait"]).await.expect(0);
    assert_eq!(findings().await["items"].as_array().unwrap().len(), 0);
}
