//! Fences in a mesh: what is around a workload, and what each change touches.

use std::{collections::BTreeSet, sync::Arc};

use api::istio::mesh_config::MeshConfig;
use model::{
    FenceSwitch, Hostname, Kind, Locality, Name, Namespace, ObjectKey, Proxy, Shared, WorkloadKey,
};
use serde_json::json;

use crate::{
    Change, Declared, DomainAlias, DomainAliases, ExportedScopes, Features, Fence, FencingSettings,
    Index, LabelExpression, Member, NamespaceNames, NamespaceScope, NamespaceSelector, ReadKey,
    Reader, WorkloadLabel,
};

struct Mesh(Index);

impl Mesh {
    fn new(settings: FencingSettings) -> Self {
        let config = Arc::new(MeshConfig::default());
        Self(Index::new(config, Features::default(), "cluster.local").with_fencing(settings))
    }

    /// Puts objects; the keys that were touched.
    fn put(&mut self, text: &str) -> BTreeSet<ReadKey> {
        let (objects, diagnostics) = api::parse_documents("mesh.yaml", text.as_bytes());
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        assert!(!objects.is_empty());
        self.0.apply(objects.into_iter().map(Change::Put)).keys
    }

    /// Puts a fence of the namespace `shop`; whether fences of the namespace were touched.
    fn put_fence(&mut self, name: &str, spec: &str) -> bool {
        let keys = self.put(&format!(
            "apiVersion: microservice.slime.io/v1alpha1\nkind: ServiceFence\n\
             metadata: {{name: {name}, namespace: shop}}\nspec: {spec}\n"
        ));
        touches_shop(&keys)
    }

    /// Puts a Service with a selector of its name.
    fn put_service(&mut self, namespace: &str, name: &str, labels: &str) -> bool {
        let keys = self.put(&format!(
            "apiVersion: v1\nkind: Service\n\
             metadata: {{name: {name}, namespace: {namespace}, labels: {{{labels}}}}}\n\
             spec: {{selector: {{app: {name}}}, ports: [{{port: 80, name: http}}]}}\n"
        ));
        touches_shop(&keys)
    }

    fn put_namespace(&mut self, labels: &str) -> bool {
        let keys = self.put(&format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop, labels: {{{labels}}}}}\n"
        ));
        touches_shop(&keys)
    }

    fn delete(&mut self, kind: Kind, name: &str) -> bool {
        touches_shop(&self.0.apply([Change::Delete(ObjectKey::new(kind, "shop", name))]).keys)
    }

    fn time(&mut self, now: i64) -> bool {
        touches_shop(&self.0.apply([Change::Time(now)]).keys)
    }

    fn fence(&self, labels: &[(&str, &str)]) -> Option<Fence> {
        let labels: serde_json::Map<_, _> =
            labels.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        let metadata = [("LABELS".to_owned(), json!(labels))].into_iter().collect();
        let id = "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local";
        let proxy = Proxy::parse(id, metadata, Locality::default()).expect("the node is right");
        let snapshot = self.0.snapshot();
        let reader = Reader::new(&snapshot);
        let fence = reader.fence(&proxy);
        let reads: BTreeSet<ReadKey> = reader.into_reads().iter().cloned().collect();
        let mut expected: BTreeSet<_> = [ReadKey::Mesh, ReadKey::Fences("shop".into())].into();
        if fence.is_some() || snapshot.fence_off(&proxy.workload()).is_some() {
            expected.insert(ReadKey::FenceSwitch(proxy.workload()));
        }
        assert_eq!(reads, expected);
        fence
    }

    /// Switches fences; the keys that were touched.
    fn switch(&mut self, target: &str, switch: FenceSwitch) -> BTreeSet<ReadKey> {
        let target = target.parse().expect("the target is right");
        self.0.apply([Change::FenceSwitched(target, switch)]).keys
    }

    /// What Sidecars would say, and of whom none can.
    fn exported(&self, members: &BTreeSet<Member>) -> Vec<String> {
        let ExportedScopes { scopes, left_out, limited_too } =
            self.0.snapshot().export_scopes(members);
        let told = scopes.iter().map(|it| {
            format!("{}/{} {}: {}", it.namespace, it.name, it.selector, it.hosts.join(" "))
        });
        let left_out = left_out.iter().map(|workload| format!("left out: {workload}"));
        let limited_too = limited_too.iter().map(|(it, by)| format!("limited too: {it} by {by}"));
        told.chain(left_out).chain(limited_too).collect()
    }

    /// Mode, namespaces, hosts and what is over, for a workload with the label `app`.
    fn around(&self, app: &str) -> String {
        render(self.fence(&[("app", app)]))
    }
}

