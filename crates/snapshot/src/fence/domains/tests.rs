//! Golden cases of what a fence comes to, written as `key: STATUS source hosts`.

use std::collections::BTreeSet;

use api::slime::service_fence::ServiceFence;
use expect_test::{Expect, expect};
use model::{Hostname, Namespace};

use super::{Declared, Destinations, DomainInput, Domains, compute_domains};
use crate::fence::{DomainAlias, DomainAliases};

/// Rules as pairs of a host and where it leads.
struct Rules<'a>(&'a [(&'a str, &'a str)]);

impl Destinations for Rules<'_> {
    fn of_host(&self, host: &Hostname) -> BTreeSet<Hostname> {
        let led = self.0.iter().filter(|(from, _)| *from == host.as_str());
        led.map(|(_, to)| Hostname::new(to)).collect()
    }

    fn out_of_namespace(&self, namespace: &Namespace) -> BTreeSet<Hostname> {
        let is_in = |host: &str| host.contains(&format!(".{namespace}."));
        let led = self.0.iter().filter(|(from, to)| is_in(from) && !is_in(to));
        led.map(|(_, to)| Hostname::new(to)).collect()
    }
}

#[derive(Default)]
struct Case<'a> {
    spec: &'a str,
    learned: &'a [&'a str],
    selected: &'a [&'a str],
    rules: &'a [(&'a str, &'a str)],
    alias: Option<(&'a str, &'a str)>,
    before: Option<&'a Domains>,
    now: Option<i64>,
}

fn fence(spec: &str, learned: &[&str]) -> ServiceFence {
    let keys: Vec<String> =
        learned.iter().map(|host| format!("'{{destination_service=\"{host}\"}}': '1'")).collect();
    let text = format!(
        "apiVersion: microservice.slime.io/v1alpha1\nkind: ServiceFence\n\
         metadata: {{name: web, namespace: shop}}\nspec: {spec}\nstatus: {{metricStatus: {{{}}}}}\n",
        keys.join(", ")
    );
    let (objects, diagnostics) = api::parse_documents("fence.yaml", text.as_bytes());
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    match &objects[0].spec {
        api::Spec::ServiceFence(fence) => (**fence).clone(),
        other => panic!("{other:?}"),
    }
}

fn compute(case: &Case<'_>) -> Domains {
    let fence = fence(case.spec, case.learned);
    let aliases = case.alias.map(|(pattern, template)| {
        DomainAlias::parse(pattern, &[template.to_owned()]).expect("the rule is right")
    });
    let input = DomainInput {
        namespace: &"shop".into(),
        spec: &fence.spec,
        status: &fence.status,
        selected: case.selected.iter().map(|host| Hostname::new(host)).collect(),
        before: case.before,
        now: case.now,
        expire_wait: 60,
        aliases: &DomainAliases::from_iter(aliases),
        domain: "cluster.local",
    };
    compute_domains(&input, &Rules(case.rules))
}

fn render(domains: &Domains) -> String {
    let mut out = String::new();
    for (key, domain) in domains {
        let hosts: Vec<&str> = domain.hosts.iter().map(Hostname::as_str).collect();
        let until = domain.until.map(|at| format!(" until {at}")).unwrap_or_default();
        let (status, source) = (domain.status, domain.source);
        out += &format!("{key}: {status:?} {source:?}{until} [{}]\n", hosts.join(" "));
    }
    let Declared { namespaces, hosts, expired } = Declared::of(domains);
    let list = |items: Vec<String>| if items.is_empty() { "-".to_owned() } else { items.join(" ") };
    let namespaces = namespaces.iter().map(|(name, without)| {
        let without: Vec<String> = without.iter().map(|host| format!(" (not {host})")).collect();
        name.to_string() + &without.concat()
    });
    out += &format!("namespaces {}\n", list(namespaces.collect()));
    out += &format!("hosts {}\n", list(hosts.iter().map(ToString::to_string).collect()));
    out + &format!("expired {}\n", list(expired.iter().map(ToString::to_string).collect()))
}

#[track_caller]
fn check(case: &Case<'_>, expected: Expect) {
    expected.assert_eq(&render(&compute(case)));
}

