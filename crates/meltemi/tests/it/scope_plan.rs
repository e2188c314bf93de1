//! `scope plan` for files: what fences would cut before anything runs.

use std::{fs, path::Path};

use expect_test::{Expect, expect};
use serde_json::Value;

use crate::{
    check::folder,
    command::run,
    plane::{Plane, live},
};

/// Two pods, a VM, a service without any, a gateway, and what may be called.
const MESH: &str = r#"apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {selector: {app: cart}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: edge, namespace: shop}
spec: {selector: {istio: edge}, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  selector: {istio: edge}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]
---
apiVersion: v1
kind: Service
metadata: {name: pay, namespace: bank}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: log, namespace: infra}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: hidden, namespace: infra, annotations: {networking.istio.io/exportTo: .}}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Pod
metadata:
  name: web-5d4f-1
  namespace: shop
  labels: {app: shopfront, pod-template-hash: 5d4f}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-5d4f, uid: "1", controller: true}]
status: {podIP: 10.0.0.1, phase: Running}
---
apiVersion: v1
kind: Pod
metadata:
  name: web-5d4f-2
  namespace: shop
  labels: {app: shopfront, pod-template-hash: 5d4f}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-5d4f, uid: "1", controller: true}]
status: {podIP: 10.0.0.2, phase: Running}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: old-1, namespace: shop}
spec: {address: 10.0.1.1, labels: {app: old, meltemi.io/scope: declared}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: batch, namespace: shop}
spec: {metadata: {labels: {app: batch}}, template: {}}
---
apiVersion: microservice.slime.io/v1alpha1
kind: ServiceFence
metadata: {name: report, namespace: shop}
spec: {enable: true, host: {log.infra.svc.cluster.local: {}}}
"#;
const CALLS: &str = "workload,host,count
shop/web,pay.bank,3
shop/web,hidden.infra,1
old,cart,2
report,log.infra,2
report,cart,2
clerk,pay.bank,1
elsewhere/web,pay.bank,1
";

/// A line for each kind of proxy, the worst first.
fn lines(plan: &Value) -> String {
    let mut text = String::new();
    for item in plan["items"].as_array().expect("a list") {
        let word = |field: &str| item[field].as_str().unwrap_or("-");
        let hosts = |field: &str| {
            let hosts = item[field].as_array().expect("a list").iter();
            let hosts: Vec<&str> = hosts.filter_map(Value::as_str).collect();
            hosts.join(" ").replace(".svc.cluster.local", "")
        };
        let size = |field: &str| item[field]["bytes"].as_u64().expect("a number");
        let less = if size("then") < size("now") { "less" } else { "as much" };
        text.push_str(&format!(
            "{} x{}: {} -> {} ({}), {less}; waiting [{}] cut [{}] invisible [{}]\n",
            word("workload"),
            item["proxies"],
            word("modeNow"),
            word("mode"),
            word("unfencedBecause"),
            hosts("waiting"),
            hosts("cut"),
            hosts("invisible"),
        ));
    }
    text
}

#[track_caller]
fn check(folder: &Path, target: &str, more: &[&str], expected: Expect) {
    let mesh = folder.join("mesh");
    let mesh = mesh.to_str().expect("the path is text");
    let plan = run(&[&["scope", "plan", target, "--directory", mesh, "-o", "json"], more].concat());
    assert_eq!(plan.code, 0, "{}", plan.stderr);
    expected.assert_eq(&lines(&serde_json::from_str(&plan.stdout).expect("it is JSON")));
}

