//! `meltemi check`: what it finds, how it prints it, how it ends.

use std::{fs, path::Path};

use expect_test::{Expect, expect};
use serde_json::Value;
use tempfile::TempDir;

use crate::command::{Run, run};

const GOOD: &str = "\
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: cart, namespace: shop}
spec:
  hosts: [cart]
  http: [{route: [{destination: {host: cart}}]}]
";

/// Destinations that are not there, and two subsets with one name.
const BAD: &str = "\
apiVersion: v1
kind: Service
metadata: {name: pay, namespace: shop}
spec: {clusterIP: 10.0.0.2, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: pay, namespace: shop}
spec:
  hosts: [pay]
  http:
  - match: [{uri: {prefix: /v2}}]
    route: [{destination: {host: pay, subset: v2}}]
  - match: [{uri: {prefix: /v3}}]
    route: [{destination: {host: pay, port: {number: 81}}}]
  - route: [{destination: {host: nobody}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: pay, namespace: shop}
spec:
  host: pay
  subsets: [{name: v1, labels: {a: b}}, {name: v1, labels: {a: c}}]
";

pub(crate) fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder can be made");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("it can be made");
        fs::write(path, text).expect("a file can be written");
    }
    folder
}

fn check(folder: &Path, more: &[&str]) -> Run {
    let folder = folder.to_str().expect("the path is text");
    run(&[&["check", folder], more].concat())
}

/// What it prints, without the folder.
#[track_caller]
fn expect_output(folder: &Path, more: &[&str], code: i32, expected: Expect) {
    let run = check(folder, more);
    assert_eq!(run.code, code, "{}\n{}", run.stdout, run.stderr);
    let prefix = format!("{}/", folder.display());
    expected.assert_eq(&run.stdout.replace(&prefix, ""));
}

