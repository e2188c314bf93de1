//! Whom workloads call, by the command line, in a real control plane.

use std::time::Duration;

use testkit::{
    mesh::{Mesh, MeshSettings},
    prometheus::{CONFIG, Prometheus},
};

use crate::plane::{Plane, SHOP};

const CART: &str = "cart.shop.svc.cluster.local";
const CALLS: &str = "workload,host,count\nshop/web,cart,3\nshop/web,pay.bank.svc,1\nweb,cart\n";

#[tokio::test]
async fn people_see_explain_and_decide_what_is_learned() {
    let plane = Plane::shop().await;
    let said = plane.run(&["scope"]).await.expect(0);
    assert!(said.out.contains("kept in memory alone"), "{said:?}");
    assert!(said.out.contains("of no workload is it known"), "{said:?}");

    let import = ["scope", "import", "-f", "-"];
    let said = plane.run_with(&[&import[..], &["--dry-run"]].concat(), CALLS).await.expect(79);
    assert!(said.out.contains("2 calls would be taken in, 2 of them new"), "{said:?}");
    assert!(said.err.contains("stdin line 4: `web` has no namespace"), "{said:?}");
    let ahead = "shop/web,web\nshop/web,new.shop\nshop/web,example.com\n";
    let said = plane.run_with(&[&import[..], &["--dry-run"]].concat(), ahead).await.expect(0);
    let hosts = "nothing defines 2 of the hosts yet, such as `example.com`";
    assert!(said.out.contains(hosts), "{said:?}");
    plane.run(&["scope", "explain", "shop/web", CART]).await.expect(1);
    plane.run_with(&import, CALLS).await.expect(79);
    plane.run_with(&[&import[..], &["-n", "shop"]].concat(), CALLS).await.expect(0);
    let said = plane.run_with(&import, "{\"kind\": 1}").await.expect(65);
    assert!(said.err.contains("no call graph"), "{said:?}");

    let said = plane.run(&["scope", "shop/web", "-o", "json"]).await.expect(0);
    let edges = said.json();
    assert_eq!(edges["metadata"]["workload"], "shop/web");
    assert_eq!(edges["items"][0]["host"], CART);
    assert_eq!(edges["items"][0]["sensors"], serde_json::json!(["import"]));
    assert_eq!(edges["items"][0]["count"], 7);
    assert_eq!(edges["items"][0]["state"], "learned");
    let said = plane.run(&["scope", "explain", "shop/web", CART]).await.expect(0);
    assert!(said.out.contains("known by import"), "{said:?}");

    plane.run(&["scope", "pin", "shop/web", CART]).await.expect(0);
    let said = plane.run(&["scope", "shop/web"]).await.expect(0);
    assert!(said.out.lines().any(|it| it.contains(CART) && it.contains("pinned")), "{said:?}");
    let said = plane.run(&["scope", "reset", "shop/web"]).await.expect(0);
    assert!(said.out.contains("1 dependency of shop/web is forgotten"), "{said:?}");
    let said =
        plane.run(&["--lang", "zh", "scope", "explain", "shop/web", "pay.bank.svc.cluster.local"]);
    let said = said.await.expect(1);
    assert!(
        said.out.contains("不在 shop/web 的范围内") && said.out.contains("被人重置"),
        "{said:?}"
    );
    plane.run(&["scope", "unpin", "shop/web", CART]).await.expect(0);
    let said = plane.run(&["scope", "unpin", "shop/web", CART]).await.expect(1);
    assert!(said.err.contains("is not pinned"), "{said:?}");
    let said = plane.run(&["scope", "pin", "web", CART]).await.expect(64);
    assert!(said.err.contains("`web` is no workload"), "{said:?}");
    let said = plane.run(&["scope", "-o", "name"]).await.expect(0);
    assert_eq!(said.out, "shop/web\n", "{said:?}");
}

#[tokio::test]
async fn a_decision_outlives_a_process_that_is_killed_after_its_answer() {
    let folder = tempfile::tempdir().unwrap();
    let environment = [("MELTEMI_SCOPE_DIRECTORY", folder.path().to_str().unwrap())];
    let settings = MeshSettings::new(env!("CARGO_BIN_EXE_meltemi"), &[("shop.yaml", SHOP)]);
    let settings = MeshSettings { environment: &environment, ..settings };
    let mut plane = Plane { mesh: Mesh::start(&settings).await.unwrap() };
    let pinned = async |plane: &Plane| {
        let said = plane.run(&["scope", "shop/web", "-o", "json"]).await.expect(0).json();
        said["items"][0]["state"] == "pinned"
    };
    // The answer comes when it is written down.
    plane.run(&["scope", "pin", "shop/web", CART]).await.expect(0);
    plane.mesh.kill();
    plane.mesh.restart().await.unwrap();
    assert!(pinned(&plane).await);
    plane.run(&["scope", "unpin", "shop/web", CART]).await.expect(0);
    plane.mesh.kill();
    plane.mesh.restart().await.unwrap();
    assert!(!pinned(&plane).await);
}

