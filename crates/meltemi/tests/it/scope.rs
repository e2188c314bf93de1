//! `scope export` and `/debug/fences`: fences of a running control plane.

use std::time::Duration;

use api::Spec;
use testkit::mesh::{Mesh, MeshSettings};

use crate::plane::{Plane, SHOP, live};

const FENCE: &str = "
apiVersion: microservice.slime.io/v1alpha1
kind: ServiceFence
metadata: {name: web, namespace: shop}
spec:
  enable: true
  workloadSelector: {fromService: true}
  host:
    base/*: {stable: {}}
    old.trade.svc.cluster.local: {deadline: {expire: {seconds: 1}}}
    pay.trade.svc.cluster.local: {}
status:
  metricStatus: {'{destination_service=\"log.infra.svc.cluster.local:80\"}': '3'}
";

/// A pod that has everything, within the fence.
const FULL: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web-9, namespace: shop, labels: {app: web, meltemi.io/scope: full}}
status: {podIP: 10.0.0.9, phase: Running}
";

#[tokio::test]
async fn fences_are_exported_as_sidecars_that_are_read_again() {
    let files = [("shop.yaml", SHOP), ("fence.yaml", FENCE), ("full.yaml", FULL)];
    let plane = Plane::start(&files).await;
    plane.run(&["wait"]).await.expect(0);
    let text = plane.run(&["scope", "export"]).await.expect(0).out;
    let (objects, findings) = api::parse_documents("sidecars.yaml", text.as_bytes());
    assert!(findings.is_empty(), "{findings:?}");
    let limited_too =
        "# shop/web-9 has everything, as its label says, and the Sidecar web would limit";
    assert!(text.starts_with(limited_too), "{text}");
    let [object] = &objects[..] else { panic!("{text}") };
    assert!(api::validate(object).is_empty(), "{text}");
    assert_eq!(object.key.to_string(), "Sidecar shop/web");
    let Spec::Sidecar(sidecar) = &object.spec else { panic!("{text}") };
    let selector = sidecar.workload_selector.as_ref().unwrap();
    assert_eq!(selector.labels.iter().collect::<Vec<_>>(), [(&"app".into(), &"web".into())]);
    // The deadline has passed.
    let hosts = [
        "*/log.infra.svc.cluster.local",
        "*/pay.trade.svc.cluster.local",
        "base/*",
        "istio-system/*",
    ];
    assert_eq!(sidecar.egress[0].hosts, hosts);
    assert_eq!(plane.run(&["scope", "export", "shop/web"]).await.expect(0).out, text);
    let none = plane.run(&["scope", "export", "elsewhere"]).await.expect(1);
    assert_eq!(none.out, "# nothing is fenced there\n");
    assert!(none.err.contains("nobody knows the namespace `elsewhere`"), "{none:?}");
}

#[tokio::test]
async fn fences_show_their_dependencies_in_slimes_shape() {
    let plane = Plane::start(&[("shop.yaml", SHOP), ("fence.yaml", FENCE)]).await;
    plane.run(&["wait"]).await.expect(0);
    let answer = plane.page("/debug/fences?namespace=shop").await;
    let fence = &answer["items"][0];
    assert_eq!((&fence["origin"], &fence["enabled"]), (&"written".into(), &true.into()));
    let domains = &fence["status"]["domains"];
    assert_eq!(domains["old.trade.svc.cluster.local"]["status"], "EXPIRE", "{domains:#}");
    assert_eq!(domains["base/*"]["status"], "ACTIVE", "{domains:#}");
    let log = &domains["log.infra.svc.cluster.local"];
    assert_eq!(log["hosts"], serde_json::json!(["log.infra.svc.cluster.local"]), "{domains:#}");
    let said = plane.run(&["scope", "fences", "shop/web"]).await.expect(0);
    let line = |host: &str| said.out.lines().find(|line| line.contains(host)).unwrap_or_default();
    assert!(line("old.trade").contains("EXPIRE"), "{said:?}");
    assert!(line("base/*").contains("ACTIVE"), "{said:?}");
    let said = plane.run(&["scope", "fences", "-o", "json"]).await.expect(0).json();
    assert_eq!(&said["items"][0]["status"]["domains"], domains);
    let said = plane.run(&["scope", "fences", "elsewhere"]).await.expect(1);
    assert_eq!(said.out, "nothing is fenced there\n");
    let pin = ["scope", "pin", "shop/web-1", "old.trade.svc.cluster.local"];
    let said = plane.run(&pin).await.expect(0);
    assert!(said.out.contains("the deadline in ServiceFence shop/web: old.trade"), "{said:?}");
}