#[test]
fn each_source_adds_its_hosts() {
    let case = Case {
        spec: "{host: {base/*: , ./*: {}, cart: {stable: {}}, '*.example.com': , 'x:80': },
               namespaceSelector: [tools], labelSelector: [{selector: {a: b}}]}",
        learned: &["pay.trade.svc.cluster.local:80", "unknown"],
        selected: &["log.infra.svc.cluster.local"],
        ..Case::default()
    };
    check(
        &case,
        expect![[r#"
            *.example.com: Active Host [*.example.com]
            base/*: Active Host []
            cart.shop.svc.cluster.local: Active Host [cart.shop.svc.cluster.local]
            log.infra.svc.cluster.local: Active Labels [log.infra.svc.cluster.local]
            pay.trade.svc.cluster.local: Active Status [pay.trade.svc.cluster.local]
            shop/*: Active Host []
            tools/*: Active Namespace []
            namespaces base shop tools
            hosts *.example.com cart.shop.svc.cluster.local log.infra.svc.cluster.local pay.trade.svc.cluster.local
            expired -
        "#]],
    );
}

/// What `check` says of each has no effect.
#[test]
fn only_names_of_namespaces_are_selected() {
    let case = Case {
        spec: "{namespaceSelector: [., '*', '', tools, Not/One, a.b, '*/*', ./*]}",
        ..Case::default()
    };
    check(
        &case,
        expect![[r#"
        tools/*: Active Namespace []
        namespaces tools
        hosts -
        expired -
    "#]],
    );
}

/// Only keys of `host` are left out for these words: a namespace may be called so, and its services.
#[test]
fn what_slime_calls_unknown_is_left_out_of_hosts_alone() {
    let case = Case {
        spec: "{host: {unknown/*: , the-unknown/*: , global-sidecar/*: , unknown.shop: , a/*: },
               namespaceSelector: [the-unknown]}",
        selected: &["log.unknown.svc.cluster.local"],
        ..Case::default()
    };
    check(
        &case,
        expect![[r#"
        a/*: Active Host []
        log.unknown.svc.cluster.local: Active Labels [log.unknown.svc.cluster.local]
        the-unknown/*: Active Namespace []
        namespaces a the-unknown
        hosts log.unknown.svc.cluster.local
        expired -
    "#]],
    );
}

#[test]
fn the_first_source_of_a_host_counts() {
    let case = Case {
        spec: "{host: {a.shop.svc.cluster.local: {deadline: {expire: {seconds: 100}}}}}",
        learned: &["a.shop.svc.cluster.local", "b.shop.svc.cluster.local"],
        selected: &["a.shop.svc.cluster.local", "b.shop.svc.cluster.local"],
        now: Some(101),
        ..Case::default()
    };
    check(
        &case,
        expect![[r#"
            a.shop.svc.cluster.local: Expire Host [a.shop.svc.cluster.local]
            b.shop.svc.cluster.local: Active Labels [b.shop.svc.cluster.local]
            namespaces -
            hosts b.shop.svc.cluster.local
            expired a.shop.svc.cluster.local
        "#]],
    );
}

#[test]
fn a_wildcard_whose_deadline_is_over_bars_what_it_covers() {
    let spec = "{host: {'*.bank.svc.cluster.local': {deadline: {expire: {seconds: 100}}},
                own.bank.svc.cluster.local: {}}}";
    let selected = ["log.bank.svc.cluster.local", "log.shop.svc.cluster.local"];
    let learned = ["own.bank.svc.cluster.local", "pay.bank.svc.cluster.local"];
    let case = |now| Case { spec, selected: &selected, learned: &learned, now, ..Case::default() };
    let before = compute(&case(Some(100)));
    let is_there = |domains: &Domains| domains.contains_key("log.bank.svc.cluster.local");
    assert!(is_there(&before), "{before:?}");
    let over = Case { before: Some(&before), ..case(Some(101)) };
    check(
        &over,
        expect![[r#"
        *.bank.svc.cluster.local: Expire Host [*.bank.svc.cluster.local]
        log.shop.svc.cluster.local: Active Labels [log.shop.svc.cluster.local]
        own.bank.svc.cluster.local: Active Host [own.bank.svc.cluster.local]
        namespaces -
        hosts log.shop.svc.cluster.local own.bank.svc.cluster.local
        expired *.bank.svc.cluster.local
    "#]],
    );
    let declared = Declared::of(&compute(&over));
    assert!(declared.bars(&"new.bank.svc.cluster.local".into()));
    assert!(declared.bars(&"*.bank.svc.cluster.local".into()));
    assert!(!declared.bars(&"own.bank.svc.cluster.local".into()), "it has a key of its own");
    assert!(!declared.bars(&"new.shop.svc.cluster.local".into()));
    // An automatic one comes back with the next call.
    let spec = "{host: {'*.bank.svc.cluster.local': {auto: {duration: {seconds: 1}}, RecentlyCalled: {seconds: 1}}}}";
    let declared = Declared::of(&compute(&Case { spec, ..case(Some(101)) }));
    assert!(!declared.bars(&"new.bank.svc.cluster.local".into()));
}

#[test]
fn what_is_over_is_no_part_of_a_selected_namespace() {
    let spec = "{host: {a.bank: {deadline: {expire: {seconds: 100}}}, '*.api.bank': {deadline: {expire: {seconds: 100}}},
                c.bank: {auto: {duration: {seconds: 1}}, RecentlyCalled: {seconds: 1}}, other/*: {}},
                namespaceSelector: [bank, other]}";
    let case = Case { spec, now: Some(101), ..Case::default() };
    check(
        &case,
        expect![[r#"
        *.api.bank: Expire Host [*.api.bank]
        a.bank: Expire Host [a.bank]
        bank/*: Active Namespace []
        c.bank: Expire Host [c.bank]
        other/*: Active Host []
        namespaces bank (not *.api.bank) (not a.bank) (not c.bank) other
        hosts -
        expired *.api.bank a.bank
    "#]],
    );
    let over = Declared::of(&compute(&case));
    let with = |spec| {
        let mut both = over.clone();
        both.merge(&Declared::of(&compute(&Case { spec, now: Some(101), ..Case::default() })));
        let without = both.namespaces[&Namespace::from("bank")].iter().map(Hostname::as_str);
        without.map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(with("{namespaceSelector: [bank]}").is_empty(), "what is in one fence is in the scope");
    let narrower =
        "{host: {b.api.bank: {deadline: {expire: {seconds: 1}}}}, namespaceSelector: [bank]}";
    assert_eq!(with(narrower), ["b.api.bank"], "it is over in both");
}

#[test]
fn a_deadline_is_over_after_its_second() {
    let spec = "{host: {a.x: {deadline: {expire: {seconds: '100', nanos: 7}}}, b.x: {stable: {}, deadline: {expire: {seconds: 1}}},
                c.x: {deadline: {}}}}";
    check(
        &Case { spec, now: Some(100), ..Case::default() },
        expect![[r#"
            a.x: Active Host until 100 [a.x]
            b.x: Active Host [b.x]
            c.x: Active Host [c.x]
            namespaces -
            hosts a.x b.x c.x
            expired -
        "#]],
    );
    check(
        &Case { spec, now: Some(101), ..Case::default() },
        expect![[r#"
            a.x: Expire Host [a.x]
            b.x: Active Host [b.x]
            c.x: Active Host [c.x]
            namespaces -
            hosts b.x c.x
            expired a.x
        "#]],
    );
    check(
        &Case { spec, now: None, ..Case::default() },
        expect![[r#"
            a.x: Active Host until 100 [a.x]
            b.x: Active Host [b.x]
            c.x: Active Host [c.x]
            namespaces -
            hosts a.x b.x c.x
            expired -
        "#]],
    );
}

#[test]
fn an_unused_host_is_over_and_may_come_back() {
    let spec = "{host: {a.x: {auto: {duration: {seconds: 50}}, RecentlyCalled: {seconds: 100}}, b.x: {auto: {duration: {seconds: 50}}}}}";
    check(
        &Case { spec, now: Some(150), ..Case::default() },
        expect![[r#"
            a.x: Active Host until 150 [a.x]
            b.x: Active Host [b.x]
            namespaces -
            hosts a.x b.x
            expired -
        "#]],
    );
    check(
        &Case { spec, now: Some(151), ..Case::default() },
        expect![[r#"
            a.x: Expire Host [a.x]
            b.x: Active Host [b.x]
            namespaces -
            hosts b.x
            expired -
        "#]],
    );
}

#[test]
fn aliases_follow_their_host() {
    let case = Case {
        spec: "{host: {a.shop.svc.cluster.local: {deadline: {expire: {seconds: 100}}}, shop-b.example: {deadline: {expire: {seconds: 100}}}}}",
        selected: &["b.shop.svc.cluster.local"],
        learned: &["c.shop.svc.cluster.local"],
        alias: Some((r"^([^.]+)\.([^.]+)\.svc\.cluster\.local$", "$2-$1.example")),
        rules: &[("shop-c.example", "d.shop.svc.cluster.local")],
        now: Some(200),
        ..Case::default()
    };
    check(
        &case,
        expect![[r#"
            a.shop.svc.cluster.local: Expire Host [a.shop.svc.cluster.local]
            b.shop.svc.cluster.local: Active Labels [b.shop.svc.cluster.local]
            c.shop.svc.cluster.local: Active Status [c.shop.svc.cluster.local]
            shop-a.example: Expire Host [shop-a.example]
            shop-b.example: Expire Host [shop-b.example]
            shop-c.example: Active Status [shop-c.example d.shop.svc.cluster.local]
            namespaces -
            hosts b.shop.svc.cluster.local c.shop.svc.cluster.local d.shop.svc.cluster.local shop-c.example
            expired a.shop.svc.cluster.local shop-a.example shop-b.example
        "#]],
    );
}

#[test]
fn rules_lead_on() {
    let case = Case {
        spec: "{host: {a.shop.svc.cluster.local: , base/*: }}",
        learned: &["c.shop.svc.cluster.local"],
        rules: &[
            ("a.shop.svc.cluster.local", "a-v2.shop.svc.cluster.local"),
            ("a.shop.svc.cluster.local", "a.shop.svc.cluster.local"),
            ("a-v2.shop.svc.cluster.local", "not.reached.svc.cluster.local"),
            ("x.base.svc.cluster.local", "y.base.svc.cluster.local"),
            ("x.base.svc.cluster.local", "y.other.svc.cluster.local"),
            ("c.shop.svc.cluster.local", "c-v2.shop.svc.cluster.local"),
        ],
        ..Case::default()
    };
    check(
        &case,
        expect![[r#"
            a.shop.svc.cluster.local: Active Host [a.shop.svc.cluster.local a-v2.shop.svc.cluster.local]
            base/*: Active Host [y.other.svc.cluster.local]
            c.shop.svc.cluster.local: Active Status [c.shop.svc.cluster.local c-v2.shop.svc.cluster.local]
            namespaces base
            hosts a-v2.shop.svc.cluster.local a.shop.svc.cluster.local c-v2.shop.svc.cluster.local c.shop.svc.cluster.local y.other.svc.cluster.local
            expired -
        "#]],
    );
}

#[test]
fn a_host_that_is_over_comes_back_where_another_leads_to_it() {
    let case = Case {
        spec: "{host: {a.x: {deadline: {expire: {seconds: 1}}}, b.x: }}",
        rules: &[("b.x", "a.x")],
        now: Some(2),
        ..Case::default()
    };
    check(
        &case,
        expect![[r#"
            a.x: Expire Host [a.x]
            b.x: Active Host [b.x a.x]
            namespaces -
            hosts a.x b.x
            expired -
        "#]],
    );
}

#[test]
fn what_nobody_asks_for_stays_for_a_while() {
    let spec = "{host: {a.x: , base/*: , late.x: {deadline: {expire: {seconds: 5}}}}}";
    let all = compute(&Case { spec, now: Some(10), ..Case::default() });
    let spec = "{host: {b.x: }}";
    let after = |before, now| compute(&Case { spec, before, now, ..Case::default() });
    let waiting = after(Some(&all), Some(20));
    expect![[r#"
        a.x: ExpireWait Host until 80 [a.x]
        b.x: Active Host [b.x]
        base/*: ExpireWait Host until 80 []
        namespaces base
        hosts a.x b.x
        expired -
    "#]]
    .assert_eq(&render(&waiting));
    assert_eq!(after(Some(&waiting), Some(79)), waiting, "the end does not move");
    expect![[r#"
        b.x: Active Host [b.x]
        namespaces -
        hosts b.x
        expired -
    "#]]
    .assert_eq(&render(&after(Some(&waiting), Some(81))));
    let again =
        Case { spec: "{host: {a.x: }}", before: Some(&waiting), now: Some(30), ..Case::default() };
    check(
        &again,
        expect![[r#"
            a.x: Active Host [a.x]
            b.x: ExpireWait Host until 90 [b.x]
            base/*: ExpireWait Host until 80 []
            namespaces base
            hosts a.x b.x
            expired -
        "#]],
    );
    assert_eq!(after(Some(&all), None), after(None, None), "without a clock nothing waits");
}
