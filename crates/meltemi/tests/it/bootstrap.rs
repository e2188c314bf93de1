//! `meltemi bootstrap`: what it prints, and that the real Envoy takes it.

use std::fs;

use serde_json::{Value, json};
use testkit::envoy_process;

use crate::command::run;

const MESH: &str = "\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ctl, namespace: registry}
spec:
  hosts: [ctl.registry.svc.cluster.local]
  ports: [{number: 20058, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 10.0.0.1}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: redis, namespace: registry}
spec:
  hosts: [redis.example]
  ports: [{number: 20015, name: tcp, protocol: TCP}]
  resolution: STATIC
  endpoints: [{address: 10.0.0.2}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: other, namespace: registry}
spec:
  hosts: [other.example]
  ports: [{number: 9999, name: tcp, protocol: TCP}]
  resolution: STATIC
  endpoints: [{address: 10.0.0.3}]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: shop}
spec:
  egress:
  - bind: 0.0.0.0
    captureMode: NONE
    hosts: [registry/ctl.registry.svc.cluster.local]
    port: {name: http, number: 20058, protocol: HTTP}
  - bind: 127.0.0.7
    captureMode: NONE
    hosts: [registry/redis.example]
    port: {name: tcp, number: 20015, protocol: TCP}
  - captureMode: IPTABLES
    hosts: [registry/other.example]
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: cart-1, namespace: shop}
spec:
  address: 10.1.1.1
  labels: {app: cart}
  locality: r1/z1
  serviceAccount: cart
  network: lab
";

/// Runs it and reads what it prints.
#[track_caller]
fn bootstrap(arguments: &[&str]) -> Value {
    let run = run(&[&["bootstrap"], arguments].concat());
    assert_eq!(run.code, 0, "{}", run.stderr);
    serde_json::from_str(&run.stdout).expect("it is JSON")
}

#[test]
fn node_is_what_istios_agent_would_send() {
    let printed = bootstrap(&[
        "--workload",
        "cart-1.shop",
        "--address",
        "10.0.0.7",
        "--address",
        "fd00::7",
        "--label",
        "app=cart",
        "--service-account",
        "cart",
        "--locality",
        "r/z/s",
        "--network",
        "lab",
        "--node-name",
        "n1",
        "--interception",
        "tproxy",
        "--metadata",
        "HTTP10=1",
        "--metadata",
        "ANNOTATIONS={\"a\":\"b\"}",
        "--host-ip",
        "10.1.0.1",
        "--node-agent-port",
        "4317",
        "--node-agent-port",
        "9411",
    ]);
    let node = &printed["node"];
    assert_eq!(node["id"], "sidecar~10.0.0.7~cart-1.shop~shop.svc.cluster.local");
    assert_eq!(node["cluster"], "cart-1.shop");
    assert_eq!(node["locality"], json!({"region": "r", "zone": "z", "sub_zone": "s"}));
    let expected = json!({
        "NAME": "cart-1", "NAMESPACE": "shop", "ISTIO_VERSION": "1.30.0",
        "INSTANCE_IPS": "10.0.0.7,fd00::7", "CLUSTER_ID": "Kubernetes",
        "MESH_ID": "cluster.local", "INTERCEPTION_MODE": "TPROXY", "SERVICE_ACCOUNT": "cart",
        "NETWORK": "lab", "NODE_NAME": "n1", "LABELS": {"app": "cart"},
        "HTTP10": "1", "ANNOTATIONS": {"a": "b"}, "MELTEMI_RUNTIME": "true",
        "MELTEMI_CANONICAL_SERVICE": "cart", "MELTEMI_CANONICAL_REVISION": "latest",
        "MELTEMI_NODE_AGENT": "4317,9411", "MELTEMI_REPORTS": "xds-grpc",
    });
    assert_eq!(node["metadata"], expected);
}