#[test]
fn good_files_give_one_line_and_no_failure() {
    let folder = folder(&[("cart.yaml", GOOD)]);
    expect_output(
        folder.path(),
        &[],
        0,
        expect![[r#"
            √ 0 errors, 0 warnings, 0 notices in 2 objects, compiled for 1 kind of proxy
        "#]],
    );
}

#[test]
fn the_worst_comes_first_with_file_line_and_hint() {
    let folder = folder(&[("cart.yaml", GOOD), ("sub/pay.yaml", BAD)]);
    expect_output(
        folder.path(),
        &["-o", "short"],
        79,
        expect![[r#"
            sub/pay.yaml:23: error[MEL0121] DestinationRule shop/pay spec.subsets[1].name: there is already a subset `v1`
            sub/pay.yaml:13: warning[MEL0402] VirtualService shop/pay spec.http[0].route[0].destination: the service `pay.shop.svc.cluster.local` has no subset `v2` (define the subset in the DestinationRule of the service)
            sub/pay.yaml:15: warning[MEL0402] VirtualService shop/pay spec.http[1].route[0].destination: the service `pay.shop.svc.cluster.local` has no port 81 (set `destination.port.number` to a port of the service)
            sub/pay.yaml:16: warning[MEL0402] VirtualService shop/pay spec.http[2].route[0].destination: there is no service `nobody.shop.svc.cluster.local` (check the host, or add a Service or a ServiceEntry)
        "#]],
    );
}

#[test]
fn a_broken_document_hides_no_other() {
    let broken = format!("{GOOD}---\n\tkind: [\n---\n{BAD}");
    let folder = folder(&[("all.yaml", &broken), ("not.json", "{")]);
    let run = check(folder.path(), &["-o", "json"]);
    assert_eq!(run.code, 79, "{}", run.stderr);
    let list: Value = serde_json::from_str(&run.stdout).expect("it is JSON");
    let codes: Vec<&str> = list["items"]
        .as_array()
        .expect("it is a list")
        .iter()
        .filter_map(|item| item["code"].as_str())
        .collect();
    assert_eq!(codes.iter().filter(|code| **code == "MEL0001").count(), 2, "{codes:?}");
    assert!(codes.contains(&"MEL0121"), "{codes:?}");
    assert!(codes.contains(&"MEL0402"), "{codes:?}");
}

#[test]
fn json_is_a_list_with_stable_fields() {
    let folder = folder(&[("cart.yaml", GOOD), ("pay.yaml", BAD)]);
    let run = check(folder.path(), &["-o", "json"]);
    let list: Value = serde_json::from_str(&run.stdout).expect("it is JSON");
    assert_eq!(list["kind"], "List");
    assert_eq!(list["apiVersion"], "cli.meltemi.io/v1");
    assert_eq!(list["metadata"]["objects"], 4);
    assert_eq!(list["metadata"]["errors"], 1);
    let first = &list["items"][0];
    let fields: Vec<&String> = first.as_object().expect("it is an object").keys().collect();
    let expected = ["code", "field", "file", "hint", "line", "message", "object", "severity"];
    assert_eq!(fields, expected);
    assert_eq!(first["severity"], "error");
    assert_eq!(first["object"], "DestinationRule shop/pay");
    let yaml = check(folder.path(), &["-o", "yaml"]);
    assert!(yaml.stdout.starts_with("apiVersion: cli.meltemi.io/v1\n"), "{}", yaml.stdout);
}

#[test]
fn the_threshold_decides_about_failure() {
    let warning = folder(&[("pay.yaml", BAD.rsplit_once("---").map_or("", |(rules, _)| rules))]);
    for (threshold, code) in [("error", 0), ("warning", 79), ("info", 79), ("never", 0)] {
        let run = check(warning.path(), &["--fail-on", threshold]);
        assert_eq!(run.code, code, "{threshold}: {}", run.stdout);
    }
    let run = check(warning.path(), &["--fail-on", "info", "--suppress", "MEL0402"]);
    assert_eq!(run.code, 0, "{}", run.stdout);
}

#[test]
fn a_path_that_is_not_there_is_no_clean_bill() {
    let run = run(&["check", "no/such/folder"]);
    assert_eq!(run.code, 65);
    assert_eq!(run.stdout, "");
    assert!(run.stderr.contains("`no/such/folder` cannot be read"), "{}", run.stderr);
    let run = crate::command::run(&["check", "no/such/folder", "-o", "json"]);
    let error: Value = serde_json::from_str(&run.stderr).expect("errors are JSON as well");
    assert_eq!(error["error"]["code"], 65);
}

#[test]
fn continuous_integration_gets_its_forms() {
    let folder = folder(&[("cart.yaml", GOOD), ("pay.yaml", BAD)]);
    let github = check(folder.path(), &["-o", "github"]).stdout;
    let line = github.lines().next().unwrap_or_default();
    assert!(line.starts_with("::error file="), "{github}");
    assert!(line.contains(",line=23,title=MEL0121::DestinationRule shop/pay"), "{github}");
    let junit = check(folder.path(), &["-o", "junit"]).stdout;
    assert!(
        junit.contains(r#"<testsuite name="meltemi check" tests="4" failures="1">"#),
        "{junit}"
    );
    assert!(junit.contains(r#"type="MEL0121""#), "{junit}");
    let sarif = check(folder.path(), &["-o", "sarif"]).stdout;
    let sarif: Value = serde_json::from_str(&sarif).expect("it is JSON");
    assert_eq!(sarif["version"], "2.1.0");
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "MEL0121");
    assert_eq!(result["level"], "error");
    let rule = &sarif["runs"][0]["tool"]["driver"]["rules"][0];
    assert_eq!(rule["id"], "MEL0121");
    let region = &result["locations"][0]["physicalLocation"]["region"];
    assert_eq!(region["startLine"], 23);
}

#[test]
fn what_gateways_would_get_is_compiled_as_well() {
    let gateway = "\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  selector: {istio: edge}
  servers:
  - {port: {number: 443, name: https, protocol: HTTPS}, hosts: ['*'], tls: {mode: PASSTHROUGH}}
";
    let folder = folder(&[("edge.yaml", gateway)]);
    let run = check(folder.path(), &["-o", "short"]);
    assert!(run.stdout.contains("[MEL0344] Gateway shop/edge"), "{}", run.stdout);
}

/// A service of a namespace, seen by `export_to`, with a pod and a rule that leads nowhere.
/// What only a compiled proxy shows is told as well: two services that disagree on a port of their
/// pod, and two servers that want the same port.
#[test]
fn what_proxies_cannot_have_together_is_told() {
    let service = |name: &str, port: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop}}\n\
             spec: {{selector: {{app: web}}, ports: [{{name: {port}, targetPort: 8080}}]}}\n---\n"
        )
    };
    let gateway = |name: &str, protocol: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: Gateway\n\
             metadata: {{name: {name}, namespace: edge}}\nspec:\n  selector: {{app: edge}}\n  \
             servers: [{{port: {{number: 8080, name: p, protocol: {protocol}}}, hosts: [a.com]}}]\n---\n"
        )
    };
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: web-1, namespace: shop, \
               labels: {app: web}}\nstatus: {podIP: 10.0.0.1, phase: Running}\n---\n";
    let yaml = [
        &*service("old", "tcp, port: 80"),
        &*service("web", "http, port: 81"),
        pod,
        &*gateway("a", "TCP"),
        &*gateway("b", "HTTP"),
    ];
    let folder = folder(&[("mesh.yaml", &*yaml.concat())]);
    let run = check(folder.path(), &["-o", "json"]);
    let found: Value = serde_json::from_str(&run.stdout).unwrap();
    let objects_of = |code: &str| -> Vec<&str> {
        let all = found["items"].as_array().into_iter().flatten();
        all.filter(|it| it["code"] == code).filter_map(|it| it["object"].as_str()).collect()
    };
    assert_eq!(objects_of("MEL0335"), ["Service shop/web"], "{}", run.stdout);
    assert_eq!(objects_of("MEL0340"), ["Gateway edge/b"], "{}", run.stdout);
}

