//! AuthorizationPolicies and what they name: namespaces, accounts, ports, tokens, providers.

use std::collections::BTreeSet;

use api::{
    Spec,
    istio::{
        authorization_policy::{Action, AuthorizationPolicy, Operation, Rule, Source},
        peer_authentication::MutualTlsMode,
    },
};
use model::{Kind, Namespace, ObjectKey};

use crate::{
    codes,
    encryption::{serves, service_port_hint},
    facts::{Facts, labels},
    found::Found,
    mtls::mode_of,
    tokens::is_covered,
};

pub(crate) fn check(facts: &Facts<'_>, found: &mut Found) {
    for object in facts.objects(Kind::AuthorizationPolicy) {
        let Spec::AuthorizationPolicy(policy) = &object.spec else { continue };
        let selector = policy.selector.as_ref().map(|it| labels(&it.match_labels));
        let selector = selector.unwrap_or_default();
        let judged = Judged {
            key: &object.key,
            policy,
            selected: facts.select_for_policy(&object.key.namespace, &selector),
            is_attached: policy.target_ref.is_some() || !policy.target_refs.is_empty(),
            facts,
        };
        judged.check(found);
    }
}

/// A policy, and the workloads that it is for.
struct Judged<'f, 'a> {
    key: &'f ObjectKey,
    policy: &'f AuthorizationPolicy,
    selected: Vec<usize>,
    is_attached: bool,
    facts: &'f Facts<'a>,
}

impl Judged<'_, '_> {
    fn check(&self, found: &mut Found) {
        self.check_provider(found);
        if self.policy.rules.is_empty() && self.policy.action == Action::Allow {
            let message = "no rule allows anything, so every call is denied";
            let hint = "this is a good base for further policies; `rules: [{}]` allows all";
            found.add(&codes::ALLOWS_NOTHING, self.key, "spec", message, hint);
        }
        for (index, rule) in self.policy.rules.iter().enumerate() {
            let path = format!("spec.rules[{index}]");
            for (at, source) in sources(rule) {
                self.check_source(&format!("{path}.from[{at}].source"), source, found);
            }
            for (at, operation) in operations(rule) {
                self.check_ports(&format!("{path}.to[{at}].operation"), operation, found);
            }
            if !self.is_attached {
                self.check_tokens(&path, rule, found);
                self.check_identity(&path, rule, found);
                self.check_http(&path, rule, found);
            }
        }
    }

    fn check_provider(&self, found: &mut Found) {
        let has_mesh = self.facts.objects(Kind::MeshConfig).next().is_some();
        let name = self.policy.provider.as_ref().map_or("", |it| it.name.as_str());
        if self.policy.action != Action::Custom || name.is_empty() || !has_mesh {
            return;
        }
        let providers = &self.facts.snapshot.mesh().config.extension_providers;
        if providers.iter().any(|provider| provider.name == name) {
            return;
        }
        let message = format!("the mesh has no provider `{name}`, so the calls are denied");
        let hint = "add it to `extensionProviders` of the MeshConfig";
        found.add(&codes::NO_SUCH_AUTHORIZER, self.key, "spec.provider.name", message, hint);
    }

    fn check_source(&self, path: &str, source: &Source, found: &mut Found) {
        let own = &self.key.namespace;
        for (name, list) in
            [("namespaces", &source.namespaces), ("notNamespaces", &source.not_namespaces)]
        {
            for (index, namespace) in list.iter().enumerate() {
                self.check_namespace(namespace, format!("{path}.{name}[{index}]"), found);
            }
        }
        for (name, list) in
            [("principals", &source.principals), ("notPrincipals", &source.not_principals)]
        {
            for (index, principal) in list.iter().enumerate() {
                let parts: Vec<&str> = principal.split('/').collect();
                if let [_, "ns", namespace, "sa", account] = parts[..] {
                    let field = format!("{path}.{name}[{index}]");
                    self.check_account(namespace, account, field, found);
                }
            }
        }
        for (name, list) in [
            ("serviceAccounts", &source.service_accounts),
            ("notServiceAccounts", &source.not_service_accounts),
        ] {
            for (index, written) in list.iter().enumerate() {
                let field = format!("{path}.{name}[{index}]");
                let (namespace, account) =
                    written.split_once('/').unwrap_or((own.as_str(), written));
                self.check_account(namespace, account, field, found);
            }
        }
    }

    fn check_namespace(&self, namespace: &str, field: String, found: &mut Found) -> bool {
        let known = &self.facts.namespaces;
        let own = Namespace::from(namespace);
        let is_there = known.is_empty()
            || namespace.contains('*')
            || known.contains(namespace)
            || !self.facts.in_namespace(&own).is_empty();
        if !is_there {
            let message = format!("there is no namespace `{namespace}`");
            found.add(&codes::NO_SUCH_NAMESPACE, self.key, field, message, "check the name");
        }
        is_there
    }

    fn check_account(&self, namespace: &str, account: &str, field: String, found: &mut Found) {
        if !self.check_namespace(namespace, field.clone(), found) || account.contains('*') {
            return;
        }
        let instances = self.facts.in_namespace(&Namespace::from(namespace));
        let runs = |at: &usize| self.facts.instances[*at].account == account;
        if namespace.contains('*')
            || !self.facts.lists_pods(&Namespace::from(namespace))
            || instances.iter().any(runs)
        {
            return;
        }
        let message = format!("no workload of `{namespace}` runs as `{account}`");
        let hint = "compare with `serviceAccountName` of the Pods";
        found.add(&codes::NO_SUCH_ACCOUNT, self.key, field, message, hint);
    }