#[test]
fn the_real_envoy_takes_every_form() {
    let authority =
        testkit::certs::CertificateAuthority::new("test").expect("an authority can be made");
    let file = authority.path.to_str().expect("the path is text");
    let forms: [&[&str]; 7] = [
        &["--workload", "cart-1.shop"],
        &["--workload", "cart-1.shop", "--protocol", "sotw", "--admin-port", "0"],
        &["--workload", "edge.shop", "--kind", "gateway", "--xds-address", "meltemi.mesh:15010"],
        &["--workload", "a.b", "--xds-address", "[::1]:15012", "--stats-port", "0"],
        &["--workload", "a.b", "--all-stats"],
        &["--workload", "a.b", "--without-wasm"],
        &["--workload", "a.b", "--xds-address", "cp.mesh:15012", "--xds-ca", file],
    ];
    for form in forms {
        let printed = run(&[&["bootstrap"], form].concat());
        let result = envoy_process::validate(&printed.stdout);
        assert!(result.is_ok(), "{form:?}: {}\n{}", result.unwrap_err(), printed.stdout);
        let yaml = run(&[&["bootstrap", "-o", "yaml"], form].concat());
        let result = envoy_process::validate(&yaml.stdout);
        assert!(result.is_ok(), "{form:?}: {}\n{}", result.unwrap_err(), yaml.stdout);
    }
}

#[test]
fn an_envoy_without_v8_is_told_of_no_module() {
    let modules = |arguments: &[&str]| {
        let printed = bootstrap(&[&["--workload", "a.b"], arguments].concat()).to_string();
        printed.matches("wasm.runtime").count()
    };
    assert_eq!((modules(&[]), modules(&["--without-wasm"])), (1, 0));
}

#[test]
fn kind_and_protocol_are_told_apart() {
    let sidecar = bootstrap(&["--workload", "a.b"]);
    let gateway = bootstrap(&["--workload", "a.b", "--kind", "gateway", "--protocol", "sotw"]);
    let api = |printed: &Value| printed["dynamic_resources"]["ads_config"]["api_type"].clone();
    assert_eq!((api(&sidecar), api(&gateway)), (json!("DELTA_GRPC"), json!("GRPC")));
    assert_eq!(gateway["node"]["id"], "router~127.0.0.1~a.b~b.svc.cluster.local");
    for kind in ["cds_config", "lds_config"] {
        // Without it Envoy would serve with half of a configuration after 15 seconds.
        assert_eq!(sidecar["dynamic_resources"][kind]["initial_fetch_timeout"], "0s");
    }
    assert_eq!(sidecar["admin"]["address"]["socket_address"]["port_value"], 15000);
}

#[test]
fn the_object_of_the_workload_fills_the_gaps() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    fs::write(folder.path().join("mesh.yaml"), MESH).expect("a file can be written");
    let config = folder.path().to_str().expect("the path is text");
    let printed = bootstrap(&["--workload", "cart-1.shop", "--config", config, "--network", "x"]);
    let node = &printed["node"];
    assert_eq!(node["id"], "sidecar~10.1.1.1~cart-1.shop~shop.svc.cluster.local");
    assert_eq!(node["locality"]["zone"], "z1");
    assert_eq!(node["metadata"]["LABELS"], json!({"app": "cart"}));
    assert_eq!(node["metadata"]["SERVICE_ACCOUNT"], "cart");
    assert_eq!(node["metadata"]["NETWORK"], "x", "an argument beats the object");
}

/// As `prefix`, `suffix` or `regex`, and whether metrics are served.
fn stats(printed: &Value) -> (Vec<String>, Option<u64>) {
    let patterns =
        printed["stats_config"]["stats_matcher"]["inclusion_list"]["patterns"].as_array();
    let patterns = patterns.into_iter().flatten().map(|it| {
        let text = |value: &Value| value.as_str().expect("it is text").to_owned();
        match (&it["prefix"], &it["suffix"]) {
            (Value::Null, Value::Null) => text(&it["safe_regex"]["regex"]),
            (Value::Null, suffix) => format!("*{}", text(suffix)),
            (prefix, _) => format!("{}*", text(prefix)),
        }
    });
    let listener = &printed["static_resources"]["listeners"][0];
    (patterns.collect(), listener["address"]["socket_address"]["port_value"].as_u64())
}

