//! Plans of small meshes. Sizes are judged, not printed: they change with what is compiled.

use expect_test::{Expect, expect};

use super::*;
use crate::fixture::{learned, mesh, web};

const FENCE: &str = "
apiVersion: microservice.slime.io/v1alpha1
kind: ServiceFence
metadata: {name: web, namespace: shop}
spec:
  enable: false
  host: {pay.bank.svc.cluster.local: {deadline: {expire: {seconds: 1}}}}
";

fn plan(fence: &str, proxies: &[Arc<Proxy>]) -> ScopePlan {
    let mut index = mesh(&[fence]);
    index.apply([learned(&["cart.shop", "pay.bank", "hidden.infra", "gone.infra"])]);
    plan_fences(&"shop".parse().unwrap(), proxies, &index.snapshot(), Duration::MAX)
}

fn proxy(label: &str) -> Arc<Proxy> {
    Arc::new(web(label))
}

#[track_caller]
fn check(fence: &str, proxies: &[Arc<Proxy>], expected: Expect) {
    let plan = plan(fence, proxies);
    let mut text = String::new();
    for it in &plan.items {
        let why = it.unfenced_because.as_deref().unwrap_or("-");
        let less = match it.then.bytes.cmp(&it.now.bytes) {
            std::cmp::Ordering::Less => "less",
            std::cmp::Ordering::Equal => "as much",
            std::cmp::Ordering::Greater => "more",
        };
        let mut lists =
            format!("waiting {:?} cut {:?} invisible {:?}", it.waiting, it.cut, it.invisible);
        if it.by_gateway {
            lists.push_str(&format!(" by gateway {:?}", it.detoured));
        }
        let lists = lists.replace(".svc.cluster.local", "");
        text.push_str(&format!(
            "{} x{}: {} -> {} ({why}), {less}; {lists}\n",
            it.workload, it.proxies, it.mode_now, it.mode
        ));
    }
    expected.assert_eq(&text);
}

#[test]
fn what_is_known_is_told_at_once_and_the_rest_waits() {
    let proxies = [proxy(""), proxy("")];
    check(
        FENCE,
        &proxies,
        expect![[r#"
        shop/web x2: full -> on-demand (-), less; waiting [] cut [] invisible ["gone.infra", "hidden.infra"]
    "#]],
    );
}

#[test]
fn a_deadline_that_has_passed_makes_a_known_call_wait() {
    let enabled = FENCE.replace("enable: false", "enable: true");
    check(
        &enabled,
        &[proxy("")],
        expect![[r#"
        shop/web x1: on-demand -> on-demand (-), as much; waiting ["pay.bank"] cut [] invisible ["gone.infra", "hidden.infra"]
    "#]],
    );
    check(
        &enabled,
        &[proxy("learned")],
        expect![[r#"
        shop/web x1: learned -> learned (-), as much; waiting [] cut ["pay.bank"] invisible ["gone.infra", "hidden.infra"]
    "#]],
    );
}

/// The Sidecar of one version is as wide as none.
#[test]
fn proxies_that_differ_in_nothing_that_is_shown_are_one_line() {
    let sidecar = "---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: wide, namespace: shop}
spec: {workloadSelector: {labels: {version: v2}}, egress: [{hosts: ['*/*']}]}
";
    let versions = ["v1", "v2"].map(|version| {
        let proxy = web("");
        let labels = [("app", "web"), ("version", version)].into_iter().collect();
        Arc::new(Proxy { labels, ..proxy })
    });
    check(
        &format!("{FENCE}{sidecar}"),
        &versions,
        expect![[r#"
        shop/web x2: full -> on-demand (-), less; waiting [] cut [] invisible ["gone.infra", "hidden.infra"]
    "#]],
    );
}

#[test]
fn who_cannot_ask_keeps_everything_and_is_named_first() {
    let proxies = [proxy(""), Arc::new(Proxy { loads_on_demand: false, ..web("") })];
    check(
        FENCE,
        &proxies,
        expect![[r#"
        shop/web x1: full -> full (cannot-ask), as much; waiting [] cut [] invisible ["gone.infra", "hidden.infra"]
        shop/web x1: full -> on-demand (-), less; waiting [] cut [] invisible ["gone.infra", "hidden.infra"]
    "#]],
    );
}

#[test]
fn a_mode_without_learning_cuts_what_was_called() {
    check(
        FENCE,
        &[proxy("declared")],
        expect![[r#"
        shop/web x1: declared -> declared (-), as much; waiting [] cut ["cart.shop", "pay.bank"] invisible ["gone.infra", "hidden.infra"]
    "#]],
    );
}

const GATEWAY: &str = "
apiVersion: v1
kind: Service
metadata: {name: lazy-gateway, namespace: mesh}
spec: {ports: [{port: 15080, name: lazy}]}
";

#[test]
fn mode_gateway_cuts_nothing_where_the_gateway_is() {
    let enabled = FENCE.replace("enable: false", "enable: true");
    let proxies = [proxy("gateway")];
    check(
        &format!("{enabled}---{GATEWAY}"),
        &proxies,
        expect![[r#"
            shop/web x1: gateway -> gateway (-), as much; waiting [] cut [] invisible ["gone.infra", "hidden.infra"] by gateway ["pay.bank"]
        "#]],
    );
    check(
        &enabled,
        &proxies,
        expect![[r#"
            shop/web x1: gateway -> gateway (-), as much; waiting [] cut ["pay.bank"] invisible ["gone.infra", "hidden.infra"]
        "#]],
    );
}

#[test]
fn a_sum_counts_every_proxy() {
    let one = plan(FENCE, &[proxy("")]);
    let proxies = [proxy(""), proxy(""), proxy("")];
    let three = plan(FENCE, &proxies);
    assert!(one.now.bytes > one.then.bytes && one.then.bytes > 0);
    assert_eq!(three.now.bytes, 3 * one.now.bytes);
    assert_eq!(three.then.resources, 3 * one.then.resources);
}