const FENCED: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {meltemi.io/scope: learned}}
";
const WEB: &str = "outbound|80||web.shop.svc.cluster.local";

/// Whether the proxy `client` holds a cluster.
async fn holds(plane: &Plane, cluster: &str) -> bool {
    let page = plane.page("/debug/config_dump?proxy=client.shop").await;
    page.to_string().contains(cluster)
}

#[tokio::test]
async fn fences_are_off_when_every_proxy_has_everything_and_stay_so_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let environment = [("MELTEMI_SCOPE_DIRECTORY", folder.path().to_str().unwrap())];
    let files = [("shop.yaml", SHOP), ("fence.yaml", FENCED)];
    let settings = MeshSettings::new(env!("CARGO_BIN_EXE_meltemi"), &files);
    let settings = MeshSettings { environment: &environment, ..settings };
    let mut plane = Plane { mesh: Mesh::start(&settings).await.unwrap() };
    let proxy = live(plane.proxy("client").await);
    assert!(!holds(&plane, WEB).await);

    let said = plane.run(&["scope", "disable", "shop/client"]).await.expect(0);
    assert!(said.out.contains("the fences of shop/client are off: 1 proxy has"), "{said:?}");
    assert!(holds(&plane, WEB).await, "the command has waited for it");
    let said = plane.run(&["scope", "list", "-o", "json"]).await.expect(0).json();
    let off = &said["metadata"]["fencesOff"];
    assert_eq!((&off[0]["target"], &off[0]["state"]), (&"shop/client".into(), &"off".into()));

    // The answer came when it was written down.
    drop(proxy);
    plane.mesh.kill();
    plane.mesh.restart().await.unwrap();
    let said = plane.run(&["scope"]).await.expect(0);
    assert!(said.out.contains("the fences of shop/client are off since"), "{said:?}");
    let _proxy = live(plane.proxy("client").await);
    assert!(holds(&plane, WEB).await);

    plane.run(&["scope", "enable", "shop/client"]).await.expect(0);
    let narrowed = async {
        while holds(&plane, WEB).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), narrowed).await.expect("the fence counts again");
    let said = plane.run(&["scope", "enable", "shop/client"]).await.expect(1);
    assert!(said.err.contains("the fences of shop/client were not switched off"), "{said:?}");
    plane.run(&["scope", "disable", "shop", "--for", "2h"]).await.expect(0);
    let said = plane.run(&["scope", "enable", "shop/client"]).await.expect(1);
    assert!(said.err.contains("meltemi scope enable shop"), "{said:?}");
    let said = plane.run(&["--lang", "zh", "scope", "list"]).await.expect(0);
    assert!(said.out.contains("shop 的栅栏从"), "{said:?}");
    plane.run(&["scope", "disable", "shop/web/x"]).await.expect(64);
}

#[tokio::test]
async fn who_has_not_acknowledged_everything_is_named() {
    let plane = Plane::start(&[("shop.yaml", SHOP), ("fence.yaml", FENCED)]).await;
    // It reads nothing.
    let silent = plane.proxy("silent").await;
    let disable = ["scope", "disable", "shop", "--timeout", "1s"];
    let said = plane.run(&disable).await.expect(81);
    assert!(said.out.contains("silent.shop"), "{said:?}");
    assert!(said.out.contains("the fences of shop are off all the same"), "{said:?}");
    let said = plane.run(&["scope", "list"]).await.expect(0);
    assert!(said.out.contains("not every proxy has acknowledged everything"), "{said:?}");
    let _live = live(silent);
    let said = plane.run(&["scope", "disable", "shop", "-o", "json"]).await.expect(0).json();
    assert_eq!((&said["live"], &said["total"]), (&1.into(), &1.into()));
    let said = plane.run(&["scope", "list"]).await.expect(0);
    assert!(said.out.contains("the fences of shop are off since"), "{said:?}");
}