/// Series as the sidecar of `client` would have them.
const FORGED: &str = "groups:
- name: forged
  rules:
  - record: istio_requests_total
    expr: vector(time())
    labels:
      reporter: source
      source_workload_namespace: shop
      source_workload: client
      destination_service: web.shop.svc.cluster.local
  - record: istio_requests_total
    expr: vector(time())
    labels:
      reporter: destination
      source_workload_namespace: shop
      source_workload: other
      destination_service: web.shop.svc.cluster.local
";

/// A control plane that asks this Prometheus.
async fn asking(prometheus: &str) -> (tempfile::NamedTempFile, Plane) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("lazyload: {{prometheus: {{{prometheus}}}}}\n")).unwrap();
    let environment = [("MELTEMI_SETTINGS", file.path().to_str().unwrap())];
    let settings = MeshSettings::new(env!("CARGO_BIN_EXE_meltemi"), &[("shop.yaml", SHOP)]);
    let settings = MeshSettings { environment: &environment, ..settings };
    let plane = Plane { mesh: Mesh::start(&settings).await.unwrap() };
    (file, plane)
}

/// What `/debug/scope` says once that is what is waited for.
async fn until(plane: &Plane, is_so: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
    let waiting = async {
        loop {
            let page = plane.page("/debug/scope").await;
            if is_so(&page) {
                return page;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(90), waiting).await.expect("it is said in time")
}

#[tokio::test]
async fn a_real_prometheus_tells_who_calls_whom_and_its_silence_is_noticed() {
    let config = "global: {evaluation_interval: 1s}\nrule_files: [rules.yaml]\n";
    let files = [(CONFIG, config), ("rules.yaml", FORGED)];
    let prometheus = Prometheus::start(&files).await.unwrap();
    let (_file, plane) = asking(&format!("url: {}, interval: 1s", prometheus.url())).await;
    let page = until(&plane, |page| page["items"][0].is_object()).await;
    assert_eq!(page["items"].as_array().unwrap().len(), 1, "callers alone report: {page:#}");
    let edges = plane.run(&["scope", "shop/client", "-o", "json"]).await.expect(0).json();
    let edge = &edges["items"][0];
    assert_eq!(edge["host"], "web.shop.svc.cluster.local");
    assert_eq!(edge["sensors"], serde_json::json!(["metrics"]));
    let page = until(&plane, |page| page["prometheus"]["answeredAt"].is_string()).await;
    assert_eq!(
        (&page["prometheus"]["series"], &page["prometheus"]["problem"]),
        (&1.into(), &serde_json::Value::Null)
    );
    let sensor = page["sensors"].as_array().unwrap().iter().find(|it| it["sensor"] == "metrics");
    assert_eq!(sensor.unwrap()["silent"], false, "{page:#}");
    let metrics = plane.mesh.control_plane().metrics().await.unwrap();
    assert!(metrics.contains("meltemi_scope_prometheus_series 1\n"), "{metrics}");

    drop(prometheus);
    until(&plane, |page| page["prometheus"]["problem"].is_string()).await;
    let said = plane.run(&["scope"]).await.expect(0);
    assert!(said.out.contains("does not say who calls whom: it cannot be asked"), "{said:?}");
    assert!(said.out.contains("shop/client"), "what it told stays: {said:?}");
}

#[tokio::test]
async fn a_question_that_is_wrong_is_said_so_by_its_answer() {
    let prometheus = Prometheus::start(&[(CONFIG, "global: {}\n")]).await.unwrap();
    for (query, problem) in [
        ("", "it knows no calls"),
        (", query: '1'", "the expression gives a scalar"),
        (", query: 'sum by ('", "Prometheus refuses the question"),
    ] {
        let (_file, plane) = asking(&format!("url: {}{query}", prometheus.url())).await;
        let page = until(&plane, |page| page["prometheus"]["problem"].is_string()).await;
        let said = page["prometheus"]["problem"].as_str().unwrap();
        assert!(said.starts_with(problem), "{said}");
    }
}