fn team(namespace: &str, number: u8, export_to: &str) -> String {
    format!(
        "\
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: {namespace}, annotations: {{networking.istio.io/exportTo: '{export_to}'}}}}
spec: {{clusterIP: 10.0.1.{number}, selector: {{app: web}}, ports: [{{name: http, port: 80}}]}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: web, namespace: {namespace}}}
spec:
  hosts: [web]
  exportTo: ['{export_to}']
  http: [{{route: [{{destination: {{host: web, subset: gone}}}}]}}]
"
    )
}

#[test]
fn what_only_one_namespace_sees_is_checked_for_it() {
    let [one, two, three] = [team("one", 1, "*"), team("two", 2, "."), team("three", 3, ".")]
        .map(|text| text + "---\n");
    let folder = folder(&[("one.yaml", &one), ("two.yaml", &two), ("three.yaml", &three)]);
    let run = check(folder.path(), &["-o", "short"]);
    for namespace in ["one", "two", "three"] {
        let said = format!("VirtualService {namespace}/web spec.http[0].route[0].destination");
        assert_eq!(run.stdout.matches(&said).count(), 1, "{namespace}: {}", run.stdout);
    }
}

/// What most namespaces share is compiled for the first alone: rules that only one has are its own.
#[test]
fn a_subset_of_one_namespace_is_no_other_namespaces() {
    let mut text = team("one", 1, "*").replace("web, subset: gone", "web");
    text += "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: web, \
             namespace: two}\nspec: {host: web.one.svc.cluster.local, subsets: [{name: v1, labels: \
             {a: b}}]}\n";
    for namespace in ["two", "three"] {
        text += &format!(
            "---\n{}---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: far, \
             namespace: {namespace}}}\nspec:\n  hosts: [far.{namespace}.example.com]\n  exportTo: ['.']\n  \
             http: [{{route: [{{destination: {{host: web.one.svc.cluster.local, subset: v1}}}}]}}]\n",
            team(namespace, 2, ".").replace("web, subset: gone", "web"),
        );
    }
    let folder = folder(&[("mesh.yaml", &text)]);
    let run = check(folder.path(), &["-o", "short"]);
    assert!(!run.stdout.contains("VirtualService two/far"), "{}", run.stdout);
    assert_eq!(run.stdout.matches("VirtualService three/far").count(), 1, "{}", run.stdout);
}

#[test]
fn equal_workloads_are_compiled_once() {
    let pod = |number: u8| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: cart-{number}, namespace: shop, \
             labels: {{app: cart, pod: p{number}}}}}\nstatus: {{podIP: 10.1.0.{number}, \
             phase: Running}}\n---\n"
        )
    };
    let pods: String = (1..=50).map(pod).collect();
    let folder = folder(&[("cart.yaml", GOOD), ("pods.yaml", &pods)]);
    let run = check(folder.path(), &["-o", "json"]);
    let list: Value = serde_json::from_str(&run.stdout).expect("it is JSON");
    assert_eq!(list["metadata"]["objects"], 52);
    assert_eq!(list["metadata"]["proxyClasses"], 1);
}

#[test]
fn references_that_lead_nowhere_are_named() {
    let rules = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: second, namespace: shop, creationTimestamp: '2026-01-02T00:00:00Z'}
spec:
  hosts: [cart]
  gateways: [mesh, edge]
  http: [{route: [{destination: {host: cart}}]}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: lost, namespace: shop}
