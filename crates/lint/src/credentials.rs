//! The Secrets that servers of Gateways name: there, complete, usable.

use std::collections::BTreeSet;

use api::{
    Spec,
    istio::gateway::{ServerTlsMode, ServerTlsSettings},
    k8s::secret::Secret,
};
use model::{Kind, Namespace, ObjectKey};

use crate::{
    certificates::{Part, fault_of_authorities, fault_of_pair, validity},
    codes,
    facts::Facts,
    found::Found,
    gateway_view::GatewayView,
};

/// The keys under which a Secret may hold each part, the first being the usual one.
const CERTIFICATE: [&str; 2] = ["tls.crt", "cert"];
const KEY: [&str; 2] = ["tls.key", "key"];
const AUTHORITIES: [&str; 2] = ["ca.crt", "cacert"];

/// Types of Secrets that hold something else.
const OTHER_TYPES: [&str; 6] = [
    "kubernetes.io/service-account-token",
    "kubernetes.io/dockercfg",
    "kubernetes.io/dockerconfigjson",
    "kubernetes.io/basic-auth",
    "kubernetes.io/ssh-auth",
    "bootstrap.kubernetes.io/token",
];

pub(crate) fn check(facts: &Facts<'_>, now: Option<i64>, found: &mut Found) {
    // Files often come without Secrets: where none is listed, all may exist.
    let listed: BTreeSet<&Namespace> =
        facts.objects(Kind::Secret).map(|object| &object.key.namespace).collect();
    let mut seen = BTreeSet::new();
    for gateway in facts.gateways() {
        for (index, server) in gateway.gateway.servers.iter().enumerate() {
            let Some(tls) = &server.tls else { continue };
            for wanted in wanted(index, tls) {
                let places = places(&wanted, gateway, facts);
                check_places(&wanted, &places, &listed, (gateway, facts), found);
                for (key, secret) in places.iter().filter_map(|(_, secret)| *secret) {
                    if seen.insert((key, wanted.parts)) {
                        check_content(key, secret, wanted.parts, now, found);
                    }
                }
            }
        }
    }
}

/// What a Secret is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Parts {
    Pair,
    Authorities,
}

struct Wanted {
    field: String,
    name: String,
    namespace: Option<String>,
    parts: Parts,
    /// Another Secret that may hold the same instead.
    or_in: Option<String>,
}

fn wanted(index: usize, tls: &ServerTlsSettings) -> Vec<Wanted> {
    let ends = matches!(
        tls.mode,
        ServerTlsMode::Simple | ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual
    );
    if !ends {
        return Vec::new();
    }
    let path = format!("spec.servers[{index}].tls");
    let mut all = Vec::new();
    let mut add = |field: String, written: &str, parts: Parts, or_in: Option<String>| {
        let Some((namespace, name)) = parse(written) else { return };
        all.push(Wanted { field, name, namespace, parts, or_in });
    };
    add(format!("{path}.credentialName"), &tls.credential_name, Parts::Pair, None);
    for (at, name) in tls.credential_names.iter().enumerate() {
        add(format!("{path}.credentialNames[{at}]"), name, Parts::Pair, None);
    }
    if tls.mode == ServerTlsMode::Simple {
        return all;
    }
    let first = match tls.credential_name.as_str() {
        "" => tls.credential_names.first().map_or("", String::as_str),
        name => name,
    };
    match tls.ca_cert_credential_name.as_str() {
        "" => {
            let beside = (!first.is_empty()).then(|| format!("{first}-cacert"));
            add(format!("{path}.credentialName"), first, Parts::Authorities, beside);
        }
        name => add(format!("{path}.caCertCredentialName"), name, Parts::Authorities, None),
    }
    all
}

/// Namespace, if written, and name; `None` for what is no Secret.
fn parse(written: &str) -> Option<(Option<String>, String)> {
    if written.is_empty() {
        return None;
    }
    if let Some(rest) = written.strip_prefix("kubernetes-gateway://") {
        let (namespace, name) = rest.split_once('/')?;
        return Some((Some(namespace.to_owned()), name.to_owned()));
    }
    let name = written.strip_prefix("kubernetes://").unwrap_or(written);
    (!name.contains("://") && !name.contains('/')).then(|| (None, name.to_owned()))
}

type Place<'a> = (Namespace, Option<(&'a ObjectKey, &'a Secret)>);

/// The Secret in each namespace in which it is looked for; in the Gateway's own where it is not
/// known where the proxies run.
fn places<'a>(wanted: &Wanted, gateway: &GatewayView<'a>, facts: &Facts<'a>) -> Vec<Place<'a>> {
    let namespaces: Vec<Namespace> = match &wanted.namespace {
        Some(namespace) => vec![namespace.as_str().into()],
        None if gateway.namespaces.is_empty() => vec![gateway.key.namespace.clone()],
        None => gateway.namespaces.iter().cloned().collect(),
    };
    let find = |namespace: &Namespace, name: &str| {
        let key = ObjectKey::new(Kind::Secret, namespace.as_str(), name);
        let object = facts.snapshot.objects().get(&key)?;
        match &object.spec {
            Spec::Secret(secret) => Some((&object.key, &**secret)),
            _ => None,
        }
    };
    let in_place = |namespace: Namespace| {
        let own = find(&namespace, &wanted.name);
        let beside = wanted.or_in.as_ref().and_then(|name| find(&namespace, name));
        let has_part = |it: &(&ObjectKey, &Secret)| part(it.1, &AUTHORITIES).is_some();
        let found = own.filter(|it| wanted.parts == Parts::Pair || has_part(it)).or(beside).or(own);
        (namespace, found)
    };
    namespaces.into_iter().map(in_place).collect()
}

