//! AuthorizationPolicies of one workload → RBAC filters, and external authorizers behind them.
//!
//! - Order: what an external authorizer decides, then (after tokens) audits, denials and
//!   allowances. Names of policies and statistics are Istio's.
//! - Nothing opens by a mistake: what an unusable authorizer would decide is denied.

use std::{collections::BTreeMap, sync::Arc};

use api::istio::authorization_policy::{Action, AuthorizationPolicy};
use envoy::{
    config::{
        listener::v3::Filter,
        rbac::v3::{Permission, Policy, Principal, Rbac, rbac},
    },
    extensions::filters::{
        http::rbac::v3::Rbac as HttpRbac,
        network::{http_connection_manager::v3::HttpFilter, rbac::v3::Rbac as NetworkRbac},
    },
};
use model::{Diagnostics, Shared};
use snapshot::PolicyRecord;

use super::{
    SecurityInput,
    authorizer::{self, Authorizer},
    node::Node,
    relay,
    rule::{RuleCompiler, Strictness, Traffic},
};
use crate::{
    codes,
    filters::{http_filter, network_filter},
};

pub(super) const HTTP_RBAC: &str = "envoy.filters.http.rbac";
pub(super) const NETWORK_RBAC: &str = "envoy.filters.network.rbac";
/// The network filters have no statistics without one.
pub(super) const NETWORK_STAT_PREFIX: &str = "tcp.";
/// Under which the decision of an external authorizer's rules is left for it.
pub(super) const AUTHORIZER_PREFIX: &str = "istio_ext_authz_";
const ALLOW_SHADOW: &str = "istio_dry_run_allow_";
const DENY_SHADOW: &str = "istio_dry_run_deny_";
/// The denial of what comes through the lazy gateway.
const RELAYED: &str = "relayed";
const DRY_RUN: &str = "istio.io/dry-run";

type Record = Shared<PolicyRecord<AuthorizationPolicy>>;

/// The rules of one action.
#[derive(Default)]
struct RuleSet {
    enforced: Option<Rbac>,
    /// Counted, and without an effect.
    shadow: Option<Rbac>,
}

/// The filters that ask external authorizers.
pub(super) fn custom_http(input: &SecurityInput, findings: &mut Diagnostics) -> Vec<HttpFilter> {
    let mut filters = Vec::new();
    for (name, rules) in custom_rules(input, Traffic::Http, findings) {
        match usable(input, &name, findings) {
            Some(authorizer) => {
                let asked = HttpRbac {
                    shadow_rules: Some(rules),
                    shadow_rules_stat_prefix: AUTHORIZER_PREFIX.to_owned(),
                    ..HttpRbac::default()
                };
                filters.push(http_filter(HTTP_RBAC, &asked));
                filters.push(authorizer::http(authorizer, &name));
            }
            None => {
                let rules = Some(refuse(rules));
                filters.push(http_filter(HTTP_RBAC, &HttpRbac { rules, ..HttpRbac::default() }));
            }
        }
    }
    filters
}

/// The same for connections.
pub(super) fn custom_network(input: &SecurityInput, findings: &mut Diagnostics) -> Vec<Filter> {
    let mut filters = Vec::new();
    for (name, rules) in custom_rules(input, Traffic::Tcp, findings) {
        let base =
            NetworkRbac { stat_prefix: NETWORK_STAT_PREFIX.to_owned(), ..NetworkRbac::default() };
        match usable(input, &name, findings) {
            Some(authorizer) => {
                let Some(asks) = authorizer::network(authorizer, &name) else {
                    // As Istio has it: HTTP authorizers are asked about requests only.
                    let message = format!("the provider `{name}` speaks HTTP");
                    let found = codes::AUTHORIZER_ONLY_HTTP.diagnostic(message);
                    report_all(input, &name, found, findings);
                    continue;
                };
                let asked = NetworkRbac {
                    shadow_rules: Some(rules),
                    shadow_rules_stat_prefix: AUTHORIZER_PREFIX.to_owned(),
                    ..base
                };
                filters.push(network_filter(NETWORK_RBAC, &asked));
                filters.push(asks);
            }
            None => {
                let refused = NetworkRbac { rules: Some(refuse(rules)), ..base };
                filters.push(network_filter(NETWORK_RBAC, &refused));
            }
        }
    }
    filters
}