#[test]
fn a_few_metrics_are_made_unless_more_are_asked_for() {
    let (patterns, port) = stats(&bootstrap(&["--workload", "a.b"]));
    assert_eq!(port, Some(15090));
    expect_test::expect![[r#"
        access_logs*
        cluster.xds-grpc*
        cluster_manager*
        listener_manager*
        server*
        tracing*
        wasm*
        *downstream_cx_active
        *rbac.allowed
        *rbac.denied
        *shadow_allowed
        *shadow_denied
        vhost\..*\.route\..*
        cluster\.[^;]+;\.upstream_(rq_([1-5]xx|active|pending_overflow|retry|time|timeout|total)|cx_(active|connect_fail|overflow|rx_bytes_total|total|tx_bytes_total))
        cluster\.[^;]+;\.grpc\.(request|response)_message_count"#]].assert_eq(&patterns.join("\n"));
    let mesh = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    defaultConfig:
      proxyStatsMatcher: {inclusionPrefixes: [mesh.prefix], inclusionSuffixes: [mesh_suffix]}
---
apiVersion: v1
kind: Pod
metadata:
  name: cart-1
  namespace: shop
  annotations:
    sidecar.istio.io/statsInclusionPrefixes: 'pod.prefix,http.{pod_ip}_'
    sidecar.istio.io/statsInclusionRegexps: pod.+
status: {phase: Running, podIP: 10.1.1.1}
";
    let folder = tempfile::tempdir().expect("a folder can be made");
    fs::write(folder.path().join("mesh.yaml"), mesh).expect("a file can be written");
    let config = folder.path().to_str().expect("the path is text");
    let own = |arguments: &[&str]| {
        let all = [&["--workload", "cart-1.shop", "--config", config], arguments].concat();
        let mut patterns = stats(&bootstrap(&all)).0;
        let always = stats(&bootstrap(&["--workload", "a.b"])).0;
        patterns.retain(|it| !always.contains(it));
        patterns
    };
    assert_eq!(own(&[]), ["pod.prefix*", "http.10.1.1.1_*", "*mesh_suffix", "pod.+"]);
    let annotation = "ANNOTATIONS={\"proxy.istio.io/config\": \"proxyStatsMatcher: {inclusionSuffixes: [own_suffix]}\"}";
    let patterns = own(&["--metadata", annotation]);
    assert_eq!(patterns, ["pod.prefix*", "http.10.1.1.1_*", "*own_suffix", "pod.+"]);
    assert_eq!(own(&["--all-stats"]), Vec::<String>::new());
}

#[test]
fn metrics_need_the_port_of_the_admin_page() {
    let port = |arguments: &[&str]| {
        stats(&bootstrap(&[&["--workload", "a.b", "--admin-port"], arguments].concat())).1
    };
    assert_eq!(port(&["0"]), None);
    assert_eq!(port(&["15000", "--stats-port", "0"]), None);
    assert_eq!(port(&["15000", "--stats-port", "9"]), Some(9));
    let run = run(&["bootstrap", "--workload", "a.b", "--admin-port", "0", "--stats-port", "9"]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("needs an `--admin-port` that is not 0"), "{}", run.stderr);
}

#[test]
fn an_application_is_told_the_ports_that_its_sidecar_binds() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    fs::write(folder.path().join("mesh.yaml"), MESH).expect("a file can be written");
    let config = folder.path().to_str().expect("the path is text");
    let printed =
        bootstrap(&["--workload", "cart-1.shop", "--config", config, "--mesh-config-json"]);
    let expected = json!({
        "currentService": "cart-1",
        "dependServices": {
            "ctl.registry.svc.cluster.local": "20058",
            "ctl.registry.svc.cluster.local:20058": "20058",
        },
        "dependencies": [
            {"host": "ctl.registry.svc.cluster.local", "port": 20058, "protocol": "HTTP",
             "address": "127.0.0.1:20058"},
            {"host": "redis.example", "port": 20015, "protocol": "TCP",
             "address": "127.0.0.7:20015"},
        ],
    });
    assert_eq!(printed, expected);
}

#[test]
fn wrong_use_is_said_plainly() {
    let cases: [(&[&str], i32, &str); 4] = [
        (&["--workload", "cart"], 64, "is not NAME.NAMESPACE"),
        (&["--workload", "a.b", "--xds-address", "nowhere"], 64, "it is not `host:port`"),
        (&["--workload", "a.b", "--config", "no/such"], 65, "`no/such` cannot be read"),
        (&["--workload", "a.b", "--mesh-config-json"], 64, "--config"),
    ];
    for (arguments, code, said) in cases {
        let run = run(&[&["bootstrap"], arguments].concat());
        assert_eq!(run.code, code, "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains(said), "{arguments:?}: {}", run.stderr);
        assert_eq!(run.stdout, "");
    }
}