    fn check_ports(&self, path: &str, operation: &Operation, found: &mut Found) {
        if self.selected.is_empty() || self.policy.selector.is_none() {
            return;
        }
        for (index, port) in operation.ports.iter().enumerate() {
            let Ok(number) = port.parse::<u16>() else { continue };
            if serves(&self.selected, number, self.facts) {
                continue;
            }
            let message = format!("no selected workload serves the port {number}");
            let hint = service_port_hint(&self.selected, number, self.facts);
            let field = format!("{path}.ports[{index}]");
            found.add(&codes::PORT_NOT_SERVED, self.key, field, message, &hint);
        }
    }

    fn check_tokens(&self, path: &str, rule: &Rule, found: &mut Found) {
        let Some(field) = asks_for_token(rule) else { return };
        if is_covered(self.facts, &self.key.namespace, &self.selected) {
            return;
        }
        let message =
            "no RequestAuthentication validates tokens for these workloads, so no call has one";
        let hint = "add a RequestAuthentication for the same workloads";
        found.add(&codes::NO_TOKENS, self.key, format!("{path}.{field}"), message, hint);
    }

    fn check_identity(&self, path: &str, rule: &Rule, found: &mut Found) {
        let Some(field) = asks_for_identity(rule) else { return };
        let is_off = |at: &usize| {
            let instance = &self.facts.instances[*at];
            let ports = self.facts.ports_of(*at);
            let mode = |port: u16| {
                mode_of(self.facts, instance.namespace(), &instance.labels, port)
                    == MutualTlsMode::Disable
            };
            !ports.is_empty() && ports.iter().all(|port| mode(*port))
        };
        if self.selected.is_empty() || !self.selected.iter().all(is_off) {
            return;
        }
        let message =
            "mutual TLS is turned off for the selected workloads, so no caller has a name";
        let hint = "do not turn it off, or ask for something else";
        let field = format!("{path}.{field}");
        found.add(&codes::IDENTITY_WITHOUT_TLS, self.key, field, message, hint);
    }

    fn check_http(&self, path: &str, rule: &Rule, found: &mut Found) {
        let Some(field) = asks_for_http(rule) else { return };
        if self.policy.action != Action::Allow || self.selected.is_empty() {
            return;
        }
        let mut protocols = BTreeSet::new();
        for at in &self.selected {
            let services = self.facts.services_of(*at);
            if services.is_empty() {
                return;
            }
            protocols.extend(services.iter().flat_map(|it| it.ports.iter()).map(|it| it.protocol));
        }
        if protocols.is_empty() || !protocols.iter().all(|it| it.is_tcp()) {
            return;
        }
        let message = "the selected workloads serve TCP only, so the rule never matches";
        let hint = "use `ports`, `principals` or `namespaces`, or declare the port as HTTP";
        found.add(&codes::HTTP_ON_TCP, self.key, format!("{path}.{field}"), message, hint);
    }
}

fn sources(rule: &Rule) -> impl Iterator<Item = (usize, &Source)> {
    rule.from.iter().enumerate().filter_map(|(at, it)| Some((at, it.source.as_ref()?)))
}

fn operations(rule: &Rule) -> impl Iterator<Item = (usize, &Operation)> {
    rule.to.iter().enumerate().filter_map(|(at, it)| Some((at, it.operation.as_ref()?)))
}

/// The first field for which a token is needed.
pub(crate) fn asks_for_token(rule: &Rule) -> Option<String> {
    let source = sources(rule).find_map(|(at, source)| {
        let path = format!("from[{at}].source");
        match (source.request_principals.is_empty(), source.not_request_principals.is_empty()) {
            (false, _) => Some(format!("{path}.requestPrincipals")),
            (true, false) => Some(format!("{path}.notRequestPrincipals")),
            (true, true) => None,
        }
    });
    source.or_else(|| condition(rule, |key| key.starts_with("request.auth.")))
}

fn asks_for_identity(rule: &Rule) -> Option<String> {
    let source = sources(rule).find_map(|(at, source)| {
        let lists = [
            ("principals", &source.principals),
            ("namespaces", &source.namespaces),
            ("serviceAccounts", &source.service_accounts),
        ];
        let (name, _) = lists.into_iter().find(|(_, list)| !list.is_empty())?;
        Some(format!("from[{at}].source.{name}"))
    });
    source.or_else(|| condition(rule, |key| matches!(key, "source.principal" | "source.namespace")))
}

fn asks_for_http(rule: &Rule) -> Option<String> {
    let of = |(at, operation): (usize, &Operation)| {
        let lists = [
            ("hosts", &operation.hosts),
            ("methods", &operation.methods),
            ("paths", &operation.paths),
            ("notHosts", &operation.not_hosts),
            ("notMethods", &operation.not_methods),
            ("notPaths", &operation.not_paths),
        ];
        let (name, _) = lists.into_iter().find(|(_, list)| !list.is_empty())?;
        Some(format!("to[{at}].operation.{name}"))
    };
    // Several operations are alternatives: one without HTTP attributes can still match.
    let fields: Option<Vec<String>> = operations(rule).map(of).collect();
    let field = fields.and_then(|fields| fields.into_iter().next());
    field.or_else(|| condition(rule, |key| key.starts_with("request.headers")))
}

fn condition(rule: &Rule, is_meant: impl Fn(&str) -> bool) -> Option<String> {
    let at = rule.when.iter().position(|it| is_meant(&it.key))?;
    Some(format!("when[{at}].key"))
}
