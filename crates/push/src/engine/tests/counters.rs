//! What a change costs: nothing for whoever does not depend on it.

use std::fmt::Write;

use expect_test::{Expect, expect};
use model::Kind;
use snapshot::{Change, KeySource};

use super::stage::{NOTHING, Stage, Work, puts, sidecar};
use crate::ResourceKind;

pub(super) const SERVICES: usize = 50;

pub(super) fn service(name: &str, namespace: &str, number: usize) -> String {
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{clusterIP: 10.96.1.{number}, selector: {{app: {name}}}, ports: [{{name: http, port: 80}}]}}
---"
    )
}

pub(super) fn slice(name: &str, namespace: &str, addresses: &str) -> String {
    let endpoints: Vec<String> =
        addresses.split_whitespace().map(|it| format!("{{addresses: [{it}]}}")).collect();
    format!(
        "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-1, namespace: {namespace}, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{name: http, port: 80}}]
endpoints: [{}]
---",
        endpoints.join(", ")
    )
}

/// Fifty services in `shop`, one in `web`; `lone` sees only its own namespace.
pub(super) fn mesh() -> Stage {
    let mut yaml = String::new();
    for number in 0..SERVICES {
        let name = format!("s{number}");
        yaml += &service(&name, "shop", number);
        yaml += &slice(&name, "shop", &format!("10.0.{number}.1"));
    }
    yaml += &service("web", "web", 200);
    yaml += &slice("web", "web", "10.1.0.1");
    write!(
        yaml,
        "
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: default, namespace: lone}}
spec: {{egress: [{{hosts: [\"./*\"]}}]}}
---"
    )
    .unwrap();
    let mut stage = Stage::new(puts(&yaml));
    // Three classes that see everything, the first with two proxies, and one that does not.
    stage.connect(sidecar("10.9.0.1", "shop", &[], ""));
    stage.connect(sidecar("10.9.0.2", "shop", &["app=x"], "r1/z1"));
    stage.connect(sidecar("10.9.0.3", "web", &[], ""));
    stage.connect(sidecar("10.9.0.4", "data", &[], ""));
    stage.connect(sidecar("10.9.0.5", "lone", &[], ""));
    stage
}

#[track_caller]
pub(super) fn check(work: Work, expected: Expect) {
    expected.assert_eq(&work.to_string());
}

#[test]
fn a_changed_endpoint_runs_one_job_a_class_and_is_compiled_once() {
    let work = mesh().put(&slice("s7", "shop", "10.0.7.1 10.0.7.2"));
    check(work, expect!["3 jobs, 1 compiled, 0 hosts, 4 notified"]);
}

/// Pods of `s7` with a sidecar: `number account`.
fn workloads(pods: &[(u8, &str)]) -> String {
    let pod = |(number, account): &(u8, &str)| {
        format!(
            "
apiVersion: v1
kind: Pod
metadata:
  name: s7-{number}
  namespace: shop
  labels: {{app: s7, security.istio.io/tlsMode: istio}}
spec: {{serviceAccountName: {account}}}
status: {{phase: Running, podIP: 10.0.7.{number}}}
---"
        )
    };
    let addresses: Vec<String> =
        pods.iter().map(|(number, _)| format!("10.0.7.{number}")).collect();
    pods.iter().map(pod).collect::<String>() + &slice("s7", "shop", &addresses.join(" "))
}

#[test]
fn clusters_are_made_anew_only_for_a_workload_of_another_account() {
    let mut stage = mesh();
    stage.put(&workloads(&[(1, "a")]));
    // Three classes have the assignment, and nobody runs a job for a cluster.
    check(
        stage.put(&workloads(&[(1, "a"), (2, "a")])),
        expect!["3 jobs, 1 compiled, 0 hosts, 4 notified"],
    );
    check(
        stage.put(&workloads(&[(1, "a"), (2, "a"), (3, "b")])),
        expect!["6 jobs, 2 compiled, 0 hosts, 4 notified"],
    );
}

const STRICT: &str = "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: shop}
spec: {mtls: {mode: STRICT}}";

#[test]
fn from_permissive_to_strict_nothing_is_compiled_for_callers() {
    let mut stage = mesh();
    stage.put(&workloads(&[(1, "a")]));
    stage.put(&STRICT.replace("STRICT", "PERMISSIVE"));
    check(stage.put(STRICT), expect!["1 jobs, 2 compiled, 0 hosts, 2 notified"]);
}

#[test]
fn an_endpoint_that_is_the_same_costs_nothing() {
    let mut stage = mesh();
    assert_eq!(stage.put(&slice("s7", "shop", "10.0.7.1")), NOTHING);
}

#[test]
fn what_nobody_sees_costs_nothing() {
    let mut stage = mesh();
    let hidden = service("hidden", "other", 210)
        .replace("name: hidden,", "name: hidden, annotations: {networking.istio.io/exportTo: .},");
    assert_eq!(stage.put(&hidden), NOTHING);
    assert_eq!(stage.put(&slice("hidden", "other", "10.0.99.1")), NOTHING);
    assert_eq!(stage.delete(Kind::Service, "other", "hidden"), NOTHING);
}

#[test]
fn endpoints_of_an_unknown_service_cost_nothing() {
    assert_eq!(mesh().put(&slice("nobody", "shop", "10.0.99.1")), NOTHING);
}

const WEIGHTS: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: s7, namespace: shop}
spec: {hosts: [s7], http: [{timeout: 3s, route: [{destination: {host: s7}}]}]}";

#[test]
fn a_changed_virtual_service_makes_one_route_and_one_host() {
    let mut stage = mesh();
    stage.put(WEIGHTS);
    // Everybody but `lone` sees it; the domains of a host depend on the caller's namespace.
    check(
        stage.put(&WEIGHTS.replace("3s", "5s")),
        expect!["3 jobs, 3 compiled, 3 hosts, 4 notified"],
    );
}

#[test]
fn a_virtual_service_for_one_namespace_is_made_for_that_alone() {
    let mut stage = mesh();
    let private = WEIGHTS.replace("hosts: [s7]", "hosts: [s7], exportTo: [.]");
    stage.put(&private);
    check(
        stage.put(&private.replace("3s", "5s")),
        expect!["1 jobs, 1 compiled, 1 hosts, 2 notified"],
    );
}

const RULE: &str = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: s7, namespace: shop}
spec: {host: s7, trafficPolicy: {connectionPool: {http: {http1MaxPendingRequests: 7}}}}";

#[test]
fn a_changed_destination_rule_makes_the_cluster_and_is_shared() {
    let mut stage = mesh();
    stage.put(RULE);
    check(
        stage.put(&RULE.replace("Requests: 7", "Requests: 8")),
        expect!["9 jobs, 2 compiled, 0 hosts, 4 notified"],
    );
}

#[test]
fn a_destination_rule_of_another_namespace_costs_nothing() {
    let mut stage = mesh();
    let other = RULE
        .replace("namespace: shop", "namespace: other")
        .replace("s7,", "s7.shop.svc.cluster.local,");
    assert_eq!(stage.put(&other), NOTHING);
}

#[test]
fn a_destination_rule_for_a_host_that_nobody_sees_costs_nothing() {
    let mut stage = mesh();
    assert_eq!(stage.put(&RULE.replace("host: s7", "host: nobody.example.com")), NOTHING);
}

#[test]
fn a_new_service_costs_a_scope_and_its_own_jobs() {
    check(
        mesh().put(&service("more", "shop", 220)),
        expect!["16 jobs, 5 compiled, 3 hosts, 4 notified"],
    );
}

#[test]
fn a_service_that_goes_costs_a_scope() {
    let mut stage = mesh();
    check(
        stage.delete(Kind::Service, "shop", "s7"),
        expect!["10 jobs, 3 compiled, 0 hosts, 4 notified"],
    );
    let clusters = stage.names(1, ResourceKind::Cluster);
    assert!(!clusters.iter().any(|name| name.contains("s7.shop")), "{clusters:?}");
}

#[test]
fn a_gateway_costs_sidecars_nothing() {
    let gateway = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: shop}
spec: {selector: {istio: ingress}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}";
    assert_eq!(mesh().put(gateway), NOTHING);
}

#[test]
fn a_sidecar_of_one_namespace_moves_its_proxies_alone() {
    let sidecar = "
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: web}
spec: {egress: [{hosts: ['./*']}]}";
    let work = mesh().put(sidecar);
    assert_eq!(work.notified, 1, "{work}");
}