fn render(fence: Option<Fence>) -> String {
    let Some(Fence { mode, declared: Declared { namespaces, hosts, expired } }) = fence else {
        return "none".to_owned();
    };
    let short = |host: &Hostname| host.as_str().replace(".svc.cluster.local", "");
    let namespaces = namespaces.iter().map(|name| format!("{name}/*"));
    let hosts = hosts.iter().map(short);
    let expired = expired.iter().map(|host| format!("-{}", short(host)));
    let all: Vec<String> = namespaces.chain(hosts).chain(expired).collect();
    format!("{mode}: {}", all.join(" "))
}

fn touches_shop(keys: &BTreeSet<ReadKey>) -> bool {
    keys.contains(&ReadKey::Fences("shop".into()))
}

const RULE: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: rule, namespace: shop}
spec:
  hosts: [cart.shop.svc.cluster.local]
  http:
  - route: [{destination: {host: cart-v2.shop.svc.cluster.local}}]
    mirrors: [{destination: {host: shadow}}]
  tcp: [{route: [{destination: {host: cart-tcp}}]}]
  tls: [{match: [{sniHosts: [cart.shop.svc.cluster.local]}], route: [{destination: {host: cart-tls}}]}]
";

#[test]
fn what_is_learned_touches_its_workload() {
    let mut index = Index::new(Arc::new(MeshConfig::default()), Features::default(), "local");
    let web = WorkloadKey { namespace: Namespace::from("shop"), name: Name::from("web") };
    let hosts = || {
        let hosts: BTreeSet<Hostname> = ["b.shop".into(), "a.shop".into()].into();
        Some(Shared::new(hosts))
    };
    let changes = index.apply([Change::Learned(web.clone(), hosts())]);
    assert_eq!(changes.keys, [ReadKey::Learned(web.clone())].into());
    let snapshot = index.snapshot();
    assert_eq!(Reader::new(&snapshot).learned(&web), hosts().as_ref());
    assert!(index.apply([Change::Learned(web.clone(), hosts())]).is_empty());
    let changes = index.apply([Change::Learned(web.clone(), None)]);
    assert_eq!(changes.keys, [ReadKey::Learned(web.clone())].into());
    assert_eq!(Reader::new(&index.snapshot()).learned(&web), None);
}

#[test]
fn what_waits_is_told_apart_from_what_is_asked_for() {
    let mut mesh = Mesh::new(FencingSettings { expire_wait: 60, ..FencingSettings::default() });
    let waits = |mesh: &Mesh| {
        let snapshot = mesh.0.snapshot();
        let all = snapshot.fence_waits().iter();
        let all = all.map(|(key, domains)| (key.to_string(), domains.keys().cloned().collect()));
        all.collect::<Vec<(String, Vec<String>)>>()
    };
    mesh.time(100);
    mesh.put_fence("web", "{enable: true, host: {a.x: {}, b.x: {}}}");
    let before = mesh.0.snapshot();
    assert!(waits(&mesh).is_empty());
    mesh.put_service("bank", "pay", "");
    assert!(mesh.0.snapshot().fence_waits().is(before.fence_waits()), "it changes nothing there");
    let keys = mesh.put(
        "apiVersion: microservice.slime.io/v1alpha1\nkind: ServiceFence\n\
         metadata: {name: web, namespace: shop}\nspec: {enable: true, host: {b.x: {}}}\n",
    );
    assert_eq!(keys, [ReadKey::FenceWaits].into(), "scopes are as before");
    assert!(!mesh.0.snapshot().fence_waits().is(before.fence_waits()));
    assert_eq!(waits(&mesh), [("ServiceFence shop/web".to_owned(), vec!["a.x".to_owned()])]);
    assert_eq!(before.fence_waits().iter().count(), 0, "a revision stays as it is");
    assert!(mesh.time(161));
    assert!(waits(&mesh).is_empty());
    mesh.put_fence("web", "{enable: true}");
    assert_eq!(waits(&mesh).len(), 1);
    mesh.delete(Kind::ServiceFence, "web");
    assert!(waits(&mesh).is_empty(), "without a fence nothing waits");
}