#[tokio::test]
async fn a_plan_says_what_a_fence_would_cut_and_a_list_what_it_does() {
    let plane = Plane::start(&[("shop.yaml", SHOP)]).await;
    let _proxy = live(plane.proxy("client").await);
    let said = plane.run(&["scope", "plan", "shop", "-o", "json"]).await.expect(0).json();
    let item = &said["items"][0];
    assert_eq!((&item["workload"], &item["modeNow"]), (&"shop/client".into(), &"full".into()));
    // It speaks delta, and has no filter that asks.
    assert_eq!(item["unfencedBecause"], "cannot-ask");
    assert_eq!((&item["now"], &said["metadata"]["now"]), (&item["then"], &item["now"]));
    let said = plane.run(&["scope", "plan", "shop/client"]).await.expect(0);
    assert!(said.out.contains("1 proxy holds"), "{said:?}");
    assert!(said.out.contains("would be sent everything all the same"), "{said:?}");
    let said = plane.run(&["scope", "plan", "elsewhere"]).await.expect(1);
    assert!(said.err.contains("no proxy of elsewhere is connected"), "{said:?}");

    let more = r#"{"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "shop", "labels": {"meltemi.io/scope": "learned"}}}"#;
    plane.apply(more).await;
    plane.run(&["wait"]).await.expect(0);
    let said = plane.run(&["scope", "list", "-o", "json"]).await.expect(0).json();
    let fenced = &said["items"][0]["fenced"];
    assert_eq!((&fenced["mode"], &fenced["proxies"]), (&"learned".into(), &1.into()));
    assert_eq!((&fenced["services"], &fenced["visible"]), (&0.into(), &1.into()));
    let size = |sizes: &serde_json::Value| sizes["bytes"].as_u64().unwrap();
    assert!(size(&fenced["held"]) < size(&fenced["unfenced"]), "{said:#}");
    assert_eq!(said["metadata"]["unfenced"], fenced["unfenced"]);
    assert_eq!(item["now"], fenced["unfenced"], "both reckon alike");
    let said = plane.run(&["scope"]).await.expect(0);
    assert!(said.out.contains("fenced proxies hold"), "{said:?}");
    let host = "web.shop.svc.cluster.local";
    let said = plane.run(&["scope", "explain", "shop/client", host]).await.expect(1);
    assert!(said.out.contains("and brings it in once it is learned"), "{said:?}");
    plane.run(&["scope", "pin", "shop/client", host]).await.expect(0);
    plane.run(&["wait"]).await.expect(0);
    let said = plane.run(&["scope", "explain", "shop/client", host]).await.expect(0);
    assert!(said.out.contains("is in the scope") && said.out.contains("pinned"), "{said:?}");
    assert!(!said.out.contains("was seen to call it"), "{said:?}");
    let said = plane.run(&["scope", "shop/client"]).await.expect(0);
    assert!(said.out.contains("shop/client is limited (learned): each of 1 proxies"), "{said:?}");
    let said = plane.run(&["scope", "shop/client", "-o", "json"]).await.expect(0).json();
    // What serves all hosts of a port is not its own.
    let (cost, grown) = (said["items"][0]["bytes"].as_u64().unwrap(), &said["metadata"]["fenced"]);
    let grown = size(&grown["held"]) - size(&fenced["held"]);
    assert!((1..=grown).contains(&cost), "{cost} of {grown}");
    plane.run(&["scope", "unpin", "shop/client", host]).await.expect(0);
    plane.run(&["scope", "reset", "shop/client"]).await.expect(0);
    plane.run(&["wait"]).await.expect(0);
    let metrics = plane.mesh.control_plane().metrics().await.unwrap();
    let value = |name: &str| -> u64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{metrics}")).parse().unwrap()
    };
    assert_eq!(value("meltemi_on_demand_fenced_proxies"), 1);
    let saved = size(&fenced["unfenced"]) - size(&fenced["held"]);
    assert_eq!(value("meltemi_on_demand_bytes_not_sent"), saved);
    assert_eq!(value("meltemi_on_demand_capped_classes"), 0);
}

