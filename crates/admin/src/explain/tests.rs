//! Why hosts are in a scope or not, case by case.

use expect_test::{Expect, expect};
use snapshot::{Change, Index};

use super::*;
use crate::fixture::{full, learned, mesh, web};

const RULES: &str = "
apiVersion: v1
kind: Service
metadata: {name: old, namespace: bank}
spec: {ports: [{port: 80, name: http}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: audit, namespace: bank}
spec:
  hosts: [pay.bank.svc.cluster.local]
  http:
  - route: [{destination: {host: pay.bank.svc.cluster.local}}]
    mirror: {host: log.infra.svc.cluster.local}
---
apiVersion: microservice.slime.io/v1alpha1
kind: ServiceFence
metadata: {name: web, namespace: shop}
spec:
  enable: true
  host:
    pay.bank.svc.cluster.local: {}
    old.bank.svc.cluster.local: {deadline: {expire: {seconds: 1}}}
";
const SIDECAR: &str = "
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: narrow, namespace: shop}
spec: {egress: [{hosts: [bank/*]}]}
";

struct Case {
    index: Index,
    label: &'static str,
    asked: &'static [&'static str],
    closed_ports: &'static [u16],
}

impl Case {
    fn new(more: &str) -> Self {
        Self { index: mesh(&[RULES, more]), label: "", asked: &[], closed_ports: &[] }
    }

    fn learned(mut self, host: &str) -> Self {
        self.index.apply([learned(&[host])]);
        self
    }

    /// A line for each host.
    #[track_caller]
    fn check(&self, hosts: &[&str], expected: Expect) {
        let proxy = web(self.label);
        let told = Told {
            asked: self.asked.iter().map(|host| full(host)).collect(),
            closed_ports: self.closed_ports.to_vec(),
            ..Told::default()
        };
        let mut text = String::new();
        for host in hosts {
            let found = explain(&proxy, &full(host), &told, &self.index.snapshot());
            let reasons = found.reasons.iter().map(|it| format!("{} {}", it.kind, it.by));
            let reasons: Vec<String> = reasons.map(|it| it.trim().to_owned()).collect();
            let verdict = if found.is_in { "in" } else { "out" };
            text.push_str(&format!("{host} {verdict}: {}\n", reasons.join("; ")));
        }
        expected.assert_eq(&text.replace(".svc.cluster.local", ""));
    }
}

#[test]
fn whoever_says_so_is_named() {
    let case = Case { asked: &["cart.shop"], ..Case::new("").learned("old.bank") };
    let hosts = ["pay.bank", "log.infra", "cart.shop", "old.bank", "hidden.infra", "gone.infra"];
    case.check(
        &hosts,
        expect![[r#"
        pay.bank in: declared ServiceFence shop/web: pay.bank
        log.infra in: declared ServiceFence shop/web: pay.bank; led-to VirtualService bank/audit
        cart.shop in: asked
        old.bank out: deadline ServiceFence shop/web: old.bank
        hidden.infra out: not-exported Service infra/hidden
        gone.infra out: not-defined
    "#]],
    );
}

#[test]
fn a_namespace_does_not_bring_back_what_is_over() {
    let fence = |namespaces: &str| {
        format!(
            "
apiVersion: microservice.slime.io/v1alpha1
kind: ServiceFence
metadata: {{name: web, namespace: shop}}
spec:
  enable: true
  host: {{old.bank.svc.cluster.local: {{deadline: {{expire: {{seconds: 1}}}}}}}}
  namespaceSelector: {namespaces}
---
apiVersion: microservice.slime.io/v1alpha1
kind: ServiceFence
metadata: {{name: whole, namespace: shop}}
spec: {{enable: true, host: {{'bank/*': {{}}}}, workloadSelector: {{labels: {{app: other}}}}}}
"
        )
    };
    Case::new(&fence("[bank]")).check(
        &["pay.bank", "old.bank"],
        expect![[r#"
        pay.bank in: declared ServiceFence shop/web: bank/*
        old.bank out: deadline ServiceFence shop/web: old.bank
    "#]],
    );
    let whole = fence("[bank]").replace("app: other", "app: web");
    Case::new(&whole).check(&["old.bank"], expect![[r#"
        old.bank in: deadline ServiceFence shop/web: old.bank; declared ServiceFence shop/whole: bank/*
    "#]]);
}

#[test]
fn a_host_that_only_a_rule_is_for_is_explained_like_a_service() {
    let rules = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: virtual, namespace: shop}
spec:
  hosts: [called.svc.cluster.local, other.svc.cluster.local, '*.wild.svc.cluster.local']
  http: [{route: [{destination: {host: cart}}]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: own, namespace: infra}
spec:
  hosts: [own.svc.cluster.local]
  exportTo: [.]
  http: [{route: [{destination: {host: log}}]}]
---
apiVersion: microservice.slime.io/v1alpha1
kind: ServiceFence
metadata: {name: web, namespace: shop}
spec: {enable: true, host: {a.wild.svc.cluster.local: {}}}
";
    let case = Case { label: "learned", ..Case::new(rules).learned("called") };
    case.check(
        &["called", "other", "*.wild", "own", "gone", "cart.shop"],
        expect![[r#"
            called in: learned
            other out: not-learned learned
            *.wild in: declared ServiceFence shop/web: a.wild
            own out: not-exported VirtualService infra/own
            gone out: not-defined
            cart.shop in: declared ServiceFence shop/web: a.wild; led-to VirtualService shop/virtual
        "#]],
    );
}

#[test]
fn what_nobody_named_waits_for_a_call_or_never_comes() {
    Case::new("").check(
        &["cart.shop"],
        expect![[r#"
        cart.shop out: waits-for-a-call on-demand
    "#]],
    );
    let case = Case { label: "declared", ..Case::new("").learned("cart.shop") };
    case.check(
        &["cart.shop"],
        expect![[r#"
        cart.shop out: mode-without-learning declared
    "#]],
    );
    Case { label: "learned", ..Case::new("") }.check(
        &["cart.shop"],
        expect![[r#"
            cart.shop out: not-learned learned
        "#]],
    );
    Case::new("").learned("cart.shop").check(
        &["cart.shop"],
        expect![[r#"
        cart.shop in: learned
    "#]],
    );
}

#[test]
fn a_call_does_not_wait_on_a_port_on_which_the_workload_does_not_ask_any_more() {
    let two = "
apiVersion: v1
kind: Service
metadata: {name: two, namespace: shop}
spec: {ports: [{port: 80, name: http}, {port: 81, name: http-other}]}
";
    let case = Case { closed_ports: &[80, 90], ..Case::new(two) };
    case.check(
        &["cart.shop", "two.shop", "pay.bank"],
        expect![[r#"
        cart.shop out: port-closed 80
        two.shop out: port-closed 80; waits-for-a-call on-demand
        pay.bank in: declared ServiceFence shop/web: pay.bank
    "#]],
    );
    let case = Case { closed_ports: &[80], label: "learned", ..Case::new("") };
    case.check(
        &["cart.shop"],
        expect![[r#"
            cart.shop out: not-learned learned
        "#]],
    );
}

#[test]
fn a_sidecar_that_leaves_a_host_out_is_named() {
    Case::new(SIDECAR).check(
        &["cart.shop", "pay.bank"],
        expect![[r#"
        cart.shop out: sidecar Sidecar shop/narrow
        pay.bank in: declared ServiceFence shop/web: pay.bank
    "#]],
    );
}

#[test]
fn ways_out_are_named() {
    let more = "
apiVersion: v1
kind: Service
metadata: {name: lazy-gateway, namespace: mesh}
spec: {ports: [{port: 15080, name: lazy}]}
---
apiVersion: v1
kind: Service
metadata: {name: edge, namespace: infra}
spec: {ports: [{port: 80, name: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: bytes, namespace: infra}
spec: {clusterIP: 10.0.0.77, ports: [{port: 80, name: tcp}]}
---
apiVersion: v1
kind: Service
metadata: {name: secret, namespace: infra, annotations: {networking.istio.io/exportTo: 'infra,shop'}}
spec: {ports: [{port: 80, name: http}]}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: shop}
spec:
  outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: log.infra.svc.cluster.local, port: {number: 80}}}
";
    let case = Case { label: "gateway", ..Case::new(more) };
    let hosts = [
        "cart.shop",
        "secret.infra",
        "lazy-gateway.mesh",
        "log.infra",
        "edge.infra",
        "bytes.infra",
    ];
    case.check(
        &hosts,
        expect![[r#"
            cart.shop out: by-gateway gateway
            secret.infra in: not-public
            lazy-gateway.mesh in: lazy-gateway
            log.infra in: declared ServiceFence shop/web: pay.bank; led-to VirtualService bank/audit; egress-proxy Sidecar shop/default
            edge.infra in: dispatch sites
            bytes.infra in: shared-port
        "#]],
    );
}

#[test]
fn without_a_fence_everything_is_in() {
    let mut case = Case { label: "full", ..Case::new("") };
    case.check(
        &["cart.shop"],
        expect![[r#"
        cart.shop in: not-fenced
    "#]],
    );
    case.label = "";
    let target = "shop".parse().unwrap();
    case.index.apply([Change::FenceSwitched(target, model::FenceSwitch::Off)]);
    case.check(
        &["cart.shop"],
        expect![[r#"
        cart.shop in: fence-off shop
    "#]],
    );
}