#[test]
fn what_is_switched_off_beats_fences_and_labels_and_touches_its_workloads() {
    let mut mesh = Mesh::new(FencingSettings::default());
    mesh.put_namespace("meltemi.io/scope: learned");
    mesh.put_fence("web", "{enable: true, host: {pay.bank.svc.cluster.local: {}}}");
    let web = || WorkloadKey { namespace: Namespace::from("shop"), name: Name::from("web") };
    let fenced = "learned: istio-system/* pay.bank";
    assert_eq!(mesh.around("web"), fenced);
    let keys = mesh.switch("shop/web", FenceSwitch::Off);
    assert_eq!(keys, [ReadKey::FenceSwitch(web())].into());
    assert_eq!(mesh.around("web"), "none");
    assert_eq!(mesh.around("cart"), "learned: istio-system/*");
    assert!(mesh.switch("shop/web", FenceSwitch::Off).is_empty(), "the same again");
    assert!(touches_shop(&mesh.switch("shop", FenceSwitch::Off)));
    assert_eq!(mesh.around("cart"), "none");
    assert_eq!(mesh.fence(&[("app", "web"), ("meltemi.io/scope", "on-demand")]), None);
    mesh.switch("shop/web", FenceSwitch::AsWritten);
    assert_eq!(mesh.around("web"), "none", "the namespace is off as a whole");
    assert!(touches_shop(&mesh.switch("shop", FenceSwitch::AsWritten)));
    assert_eq!(mesh.around("web"), fenced);
    assert!(mesh.switch("elsewhere", FenceSwitch::AsWritten).is_empty());
}

#[test]
fn aliases_of_what_is_learned_are_learned() {
    let alias = DomainAlias::parse(r"^([^.]+)\.shop$", &["$1.example".to_owned()]);
    let aliases = DomainAliases::from_iter(alias);
    let mut mesh = Mesh::new(FencingSettings { aliases, ..FencingSettings::default() });
    let web = WorkloadKey { namespace: Namespace::from("shop"), name: Name::from("web") };
    let hosts = || Some(Shared::new(BTreeSet::from(["a.shop".into()])));
    mesh.0.apply([Change::Learned(web.clone(), hosts())]);
    let snapshot = mesh.0.snapshot();
    let learned = Reader::new(&snapshot).learned(&web).expect("it was learned");
    assert_eq!(**learned, ["a.example".into(), "a.shop".into()].into());
    assert!(mesh.0.apply([Change::Learned(web, hosts())]).is_empty());
}

#[test]
fn a_fence_finds_its_workloads() {
    let mut mesh = Mesh::new(FencingSettings::default());
    mesh.put_service("shop", "web", "");
    assert!(
        mesh.put_fence(
            "web",
            "{enable: true, host: {a.x: }, workloadSelector: {fromService: true}}"
        )
    );
    assert_eq!(mesh.around("web"), "on-demand: istio-system/* a.x");
    assert_eq!(mesh.around("cart"), "none");
    // Labels beat the Service.
    let labels = "workloadSelector: {fromService: true, labels: {app: cart}}";
    assert!(mesh.put_fence("web", &format!("{{enable: true, host: {{a.x: }}, {labels}}}")));
    assert_eq!(mesh.around("cart"), "on-demand: istio-system/* a.x");
    assert_eq!(mesh.around("web"), "none");
    // Without a selector the label `app` has the name.
    assert!(mesh.put_fence("web", "{enable: true, host: {b.x: }}"));
    assert_eq!(mesh.around("web"), "on-demand: istio-system/* b.x");
}

#[test]
fn a_fence_follows_its_service() {
    let mut mesh = Mesh::new(FencingSettings::default());
    let from_service = "{enable: true, workloadSelector: {fromService: true}}";
    mesh.put_fence("web", from_service);
    assert_eq!(mesh.around("web"), "none", "the Service is missing");
    assert!(mesh.put_service("shop", "web", ""));
    assert_eq!(mesh.around("web"), "on-demand: istio-system/*");
    assert!(mesh.delete(Kind::Service, "web"));
    assert_eq!(mesh.around("web"), "none");
}

