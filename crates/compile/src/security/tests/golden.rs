//! What single fields and mistakes come to.

use std::fmt::Write;

use expect_test::{Expect, expect};
use serde_json::Value;

use super::{SecurityFilters, compile, http, network, to_json};

/// `spec` of a policy, the rest of the mesh behind it.
pub(super) fn policy(spec: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
         metadata: {{name: it, namespace: foo}}\nspec: {spec}\n"
    )
}

/// One line for each filter: its name, and each rule as text.
pub(super) fn render(filters: &SecurityFilters) -> String {
    let mut out = String::new();
    let all = http(filters).into_iter().chain(network(filters));
    for (name, any) in all {
        let name = name.trim_start_matches("envoy.filters.");
        let config = to_json(any);
        writeln!(out, "{name}").unwrap();
        for field in ["rules", "shadowRules"] {
            let Some(rules) = config.get(field) else { continue };
            let action = rules["action"].as_str().unwrap_or("ALLOW");
            writeln!(out, "  {field} {action}").unwrap();
            for (name, policy) in rules["policies"].as_object().into_iter().flatten() {
                let text = |field: &str| short(&policy[field]);
                writeln!(out, "    {name}: {} {}", text("permissions"), text("principals"))
                    .unwrap();
            }
        }
    }
    for finding in filters.diagnostics.iter() {
        writeln!(out, "{finding}").unwrap();
    }
    out
}

/// JSON without what every rule has.
fn short(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(short).collect();
            items.join(" ")
        }
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| match key.as_str() {
                "andRules" | "andIds" => format!("({})", inner(value, " & ")),
                "orRules" | "orIds" => format!("[{}]", inner(value, " | ")),
                "notRule" | "notId" => format!("!{}", short(value)),
                "@type" | "name" if value != ":authority" => String::new(),
                _ => format!("{key}={}", short(value)),
            });
            let fields: Vec<String> = fields.filter(|it| !it.is_empty()).collect();
            fields.join(" ")
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn inner(set: &Value, separator: &str) -> String {
    let items = set["rules"].as_array().or(set["ids"].as_array()).expect("a set");
    items.iter().map(short).collect::<Vec<_>>().join(separator)
}

#[track_caller]
fn check(spec: &str, expected: Expect) {
    expected.assert_eq(&render(&compile(&policy(spec), &[("app", "web")])));
}

