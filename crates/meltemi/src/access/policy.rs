//! What was typed → an AuthorizationPolicy.

use std::{collections::BTreeMap, net::IpAddr, str::FromStr};

use api::{
    istio::{
        LabelSelector,
        authorization_policy::{Action, AuthorizationPolicy, From, Operation, Rule, Source, To},
    },
    meta::ObjectMeta,
};
use serde::Serialize;
use source::{EXPIRES_AT, MADE_BY, MADE_BY_ACCESS};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Deny,
    Allow,
}

/// One that calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    Anybody,
    Namespace(String),
    /// `namespace/account`.
    Account(String),
    Addresses(String),
}

/// What is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Callee {
    Everything,
    Namespace(String),
    Workloads { namespace: String, labels: BTreeMap<String, String> },
}

/// Everything that a policy is made of.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) verdict: Verdict,
    pub(super) from: Vec<Caller>,
    pub(super) to: Callee,
    pub(super) port: Vec<u16>,
    pub(super) method: Vec<String>,
    pub(super) path: Vec<String>,
    /// RFC 3339.
    pub(super) expires: Option<String>,
    pub(super) name: Option<String>,
    pub(super) root_namespace: String,
}

/// The object as it is written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    api_version: &'static str,
    kind: &'static str,
    metadata: ObjectMeta,
    spec: AuthorizationPolicy,
}

impl FromStr for Caller {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_range = match text.split_once('/') {
            Some((address, length)) => {
                address.parse::<IpAddr>().is_ok() && length.parse::<u8>().is_ok()
            }
            None => text.parse::<IpAddr>().is_ok(),
        };
        match text.split_once('/') {
            _ if text == "*" => Ok(Self::Anybody),
            _ if is_range => Ok(Self::Addresses(text.to_owned())),
            Some((namespace, account)) if is_name(namespace) && is_name(account) => {
                Ok(Self::Account(text.to_owned()))
            }
            None if is_name(text) => Ok(Self::Namespace(text.to_owned())),
            _ => Err("it is none of `namespace/account`, `namespace`, an address range and `*`"
                .to_owned()),
        }
    }
}

impl FromStr for Callee {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            "it is none of `namespace/app`, `namespace/label=value`, `namespace` and `*`".to_owned()
        };
        let (namespace, rest) = match text.split_once('/') {
            _ if text == "*" => return Ok(Self::Everything),
            None if is_name(text) => return Ok(Self::Namespace(text.to_owned())),
            Some((namespace, rest)) if is_name(namespace) && !rest.is_empty() => (namespace, rest),
            _ => return Err(wrong()),
        };
        let namespace = namespace.to_owned();
        if is_name(rest) {
            let labels = [("app".to_owned(), rest.to_owned())].into();
            return Ok(Self::Workloads { namespace, labels });
        }
        let label = |pair: &str| {
            let (key, value) = pair.split_once('=').filter(|(key, _)| !key.is_empty())?;
            Some((key.to_owned(), value.to_owned()))
        };
        let labels: Option<BTreeMap<String, String>> = rest.split(',').map(label).collect();
        Ok(Self::Workloads { namespace, labels: labels.ok_or_else(wrong)? })
    }
}

fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    !text.is_empty() && text.bytes().all(is_plain)
}

impl Grant {
    pub(super) fn yaml(&self) -> String {
        let namespace = match &self.to {
            Callee::Everything => self.root_namespace.clone(),
            Callee::Namespace(namespace) | Callee::Workloads { namespace, .. } => namespace.clone(),
        };
        let made_by = (MADE_BY.to_owned(), MADE_BY_ACCESS.to_owned());
        let expires = self.expires.clone().map(|time| (EXPIRES_AT.to_owned(), time));
        let document = Document {
            api_version: "security.istio.io/v1",
            kind: "AuthorizationPolicy",
            metadata: ObjectMeta {
                name: self.name.clone().unwrap_or_else(|| self.words()),
                namespace,
                annotations: [made_by].into_iter().chain(expires).collect(),
                ..ObjectMeta::default()
            },
            spec: self.spec(),
        };
        serde_saphyr::to_string(&document).unwrap_or_default()
    }

    fn spec(&self) -> AuthorizationPolicy {
        let operation = Operation {
            ports: self.port.iter().map(ToString::to_string).collect(),
            methods: self.method.clone(),
            paths: self.path.clone(),
            ..Operation::default()
        };
        let is_limited = operation != Operation::default();
        let from = match self.from.contains(&Caller::Anybody) {
            true => Vec::new(),
            false => self.from.iter().map(source).collect(),
        };
        AuthorizationPolicy {
            selector: match &self.to {
                Callee::Everything | Callee::Namespace(_) => None,
                Callee::Workloads { labels, .. } => {
                    Some(LabelSelector { match_labels: labels.clone() })
                }
            },
            action: match self.verdict {
                Verdict::Deny => Action::Deny,
                Verdict::Allow => Action::Allow,
            },
            rules: vec![Rule {
                from,
                to: is_limited.then_some(To { operation: Some(operation) }).into_iter().collect(),
                ..Rule::default()
            }],
            ..AuthorizationPolicy::default()
        }
    }