fn check_places(
    wanted: &Wanted,
    places: &[Place<'_>],
    listed: &BTreeSet<&Namespace>,
    (gateway, facts): (&GatewayView<'_>, &Facts<'_>),
    found: &mut Found,
) {
    let Some((namespace, _)) = places.iter().find(|(_, secret)| secret.is_none()) else { return };
    let mut elsewhere =
        facts.objects(Kind::Secret).filter(|it| it.key.name.as_str() == wanted.name);
    let elsewhere = elsewhere.next();
    let is_sure = wanted.namespace.is_some() || !gateway.namespaces.is_empty();
    // One Secret is asked for its certificate and its authorities: that it is missing is said once.
    if wanted.parts == Parts::Authorities && wanted.field.ends_with("credentialName") {
        return;
    }
    let message = match elsewhere {
        Some(object) if is_sure => format!(
            "the Secret `{}` is in `{}`, but the gateway runs in `{namespace}`",
            wanted.name, object.key.namespace
        ),
        Some(_) => return,
        None if !listed.contains(namespace) => return,
        None => format!("there is no Secret `{namespace}/{}`", wanted.name),
    };
    let hint = "keep it in the namespace of the gateway's Pods; connections are refused until then";
    found.add(&codes::NO_SUCH_SECRET, gateway.key, &wanted.field, message, hint);
}

fn part<'s>(secret: &'s Secret, keys: &[&str]) -> Option<(&'s str, &'s [u8])> {
    keys.iter().find_map(|key| {
        let written = secret.string_data.get_key_value(*key);
        let written = written.map(|(key, text)| (key.as_str(), text.as_bytes()));
        let encoded = || {
            let (key, bytes) = secret.data.get_key_value(*key)?;
            Some((key.as_str(), bytes.0.as_slice()))
        };
        written.or_else(encoded)
    })
}

fn check_content(
    key: &ObjectKey,
    secret: &Secret,
    parts: Parts,
    now: Option<i64>,
    found: &mut Found,
) {
    if OTHER_TYPES.contains(&secret.type_.as_str()) {
        let message = format!("the type `{}` is not for certificates", secret.type_);
        let hint = "use `kubernetes.io/tls` or `Opaque`";
        found.add(&codes::REQUIRES_TLS_SECRET, key, "type", message, hint);
    }
    let mut missing = |names: &[&str]| {
        let message = format!("the Secret has no `{}`", names[0]);
        let hint = "a certificate is in `tls.crt`, its key in `tls.key`, authorities in `ca.crt`";
        found.add(&codes::SECRET_KEYS, key, "data", message, hint);
    };
    match parts {
        Parts::Authorities => match part(secret, &AUTHORITIES) {
            None => missing(&AUTHORITIES),
            Some((name, text)) => {
                if let Some(reason) = fault_of_authorities(text) {
                    unusable(key, secret, name, reason, found);
                }
                check_age(key, secret, (name, text), now, found);
            }
        },
        Parts::Pair => match (part(secret, &CERTIFICATE), part(secret, &KEY)) {
            (Some(certificate), Some(private)) => {
                if let Some(fault) = fault_of_pair(certificate.1, private.1) {
                    let name = match fault.part {
                        Part::Certificate => certificate.0,
                        Part::Key => private.0,
                    };
                    unusable(key, secret, name, fault.reason, found);
                }
                check_age(key, secret, certificate, now, found);
            }
            (None, _) => missing(&CERTIFICATE),
            (Some(_), None) => missing(&KEY),
        },
    }
}

fn field(secret: &Secret, name: &str) -> String {
    let list = if secret.string_data.contains_key(name) { "stringData" } else { "data" };
    format!("{list}[\"{name}\"]")
}

fn unusable(key: &ObjectKey, secret: &Secret, name: &str, reason: &str, found: &mut Found) {
    let hint = "put the certificate and its own key into the Secret, both in PEM";
    let message = format!("`{name}` cannot be used: {reason}");
    found.add(&codes::SECRET_CONTENT, key, field(secret, name), message, hint);
}

fn check_age(
    key: &ObjectKey,
    secret: &Secret,
    (name, text): (&str, &[u8]),
    now: Option<i64>,
    found: &mut Found,
) {
    let (Some(now), Some((from, until))) = (now, validity(text)) else { return };
    let message = match (now < from, now > until) {
        (true, _) => "the certificate is not valid yet",
        (_, true) => "the certificate has expired",
        (false, false) => return,
    };
    let code = &codes::CERTIFICATE_EXPIRED;
    found.add(code, key, field(secret, name), message, "put a valid one into the Secret");
}