#[test]
fn trust_domains() {
    check(
        "{rules: [{from: [{source: {trustDomains: [a.b, 'x*', '*'], notTrustDomains: [c]}}]}]}",
        expect![[r#"
            http.rbac
              rules ALLOW
                ns[foo]-policy[it]-rule[0]: (any=true) ([authenticated=principalName=prefix=spiffe://a.b/ | authenticated=principalName=safeRegex=regex=spiffe://x[^/]*/.* | authenticated=principalName=safeRegex=regex=.+] & ![authenticated=principalName=prefix=spiffe://c/])
            network.rbac
              rules ALLOW
                ns[foo]-policy[it]-rule[0]: (any=true) ([authenticated=principalName=prefix=spiffe://a.b/ | authenticated=principalName=safeRegex=regex=spiffe://x[^/]*/.* | authenticated=principalName=safeRegex=regex=.+] & ![authenticated=principalName=prefix=spiffe://c/])
        "#]],
    );
}

#[test]
fn accounts_and_namespaces_mean_themselves_and_not_an_expression() {
    check(
        "{rules: [{from: [{source: {serviceAccounts: ['n/a.b+']}}, {source: {namespaces: ['a.*']}}]}]}",
        expect![[r#"
            http.rbac
              rules ALLOW
                ns[foo]-policy[it]-rule[0]: (any=true) ([authenticated=principalName=safeRegex=regex=spiffe://.+/ns/n/(.+/|)sa/a\.b\+(/.+)?]) ([authenticated=principalName=safeRegex=regex=.*/ns/a\..*/.*])
            network.rbac
              rules ALLOW
                ns[foo]-policy[it]-rule[0]: (any=true) ([authenticated=principalName=safeRegex=regex=spiffe://.+/ns/n/(.+/|)sa/a\.b\+(/.+)?]) ([authenticated=principalName=safeRegex=regex=.*/ns/a\..*/.*])
        "#]],
    );
}

#[test]
fn an_allowance_that_cannot_be_carried_out_matches_nothing() {
    check(
        "{rules: [{from: [{source: {ipBlocks: [1.2.3.4/99]}}]}, {to: [{operation: {ports: ['80']}}]}]}",
        expect![[r#"
            http.rbac
              rules ALLOW
                ns[foo]-policy[it]-rule[1]: ([destinationPort=80]) (any=true)
            network.rbac
              rules ALLOW
                ns[foo]-policy[it]-rule[1]: ([destinationPort=80]) (any=true)
            error[MEL0260] AuthorizationPolicy foo/it spec.rules[0].from[0].source.ipBlocks: `1.2.3.4/99` is not an address or a range of them (the rule matches nothing)
        "#]],
    );
}

#[test]
fn a_denial_that_cannot_be_carried_out_denies_what_remains() {
    check(
        "{action: DENY, rules: [{when: [{key: weather, values: [bad]}], to: [{operation: {ports: ['80', x]}}]}]}",
        expect![[r#"
            http.rbac
              rules DENY
                ns[foo]-policy[it]-rule[0]: ([destinationPort=80]) (any=true)
            network.rbac
              rules DENY
                ns[foo]-policy[it]-rule[0]: ([destinationPort=80]) (any=true)
            error[MEL0260] AuthorizationPolicy foo/it spec.rules[0].when[0].key: the attribute `weather` is not known (the rule matches more, as if the part were not there)
            error[MEL0260] AuthorizationPolicy foo/it spec.rules[0].to[0].operation.ports: `x` is not a port (the rule matches more, as if the part were not there)
        "#]],
    );
}

#[test]
fn a_wrong_exception_of_a_denial_is_none() {
    check(
        "{action: DENY, rules: [{from: [{source: {notIpBlocks: [home]}}]}]}",
        expect![[r#"
            http.rbac
              rules DENY
                ns[foo]-policy[it]-rule[0]: (any=true) (any=true)
            network.rbac
              rules DENY
                ns[foo]-policy[it]-rule[0]: (any=true) (any=true)
            error[MEL0260] AuthorizationPolicy foo/it spec.rules[0].from[0].source.notIpBlocks: `home` is not an address or a range of them (the rule matches more, as if the part were not there)
        "#]],
    );
}

#[test]
fn a_template_that_envoy_would_refuse_is_reported() {
    check(
        "{rules: [{to: [{operation: {paths: ['/a{*}/b']}}]}, {to: [{operation: {paths: ['/{**}/{**}']}}]}]}",
        expect![[r#"
            http.rbac
              rules ALLOW
            network.rbac
              rules ALLOW
            error[MEL0260] AuthorizationPolicy foo/it spec.rules[0].to[0].operation.paths: `/a{*}/b` is not a template of paths: a wildcard is a segment of its own, and others are plain text (the rule matches nothing)
            error[MEL0260] AuthorizationPolicy foo/it spec.rules[1].to[0].operation.paths: `/{**}/{**}` is not a template of paths: no wildcard follows `{**}` (the rule matches nothing)
        "#]],
    );
}

#[test]
fn an_unknown_provider_denies() {
    check(
        "{action: CUSTOM, provider: {name: nobody}, rules: [{to: [{operation: {ports: ['80']}}]}]}",
        expect![[r#"
            http.rbac
              rules DENY
                istio-ext-authz-nobody-ns[foo]-policy[it]-rule[0]-deny-due-to-bad-CUSTOM-action: ([destinationPort=80]) (any=true)
            network.rbac
              rules DENY
                istio-ext-authz-nobody-ns[foo]-policy[it]-rule[0]-deny-due-to-bad-CUSTOM-action: ([destinationPort=80]) (any=true)
            error[MEL0261] AuthorizationPolicy foo/it spec.provider.name: the provider `nobody` cannot be asked: the mesh configuration does not define it
        "#]],
    );
}

#[test]
fn only_policies_that_select_the_workload_count() {
    check("{selector: {matchLabels: {app: other}}}", expect![[""]]);
    check(
        "{selector: {matchLabels: {app: web}}, rules: [{}]}",
        expect![[r#"
        http.rbac
          rules ALLOW
            ns[foo]-policy[it]-rule[0]: (any=true) (any=true)
        network.rbac
          rules ALLOW
            ns[foo]-policy[it]-rule[0]: (any=true) (any=true)
    "#]],
    );
}