#[test]
fn of_several_fences_all_dependencies_count() {
    let mut mesh = Mesh::new(FencingSettings::default());
    mesh.time(1_000);
    let over = "{deadline: {expire: {seconds: 1}}}";
    let select = "workloadSelector: {labels: {app: web}}";
    mesh.put_fence("a", &format!("{{enable: true, host: {{x.y: {over}, b/*: }}, {select}}}"));
    assert_eq!(mesh.around("web"), "on-demand: b/* istio-system/* -x.y");
    mesh.put_fence("b", &format!("{{enable: true, host: {{x.y: , z.y: {over}}}, {select}}}"));
    assert_eq!(mesh.around("web"), "on-demand: b/* istio-system/* x.y -z.y");
    assert!(mesh.put_fence("b", &format!("{{enable: false, host: {{x.y: }}, {select}}}")));
    assert_eq!(mesh.around("web"), "on-demand: b/* istio-system/* -x.y");
    assert!(mesh.put_fence("a", "{}"));
    assert_eq!(mesh.around("web"), "none");
}

#[test]
fn who_says_how_much_is_sent() {
    let settings =
        FencingSettings { mode: "learned".parse().expect("a mode"), ..Default::default() };
    let mut mesh = Mesh::new(settings);
    mesh.put_fence("web", "{enable: true}");
    assert_eq!(mesh.around("web"), "learned: istio-system/*", "the settings");
    assert!(mesh.put_namespace("meltemi.io/scope: declared"));
    assert_eq!(mesh.around("web"), "declared: istio-system/*", "the namespace");
    assert_eq!(mesh.around("cart"), "declared: istio-system/*", "it fences all");
    let own = |mode| render(mesh.fence(&[("app", "web"), ("meltemi.io/scope", mode)]));
    assert_eq!(own("gateway"), "gateway: istio-system/*", "the pod");
    assert_eq!(own("full"), "none", "the pod may also step out");
    assert!(mesh.put_namespace("meltemi.io/scope: full"));
    assert_eq!(mesh.around("web"), "none");
}

#[test]
fn services_and_namespaces_ask_for_fences() {
    let mut mesh = Mesh::new(FencingSettings::default());
    assert!(!mesh.put_service("shop", "web", ""), "nobody asks");
    assert!(mesh.put_service("shop", "web", "slime.io/serviceFenced: 'true'"));
    assert_eq!(mesh.around("web"), "on-demand: istio-system/*");
    assert!(mesh.put_service("shop", "web", ""));
    assert!(mesh.put_namespace("slime.io/serviceFenced: 'true'"));
    assert_eq!(mesh.around("web"), "on-demand: istio-system/*");
    assert!(mesh.put_service("shop", "web", "slime.io/serviceFenced: 'false'"));
    assert_eq!(mesh.around("web"), "none", "the Service knows better");
    mesh.put_service("shop", "web", "");
    // A fence of that name that somebody wrote decides alone.
    assert!(mesh.put_fence("web", "{enable: false}"));
    assert_eq!(mesh.around("web"), "none");
    assert!(mesh.delete(Kind::ServiceFence, "web"));
    assert_eq!(mesh.around("web"), "on-demand: istio-system/*");
    assert!(mesh.delete(Kind::Service, "web"));
    assert_eq!(mesh.around("web"), "none");
}

#[test]
fn fences_are_made_where_the_settings_say() {
    let with = |names, selectors: &[NamespaceSelector]| {
        let namespaces = NamespaceScope { names, selectors: selectors.to_vec() };
        let mut mesh = Mesh::new(FencingSettings {
            by_default: true,
            namespaces,
            ..FencingSettings::default()
        });
        mesh.put_service("shop", "web", "");
        mesh
    };
    let one = || BTreeSet::from([Namespace::from("shop")]);
    let fenced = "on-demand: istio-system/*";
    assert_eq!(with(NamespaceNames::All, &[]).around("web"), fenced);
    assert_eq!(with(NamespaceNames::Only(one()), &[]).around("web"), fenced);
    assert_eq!(with(NamespaceNames::Only(BTreeSet::new()), &[]).around("web"), "none");
    assert_eq!(with(NamespaceNames::AllBut(one()), &[]).around("web"), "none");
    let mut never = with(NamespaceNames::All, &[]);
    never.put_service("shop", "web", "slime.io/serviceFenced: 'false'");
    assert_eq!(never.around("web"), "none");

    let labels = NamespaceSelector {
        labels: [("lazy", "yes")].into_iter().collect(),
        expressions: vec![LabelExpression::DoesNotExist("old".to_owned())],
    };
    let team = LabelExpression::In("team".to_owned(), ["a".to_owned()].into());
    let team = NamespaceSelector { expressions: vec![team], ..NamespaceSelector::default() };
    let mut mesh = with(NamespaceNames::All, &[labels, team]);
    assert_eq!(mesh.around("web"), "none", "the Namespace has no labels");
    assert!(mesh.put_namespace("lazy: 'yes'"));
    assert_eq!(mesh.around("web"), fenced);
    assert!(mesh.put_namespace("lazy: 'yes', old: x"));
    assert_eq!(mesh.around("web"), "none");
    assert!(mesh.put_namespace("team: a, old: x"));
    assert_eq!(mesh.around("web"), fenced);

    let off = FencingSettings { auto: false, by_default: true, ..FencingSettings::default() };
    let mut mesh = Mesh::new(off);
    mesh.put_service("shop", "web", "slime.io/serviceFenced: 'true'");
    assert_eq!(mesh.around("web"), "none");
}

