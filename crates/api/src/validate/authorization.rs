//! AuthorizationPolicy.

use super::{Check, Path, names};
use crate::{
    codes,
    istio::authorization_policy::{
        Action, AuthorizationPolicy, Condition, Operation, Rule, Source,
    },
};

pub(super) fn check(check: &mut Check<'_>, path: &Path<'_>, policy: &AuthorizationPolicy) {
    let (one, many) = (policy.target_ref.as_ref(), &policy.target_refs);
    check.targets(path, policy.selector.as_ref(), one, many);
    let provider = path.field("provider");
    let has_provider = policy.provider.as_ref().is_some_and(|provider| !provider.name.is_empty());
    let list = path.field("rules");
    let needs_rules = matches!(policy.action, Action::Deny | Action::Custom);
    if needs_rules && policy.rules.is_empty() {
        let message = "without `rules` this policy never matches";
        check.report(&codes::AUTH_RULE, &list, message, "write `rules: [{}]` to match everything");
    }
    if policy.action == Action::Custom {
        if !has_provider {
            let message = "the action CUSTOM needs `provider.name`";
            check.report(&codes::AUTH_PROVIDER, &provider, message, "");
        }
    } else if policy.provider.is_some() {
        let message = "only the action CUSTOM has a `provider`";
        check.report(&codes::AUTH_PROVIDER, &provider, message, "leave it out");
    }
    for (index, rule) in policy.rules.iter().enumerate() {
        let at = list.index(index);
        self::rule(check, &at, rule);
        if policy.action == Action::Custom {
            custom(check, &at, rule);
        }
        if policy.action == Action::Deny {
            denial(check, &at, rule);
        }
    }
}

fn rule(check: &mut Check<'_>, path: &Path<'_>, rule: &Rule) {
    let list = path.field("from");
    for (index, from) in rule.from.iter().enumerate() {
        let at = list.index(index);
        match &from.source {
            Some(source) => self::source(check, &at.field("source"), source),
            None => check.required(false, &at.field("source"), "the source"),
        }
    }
    let list = path.field("to");
    for (index, to) in rule.to.iter().enumerate() {
        let at = list.index(index);
        match &to.operation {
            Some(operation) => self::operation(check, &at.field("operation"), operation),
            None => check.required(false, &at.field("operation"), "the operation"),
        }
    }
    let list = path.field("when");
    for (index, when) in rule.when.iter().enumerate() {
        condition(check, &list.index(index), when);
    }
}

fn source(check: &mut Check<'_>, path: &Path<'_>, source: &Source) {
    if *source == Source::default() {
        return check.report(&codes::AUTH_RULE, path, "a source must not be empty", "");
    }
    let lists = [
        ("principals", &source.principals),
        ("notPrincipals", &source.not_principals),
        ("requestPrincipals", &source.request_principals),
        ("notRequestPrincipals", &source.not_request_principals),
        ("namespaces", &source.namespaces),
        ("notNamespaces", &source.not_namespaces),
        ("serviceAccounts", &source.service_accounts),
        ("notServiceAccounts", &source.not_service_accounts),
        ("trustDomains", &source.trust_domains),
        ("notTrustDomains", &source.not_trust_domains),
    ];
    for (name, values) in lists {
        not_empty(check, &path.field(name), values);
    }
    let addresses = [
        ("ipBlocks", &source.ip_blocks),
        ("notIpBlocks", &source.not_ip_blocks),
        ("remoteIpBlocks", &source.remote_ip_blocks),
        ("notRemoteIpBlocks", &source.not_remote_ip_blocks),
    ];
    for (name, values) in addresses {
        check.subnets(&path.field(name), values);
    }
    let by_account = !source.service_accounts.is_empty() || !source.not_service_accounts.is_empty();
    let by_identity =
        [&source.principals, &source.not_principals, &source.namespaces, &source.not_namespaces];
    if by_account && by_identity.iter().any(|values| !values.is_empty()) {
        let message = "`serviceAccounts` cannot be combined with `principals` or `namespaces`";
        check.report(&codes::EXCLUSIVE, path, message, "");
    }
}

fn not_empty(check: &mut Check<'_>, path: &Path<'_>, values: &[String]) {
    for (index, _) in values.iter().enumerate().filter(|(_, value)| value.is_empty()) {
        check.report(&codes::AUTH_RULE, &path.index(index), "a value must not be empty", "");
    }
}

fn operation(check: &mut Check<'_>, path: &Path<'_>, operation: &Operation) {
    if *operation == Operation::default() {
        return check.report(&codes::AUTH_RULE, path, "an operation must not be empty", "");
    }
    let lists = [
        ("hosts", &operation.hosts),
        ("notHosts", &operation.not_hosts),
        ("methods", &operation.methods),
        ("notMethods", &operation.not_methods),
        ("paths", &operation.paths),
        ("notPaths", &operation.not_paths),
    ];
    for (name, values) in lists {
        not_empty(check, &path.field(name), values);
    }
    for (name, values) in [("ports", &operation.ports), ("notPorts", &operation.not_ports)] {
        ports(check, &path.field(name), values);
    }
    for (name, values) in [("paths", &operation.paths), ("notPaths", &operation.not_paths)] {
        let list = path.field(name);
        for (index, value) in values.iter().enumerate() {
            if !is_path_template(value) {
                let message = format!("`{value}` is not a valid path template");
                let hint = "only `{*}` and `{**}` are possible, each as a whole segment";
                check.report(&codes::AUTH_RULE, &list.index(index), message, hint);
            }
        }
    }
}