/// Proxies that look switches up at run time, two workloads in `shop` and one elsewhere.
fn switched() -> Stage {
    let mut stage = mesh();
    for (address, namespace, app) in
        [("10.9.1.1", "shop", "app=x"), ("10.9.1.2", "shop", "app=y"), ("10.9.1.3", "web", "app=x")]
    {
        let mut proxy = sidecar(address, namespace, &[app], "");
        let mut metadata = (*proxy.metadata).clone();
        metadata.insert("MELTEMI_RUNTIME".to_owned(), "true".into());
        proxy.metadata = metadata.into();
        stage.connect(proxy);
    }
    stage
}

fn telemetry(app: &str, provider: &str) -> String {
    format!(
        "
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {{name: {app}, namespace: shop}}
spec:
  selector: {{matchLabels: {{app: {app}}}}}
  accessLogging: [{{providers: [{{name: {provider}}}]}}]"
    )
}

#[test]
fn a_telemetry_costs_only_those_that_it_selects() {
    let mut stage = switched();
    // The proxy of `app=y` gets a class of its own.
    stage.put(&telemetry("y", "envoy"));
    let work = stage.put(&telemetry("y", "envoy").replace("envoy}]", "envoy}], disabled: true"));
    check(work, expect!["2 jobs, 1 compiled, 0 hosts, 1 notified"]);
    assert_eq!(stage.put(&telemetry("nobody", "envoy")), NOTHING);
    assert_eq!(stage.delete(Kind::Telemetry, "shop", "nobody"), NOTHING);
}