#[test]
fn a_label_fences_its_workloads() {
    let label = WorkloadLabel { key: "sidecar".to_owned(), alias: "app".to_owned() };
    let mut mesh =
        Mesh::new(FencingSettings { workload_label: Some(label), ..FencingSettings::default() });
    let fence = |mesh: &Mesh| render(mesh.fence(&[("sidecar", "web")]));
    assert_eq!(fence(&mesh), "on-demand: istio-system/*");
    assert_eq!(mesh.around("web"), "none");
    assert!(mesh.put_fence("app-web.workload.identity", "{enable: false}"));
    assert_eq!(fence(&mesh), "none", "somebody wrote that fence");
    let select = "workloadSelector: {labels: {sidecar: web}}";
    let written = format!("{{enable: true, host: {{a.x: }}, {select}}}");
    assert!(mesh.put_fence("app-web.workload.identity", &written));
    assert_eq!(fence(&mesh), "on-demand: istio-system/* a.x");
}

#[test]
fn every_fence_holds_what_is_set() {
    let mut always = Declared::default();
    always.namespaces.insert("infra".into());
    always.hosts.insert("log.example.com".into());
    let mut mesh = Mesh::new(FencingSettings { always, ..FencingSettings::default() });
    mesh.put_fence("web", "{enable: true}");
    assert_eq!(mesh.around("web"), "on-demand: infra/* istio-system/* log.example.com");
}

#[test]
fn labels_select_services_as_they_come_and_change() {
    let mut mesh = Mesh::new(FencingSettings::default());
    mesh.put_service("base", "early", "tier: back");
    mesh.put_fence(
        "web",
        "{enable: true, labelSelector: [{selector: {tier: back}}, {selector: {a: b, c: d}}, {}]}",
    );
    assert_eq!(mesh.around("web"), "on-demand: istio-system/* early.base");
    assert!(mesh.put_service("base", "late", "a: b, c: d"));
    assert!(!mesh.put_service("base", "other", "a: b"));
    assert_eq!(mesh.around("web"), "on-demand: istio-system/* early.base late.base");
    assert!(mesh.put_service("base", "early", "tier: front"));
    assert_eq!(mesh.around("web"), "on-demand: istio-system/* late.base");
    mesh.put_fence("web", "{enable: true, labelSelector: [{selector: {tier: front}}]}");
    assert_eq!(mesh.around("web"), "on-demand: istio-system/* early.base");
    assert!(!mesh.put_service("base", "late", "x: y"), "its selector is gone");
}

#[test]
fn rules_lead_on_as_they_come_and_go() {
    let mut mesh = Mesh::new(FencingSettings::default());
    mesh.put_fence("web", "{enable: true, host: {cart: }}");
    let alone = "on-demand: istio-system/* cart.shop";
    assert_eq!(mesh.around("web"), alone);
    assert!(touches_shop(&mesh.put(RULE)));
    let led =
        "on-demand: istio-system/* cart-tcp.shop cart-tls.shop cart-v2.shop cart.shop shadow.shop";
    assert_eq!(mesh.around("web"), led);
    assert!(touches_shop(&mesh.put(&RULE.replace("cart-v2", "cart-v3"))));
    assert_eq!(mesh.around("web"), led.replace("cart-v2", "cart-v3"));
    assert!(!touches_shop(
        &mesh.put(&RULE.replace("name: rule", "name: other").replace("[cart.", "[pay."))
    ));
    let private = RULE
        .replace("namespace: shop", "namespace: far")
        .replace("spec:", "spec:\n  exportTo: [.]");
    assert!(!touches_shop(&mesh.put(&private)), "its namespace alone sees it");
    assert!(mesh.delete(Kind::VirtualService, "rule"));
    assert_eq!(mesh.around("web"), alone);
}