/// The filters that audit, deny and allow requests.
pub(super) fn http(input: &SecurityInput, findings: &mut Diagnostics) -> Vec<HttpFilter> {
    let sets = rule_sets(input, Traffic::Http, findings).into_iter();
    let direct =
        relay::needs_direct_callers(input).then(|| relay::refuse_peers(RELAYED, &input.relays));
    let filters = sets.map(|set| {
        let filter = HttpRbac {
            shadow_rules_stat_prefix: shadow_prefix(set.shadow.as_ref()).to_owned(),
            rules: set.enforced,
            shadow_rules: set.shadow,
            ..HttpRbac::default()
        };
        http_filter(HTTP_RBAC, &filter)
    });
    direct.into_iter().chain(filters).collect()
}

/// The filters that audit, deny and allow connections.
pub(super) fn network(input: &SecurityInput, findings: &mut Diagnostics) -> Vec<Filter> {
    let sets = rule_sets(input, Traffic::Tcp, findings).into_iter();
    let filters = sets.map(|set| {
        let filter = NetworkRbac {
            shadow_rules_stat_prefix: shadow_prefix(set.shadow.as_ref()).to_owned(),
            rules: set.enforced,
            shadow_rules: set.shadow,
            stat_prefix: NETWORK_STAT_PREFIX.to_owned(),
            ..NetworkRbac::default()
        };
        network_filter(NETWORK_RBAC, &filter)
    });
    let refused = (!input.relays.is_empty()).then(|| NetworkRbac {
        rules: Some(relay::denial(RELAYED, &input.relays)),
        stat_prefix: NETWORK_STAT_PREFIX.to_owned(),
        ..NetworkRbac::default()
    });
    let refused = refused.map(|it| network_filter(NETWORK_RBAC, &it));
    refused.into_iter().chain(filters).collect()
}

fn shadow_prefix(shadow: Option<&Rbac>) -> &'static str {
    match shadow.map(Rbac::action) {
        Some(rbac::Action::Deny) => DENY_SHADOW,
        _ => ALLOW_SHADOW,
    }
}

fn rule_sets(input: &SecurityInput, traffic: Traffic, findings: &mut Diagnostics) -> Vec<RuleSet> {
    let actions = [
        (Action::Audit, rbac::Action::Log),
        (Action::Deny, rbac::Action::Deny),
        (Action::Allow, rbac::Action::Allow),
    ];
    let mut sets = Vec::new();
    for (action, envoy_action) in actions {
        let mut set = RuleSet::default();
        for record in input.policies.iter().filter(|record| record.spec.action == action) {
            let target = match is_dry_run(record) {
                true => &mut set.shadow,
                false => &mut set.enforced,
            };
            let rules = target.get_or_insert_with(|| rules_of(envoy_action));
            add_rules(record, "", input, traffic, rules, findings);
        }
        if set.enforced.is_some() || set.shadow.is_some() {
            sets.push(set);
        }
    }
    sets
}

pub(super) fn rules_of(action: rbac::Action) -> Rbac {
    Rbac { action: action.into(), ..Rbac::default() }
}

/// Only what allows or denies can be tried out.
fn is_dry_run(record: &Record) -> bool {
    let value = record.meta.annotations.get(DRY_RUN).map(String::as_str);
    let is_set = matches!(value, Some("1" | "t" | "T" | "true" | "TRUE" | "True"));
    is_set && matches!(record.spec.action, Action::Allow | Action::Deny)
}

