//! One rule of an AuthorizationPolicy → a policy of Envoy's RBAC filters.
//!
//! - A part that cannot be carried out has the safe meaning: of a rule that allows, the rule
//!   matches nothing; of one that denies or logs, the part is left out, so that it matches more.
//! - On TCP there are no requests: attributes of them are parts that cannot be carried out. That is
//!   how Istio's API is meant, and no finding.

use std::sync::Arc;

use api::istio::authorization_policy::{Condition, Operation, Rule, Source};
use envoy::config::rbac::v3::{Permission, Policy, Principal};
use envoy::types::matcher::v3::StringMatcher;
use model::Namespace;

use super::{
    matcher,
    node::{Node, header_permission, principal},
    relay, trust,
    value::{
        Unusable, destination_ip, destination_port, direct_range, namespace, remote_range,
        request_principals, server_name, service_account, trust_domain, url_path,
    },
};

/// What speaks on the filter chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Traffic {
    Http,
    Tcp,
}

/// What becomes of a rule with a part that cannot be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strictness {
    /// It matches nothing.
    MatchLess,
    /// It matches whatever the rest says.
    MatchMore,
}

/// A part of the rule is dropped: the rule with it.
struct Dropped;

/// What a rule is compiled with, and what was found wrong: field and reason.
pub(super) struct RuleCompiler<'a> {
    pub(super) traffic: Traffic,
    pub(super) strictness: Strictness,
    /// Of the policy: service accounts without a namespace are in it.
    pub(super) namespace: &'a Namespace,
    /// The mesh's own first.
    pub(super) trust_domains: &'a [Arc<str>],
    /// Who says in the callers' place who they are.
    pub(super) relays: &'a [Arc<str>],
    pub(super) wrong: Vec<(String, String)>,
}

