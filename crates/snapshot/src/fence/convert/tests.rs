//! What Slime's settings come to, and what is said about each.

use api::slime::lazyload::LazyloadSettings;
use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::FencingSettings;

fn convert(settings: Value) -> (FencingSettings, String) {
    let settings: LazyloadSettings = serde_json::from_value(settings).expect("it is known");
    let (settings, findings) = FencingSettings::convert(&settings);
    (settings, findings.iter().map(|it| format!("{it}\n")).collect())
}

#[track_caller]
fn check(settings: Value, expected: Expect) {
    let (settings, findings) = convert(settings);
    // A line for each field.
    let fields = format!("{settings:?}").replace(", workload_", ",\nworkload_");
    let fields =
        ["namespaces: NamespaceScope", "always:", "aliases:", "dispatches:", "passthrough_"]
            .iter()
            .fold(fields, |text, field| {
                text.replace(&format!(", {field}"), &format!(",\n{field}"))
            });
    expected.assert_eq(&format!("{fields}\n{findings}"));
}

#[test]
fn fields_in_effect_are_taken() {
    check(
        json!({
            "autoFence": false, "defaultFence": true, "service": "name", "expireWait": "90s",
            "fenceLabelKeyAlias": "sidecar:team", "passthroughByDefault": true,
            "stableHost": ["base/*", "log.example.com"],
            "blackNamespaceList": "kube-system, tools",
            "managementSelectors": [
                {"matchLabels": {"lazy": "yes"}},
                {"matchExpressions": [
                    {"key": "team", "operator": "In", "values": ["a", "b"]},
                    {"key": "old", "operator": "DoesNotExist"},
                ]},
            ],
            "domainAliases": [{"pattern": "^(a)\\.b$", "templates": ["$1.c"]}],
            "dispatches": [
                {"name": "sites", "domains": ["www.example.com"], "cluster": "PassthroughCluster"},
                {"name": "rest", "domainRegex": ".*\\.example", "cluster": "_GLOBAL_SIDECAR"},
                {"domains": ["a.b"], "cluster": "outbound|80||egress.infra.svc.cluster.local"},
            ],
        }),
        expect![[r#"
            FencingSettings { mode: Passthrough, without_on_demand: Full, gateway: None, auto: false, by_default: true, name_label: "name",
            workload_label: Some(WorkloadLabel { key: "sidecar", alias: "team" }),
            namespaces: NamespaceScope { names: AllBut({Namespace("kube-system"), Namespace("tools")}), selectors: [NamespaceSelector { labels: Labels([("lazy", "yes")]), expressions: [] }, NamespaceSelector { labels: Labels([]), expressions: [In("team", {"a", "b"}), DoesNotExist("old")] }] },
            always: Declared { namespaces: {Namespace("base"): {}}, hosts: {Hostname("log.example.com")}, expired: {} },
            aliases: DomainAliases([DomainAlias { pattern: Regex("^(a)\\.b$"), templates: ["$1.c"] }]),
            dispatches: [Dispatch { name: "sites", target: Passthrough, domains: ["www.example.com"], domain_regex: None }, Dispatch { name: "rest", target: Gateway, domains: [], domain_regex: Some(".*\\.example") }, Dispatch { name: "dispatch-2", target: Cluster("outbound|80||egress.infra.svc.cluster.local"), domains: ["a.b"], domain_regex: None }],
            passthrough_by_default: true, expire_wait: 90 }
        "#]],
    );
}

#[test]
fn both_spellings_say_the_same() {
    let snake = json!({
        "auto_fence": false, "default_fence": true, "fence_label_key_alias": "a:b",
        "stable_host": ["x/*"], "black_namespace_list": "c", "wormhole_port": ["80"],
        "management_selectors": [{"match_labels": {"d": "e"}}],
        "domain_aliases": [{"pattern": "f", "template": ["g"]}], "support_h2": true,
        "dispatches": [{"domain_regex": "h", "cluster": "i"}], "metric_source_type": "accesslog",
        "enable_short_domain": true, "passthrough_by_default": true, "auto_port": true,
        "cleanup_wormhole_port": true, "global_sidecar_mode": "cluster", "proxy_version": "1",
        "cluster_gs_namespace": "j", "disable_ipv4_passthrough": true, "expire_wait": "1s",
        "add_env_header_via_lua": true, "namespace": ["k"], "render": "lazyload",
        "white_namespace_list": "",
    });
    let camel = json!({
        "autoFence": false, "defaultFence": true, "fenceLabelKeyAlias": "a:b",
        "stableHost": ["x/*"], "blackNamespaceList": "c", "wormholePort": [80],
        "managementSelectors": [{"matchLabels": {"d": "e"}}],
        "domainAliases": [{"pattern": "f", "templates": ["g"]}], "supportH2": true,
        "dispatches": [{"domainRegex": "h", "cluster": "i"}], "metricSourceType": "accesslog",
        "enableShortDomain": true, "passthroughByDefault": true, "autoPort": true,
        "cleanupWormholePort": true, "globalSidecarMode": "cluster", "proxyVersion": "1",
        "clusterGsNamespace": "j", "disableIpv4Passthrough": true, "expireWait": "1s",
        "addEnvHeaderViaLua": true, "namespace": ["k"], "render": "lazyload",
        "whiteNamespaceList": "",
    });
    let shown = |settings| {
        let (settings, findings) = convert(settings);
        format!("{settings:?}\n{findings}")
    };
    assert_eq!(shown(snake), shown(camel.clone()));
    // Everything that is set and has no effect is named.
    expect![[r#"
        warning[MEL0236] lazyload.wormholePort: `wormholePort` has no effect (leave it out: every port takes part without being named)
        warning[MEL0236] lazyload.autoPort: `autoPort` has no effect (leave it out: every port takes part without being named)
        warning[MEL0236] lazyload.cleanupWormholePort: `cleanupWormholePort` has no effect (leave it out: every port takes part without being named)
        warning[MEL0236] lazyload.namespace: `namespace` has no effect (leave it out: `gateway` names the proxy that mode `gateway` leads to)
        warning[MEL0236] lazyload.globalSidecarMode: `globalSidecarMode` has no effect (leave it out: `gateway` names the proxy that mode `gateway` leads to)
        warning[MEL0236] lazyload.clusterGsNamespace: `clusterGsNamespace` has no effect (leave it out: `gateway` names the proxy that mode `gateway` leads to)
        warning[MEL0236] lazyload.metricSourceType: `metricSourceType` has no effect (leave it out: calls are learned from what proxies ask for, and from Prometheus where `lazyload.prometheus.url` names one)
        warning[MEL0236] lazyload.enableShortDomain: `enableShortDomain` has no effect (leave it out: short names lead to their service in any case)
        warning[MEL0236] lazyload.disableIpv4Passthrough: `disableIpv4Passthrough` has no effect (leave it out: `outboundTrafficPolicy` of the mesh decides about unknown addresses)
        warning[MEL0236] lazyload.supportH2: `supportH2` has no effect (leave it out: HTTP/2 and gRPC take part like HTTP/1.1)
        warning[MEL0236] lazyload.addEnvHeaderViaLua: `addEnvHeaderViaLua` has no effect (leave it out: requests carry no header for it)
        warning[MEL0236] lazyload.proxyVersion: `proxyVersion` has no effect (leave it out: each proxy says itself what it can do)
        warning[MEL0236] lazyload.render: `render` has no effect (leave it out: no chart is rendered)
    "#]].assert_eq(&convert(camel).1);
}

#[test]
fn a_bad_entry_leaves_the_others() {
    let (settings, findings) = convert(json!({
        "mode": "lazy",
        "domainAliases": [{"pattern": "((", "templates": ["x"]}, {"pattern": "a"},
            {"pattern": "^a$", "templates": ["b"]}],
        "stableHost": ["a:80", "./*", "good.example.com"],
        "whiteNamespaceList": "a,b", "blackNamespaceList": "b",
        "managementSelectors": [{"matchExpressions": [{"key": "a", "operator": "Is"}]}],
        "dispatches": [
            {"name": "one", "domains": ["a.b"]},
            {"name": "two", "domains": ["a.b"], "cluster": "{{ .x }}"},
            {"name": "three", "domainRegex": "((", "cluster": "c"},
            {"name": "four", "cluster": "c"},
            {"name": "five", "domains": ["a.b"], "cluster": "c"},
            {"name": "six", "domains": ["a.b", "c.d"], "cluster": "c"},
        ],
    }));
    assert_eq!(settings.aliases.of(&"a".into()), ["b".into()]);
    assert_eq!(settings.always.hosts, ["good.example.com".into()].into());
    let dispatches: Vec<_> =
        settings.dispatches.iter().map(|it| (&*it.name, &it.domains)).collect();
    assert_eq!(dispatches, [("five", &vec!["a.b".to_owned()]), ("six", &vec!["c.d".to_owned()])]);
    assert!(!settings.namespaces.includes(&"a".into(), None), "a bad selector selects nothing");
    expect![[r#"
        warning[MEL0236] lazyload.mode: `lazy` is no scope mode: write full, declared, learned, on-demand, gateway or passthrough
        warning[MEL0236] lazyload.blackNamespaceList: both lists are set: of the white one, what is not in the black one counts (leave one of them out)
        warning[MEL0236] lazyload.managementSelectors[0].matchExpressions[0]: `Is` is no operator (write In or NotIn with values, Exists or DoesNotExist without)
        warning[MEL0236] lazyload.stableHost[0]: `a:80` has a `:`, and a fence has no ports
        warning[MEL0236] lazyload.stableHost[1]: `./*` stands for no namespace here (name the namespace)
        warning[MEL0236] lazyload.domainAliases[0]: the alias `((` has no effect: unclosed group
        warning[MEL0236] lazyload.domainAliases[1]: the alias `a` has no effect: it has no templates
        warning[MEL0236] lazyload.dispatches[0]: the dispatch `one` has no effect: it names no `cluster`
        warning[MEL0236] lazyload.dispatches[1]: the dispatch `two` has no effect: its `cluster` is a template (write the name out)
        warning[MEL0236] lazyload.dispatches[2]: the dispatch `three` has no effect: its `domainRegex` is no regular expression (the syntax is RE2's)
        warning[MEL0236] lazyload.dispatches[3]: the dispatch `four` has no effect: it has no `domains` of its own and no `domainRegex`
        warning[MEL0236] lazyload.dispatches[5].domains: an earlier dispatch has the domain `a.b`
    "#]].assert_eq(&findings);
}

#[test]
fn a_gateway_is_named_by_its_service() {
    let gateway = |settings: Value| {
        let (settings, findings) = convert(settings);
        format!("{:?} {:?}\n{findings}", settings.without_on_demand, settings.gateway)
    };
    expect![[r#"
        Gateway Some(LazyGateway { host: Hostname("lazy.mesh.svc.cluster.local"), port: 15080, namespace: Namespace("mesh"), service_account: "lazy" })
    "#]].assert_eq(&gateway(json!({
        "withoutOnDemand": "gateway", "gateway": {"host": "lazy.mesh.svc.cluster.local"},
    })));
    expect![[r#"
        Full Some(LazyGateway { host: Hostname("lazy.mesh.svc.cluster.local"), port: 8080, namespace: Namespace("mesh"), service_account: "own" })
    "#]].assert_eq(&gateway(json!({
        "gateway": {"host": "lazy.mesh.svc.cluster.local", "port": 8080, "serviceAccount": "own"},
    })));
    expect![[r#"
        Full None
        warning[MEL0236] lazyload.gateway.host: `lazy.mesh` is not the full name of a Service (write <name>.<namespace>.svc.<domain>)
    "#]].assert_eq(&gateway(json!({"gateway": {"host": "lazy.mesh"}})));
    expect![[r#"
        Full None
        warning[MEL0236] lazyload.withoutOnDemand: `learned` cannot take the place of `on-demand` (write full, declared or gateway)
        warning[MEL0236] lazyload.mode: mode `gateway` has nowhere to lead to (name the gateway's Service: `gateway.host`)
    "#]].assert_eq(&gateway(json!({"mode": "gateway", "withoutOnDemand": "learned"})));
    expect![[r#"
        Full None
        warning[MEL0236] lazyload.withoutOnDemand: `all` is no scope mode: write full, declared, learned, on-demand, gateway or passthrough
        warning[MEL0236] lazyload.gateway.port: 0 is no port (leave it out, or write the Service's)
    "#]].assert_eq(&gateway(json!({
        "withoutOnDemand": "all", "gateway": {"host": "lazy.mesh.svc.cluster.local", "port": 0},
    })));
}

#[test]
fn values_that_mean_nothing_are_said() {
    let (settings, findings) = convert(json!({
        "fenceLabelKeyAlias": "a:b:c", "service": "bad label!", "expireWait": "-5s",
        "stableHost": ["cart", "cart.shop", "*.example.com", "shop/*"],
        "prometheus": {"url": "prometheus:9090"},
    }));
    assert_eq!(settings.always.hosts.len(), 3, "they are read all the same");
    expect![[r#"
        warning[MEL0236] lazyload.fenceLabelKeyAlias: `a:b:c` names no label (write the key of a label, or `key:alias`)
        warning[MEL0236] lazyload.service: `bad label!` is no key of a label: no workload has it (write a key such as `app`)
        warning[MEL0236] lazyload.stableHost[0]: `cart` is in no namespace: no service is called so (write the full name, as `cart.shop.svc.cluster.local`)
        warning[MEL0236] lazyload.expireWait: a time cannot be negative (write `0s` for no wait)
        warning[MEL0236] lazyload.prometheus.url: `prometheus:9090` is no URL (write `http://` or `https://`, the host and the port)
    "#]].assert_eq(&findings);
    let good = json!({"fenceLabelKeyAlias": "slime.io/x", "prometheus": {"url": "https://p"}});
    assert_eq!(convert(good).1, "");
}