#[test]
fn rules_with_wildcards_lead_on() {
    let mut mesh = Mesh::new(FencingSettings::default());
    let wild =
        RULE.replace("hosts: [cart.shop.svc.cluster.local]", "hosts: ['*.shop.svc.cluster.local']");
    mesh.put(&wild);
    mesh.put_fence("web", "{enable: true, host: {pay: }}");
    let led =
        "on-demand: istio-system/* cart-tcp.shop cart-tls.shop cart-v2.shop pay.shop shadow.shop";
    assert_eq!(mesh.around("web"), led);
    assert!(mesh.delete(Kind::VirtualService, "rule"));
    assert_eq!(mesh.around("web"), "on-demand: istio-system/* pay.shop");
}

#[test]
fn rules_lead_out_of_a_namespace() {
    let mut mesh = Mesh::new(FencingSettings::default());
    mesh.put_fence("web", "{enable: true, namespaceSelector: [base]}");
    let rule = RULE.replace("cart.shop.svc", "cart.base.svc");
    assert!(!touches_shop(&mesh.put(&rule)), "nothing has that host yet");
    assert_eq!(mesh.around("web"), "on-demand: base/* istio-system/*");
    assert!(mesh.put_service("base", "cart", ""));
    let led =
        "on-demand: base/* istio-system/* cart-tcp.shop cart-tls.shop cart-v2.shop shadow.shop";
    assert_eq!(mesh.around("web"), led);
    assert!(!mesh.put_service("base", "other", ""));
    assert!(mesh.delete(Kind::VirtualService, "rule"));
    assert_eq!(mesh.around("web"), "on-demand: base/* istio-system/*");
}

#[test]
fn the_time_ends_what_is_over() {
    let mut mesh = Mesh::new(FencingSettings { expire_wait: 60, ..FencingSettings::default() });
    mesh.time(100);
    mesh.put_fence(
        "web",
        "{enable: true, host: {a.x: {deadline: {expire: {seconds: 200}}}, b.x: }}",
    );
    assert_eq!(mesh.around("web"), "on-demand: istio-system/* a.x b.x");
    assert!(!mesh.time(200));
    assert!(mesh.time(201));
    assert_eq!(mesh.around("web"), "on-demand: istio-system/* b.x -a.x");
    assert!(!mesh.time(202), "once is enough");
    assert!(mesh.put_fence("web", "{enable: true}"), "a.x is barred no more");
    assert_eq!(mesh.around("web"), "on-demand: istio-system/* b.x", "it stays for a while");
    assert!(!mesh.time(262));
    assert!(mesh.time(263));
    assert_eq!(mesh.around("web"), "on-demand: istio-system/*");
}

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

#[test]
fn fences_are_told_as_sidecars() {
    let label = WorkloadLabel { key: "team".to_owned(), alias: "team".to_owned() };
    let mut mesh =
        Mesh::new(FencingSettings { workload_label: Some(label), ..FencingSettings::default() });
    mesh.time(10);
    let over = "{deadline: {expire: {seconds: 1}}}";
    mesh.put_fence("web", &format!("{{enable: true, host: {{base/*: , a.x: , old.x: {over}}}}}"));
    mesh.put_fence("off", "{host: {b.x: }}");
    let member = |app: &str, labels: &[(&str, &str)]| Member {
        workload: WorkloadKey { namespace: "shop".into(), name: app.into() },
        labels: labels.iter().copied().collect(),
    };
    let web = member("web", &[("app", "web"), ("v", "1")]);
    let pay = member("pay", &[("app", "pay"), ("team", "money")]);
    let silent = member("full", &[("app", "web"), ("meltemi.io/scope", "full")]);
    let strict = member("strict", &[("app", "web"), ("meltemi.io/scope", "declared")]);
    for (member, host) in [(&web, "old.x"), (&web, "c.x"), (&pay, "d.x"), (&strict, "e.x")] {
        let known = mesh.0.snapshot().learned.get(&member.workload).cloned();
        let hosts = known.iter().flat_map(|hosts| hosts.iter()).cloned();
        let hosts = Shared::new(hosts.chain([Hostname::new(host)]).collect());
        mesh.0.apply([Change::Learned(member.workload.clone(), Some(hosts))]);
    }
    let members = BTreeSet::from([web, pay, silent, strict]);
    assert_eq!(
        mesh.exported(&members),
        [
            "shop/team-money.workload.identity team=money: */d.x istio-system/*",
            "shop/web app=web: */a.x */c.x base/* istio-system/*",
            "limited too: shop/full by web",
        ]
    );
}