impl RuleCompiler<'_> {
    /// `None` if the rule matches nothing. `path` is the rule's own.
    pub(super) fn compile(&mut self, rule: &Rule, path: &str) -> Option<Policy> {
        self.try_compile(rule, path).ok()
    }

    fn try_compile(&mut self, rule: &Rule, path: &str) -> Result<Policy, Dropped> {
        let (base_permissions, base_principals) = self.conditions(&rule.when, path)?;
        let mut permissions = Vec::with_capacity(rule.to.len().max(1));
        for (index, to) in rule.to.iter().enumerate() {
            let at = format!("{path}.to[{index}].operation");
            let mut parts = match &to.operation {
                Some(operation) => self.operation(operation, &at)?,
                None => Vec::new(),
            };
            parts.extend(base_permissions.iter().cloned());
            permissions.push(all_of(parts));
        }
        if rule.to.is_empty() {
            permissions.push(all_of(base_permissions));
        }
        let mut principals = Vec::with_capacity(rule.from.len().max(1));
        for (index, from) in rule.from.iter().enumerate() {
            let at = format!("{path}.from[{index}].source");
            let mut parts = match &from.source {
                Some(source) => self.source(source, &at)?,
                None => Vec::new(),
            };
            parts.extend(base_principals.iter().cloned());
            principals.push(all_of(parts));
        }
        if rule.from.is_empty() {
            principals.push(all_of(base_principals));
        }
        Ok(Policy { permissions, principals, ..Policy::default() })
    }

    fn operation(&mut self, it: &Operation, path: &str) -> Result<Vec<Permission>, Dropped> {
        let mut out = Vec::new();
        let at = |field: &str| format!("{path}.{field}");
        let host = |text: &str| Ok(header_permission(matcher::host(text)));
        let host = only_http(self.traffic, host);
        self.either(&at("hosts"), &it.hosts, &it.not_hosts, host, &mut out)?;
        let method = |text: &str| Ok(header_permission(matcher::header(":method", text)));
        let method = only_http(self.traffic, method);
        self.either(&at("methods"), &it.methods, &it.not_methods, method, &mut out)?;
        let path = only_http(self.traffic, url_path);
        self.either(&at("paths"), &it.paths, &it.not_paths, path, &mut out)?;
        self.either(&at("ports"), &it.ports, &it.not_ports, destination_port, &mut out)?;
        Ok(out)
    }

    fn source(&mut self, it: &Source, path: &str) -> Result<Vec<Principal>, Dropped> {
        let mut out = Vec::new();
        let at = |field: &str| format!("{path}.{field}");
        self.principals(&at("principals"), &it.principals, &it.not_principals, &mut out)?;
        let (values, others) = (&it.request_principals, &it.not_request_principals);
        self.together(&at("requestPrincipals"), values, others, request_principals, &mut out)?;
        let (values, others) = (&it.service_accounts, &it.not_service_accounts);
        self.accounts(&at("serviceAccounts"), values, others, &mut out)?;
        let (values, others) = (&it.trust_domains, &it.not_trust_domains);
        self.domains(&at("trustDomains"), values, others, &mut out)?;
        let (values, others) = (&it.namespaces, &it.not_namespaces);
        self.callers(&at("namespaces"), values, others, namespace, &mut out)?;
        let (values, others) = (&it.remote_ip_blocks, &it.not_remote_ip_blocks);
        self.either(&at("remoteIpBlocks"), values, others, remote_range, &mut out)?;
        self.either(&at("ipBlocks"), &it.ip_blocks, &it.not_ip_blocks, direct_range, &mut out)?;
        Ok(out)
    }

    /// What every permission and every principal of the rule has in common.
    fn conditions(
        &mut self,
        conditions: &[Condition],
        path: &str,
    ) -> Result<(Vec<Permission>, Vec<Principal>), Dropped> {
        let (mut permissions, mut principals) = (Vec::new(), Vec::new());
        for (index, condition) in conditions.iter().enumerate() {
            let at = format!("{path}.when[{index}]");
            self.condition(condition, &at, &mut permissions, &mut principals)?;
        }
        Ok((permissions, principals))
    }

    fn condition(
        &mut self,
        Condition { key, values, not_values }: &Condition,
        at: &str,
        permissions: &mut Vec<Permission>,
        principals: &mut Vec<Principal>,
    ) -> Result<(), Dropped> {
        let claims =
            |path: &[&str], texts: &[String]| Ok(Principal::metadata(matcher::claim(path, texts)));
        match key.as_str() {
            "destination.ip" => self.either(at, values, not_values, destination_ip, permissions),
            "destination.port" => {
                self.either(at, values, not_values, destination_port, permissions)
            }
            "connection.sni" => self.either(at, values, not_values, server_name, permissions),
            "source.ip" => self.either(at, values, not_values, direct_range, principals),
            "remote.ip" => self.either(at, values, not_values, remote_range, principals),
            "source.namespace" => self.callers(at, values, not_values, namespace, principals),
            "source.principal" => self.principals(at, values, not_values, principals),
            "source.serviceAccount" => self.accounts(at, values, not_values, principals),
            "source.trustDomain" => self.domains(at, values, not_values, principals),
            "request.auth.principal" => {
                self.together(at, values, not_values, request_principals, principals)
            }
            "request.auth.audiences" => {
                let audiences = |texts: &[String]| claims(&["aud"], texts);
                self.together(at, values, not_values, audiences, principals)
            }
            "request.auth.presenter" => {
                let presenters = |texts: &[String]| claims(&["azp"], texts);
                self.together(at, values, not_values, presenters, principals)
            }
            key => self.keyed_condition(key, (values, not_values), at, permissions, principals),
        }
    }

    fn keyed_condition(
        &mut self,
        key: &str,
        (values, not_values): (&[String], &[String]),
        at: &str,
        permissions: &mut Vec<Permission>,
        principals: &mut Vec<Principal>,
    ) -> Result<(), Dropped> {
        let in_brackets = |prefix: &str| key.strip_prefix(prefix)?.strip_suffix(']');
        if let Some(name) = in_brackets("request.headers[") {
            let header = |text: &str| {
                if !matcher::is_header_name(name) {
                    return Err(format!("`{name}` is not the name of a header").into());
                }
                let header = matcher::header(name, text);
                Ok(principal(envoy::config::rbac::v3::principal::Identifier::Header(header)))
            };
            let header = only_http(self.traffic, header);
            return self.either(at, values, not_values, header, principals);
        }
        if let Some(path) = in_brackets("request.auth.claims[") {
            let path: Vec<&str> = path.split("][").collect();
            let claims = |texts: &[String]| Ok(Principal::metadata(matcher::claim(&path, texts)));
            return self.together(at, values, not_values, claims, principals);
        }
        let filter = in_brackets("experimental.").and_then(|rest| rest.split_once('['));
        if let Some((filter, key)) = filter.filter(|(name, _)| name.starts_with("envoy.filters.")) {
            let metadata = |texts: &[String]| -> Result<Permission, Unusable> {
                Ok(Permission::metadata(matcher::filter_metadata(filter, key, texts)))
            };
            return self.together_anywhere(at, values, not_values, metadata, permissions);
        }
        let reason = format!("the attribute `{key}` is not known");
        self.unusable(&format!("{at}.key"), Unusable::Wrong(reason))
    }

    fn principals(
        &mut self,
        at: &str,
        values: &[String],
        others: &[String],
        out: &mut Vec<Principal>,
    ) -> Result<(), Dropped> {
        let values = trust::with_aliases(values, self.trust_domains);
        let others = trust::with_aliases(others, self.trust_domains);
        self.callers(at, &values, &others, matcher::spiffe, out)
    }

    fn accounts(
        &mut self,
        at: &str,
        values: &[String],
        others: &[String],
        out: &mut Vec<Principal>,
    ) -> Result<(), Dropped> {
        let own = self.namespace;
        self.callers(at, values, others, |text| service_account(own, text), out)
    }

    fn domains(
        &mut self,
        at: &str,
        values: &[String],
        others: &[String],
        out: &mut Vec<Principal>,
    ) -> Result<(), Dropped> {
        let values = trust::domains_with_aliases(values, self.trust_domains);
        let others = trust::domains_with_aliases(others, self.trust_domains);
        self.callers(at, &values, &others, trust_domain, out)
    }

    /// Names in the caller's certificate.
    fn callers(
        &mut self,
        at: &str,
        values: &[String],
        others: &[String],
        name: impl Fn(&str) -> StringMatcher,
        out: &mut Vec<Principal>,
    ) -> Result<(), Dropped> {
        let relays = match self.traffic {
            Traffic::Http => self.relays,
            // They have no business there, and are refused.
            Traffic::Tcp => &[],
        };
        let caller = |text: &str| Ok(relay::caller(name(text), relays));
        self.either(at, values, others, caller, out)
    }

    /// One of the values, each by itself, and none of the others.
    fn either<N: Node>(
        &mut self,
        at: &str,
        values: &[String],
        others: &[String],
        each: impl Fn(&str) -> Result<N, Unusable>,
        out: &mut Vec<N>,
    ) -> Result<(), Dropped> {
        for (values, negated) in [(values, false), (others, true)] {
            let mut nodes = Vec::with_capacity(values.len());
            for value in values {
                match each(value) {
                    Ok(node) => nodes.push(node),
                    Err(reason) => self.unusable(&field(at, negated), reason)?,
                }
            }
            if !nodes.is_empty() {
                let node = N::one_of(nodes);
                out.push(if negated { node.negate() } else { node });
            }
        }
        Ok(())
    }

    /// The same for attributes of requests whose values are compared together.
    fn together<N: Node>(
        &mut self,
        at: &str,
        values: &[String],
        others: &[String],
        all: impl Fn(&[String]) -> Result<N, Unusable>,
        out: &mut Vec<N>,
    ) -> Result<(), Dropped> {
        let traffic = self.traffic;
        let all = |texts: &[String]| match traffic {
            Traffic::Http => all(texts),
            Traffic::Tcp => Err(Unusable::OnlyHttp),
        };
        self.together_anywhere(at, values, others, all, out)
    }

    fn together_anywhere<N: Node>(
        &mut self,
        at: &str,
        values: &[String],
        others: &[String],
        all: impl Fn(&[String]) -> Result<N, Unusable>,
        out: &mut Vec<N>,
    ) -> Result<(), Dropped> {
        for (values, negated) in [(values, false), (others, true)] {
            if values.is_empty() {
                continue;
            }
            match all(values) {
                Ok(node) => out.push(if negated { node.negate() } else { node }),
                Err(reason) => self.unusable(&field(at, negated), reason)?,
            }
        }
        Ok(())
    }

    fn unusable(&mut self, at: &str, reason: Unusable) -> Result<(), Dropped> {
        if let Unusable::Wrong(reason) = reason {
            self.wrong.push((at.to_owned(), reason));
        }
        match self.strictness {
            Strictness::MatchLess => Err(Dropped),
            Strictness::MatchMore => Ok(()),
        }
    }
}

/// The list of values that are wanted, or of those that are not: of a condition or of a field.
fn field(at: &str, negated: bool) -> String {
    match (at.ends_with(']'), negated) {
        (true, false) => format!("{at}.values"),
        (true, true) => format!("{at}.notValues"),
        (false, false) => at.to_owned(),
        (false, true) => {
            let (parent, name) = at.rsplit_once('.').unwrap_or_default();
            let (first, rest) = name.split_at(1.min(name.len()));
            format!("{parent}.not{}{rest}", first.to_ascii_uppercase())
        }
    }
}

fn all_of<N: Node>(mut parts: Vec<N>) -> N {
    if parts.is_empty() {
        parts.push(N::any());
    }
    N::all_of(parts)
}

/// An attribute of requests.
fn only_http<N>(
    traffic: Traffic,
    each: impl Fn(&str) -> Result<N, Unusable>,
) -> impl Fn(&str) -> Result<N, Unusable> {
    move |text| match traffic {
        Traffic::Http => each(text),
        Traffic::Tcp => Err(Unusable::OnlyHttp),
    }
}