const ACCESS: &str = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: x, namespace: shop}
spec: {selector: {matchLabels: {app: x}}, rules: [{to: [{operation: {ports: ['80']}}]}]}";

#[test]
fn a_policy_is_compiled_for_the_workloads_that_it_selects() {
    let mut stage = mesh();
    check(stage.put(ACCESS), expect!["1 jobs, 2 compiled, 0 hosts, 1 notified"]);
    check(
        stage.put(&ACCESS.replace("'80'", "'81'")),
        expect!["1 jobs, 2 compiled, 0 hosts, 1 notified"],
    );
    assert_eq!(stage.put(&ACCESS.replace("app: x", "app: nobody")).notified, 1);
    let nobody = ACCESS.replace("app: x", "app: nobody").replace("'80'", "'82'");
    assert_eq!(stage.put(&nobody), NOTHING);
}

const TOKENS: &str = "
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: x, namespace: shop}
spec: {selector: {matchLabels: {app: x}}, jwtRules: [{issuer: a, jwksUri: 'https://a/keys'}]}";

#[test]
fn fetched_keys_are_compiled_for_the_workloads_that_need_them() {
    let mut stage = mesh();
    stage.put(TOKENS);
    let keys = |host: &str, number: u8| {
        let keys = format!(r#"{{"keys":[{{"kty":"oct","k":"{number}"}}]}}"#);
        vec![Change::KeySet(KeySource::Uri(format!("https://{host}/keys").into()), Some(keys))]
    };
    check(stage.apply(keys("a", 1)), expect!["1 jobs, 2 compiled, 0 hosts, 1 notified"]);
    assert_eq!(stage.apply(keys("a", 1)), NOTHING);
    assert_eq!(stage.apply(keys("b", 1)), NOTHING);
}
