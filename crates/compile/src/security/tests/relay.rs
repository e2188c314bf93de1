//! Where callers may come through the lazy gateway: who is judged by which name.

use expect_test::{Expect, expect};

use super::{
    super::compile_security,
    golden::{policy, render},
    select_from,
};
use crate::fixture;

#[track_caller]
fn check(spec: &str, expected: Expect) {
    let snapshot = fixture::lazy_snapshot(&policy(spec));
    let text = render(&compile_security(&select_from(&snapshot, &[("app", "web")])));
    let text = text.replace("spiffe://cluster.local/ns/mesh/sa/lazy-gateway", "GATEWAY");
    expected.assert_eq(&text);
}

#[test]
fn a_caller_is_who_its_certificate_says_and_behind_the_gateway_who_that_says() {
    check(
        "{rules: [{from: [{source: {principals: [a.b/ns/n/sa/x]}}]}]}",
        expect![[r#"
        http.rbac
          rules ALLOW
            ns[foo]-policy[it]-rule[0]: (any=true) ([[(authenticated=principalName=exact=spiffe://a.b/ns/n/sa/x & ![authenticated=principalName=exact=GATEWAY]) | ([authenticated=principalName=exact=GATEWAY] & header=stringMatch=exact=spiffe://a.b/ns/n/sa/x)]])
        network.rbac
          rules DENY
            relayed: any=true [authenticated=principalName=exact=GATEWAY]
        network.rbac
          rules ALLOW
            ns[foo]-policy[it]-rule[0]: (any=true) ([authenticated=principalName=exact=spiffe://a.b/ns/n/sa/x])
    "#]],
    );
}

#[test]
fn who_is_not_named_is_so_by_both_ways() {
    check(
        "{action: DENY, rules: [{from: [{source: {notPrincipals: [a.b/ns/n/sa/x]}}]}]}",
        expect![[r#"
            http.rbac
              rules DENY
                ns[foo]-policy[it]-rule[0]: (any=true) (![[(authenticated=principalName=exact=spiffe://a.b/ns/n/sa/x & ![authenticated=principalName=exact=GATEWAY]) | ([authenticated=principalName=exact=GATEWAY] & header=stringMatch=exact=spiffe://a.b/ns/n/sa/x)]])
            network.rbac
              rules DENY
                relayed: any=true [authenticated=principalName=exact=GATEWAY]
            network.rbac
              rules DENY
                ns[foo]-policy[it]-rule[0]: (any=true) (![authenticated=principalName=exact=spiffe://a.b/ns/n/sa/x])
        "#]],
    );
}

#[test]
fn namespaces_accounts_and_domains_are_those_of_the_caller_too() {
    check(
        "{rules: [{from: [{source: {namespaces: [n], serviceAccounts: [n/x], trustDomains: [a.b]}}]}]}",
        expect![[r#"
            http.rbac
              rules ALLOW
                ns[foo]-policy[it]-rule[0]: (any=true) ([[(authenticated=principalName=safeRegex=regex=spiffe://.+/ns/n/(.+/|)sa/x(/.+)? & ![authenticated=principalName=exact=GATEWAY]) | ([authenticated=principalName=exact=GATEWAY] & header=stringMatch=safeRegex=regex=spiffe://.+/ns/n/(.+/|)sa/x(/.+)?)]] & [[(authenticated=principalName=prefix=spiffe://a.b/ & ![authenticated=principalName=exact=GATEWAY]) | ([authenticated=principalName=exact=GATEWAY] & header=stringMatch=prefix=spiffe://a.b/)]] & [[(authenticated=principalName=safeRegex=regex=.*/ns/n/.* & ![authenticated=principalName=exact=GATEWAY]) | ([authenticated=principalName=exact=GATEWAY] & header=stringMatch=safeRegex=regex=.*/ns/n/.*)]])
            network.rbac
              rules DENY
                relayed: any=true [authenticated=principalName=exact=GATEWAY]
            network.rbac
              rules ALLOW
                ns[foo]-policy[it]-rule[0]: (any=true) ([authenticated=principalName=safeRegex=regex=spiffe://.+/ns/n/(.+/|)sa/x(/.+)?] & [authenticated=principalName=prefix=spiffe://a.b/] & [authenticated=principalName=safeRegex=regex=.*/ns/n/.*])
        "#]],
    );
    check(
        "{rules: [{when: [{key: source.namespace, notValues: [n]}]}]}",
        expect![[r#"
        http.rbac
          rules ALLOW
            ns[foo]-policy[it]-rule[0]: (any=true) (![[(authenticated=principalName=safeRegex=regex=.*/ns/n/.* & ![authenticated=principalName=exact=GATEWAY]) | ([authenticated=principalName=exact=GATEWAY] & header=stringMatch=safeRegex=regex=.*/ns/n/.*)]])
        network.rbac
          rules DENY
            relayed: any=true [authenticated=principalName=exact=GATEWAY]
        network.rbac
          rules ALLOW
            ns[foo]-policy[it]-rule[0]: (any=true) (![authenticated=principalName=safeRegex=regex=.*/ns/n/.*])
    "#]],
    );
}

#[test]
fn what_only_a_caller_itself_shows_is_not_taken_from_the_gateway() {
    check(
        "{rules: [{from: [{source: {ipBlocks: [10.0.0.0/8]}}]}]}",
        expect![[r#"
        http.rbac
          rules DENY
            relayed: any=true [authenticated=principalName=exact=GATEWAY]
        http.rbac
          rules ALLOW
            ns[foo]-policy[it]-rule[0]: (any=true) ([directRemoteIp=addressPrefix=10.0.0.0 prefixLen=8])
        network.rbac
          rules DENY
            relayed: any=true [authenticated=principalName=exact=GATEWAY]
        network.rbac
          rules ALLOW
            ns[foo]-policy[it]-rule[0]: (any=true) ([directRemoteIp=addressPrefix=10.0.0.0 prefixLen=8])
    "#]],
    );
    check(
        "{rules: [{when: [{key: remote.ip, values: [10.0.0.0/8]}]}]}",
        expect![[r#"
        http.rbac
          rules DENY
            relayed: any=true [authenticated=principalName=exact=GATEWAY]
        http.rbac
          rules ALLOW
            ns[foo]-policy[it]-rule[0]: (any=true) ([remoteIp=addressPrefix=10.0.0.0 prefixLen=8])
        network.rbac
          rules DENY
            relayed: any=true [authenticated=principalName=exact=GATEWAY]
        network.rbac
          rules ALLOW
            ns[foo]-policy[it]-rule[0]: (any=true) ([remoteIp=addressPrefix=10.0.0.0 prefixLen=8])
    "#]],
    );
}

#[test]
fn a_rule_about_requests_alone_is_as_without_the_gateway() {
    check(
        "{rules: [{to: [{operation: {paths: [/a]}}]}]}",
        expect![[r#"
        http.rbac
          rules ALLOW
            ns[foo]-policy[it]-rule[0]: ([urlPath=path=exact=/a]) (any=true)
        network.rbac
          rules DENY
            relayed: any=true [authenticated=principalName=exact=GATEWAY]
        network.rbac
          rules ALLOW
    "#]],
    );
}

#[test]
fn without_a_policy_everybody_may_come_through_the_gateway() {
    let snapshot = fixture::lazy_snapshot("");
    let filters = compile_security(&select_from(&snapshot, &[("app", "web")]));
    assert!(filters.http.is_empty() && filters.network.is_empty());
}