/// The rules that each provider decides about, by its name.
fn custom_rules(
    input: &SecurityInput,
    traffic: Traffic,
    findings: &mut Diagnostics,
) -> BTreeMap<Arc<str>, Rbac> {
    let mut by_provider: BTreeMap<Arc<str>, Rbac> = BTreeMap::new();
    for record in input.policies.iter().filter(|record| record.spec.action == Action::Custom) {
        let name: Arc<str> = provider_name(record).into();
        let prefix = match &*name {
            "" => "istio-ext-authz-".to_owned(),
            name => format!("istio-ext-authz-{name}-"),
        };
        let rules = by_provider.entry(name).or_insert_with(|| rules_of(rbac::Action::Deny));
        add_rules(record, &prefix, input, traffic, rules, findings);
    }
    by_provider
}

pub(super) fn provider_name(record: &Record) -> &str {
    record.spec.provider.as_ref().map(|it| it.name.as_str()).unwrap_or_default()
}

fn add_rules(
    record: &Record,
    prefix: &str,
    input: &SecurityInput,
    traffic: Traffic,
    into: &mut Rbac,
    findings: &mut Diagnostics,
) {
    let key = &record.key;
    let name =
        |index: usize| format!("{prefix}ns[{}]-policy[{}]-rule[{index}]", key.namespace, key.name);
    if record.spec.rules.is_empty() {
        into.policies.insert(name(0), match_never());
    }
    let mut compiler = RuleCompiler {
        traffic,
        strictness: match record.spec.action {
            Action::Allow => Strictness::MatchLess,
            Action::Deny | Action::Audit | Action::Custom => Strictness::MatchMore,
        },
        namespace: &key.namespace,
        trust_domains: &input.trust_domains,
        relays: &input.relays,
        wrong: Vec::new(),
    };
    for (index, rule) in record.spec.rules.iter().enumerate() {
        if let Some(policy) = compiler.compile(rule, &format!("spec.rules[{index}]")) {
            into.policies.insert(name(index), policy);
        }
    }
    let meaning = match compiler.strictness {
        Strictness::MatchLess => "the rule matches nothing",
        Strictness::MatchMore => "the rule matches more, as if the part were not there",
    };
    for (field, reason) in compiler.wrong {
        let finding = codes::POLICY_PART.diagnostic(reason).object(key.clone()).field(field);
        push_once(findings, finding.hint(meaning));
    }
}

/// HTTP and TCP filters are made of the same policies, and find the same mistakes.
pub(super) fn push_once(findings: &mut Diagnostics, finding: model::Diagnostic) {
    if !findings.iter().any(|known| *known == finding) {
        findings.push(finding);
    }
}

fn match_never() -> Policy {
    Policy {
        permissions: vec![Permission::any().negate()],
        principals: vec![Principal::any().negate()],
        ..Policy::default()
    }
}

/// The same rules as denials of their own.
fn refuse(rules: Rbac) -> Rbac {
    let rename = |name: String| format!("{name}-deny-due-to-bad-CUSTOM-action");
    let policies = rules.policies.into_iter().map(|(name, policy)| (rename(name), policy));
    Rbac { policies: policies.collect(), ..rules_of(rbac::Action::Deny) }
}

/// The authorizer that can be asked; without one there is a finding.
fn usable<'a>(
    input: &'a SecurityInput,
    name: &Arc<str>,
    findings: &mut Diagnostics,
) -> Option<&'a Authorizer> {
    let reason: String = match input.authorizers.get(name) {
        _ if input.authorizers.len() > 1 && !input.several_authorizers => {
            "several providers are named for one workload".to_owned()
        }
        Some(Ok(authorizer)) => return Some(authorizer),
        Some(Err(reason)) => reason.to_string(),
        None => "it is not known".to_owned(),
    };
    let message = format!("the provider `{name}` cannot be asked: {reason}");
    report_all(input, name, codes::AUTHORIZER_UNUSABLE.diagnostic(message), findings);
    None
}

/// At each policy that names the provider.
fn report_all(
    input: &SecurityInput,
    name: &str,
    finding: model::Diagnostic,
    findings: &mut Diagnostics,
) {
    let records = input.policies.iter().filter(|it| it.spec.action == Action::Custom);
    for record in records.filter(|it| provider_name(it) == name) {
        let finding = finding.clone().object(record.key.clone()).field("spec.provider.name");
        push_once(findings, finding);
    }
}
