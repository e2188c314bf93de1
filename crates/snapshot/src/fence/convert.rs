//! Slime's settings into ours.
//!
//! - Each field takes effect, or is named with what to use instead; what is wrong in one entry leaves
//!   the others as they are.

mod values;

use std::collections::BTreeSet;

use api::{
    codes,
    slime::{
        lazyload::{
            DispatchSettings, LabelExpressionSettings, LazyGatewaySettings, LazyloadSettings,
            NamespaceSelectorSettings,
        },
        service_fence::FenceHost,
    },
};
use model::{Diagnostics, Hostname, Namespace, ScopeMode};
use regex::Regex;

use super::{
    Declared, Dispatch, DispatchTarget, DomainAlias, FencingSettings, LabelExpression, LazyGateway,
    NamespaceNames, NamespaceScope, NamespaceSelector, WorkloadLabel,
};

/// The workloads' label where `fenceLabelKeyAlias` names no alias.
const USUAL_ALIAS: &str = "app";

impl FencingSettings {
    /// Reads the section `lazyload` of the settings. Fields of findings begin with its name.
    pub fn convert(settings: &LazyloadSettings) -> (Self, Diagnostics) {
        let mut conversion = Conversion::default();
        conversion.report_needless(settings);
        conversion.report_values(settings);
        let mode = conversion.mode("mode", settings.mode.as_deref());
        let without_on_demand = conversion.without_on_demand(settings);
        let gateway = settings.gateway.as_ref().and_then(|it| conversion.gateway(it));
        for (field, mode) in [("mode", mode), ("withoutOnDemand", without_on_demand)] {
            if mode == Some(ScopeMode::Gateway) && settings.gateway.is_none() {
                let message = "mode `gateway` has nowhere to lead to";
                conversion.report(field, message, "name the gateway's Service: `gateway.host`");
            }
        }
        let usual = match settings.passthrough_by_default {
            true => ScopeMode::Passthrough,
            false => ScopeMode::OnDemand,
        };
        let defaults = Self::default();
        let wait = settings.expire_wait.map(|wait| wait.to_std().as_secs());
        let converted = Self {
            mode: mode.unwrap_or(usual),
            without_on_demand: without_on_demand.unwrap_or(defaults.without_on_demand),
            gateway,
            auto: settings.auto_fence.unwrap_or(defaults.auto),
            by_default: settings.default_fence,
            name_label: settings.service.clone().unwrap_or(defaults.name_label),
            workload_label: workload_label(&settings.fence_label_key_alias),
            namespaces: NamespaceScope {
                names: conversion.names(settings),
                selectors: conversion.selectors(&settings.management_selectors),
            },
            always: conversion.always(&settings.stable_host),
            aliases: conversion.aliases(settings).into_iter().collect(),
            dispatches: conversion.dispatches(&settings.dispatches),
            passthrough_by_default: settings.passthrough_by_default,
            expire_wait: wait
                .map_or(defaults.expire_wait, |it| i64::try_from(it).unwrap_or(i64::MAX)),
        };
        (converted, conversion.findings)
    }
}

#[derive(Default)]
struct Conversion {
    findings: Diagnostics,
}

impl Conversion {
    fn report(&mut self, field: &str, message: impl Into<String>, hint: &str) {
        let finding = codes::LAZYLOAD_SETTING.diagnostic(message).hint(hint);
        self.findings.push(finding.field(format!("lazyload.{field}")));
    }

    fn mode(&mut self, field: &str, text: Option<&str>) -> Option<ScopeMode> {
        let mode = text?.parse::<ScopeMode>();
        mode.map_err(|error| self.report(field, error.to_string(), "")).ok()
    }

    fn without_on_demand(&mut self, settings: &LazyloadSettings) -> Option<ScopeMode> {
        let field = "withoutOnDemand";
        let mode = self.mode(field, settings.without_on_demand.as_deref())?;
        let is_usable = matches!(mode, ScopeMode::Full | ScopeMode::Declared | ScopeMode::Gateway);
        if !is_usable {
            let message = format!("`{mode}` cannot take the place of `on-demand`");
            self.report(field, message, "write full, declared or gateway");
        }
        is_usable.then_some(mode)
    }

    fn gateway(&mut self, settings: &LazyGatewaySettings) -> Option<LazyGateway> {
        let labels: Vec<&str> = settings.host.split('.').collect();
        let (&[name, namespace, ..], true) =
            (&*labels, labels.len() > 2 && labels.iter().all(|label| is_label(label)))
        else {
            let message = format!("`{}` is not the full name of a Service", settings.host);
            self.report("gateway.host", message, "write <name>.<namespace>.svc.<domain>");
            return None;
        };
        let port = settings.port.unwrap_or(LazyGateway::PORT);
        if port == 0 {
            self.report("gateway.port", "0 is no port", "leave it out, or write the Service's");
            return None;
        }
        let service_account = match settings.service_account.as_str() {
            "" => name,
            written => written,
        };
        Some(LazyGateway {
            host: Hostname::new(&settings.host),
            port,
            namespace: namespace.into(),
            service_account: service_account.into(),
        })
    }

