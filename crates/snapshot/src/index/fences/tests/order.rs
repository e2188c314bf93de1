//! However a mesh came to be, its fences are those of its objects.

use std::collections::{BTreeMap, BTreeSet};

use model::ObjectKey;
use proptest::{collection::vec, prelude::*};

use super::{Mesh, RULE, touches_shop};
use crate::{Change, FencingSettings};

#[test]
fn order_does_not_matter() {
    let objects = [
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {slime.io/serviceFenced: 'true'}}\n".to_owned(),
        "apiVersion: v1\nkind: Service\nmetadata: {name: cart, namespace: base, labels: {a: b}}\nspec: {selector: {app: cart}, ports: [{port: 80}]}\n".to_owned(),
        "apiVersion: v1\nkind: Service\nmetadata: {name: pay, namespace: shop}\nspec: {selector: {app: pay}, ports: [{port: 80}]}\n".to_owned(),
        "apiVersion: microservice.slime.io/v1alpha1\nkind: ServiceFence\nmetadata: {name: web, namespace: shop}\nspec: {enable: true, host: {base/*: }, labelSelector: [{selector: {a: b}}]}\n".to_owned(),
        RULE.replace("cart.shop.svc", "cart.base.svc"),
    ];
    let mut results = BTreeSet::new();
    for first in 0..objects.len() {
        for second in 0..objects.len() {
            let mut mesh = Mesh::new(FencingSettings::default());
            let mut order: Vec<usize> = (0..objects.len()).collect();
            order.rotate_left(first);
            order.swap(0, second);
            for at in order {
                mesh.put(&objects[at]);
            }
            results.insert(format!("{} / {}", mesh.around("web"), mesh.around("pay")));
        }
    }
    assert_eq!(results.len(), 1, "{results:?}");
    let expected = "on-demand: base/* istio-system/* cart-tcp.shop cart-tls.shop cart-v2.shop cart.base shadow.shop / on-demand: istio-system/*";
    assert_eq!(results.first().map(String::as_str), Some(expected));
}

/// Objects that matter to fences, each in some versions.
fn versions(slot: u8, version: u8) -> String {
    let fence = |name: &str, spec: &str| {
        format!(
            "apiVersion: microservice.slime.io/v1alpha1\nkind: ServiceFence\n\
             metadata: {{name: {name}, namespace: shop}}\nspec: {spec}\n"
        )
    };
    let service = |namespace: &str, name: &str, labels: &str| {
        format!(
            "apiVersion: v1\nkind: Service\n\
             metadata: {{name: {name}, namespace: {namespace}, labels: {{{labels}}}}}\n\
             spec: {{selector: {{app: {name}}}, ports: [{{port: 80}}]}}\n"
        )
    };
    let labels = ["", "a: b", "slime.io/serviceFenced: 'true'", "slime.io/serviceFenced: 'false'"];
    let at = usize::from(version);
    match slot {
        0 => fence(
            "web",
            [
                "{enable: true, host: {base/*: , cart: }}",
                "{enable: true, labelSelector: [{selector: {a: b}}, {selector: {c: d}}]}",
                "{enable: true, host: {x.y: {deadline: {expire: {seconds: 50}}}, '*.base.svc.cluster.local': }}",
                "{enable: false, host: {cart: }}",
            ][at],
        ),
        1 => fence(
            "cart",
            [
                "{enable: true, workloadSelector: {fromService: true}, namespaceSelector: [shop]}",
                "{enable: true, workloadSelector: {labels: {app: web}}, host: {x.y: , pay: }}",
                "{enable: true, labelSelector: [{selector: {a: b}}], workloadSelector: {labels: {app: web}}}",
                "{}",
            ][at],
        ),
        2 => service("shop", "cart", labels[at]),
        3 => service("shop", "web", labels[at]),
        4 => service("base", "cart", labels[at]),
        5 => format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop, labels: {{{}}}}}\n",
            labels[at]
        ),
        6 => RULE.replace(
            "cart.shop.svc",
            ["cart.base.svc", "cart.shop.svc", "pay.shop.svc", "x.base.svc"][at],
        ),
        _ => RULE.replace("name: rule", "name: wild").replace(
            "[cart.shop.svc.cluster.local]",
            ["['*.base.svc.cluster.local']", "[x.y]", "['*.y']", "[cart]"][at],
        ),
    }
}

proptest! {
    /// However a mesh came to be, its fences are those of its objects, and who is concerned is told.
    #[test]
    fn a_mesh_that_changed_has_the_fences_of_one_made_anew(
        steps in vec((0u8..9, 0u8..5), 1..24),
    ) {
        let settings = || FencingSettings { expire_wait: 0, ..FencingSettings::default() };
        let mut mesh = Mesh::new(settings());
        let mut objects: BTreeMap<u8, (String, ObjectKey)> = Default::default();
        let mut now = None;
        let proxies = ["web", "cart", "pay"];
        for (slot, version) in steps {
            let before = proxies.map(|app| mesh.around(app));
            let touched = match (slot, version) {
                (8, version) => {
                    // Time does not go back.
                    let next = i64::from(version) * 25;
                    now = now.max(Some(next));
                    mesh.time(now.unwrap_or(next))
                }
                (slot, 4) => match objects.remove(&slot) {
                    Some((_, key)) => touches_shop(&mesh.0.apply([Change::Delete(key)]).keys),
                    None => false,
                },
                (slot, version) => {
                    let text = versions(slot, version);
                    let (parsed, _) = api::parse_documents("mesh.yaml", text.as_bytes());
                    objects.insert(slot, (text.clone(), parsed[0].key.clone()));
                    touches_shop(&mesh.put(&text))
                }
            };
            let after = proxies.map(|app| mesh.around(app));
            prop_assert!(touched || before == after, "{before:?} became {after:?}");
            let mut fresh = Mesh::new(settings());
            now.map(|now| fresh.time(now));
            for (text, _) in objects.values() {
                fresh.put(text);
            }
            let (mesh, fresh) = (mesh.0.snapshot(), fresh.0.snapshot());
            prop_assert_eq!(mesh.fences(), fresh.fences());
        }
    }
}
