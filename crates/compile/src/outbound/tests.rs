//! Golden tests: a mesh, and the listeners of a sidecar in the namespace `shop`.

use std::{collections::BTreeMap, fmt::Write};

use expect_test::{Expect, expect};
use model::{Interception, Proxy};
use snapshot::{Features, Reader};

use crate::{
    Client, Compiled, Scope,
    filters::testing::{render_listener, validate},
    fixture,
    outbound::{OutboundPlan, compile_listener, plan_outbound},
};

mod conflicts;
mod reports;
mod rules;
mod server_names;
mod services;
mod sidecars;

struct Case<'a> {
    mesh: &'a str,
    proxy: Proxy,
    features: Features,
    dns_capture: bool,
}

impl<'a> Case<'a> {
    fn new(mesh: &'a str) -> Self {
        let (proxy, features) = (fixture::proxy("shop"), Features::default());
        Self { mesh, proxy, features, dns_capture: false }
    }

    fn plan(&self) -> OutboundPlan {
        let snapshot = fixture::snapshot_with(self.mesh, self.features.clone());
        let reader = Reader::new(&snapshot);
        let mut client = Client::reduce(&self.proxy, &reader);
        client.dns_capture = self.dns_capture;
        let scope = Scope::select(&client, &reader);
        plan_outbound(&scope, &client, &reader)
    }

    /// Compiles all listeners, has Envoy judge them, and renders all but `virtualOutbound`.
    #[track_caller]
    fn check(&self, expected: Expect) {
        let plan = self.plan();
        let compiled: Vec<Compiled> = plan.listeners.iter().map(compile_listener).collect();
        validate(&compiled, &[]);
        let mut out = String::new();
        for compiled in &compiled {
            if &**compiled.resource.name() != "virtualOutbound" {
                out.push_str(&render_listener(compiled));
            }
        }
        for finding in plan.diagnostics.iter() {
            writeln!(out, "{finding}").unwrap();
        }
        expected.assert_eq(&out);
    }
}

#[track_caller]
fn check(mesh: &str, expected: Expect) {
    Case::new(mesh).check(expected);
}

fn features(pairs: &[(&str, &str)]) -> Features {
    let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Features(pairs.collect::<BTreeMap<_, _>>())
}

/// `virtualOutbound` alone.
#[track_caller]
fn check_virtual(case: &Case<'_>, expected: Expect) {
    let plan = case.plan();
    let found = plan.listeners.iter().filter(|it| &*it.name == "virtualOutbound");
    let compiled: Vec<Compiled> = found.map(compile_listener).collect();
    validate(&compiled, &[]);
    expected.assert_eq(&compiled.iter().map(render_listener).collect::<String>());
}

fn mesh_config(text: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\ndata:\n  mesh: |\n    {text}\n"
    )
}

#[test]
fn redirected_connections_without_a_listener_pass_through() {
    check_virtual(
        &Case::new(""),
        expect![[r#"
        virtualOutbound 0.0.0.0:15001 bound use_original_dst
          [virtualOutbound-blackhole] :15001 -> tcp BlackHoleCluster
          [virtualOutbound-catchall-tcp] -> tcp PassthroughCluster
    "#]],
    );
}

#[test]
fn registry_only_ends_in_the_black_hole() {
    let mesh = mesh_config("outboundTrafficPolicy: {mode: REGISTRY_ONLY}");
    check_virtual(
        &Case::new(&mesh),
        expect![[r#"
        virtualOutbound 0.0.0.0:15001 bound use_original_dst
          [virtualOutbound-blackhole] :15001 -> tcp BlackHoleCluster
          [virtualOutbound-catchall-tcp] -> tcp BlackHoleCluster
    "#]],
    );
}

#[test]
fn dynamic_dns_detects_http() {
    let mesh = mesh_config("outboundTrafficPolicy: {mode: ALLOW_ANY_DYNAMIC_DNS}");
    check_virtual(
        &Case::new(&mesh),
        expect![[r#"
        virtualOutbound 0.0.0.0:15001 bound use_original_dst tls_inspector http_inspector
          [virtualOutbound-blackhole] :15001 -> tcp BlackHoleCluster
          [virtualOutbound-catchall-tcp-http] raw_buffer http/1.1,h2c -> http inline allow_any allow_any
          default [virtualOutbound-catchall-tcp] -> tcp PassthroughCluster
    "#]],
    );
}

#[test]
fn tproxy_is_transparent() {
    let mut case = Case::new("");
    case.proxy.interception = Interception::Tproxy;
    check_virtual(
        &case,
        expect![[r#"
        virtualOutbound 0.0.0.0:15001 bound use_original_dst transparent
          [virtualOutbound-blackhole] :15001 -> tcp BlackHoleCluster
          [virtualOutbound-catchall-tcp] -> tcp PassthroughCluster
    "#]],
    );
}

#[test]
fn without_interception_there_is_no_virtual_listener() {
    let mut case = Case::new("");
    case.proxy.interception = Interception::None;
    check_virtual(&case, expect![""]);
}

#[test]
fn http_proxy_port_has_a_listener_on_loopback() {
    let mesh = mesh_config("proxyHttpPort: 15002");
    check(
        &mesh,
        expect![[r#"
        127.0.0.1_15002 127.0.0.1:15002 bound
          -> http rds http_proxy
    "#]],
    );
}