    /// A name that says what the policy does; the same words give the same name.
    fn words(&self) -> String {
        let callers = self.from.iter().map(|caller| match caller {
            Caller::Anybody => "anybody",
            Caller::Namespace(text) | Caller::Account(text) | Caller::Addresses(text) => text,
        });
        let callee = match &self.to {
            Callee::Everything => vec!["everything".to_owned()],
            Callee::Namespace(namespace) => vec![namespace.clone()],
            Callee::Workloads { namespace, labels } => {
                let labels = labels.iter().map(|(key, value)| match key.as_str() {
                    "app" => value.clone(),
                    key => format!("{key}-{value}"),
                });
                std::iter::once(namespace.clone()).chain(labels).collect()
            }
        };
        let verdict = match self.verdict {
            Verdict::Deny => "deny",
            Verdict::Allow => "allow",
        };
        let mut words: Vec<String> = vec![verdict.to_owned()];
        words.extend(callers.map(str::to_owned));
        words.push("to".to_owned());
        words.extend(callee);
        words.extend(self.port.iter().map(ToString::to_string));
        words.extend(self.method.iter().chain(&self.path).cloned());
        let text = words.join("-").to_ascii_lowercase();
        let parts = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|it| !it.is_empty());
        let mut name = parts.collect::<Vec<_>>().join("-");
        name.truncate(200);
        name.trim_end_matches('-').to_owned()
    }
}

fn source(caller: &Caller) -> From {
    let mut source = Source::default();
    match caller {
        Caller::Anybody => {}
        Caller::Namespace(name) => source.namespaces.push(name.clone()),
        Caller::Account(name) => source.service_accounts.push(name.clone()),
        Caller::Addresses(range) => source.ip_blocks.push(range.clone()),
    }
    From { source: Some(source) }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn grant(from: &[&str], to: &str) -> Grant {
        Grant {
            verdict: Verdict::Deny,
            from: from.iter().map(|text| text.parse().unwrap()).collect(),
            to: to.parse().unwrap(),
            port: Vec::new(),
            method: Vec::new(),
            path: Vec::new(),
            expires: None,
            name: None,
            root_namespace: "istio-system".to_owned(),
        }
    }

    /// The text, after a look at whether it is an object without mistakes.
    #[track_caller]
    fn check(grant: &Grant, expected: Expect) {
        let text = grant.yaml();
        let (objects, findings) = api::parse_documents("access", text.as_bytes());
        assert!(findings.is_empty(), "{findings:?}");
        let findings = api::validate(&objects[0]);
        assert!(!findings.has_errors(), "{findings:?}");
        expected.assert_eq(&text);
    }

    #[test]
    fn a_workload_is_closed_to_accounts_namespaces_and_addresses() {
        let grant = Grant {
            expires: Some("2026-01-31T12:00:00Z".to_owned()),
            port: vec![8080],
            ..grant(&["web/front", "ops", "10.0.0.0/8"], "shop/cart")
        };
        check(
            &grant,
            expect![[r#"
            apiVersion: security.istio.io/v1
            kind: AuthorizationPolicy
            metadata:
              name: deny-web-front-ops-10-0-0-0-8-to-shop-cart-8080
              namespace: shop
              annotations:
                meltemi.io/expires-at: "2026-01-31T12:00:00Z"
                meltemi.io/made-by: access
            spec:
              selector:
                matchLabels:
                  app: cart
              rules:
              - from:
                - source:
                    serviceAccounts:
                    - web/front
                - source:
                    namespaces:
                    - ops
                - source:
                    ipBlocks:
                    - 10.0.0.0/8
                to:
                - operation:
                    ports:
                    - "8080"
              action: DENY
        "#]],
        );
    }

    #[test]
    fn everybody_is_no_source_and_everything_is_the_root_namespace() {
        let grant = Grant { path: vec!["/admin/*".to_owned()], ..grant(&["*"], "*") };
        check(
            &grant,
            expect![[r#"
            apiVersion: security.istio.io/v1
            kind: AuthorizationPolicy
            metadata:
              name: deny-anybody-to-everything-admin
              namespace: istio-system
              annotations:
                meltemi.io/made-by: access
            spec:
              rules:
              - to:
                - operation:
                    paths:
                    - /admin/*
              action: DENY
        "#]],
        );
    }

    #[test]
    fn workloads_are_chosen_by_labels() {
        let grant =
            Grant { verdict: Verdict::Allow, ..grant(&["web"], "shop/app=cart,version=v2") };
        check(
            &grant,
            expect![[r#"
            apiVersion: security.istio.io/v1
            kind: AuthorizationPolicy
            metadata:
              name: allow-web-to-shop-cart-version-v2
              namespace: shop
              annotations:
                meltemi.io/made-by: access
            spec:
              selector:
                matchLabels:
                  app: cart
                  version: v2
              rules:
              - from:
                - source:
                    namespaces:
                    - web
        "#]],
        );
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "a/b/c", "a b", "/x", "10.0.0.0/x/y"] {
            assert!(text.parse::<Caller>().is_err(), "{text}");
        }
        for text in ["", "/cart", "shop/", "shop/a b", "shop/=v", "a b"] {
            assert!(text.parse::<Callee>().is_err(), "{text}");
        }
    }
}