#[tokio::test]
async fn a_workload_that_a_label_alone_fences_is_exported_with_what_it_calls() {
    let plane = Plane::start(&[("shop.yaml", SHOP), ("fence.yaml", FENCED)]).await;
    let _proxy = live(plane.proxy("client").await);
    plane.run(&["scope", "pin", "shop/web-1", "pay.trade.svc.cluster.local"]).await.expect(0);
    plane.run(&["wait"]).await.expect(0);
    let text = plane.run(&["scope", "export", "shop"]).await.expect(0).out;
    assert!(text.starts_with("# shop/client is left out"), "it has no labels: {text}");
    let (objects, findings) = api::parse_documents("sidecars.yaml", text.as_bytes());
    assert!(findings.is_empty(), "{findings:?}");
    let [first, second] = &objects[..] else { panic!("{text}") };
    assert!(api::validate(first).is_empty() && api::validate(second).is_empty(), "{text}");
    assert_eq!(first.key.to_string(), "Sidecar shop/web-1");
    let Spec::Sidecar(sidecar) = &first.spec else { panic!("{text}") };
    let selector = sidecar.workload_selector.as_ref().unwrap();
    let labels: Vec<_> =
        selector.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(labels, ["app=web", "version=v1"]);
    assert_eq!(sidecar.egress[0].hosts, ["*/pay.trade.svc.cluster.local", "istio-system/*"]);
    let one = plane.run(&["scope", "export", "shop/web-2"]).await.expect(0).out;
    assert!(!one.contains("pay.trade") && one.contains("name: web-2"), "{one}");
}

const ASKING: &str = "
apiVersion: microservice.slime.io/v1alpha1
kind: ServiceFence
metadata: {name: web, namespace: shop}
spec: {enable: true, host: {pay.trade.svc.cluster.local: {}, log.infra.svc.cluster.local: {}}}
";

/// What nothing asks for any more waits as long as it would have.
#[tokio::test]
async fn a_wait_goes_on_after_a_restart_and_does_not_begin_anew() {
    let folder = tempfile::tempdir().unwrap();
    let environment = [("MELTEMI_SCOPE_DIRECTORY", folder.path().to_str().unwrap())];
    let files = [("shop.yaml", SHOP), ("fence.yaml", ASKING)];
    let settings = MeshSettings::new(env!("CARGO_BIN_EXE_meltemi"), &files);
    let settings = MeshSettings { environment: &environment, ..settings };
    let mut plane = Plane { mesh: Mesh::start(&settings).await.unwrap() };
    let domain = async |plane: &Plane, host: &str| {
        let answer = plane.page("/debug/fences?namespace=shop&name=web").await;
        answer["items"][0]["status"]["domains"][host].clone()
    };
    let (pay, log) = ("pay.trade.svc.cluster.local", "log.infra.svc.cluster.local");
    let asking_less = ASKING.replace(&format!("{pay}: {{}}, "), "");
    // It is written down within a moment; how long that is depends on the machine.
    for wait in [1, 2, 4, 8, 16] {
        plane.mesh.write("fence.yaml", ASKING).unwrap();
        plane.run(&["wait"]).await.expect(0);
        plane.mesh.write("fence.yaml", &asking_less).unwrap();
        plane.run(&["wait"]).await.expect(0);
        let waiting = domain(&plane, pay).await;
        assert_eq!(waiting["status"], "EXPIREWAIT", "{waiting:#}");
        tokio::time::sleep(Duration::from_secs(wait)).await;
        plane.mesh.kill();
        plane.mesh.restart().await.unwrap();
        assert_eq!(domain(&plane, log).await["status"], "ACTIVE");
        if domain(&plane, pay).await == waiting {
            return;
        }
    }
    panic!("it was never written down");
}