    /// Fields for a proxy on the way, which there is not.
    fn report_needless(&mut self, settings: &LazyloadSettings) {
        let LazyloadSettings { wormhole_port, auto_port, cleanup_wormhole_port, .. } = settings;
        let LazyloadSettings { namespace, global_sidecar_mode, .. } = settings;
        let LazyloadSettings { cluster_gs_namespace, metric_source_type, .. } = settings;
        let LazyloadSettings { enable_short_domain, disable_ipv4_passthrough, .. } = settings;
        let LazyloadSettings { support_h2, add_env_header_via_lua, proxy_version, .. } = settings;
        let ports = "leave it out: every port takes part without being named";
        let proxy = "leave it out: `gateway` names the proxy that mode `gateway` leads to";
        let needless = [
            ("wormholePort", !wormhole_port.is_empty(), ports),
            ("autoPort", *auto_port, ports),
            ("cleanupWormholePort", *cleanup_wormhole_port, ports),
            ("namespace", !namespace.is_empty(), proxy),
            ("globalSidecarMode", !global_sidecar_mode.is_empty(), proxy),
            ("clusterGsNamespace", !cluster_gs_namespace.is_empty(), proxy),
            (
                "metricSourceType",
                !metric_source_type.is_empty(),
                "leave it out: calls are learned from what proxies ask for, and from Prometheus \
                 where `lazyload.prometheus.url` names one",
            ),
            (
                "enableShortDomain",
                *enable_short_domain,
                "leave it out: short names lead to their service in any case",
            ),
            (
                "disableIpv4Passthrough",
                *disable_ipv4_passthrough,
                "leave it out: `outboundTrafficPolicy` of the mesh decides about unknown addresses",
            ),
            ("supportH2", *support_h2, "leave it out: HTTP/2 and gRPC take part like HTTP/1.1"),
            (
                "addEnvHeaderViaLua",
                *add_env_header_via_lua,
                "leave it out: requests carry no header for it",
            ),
            (
                "proxyVersion",
                !proxy_version.is_empty(),
                "leave it out: each proxy says itself what it can do",
            ),
            ("render", !settings.render.is_empty(), "leave it out: no chart is rendered"),
        ];
        for (field, is_set, hint) in needless {
            if is_set {
                self.report(field, format!("`{field}` has no effect"), hint);
            }
        }
    }

    fn names(&mut self, settings: &LazyloadSettings) -> NamespaceNames {
        let list = |text: &str| -> BTreeSet<Namespace> {
            text.split(',')
                .map(str::trim)
                .filter(|it| !it.is_empty())
                .map(Namespace::from)
                .collect()
        };
        let (white, black) =
            (list(&settings.white_namespace_list), list(&settings.black_namespace_list));
        match (white.is_empty(), black.is_empty()) {
            (true, true) => NamespaceNames::All,
            (true, false) => NamespaceNames::AllBut(black),
            (false, true) => NamespaceNames::Only(white),
            (false, false) => {
                let message =
                    "both lists are set: of the white one, what is not in the black one counts";
                self.report("blackNamespaceList", message, "leave one of them out");
                NamespaceNames::Only(white.difference(&black).cloned().collect())
            }
        }
    }

    /// A selector that cannot be understood selects nothing; without it, all would be selected.
    fn selectors(&mut self, selectors: &[NamespaceSelectorSettings]) -> Vec<NamespaceSelector> {
        let mut converted = Vec::with_capacity(selectors.len());
        for (index, selector) in selectors.iter().enumerate() {
            let mut expressions = Vec::new();
            for (at, expression) in selector.match_expressions.iter().enumerate() {
                match convert_expression(expression) {
                    Some(expression) => expressions.push(expression),
                    None => {
                        let field = format!("managementSelectors[{index}].matchExpressions[{at}]");
                        let message = format!("`{}` is no operator", expression.operator);
                        let hint = "write In or NotIn with values, Exists or DoesNotExist without";
                        self.report(&field, message, hint);
                        let key = expression.key.clone();
                        expressions.push(LabelExpression::In(key, BTreeSet::new()));
                    }
                }
            }
            let labels = selector.match_labels.iter();
            let labels = labels.map(|(key, value)| (key.as_str(), value.as_str())).collect();
            converted.push(NamespaceSelector { labels, expressions });
        }
        converted
    }