#[test]
fn workloads_that_a_label_alone_fences_are_told_as_sidecars_too() {
    let mut mesh = Mesh::new(FencingSettings::default());
    mesh.put_namespace("meltemi.io/scope: learned");
    mesh.put_fence("fenced", "{enable: true, host: {a.x: }}");
    let member = |name: &str, labels: &[(&str, &str)]| Member {
        workload: WorkloadKey { namespace: "shop".into(), name: name.into() },
        labels: labels.iter().copied().collect(),
    };
    let members = BTreeSet::from([
        member("fenced-v1", &[("app", "fenced")]),
        // Two revisions, which the name tells from all others.
        member("web", &[("app", "web"), ("pod-template-hash", "1"), ("tier", "front")]),
        member("web", &[("app", "web"), ("pod-template-hash", "2"), ("tier", "front")]),
        // One application in two versions.
        member("pay-v1", &[("app", "pay"), ("version", "v1")]),
        member("pay-v2", &[("app", "pay"), ("version", "v2")]),
        // No pair of labels is its own, but all together are.
        member("both", &[("a", "1"), ("b", "2")]),
        member("left", &[("a", "1"), ("meltemi.io/scope", "full")]),
        member("right", &[("b", "2"), ("meltemi.io/scope", "declared")]),
        // Nothing tells these two apart, and both are fenced: each is told what both call.
        member("one", &[("app", "twins")]),
        member("two", &[("app", "twins")]),
        // Whom a Sidecar would select besides has everything, or there is nothing to select by.
        member("narrow", &[("app", "mixed")]),
        member("wide", &[("app", "mixed"), ("meltemi.io/scope", "full")]),
        member("bare", &[("pod-template-hash", "3")]),
        // A fence has its name already.
        member("fenced", &[("app", "other")]),
    ]);
    for (workload, host) in
        [("web", "w.x"), ("right", "r.x"), ("one", "o.x"), ("two", "t.x"), ("left", "l.x")]
    {
        let workload = WorkloadKey { namespace: "shop".into(), name: workload.into() };
        let hosts = Shared::new(BTreeSet::from([Hostname::new(host)]));
        mesh.0.apply([Change::Learned(workload, Some(hosts))]);
    }
    assert_eq!(
        mesh.exported(&members),
        [
            "shop/both a=1,b=2: istio-system/*",
            "shop/fenced app=fenced: */a.x istio-system/*",
            "shop/fenced-scope app=other: istio-system/*",
            "shop/one app=twins: */o.x */t.x istio-system/*",
            "shop/pay-v1 app=pay,version=v1: istio-system/*",
            "shop/pay-v2 app=pay,version=v2: istio-system/*",
            "shop/right b=2: istio-system/*",
            "shop/two app=twins: */o.x */t.x istio-system/*",
            "shop/web app=web: */w.x istio-system/*",
            "left out: shop/bare",
            "left out: shop/narrow",
        ]
    );
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

proptest::proptest! {
    /// However a mesh came to be, its fences are those of its objects, and who is concerned is told.
    #[test]
    fn a_mesh_that_changed_has_the_fences_of_one_made_anew(
        steps in proptest::collection::vec((0u8..9, 0u8..5), 1..24),
    ) {
        let settings = || FencingSettings { expire_wait: 0, ..FencingSettings::default() };
        let mut mesh = Mesh::new(settings());
        let mut objects: std::collections::BTreeMap<u8, (String, ObjectKey)> = Default::default();
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
            proptest::prop_assert!(touched || before == after, "{before:?} became {after:?}");
            let mut fresh = Mesh::new(settings());
            now.map(|now| fresh.time(now));
            for (text, _) in objects.values() {
                fresh.put(text);
            }
            let (mesh, fresh) = (mesh.0.snapshot(), fresh.0.snapshot());
            proptest::prop_assert_eq!(mesh.fences(), fresh.fences());
        }
    }
}