fn ports(check: &mut Check<'_>, path: &Path<'_>, ports: &[String]) {
    for (index, port) in ports.iter().enumerate() {
        if port.parse::<u16>().is_err() {
            let message = format!("`{port}` is not a port");
            check.report(&codes::PORT_RANGE, &path.index(index), message, "");
        }
    }
}

/// Paths without `{*}` are compared as texts and may hold anything.
fn is_path_template(path: &str) -> bool {
    if !path.contains("{*}") && !path.contains("{**}") {
        return true;
    }
    let rest = path.replace("{**}", "").replace("{*}", "");
    !rest.contains(['{', '}']) && !rest.contains("/*") && !rest.contains("*/")
}

fn condition(check: &mut Check<'_>, path: &Path<'_>, condition: &Condition) {
    let Condition { key, values, not_values } = condition;
    let at = path.field("key");
    if key.is_empty() {
        return check.required(false, &at, "the key");
    }
    if values.is_empty() && not_values.is_empty() {
        let message = "one of `values` and `notValues` must be set";
        return check.report(&codes::AUTH_CONDITION, path, message, "");
    }
    for (name, values) in [("values", values), ("notValues", not_values)] {
        let path = path.field(name);
        match key.as_str() {
            "source.ip" | "remote.ip" | "destination.ip" => check.subnets(&path, values),
            "destination.port" => ports(check, &path, values),
            _ => not_empty(check, &path, values),
        }
    }
    let simple = [
        "source.ip",
        "remote.ip",
        "source.namespace",
        "source.principal",
        "source.serviceAccount",
        "source.trustDomain",
        "request.auth.principal",
        "request.auth.audiences",
        "request.auth.presenter",
        "destination.ip",
        "destination.port",
        "connection.sni",
    ];
    let keyed = ["request.headers", "request.auth.claims", "experimental.envoy.filters."];
    if simple.contains(&key.as_str()) {
        return;
    }
    if !keyed.iter().any(|prefix| key.starts_with(prefix)) {
        let message = format!("the attribute `{key}` is not known");
        return check.report(&codes::AUTH_CONDITION, &at, message, "");
    }
    let open = key.find('[').unwrap_or_default();
    if open == 0 || !key.ends_with(']') || open + 2 >= key.len() {
        let message = format!("`{key}` names no key");
        check.report(&codes::AUTH_CONDITION, &at, message, "write it as `attribute[key]`");
    }
}

/// External authorizers decide before identities are known.
fn custom(check: &mut Check<'_>, path: &Path<'_>, rule: &Rule) {
    let list = path.field("from");
    for (index, from) in rule.from.iter().enumerate() {
        let Some(source) = &from.source else { continue };
        let lists = [
            ("namespaces", &source.namespaces),
            ("notNamespaces", &source.not_namespaces),
            ("principals", &source.principals),
            ("notPrincipals", &source.not_principals),
            ("requestPrincipals", &source.request_principals),
            ("notRequestPrincipals", &source.not_request_principals),
        ];
        for (name, _) in lists.iter().filter(|(_, values)| !values.is_empty()) {
            let message = format!("`{name}` is not possible with the action CUSTOM");
            check.report(&codes::AUTH_RULE, &list.index(index), message, "");
        }
    }
    let list = path.field("when");
    for (index, when) in rule.when.iter().enumerate() {
        let key = when.key.as_str();
        let is_identity = matches!(key, "source.namespace" | "source.principal");
        if is_identity || key.starts_with("request.auth.") {
            let message = format!("`{key}` is not possible with the action CUSTOM");
            check.report(&codes::AUTH_CONDITION, &list.index(index), message, "");
        }
    }
}

fn denial(check: &mut Check<'_>, path: &Path<'_>, rule: &Rule) {
    let sources = || rule.from.iter().filter_map(|from| from.source.as_ref());
    let operations = || rule.to.iter().filter_map(|to| to.operation.as_ref());
    let only_http = |source: &Source| {
        let kept = Source {
            request_principals: source.request_principals.clone(),
            not_request_principals: source.not_request_principals.clone(),
            ..Source::default()
        };
        *source == kept
    };
    let has_from = sources().next().is_some();
    let has_to = operations().next().is_some();
    let http_from = has_from && !has_to && sources().all(only_http);
    let http_to = has_to && operations().all(|to| to.ports.is_empty() && to.not_ports.is_empty());
    if http_from || http_to {
        let message =
            "on TCP ports this rule denies everything, because it has only HTTP attributes";
        check.report(&codes::AUTH_TCP, path, message, "name the ports that it is meant for");
    }
}

/// The scheme of a URL, if it has a host or path too.
pub(super) fn scheme(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let is_clean = !rest.is_empty() && !rest.contains(|c: char| c.is_whitespace() || c == '\\');
    (is_scheme && is_clean).then_some(scheme)
}

pub(super) fn header_name(check: &mut Check<'_>, path: &Path<'_>, name: &str) {
    if !names::is_header_name(name) {
        let message = format!("`{name}` is not a valid name of a header");
        check.report(&codes::HEADER_NAME, path, message, "");
    }
}