    fn always(&mut self, hosts: &[String]) -> Declared {
        let mut always = Declared::default();
        for (index, host) in hosts.iter().enumerate() {
            match FenceHost::parse(host) {
                Ok(FenceHost::Namespace(name)) if name != "." => {
                    always.namespaces.insert(name.into(), BTreeSet::new());
                }
                Ok(FenceHost::Mesh) => {
                    always.hosts.insert(Hostname::new("*"));
                }
                Ok(FenceHost::Host(name)) => {
                    always.hosts.insert(Hostname::new(name));
                }
                Ok(FenceHost::Namespace(_)) => {
                    let message = "`./*` stands for no namespace here";
                    self.report(&format!("stableHost[{index}]"), message, "name the namespace");
                }
                Err(reason) => {
                    let message = format!("`{host}` {reason}");
                    self.report(&format!("stableHost[{index}]"), message, "");
                }
            }
        }
        always
    }

    fn aliases(&mut self, settings: &LazyloadSettings) -> Vec<DomainAlias> {
        let mut aliases = Vec::new();
        for (index, rule) in settings.domain_aliases.iter().enumerate() {
            match DomainAlias::parse(&rule.pattern, &rule.templates) {
                Ok(alias) => aliases.push(alias),
                Err(reason) => {
                    let message = format!("the alias `{}` has no effect: {reason}", rule.pattern);
                    self.report(&format!("domainAliases[{index}]"), message, "");
                }
            }
        }
        aliases
    }

    fn dispatches(&mut self, dispatches: &[DispatchSettings]) -> Vec<Dispatch> {
        let mut converted: Vec<Dispatch> = Vec::new();
        for (index, dispatch) in dispatches.iter().enumerate() {
            let field = format!("dispatches[{index}]");
            let mut refuse = |reason: &str, hint: &str| {
                let message = format!("the dispatch `{}` has no effect: {reason}", dispatch.name);
                self.report(&field, message, hint);
            };
            let target = match dispatch.cluster.as_str() {
                "" => {
                    refuse("it names no `cluster`", "");
                    continue;
                }
                text if text.contains("{{") => {
                    refuse("its `cluster` is a template", "write the name out");
                    continue;
                }
                "PassthroughCluster" => DispatchTarget::Passthrough,
                "_GLOBAL_SIDECAR" => DispatchTarget::Gateway,
                name => DispatchTarget::Cluster(name.to_owned()),
            };
            let domain_regex = Some(&dispatch.domain_regex).filter(|it| !it.is_empty());
            if domain_regex.is_some_and(|it| Regex::new(it).is_err()) {
                refuse("its `domainRegex` is no regular expression", "the syntax is RE2's");
                continue;
            }
            let is_taken =
                |domain: &&String| converted.iter().any(|it| it.domains.contains(domain));
            let (taken, domains): (Vec<_>, Vec<_>) = dispatch.domains.iter().partition(is_taken);
            if domains.is_empty() && domain_regex.is_none() {
                refuse("it has no `domains` of its own and no `domainRegex`", "");
                continue;
            }
            for domain in taken {
                let message = format!("an earlier dispatch has the domain `{domain}`");
                self.report(&format!("{field}.domains"), message, "");
            }
            converted.push(Dispatch {
                name: match dispatch.name.as_str() {
                    "" => format!("dispatch-{index}"),
                    name => name.to_owned(),
                },
                target,
                domains: domains.into_iter().cloned().collect(),
                domain_regex: domain_regex.cloned(),
            });
        }
        converted
    }
}

/// Whether this can be a part of the name of a Service.
fn is_label(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-')
}

/// `labelKey[:alias]`.
fn workload_label(text: &str) -> Option<WorkloadLabel> {
    let (key, alias) = text.split_once(':').unwrap_or((text, ""));
    let alias = if alias.is_empty() { USUAL_ALIAS } else { alias };
    let (key, alias) = (key.to_owned(), alias.to_owned());
    (!key.is_empty()).then_some(WorkloadLabel { key, alias })
}

fn convert_expression(expression: &LabelExpressionSettings) -> Option<LabelExpression> {
    let LabelExpressionSettings { key, operator, values } = expression;
    let values: BTreeSet<String> = values.iter().cloned().collect();
    let key = key.clone();
    match (operator.as_str(), values.is_empty()) {
        ("In", false) => Some(LabelExpression::In(key, values)),
        ("NotIn", false) => Some(LabelExpression::NotIn(key, values)),
        ("Exists", true) => Some(LabelExpression::Exists(key)),
        ("DoesNotExist", true) => Some(LabelExpression::DoesNotExist(key)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