spec: {host: lost}
";
    let folder = folder(&[("cart.yaml", GOOD), ("rules.yaml", rules)]);
    expect_output(
        folder.path(),
        &["-o", "github"],
        0,
        expect![[r#"
            ::warning file=rules.yaml,line=5,title=MEL0404::VirtualService shop/second spec.hosts[0]: `cart.shop.svc.cluster.local` already has the rules of VirtualService shop/cart (put the rules of a host into one VirtualService)
            ::warning file=rules.yaml,line=6,title=MEL0403::VirtualService shop/second spec.gateways[1]: there is no Gateway `shop/edge` (check name and namespace, written `namespace/name`)
            ::notice file=rules.yaml,line=12,title=MEL0405::DestinationRule shop/lost spec.host: there is no service `lost.shop.svc.cluster.local`, so the rule has no effect (check the host)
        "#]],
    );
}

#[test]
fn chinese_summaries_keep_english_codes() {
    let folder = folder(&[("pay.yaml", BAD)]);
    let run = check(folder.path(), &["--lang", "zh"]);
    assert!(run.stdout.contains("个错误"), "{}", run.stdout);
    assert!(run.stdout.contains("SEVERITY") && run.stdout.contains("MEL0121"), "{}", run.stdout);
    assert!(!run.stdout.contains('\u{1b}'), "a pipe gets no colour");
}

/// The applications of Istio's samples, with files that go together.
const CLEAN: &[&[&str]] = &[
    &["bookinfo/bookinfo.yaml"],
    &["bookinfo/bookinfo.yaml", NETWORKING, "virtual-service-all-v1", "destination-rule-all"],
    &["bookinfo/bookinfo.yaml", NETWORKING, "virtual-service-details-v2", "destination-rule-all"],
    &["bookinfo/bookinfo.yaml", NETWORKING, "virtual-service-ratings-db", "destination-rule-all"],
    &[
        "bookinfo/bookinfo.yaml",
        NETWORKING,
        "virtual-service-ratings-mysql",
        "destination-rule-all",
    ],
    &[
        "bookinfo/bookinfo.yaml",
        NETWORKING,
        "virtual-service-ratings-mysql-vm",
        "destination-rule-all",
    ],
    &[
        "bookinfo/bookinfo.yaml",
        NETWORKING,
        "virtual-service-ratings-test-abort",
        "destination-rule-all",
    ],
    &[
        "bookinfo/bookinfo.yaml",
        NETWORKING,
        "virtual-service-ratings-test-delay",
        "destination-rule-all",
    ],
    &[
        "bookinfo/bookinfo.yaml",
        NETWORKING,
        "virtual-service-reviews-50-v3",
        "destination-rule-all",
    ],
    &[
        "bookinfo/bookinfo.yaml",
        NETWORKING,
        "virtual-service-reviews-80-20",
        "destination-rule-all",
    ],
    &[
        "bookinfo/bookinfo.yaml",
        NETWORKING,
        "virtual-service-reviews-90-10",
        "destination-rule-all",
    ],
    &[
        "bookinfo/bookinfo.yaml",
        NETWORKING,
        "virtual-service-reviews-jason-v2-v3",
        "destination-rule-all",
    ],
    &[
        "bookinfo/bookinfo.yaml",
        NETWORKING,
        "virtual-service-reviews-test-v2",
        "destination-rule-all",
    ],
    &[
        "bookinfo/bookinfo.yaml",
        NETWORKING,
        "virtual-service-reviews-v2-v3",
        "destination-rule-all",
    ],
    &[
        "bookinfo/bookinfo.yaml",
        NETWORKING,
        "virtual-service-reviews-v3",
        "destination-rule-reviews",
    ],
    &["bookinfo/bookinfo.yaml", NETWORKING, "egress-rule-google-apis", "destination-rule-all"],
    &["httpbin/httpbin.yaml", "httpbin/httpbin-gateway.yaml"],
    &["httpbin/httpbin-nodeport.yaml", "httpbin/sample-client/fortio-deploy.yaml"],
    &["helloworld/helloworld.yaml", "helloworld/helloworld-gateway.yaml"],
    &["helloworld/helloworld-dual-stack.yaml", "helloworld/helloworld-gateway.yaml"],
];

/// The gateway of Bookinfo; names without a folder are files beside it.
const NETWORKING: &str = "bookinfo/networking/bookinfo-gateway.yaml";

#[test]
fn clean_samples_have_no_finding() {
    let Some(corpus) = testkit::corpus::require_corpus("clean_samples_have_no_finding") else {
        return;
    };
    for set in CLEAN {
        let path = |name: &&str| match name.contains('/') {
            true => corpus.join("samples").join(name),
            false => corpus.join(format!("samples/bookinfo/networking/{name}.yaml")),
        };
        let files: Vec<String> = set.iter().map(|it| path(it).display().to_string()).collect();
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        let run =
            run(&[&["check", "-o", "github", "--fail-on", "info"], files.as_slice()].concat());
        assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{set:?}");
    }
}

#[test]
fn samples_of_istio_have_no_errors() {
    let Some(corpus) = testkit::corpus::require_corpus("samples_of_istio_have_no_errors") else {
        return;
    };
    let run = check(&corpus.join("samples"), &["-o", "short"]);
    assert_eq!(run.code, 0, "{}", run.stdout);
    assert!(!run.stdout.contains("MEL0401"), "{}", run.stdout);
}