#[test]
fn every_workload_that_files_list_or_name_is_planned_for() {
    let folder = folder(&[("mesh/all.yaml", MESH), ("calls.csv", CALLS)]);
    let calls = folder.path().join("calls.csv");
    check(
        folder.path(),
        "shop",
        &["--import", calls.to_str().unwrap()],
        expect![[r#"
        shop/edge x1: full -> full (gateway), as much; waiting [] cut [] invisible []
        shop/old x1: declared -> declared (-), as much; waiting [] cut [cart.shop] invisible []
        shop/batch x1: full -> on-demand (-), less; waiting [] cut [] invisible []
        shop/cart x1: full -> on-demand (-), less; waiting [] cut [] invisible []
        shop/clerk x1: full -> on-demand (-), less; waiting [] cut [] invisible []
        shop/report x1: on-demand -> on-demand (-), as much; waiting [] cut [] invisible []
        shop/web x2: full -> on-demand (-), less; waiting [] cut [] invisible [hidden.infra]
    "#]],
    );
    check(
        folder.path(),
        "shop/web",
        &[],
        expect![[r#"
        shop/web x2: full -> on-demand (-), less; waiting [] cut [] invisible []
    "#]],
    );
}

/// The table without its sizes, which change with what is compiled.
#[test]
fn people_see_what_it_was_reckoned_from() {
    let folder = folder(&[("mesh/all.yaml", MESH), ("broken.yaml", "kind: [\n")]);
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (mesh, broken) = (path("mesh"), path("broken.yaml"));
    let plan = ["scope", "plan", "shop/batch", "--directory", &mesh];
    let said = run(&plan);
    assert_eq!((said.code, &*said.stderr), (0, ""));
    let text = said.stdout;
    assert!(text.contains("0 proxies of Pods and WorkloadEntries, 1 of workloads"), "{text}");
    assert!(text.contains("1 proxy holds") && text.contains("shop/batch"), "{text}");
    assert!(text.contains("nothing is known of its calls"), "{text}");
    let said = run(&[&plan[..], &["--directory", &broken, "--lang", "zh"]].concat());
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.contains("文件中有 1 个错误"), "{}", said.stderr);
    assert!(said.stdout.contains("没有控制面"), "{}", said.stdout);
}

/// What is not known fares as the mode says.
#[test]
fn each_mode_says_what_becomes_of_calls_that_nobody_knows() {
    let folder = folder(&[("mesh.yaml", MESH)]);
    let mesh = folder.path().join("mesh.yaml");
    let mesh = mesh.to_str().unwrap();
    let gateway = "lazyload: {mode: MODE, gateway: {host: log.infra.svc.cluster.local, port: 80}}";
    let plain = "lazyload: {mode: MODE}";
    for (settings, mode, en, zh) in [
        (plain, "on-demand", "each waits once", "每个都会等待一次"),
        (plain, "declared", "what nothing declares go where", "没有声明的都按"),
        (plain, "learned", "goes where `outboundTrafficPolicy` says until", "在学到之前都按"),
        (plain, "passthrough", "each leaves the mesh", "离开网格"),
        (plain, "gateway", "goes where `outboundTrafficPolicy` says until", "在学到之前都按"),
        (gateway, "gateway", "each goes through the lazy gateway", "在学到之前都经过惰性网关"),
    ] {
        let path = folder.path().join("settings.yaml");
        fs::write(&path, settings.replace("MODE", mode)).unwrap();
        let path = path.to_str().unwrap();
        let plan = ["scope", "plan", "shop/batch", "--settings", path, "--directory", mesh];
        for (language, expected) in [("en", en), ("zh", zh)] {
            let said = run(&[&plan[..], &["--lang", language]].concat());
            assert_eq!(said.code, 0, "{}", said.stderr);
            assert!(said.stdout.contains(expected), "{mode}, {language}: {}", said.stdout);
            let waits = ["waits once", "等待一次"].into_iter().any(|it| said.stdout.contains(it));
            assert_eq!(waits, mode == "on-demand", "{mode}, {language}: {}", said.stdout);
        }
    }
}

#[test]
fn settings_name_the_folders_and_say_what_a_fence_means() {
    let settings =
        "config: [mesh]\nlazyload: {mode: learned, stableHost: [log.infra.svc.cluster.local]}\n";
    let folder = folder(&[
        ("mesh/all.yaml", MESH),
        ("settings.yaml", settings),
        ("calls.csv", "web,log.infra\nweb,pay.bank\nweb,\n"),
    ]);
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (settings, calls) = (path("settings.yaml"), path("calls.csv"));
    let arguments =
        ["scope", "plan", "shop/web", "--settings", &settings, "--import", &calls, "-o", "json"];
    let plan = run(&arguments);
    assert_eq!(plan.code, 79, "{}", plan.stderr);
    assert!(plan.stderr.contains("calls.csv line 3"), "{}", plan.stderr);
    expect![[r#"
        shop/web x2: full -> learned (-), less; waiting [] cut [] invisible []
    "#]]
    .assert_eq(&lines(&serde_json::from_str(&plan.stdout).expect("it is JSON")));
}

#[test]
fn what_cannot_be_planned_for_is_said() {
    let folder = folder(&[("mesh.yaml", MESH), ("empty.yaml", "lazyload: {}\n")]);
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (mesh, empty) = (path("mesh.yaml"), path("empty.yaml"));
    for (arguments, code, words) in [
        (&["nowhere", "--directory", &mesh][..], 1, "the files speak of no workload of nowhere"),
        (&["shop/x/y", "--directory", &mesh], 64, "neither a namespace nor a workload"),
        (&["shop", "--directory", "not-there"], 65, "cannot be read"),
        (&["shop", "--settings", &empty], 64, "no folder is named"),
        (&["shop", "--import", &mesh], 64, "--directory"),
        (&["shop", "--directory", &mesh, "--import", "not-there"], 65, "cannot be read"),
    ] {
        let said = run(&[&["scope", "plan"], arguments].concat());
        assert_eq!(said.code, code, "{arguments:?}: {}", said.stderr);
        assert!(said.stderr.contains(words), "{arguments:?}: {}", said.stderr);
    }
    fs::write(folder.path().join("calls.json"), "{\"kind\": 1}").unwrap();
    let calls = path("calls.json");
    let said = run(&["scope", "plan", "shop", "--directory", &mesh, "--import", &calls]);
    assert_eq!(said.code, 65, "{}", said.stderr);
    assert!(said.stderr.contains("no call graph"), "{}", said.stderr);
}

#[tokio::test]
async fn a_plan_of_files_is_that_of_the_control_plane_that_serves_them() {
    let fenced = "---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {meltemi.io/scope: learned}}
";
    let folder = folder(&[("mesh/all.yaml", MESH), ("mesh/fence.yaml", fenced)]);
    let plane = Plane::start(&[("all.yaml", MESH), ("fence.yaml", fenced)]).await;
    let _proxy = live(plane.proxy("client").await);
    let calls = "shop/client,pay.bank\nshop/client,hidden.infra\n";
    plane.run_with(&["scope", "import", "-f", "-"], calls).await.expect(0);
    plane.run(&["wait"]).await.expect(0);
    let online = plane.run(&["scope", "plan", "shop/client", "-o", "json"]).await.expect(0);
    let mesh = folder.path().join("mesh");
    let plan = ["scope", "plan", "shop/client", "-o", "json", "--import", "-", "--directory"];
    let offline = [&plan[..], &[mesh.to_str().unwrap()]].concat();
    let offline = plane.run_with(&offline, calls).await.expect(0);
    assert_eq!(offline.json(), online.json());
}