#[tokio::test]
async fn hosts_are_understood_as_callers_write_them() {
    let plane = Plane::start(&[("shop.yaml", SHOP), ("fence.yaml", FENCED)]).await;
    let _proxy = live(plane.proxy("client").await);
    for written in ["web", "web.shop", "Web:80", "web.shop.svc.cluster.local."] {
        let said = plane.run(&["scope", "explain", "shop/client", written]).await.expect(1);
        let means = format!("`{written}` is `web.shop.svc.cluster.local` for shop/client");
        assert!(said.out.contains(&means), "{said:?}");
    }
    let said = plane.run(&["scope", "pin", "shop/client", "web:80"]).await.expect(0);
    assert_eq!(said.out, "`web.shop.svc.cluster.local` is pinned in the scope of shop/client\n");
    let said = plane.run(&["scope", "shop/client", "-o", "name"]).await.expect(0);
    assert_eq!(said.out, "web.shop.svc.cluster.local\n");
    plane.run(&["wait"]).await.expect(0);
    plane.run(&["scope", "explain", "shop/client", "web"]).await.expect(0);
    let said = plane.run(&["scope", "unpin", "shop/client", "web.shop"]).await.expect(0);
    assert!(said.out.contains("`web.shop.svc.cluster.local` is no longer pinned"), "{said:?}");
    let said = plane.run(&["scope", "reset", "shop/client", "web"]).await.expect(0);
    assert!(said.out.contains("1 dependency"), "{said:?}");

    for written in ["http://web", "shop/*", "*", "web:http"] {
        let said = plane.run(&["scope", "pin", "shop/client", written]).await.expect(64);
        assert!(said.err.contains("is no host") && said.err.contains("such as"), "{said:?}");
    }
    let said = plane.run(&["scope", "pin", "shop/client", "wbe"]).await.expect(64);
    assert!(said.err.contains("nothing is called `wbe` in the namespace shop"), "{said:?}");
    let said = plane.run(&["scope", "pin", "shop/nobody", "new.shop.svc.cluster.local"]).await;
    let said = said.expect(0);
    assert!(said.out.contains("nothing defines `new.shop.svc.cluster.local` yet"), "{said:?}");
    assert!(said.out.contains("nobody knows the workload shop/nobody"), "{said:?}");
    let said = plane.run(&["scope", "pin", "shop/nobody", "new.shop.svc.cluster.local"]).await;
    assert!(!said.expect(0).out.contains("nobody knows"), "it is known by its pin");
}

#[tokio::test]
async fn names_that_nobody_knows_are_said_so() {
    let plane = Plane::start(&[("shop.yaml", SHOP), ("fence.yaml", FENCED)]).await;
    let _proxy = live(plane.proxy("client").await);
    let namespace = "nobody knows the namespace `nons`";
    let workload = "nobody knows the workload `shop/nope`";
    for (arguments, message) in [
        (&["scope", "fences", "nons"][..], namespace),
        (&["scope", "fences", "nons/web"], namespace),
        (&["scope", "fences", "shop/nope"], workload),
        (&["scope", "export", "nons"], namespace),
        (&["scope", "export", "shop/nope"], workload),
        (&["scope", "nons/web"], namespace),
        (&["scope", "shop/nope"], workload),
    ] {
        let said = plane.run(arguments).await.expect(1);
        assert!(said.err.contains(message), "{arguments:?}: {said:?}");
    }
    // One that calls nobody is no slip of the pen, and neither is a fence ahead of time.
    let said = plane.run(&["scope", "shop/client"]).await.expect(0);
    assert!(!said.err.contains("nobody knows"), "{said:?}");
    let said = plane.run(&["scope", "disable", "nons"]).await.expect(0);
    assert!(said.err.contains(namespace), "{said:?}");
    let said = plane.run(&["scope", "disable", "shop"]).await.expect(0);
    assert!(!said.err.contains("nobody knows"), "{said:?}");
    let said = plane.run(&["scope", "shop"]).await.expect(64);
    assert!(said.err.contains("`meltemi scope fences shop`"), "{said:?}");
    plane.run(&["scope", "pin", "shop/client", "web"]).await.expect(0);
    let said = plane.run(&["scope", "list", "-o", "json"]).await.expect(0).json();
    assert_eq!(said["items"][0]["state"], "ok", "{said:#}");
}
