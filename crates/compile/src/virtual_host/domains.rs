//! The domains of a virtual host: every form in which callers may write its name.

use std::{net::IpAddr, sync::Arc};

use model::{Service, Set};

use super::{Caller, DomainForm, VirtualHostInput};

/// In Istio's order, each once, without those that are taken.
pub(super) fn domains(input: &VirtualHostInput) -> Vec<Arc<str>> {
    let mut out = match (&input.service, input.form) {
        (_, DomainForm::Any) => vec!["*".to_owned()],
        (Some(service), _) => service_domains(input, service),
        (None, _) => in_form(input.hostname.as_str(), input),
    };
    let mut seen = Set::default();
    out.retain(|domain| {
        seen.insert(domain.to_ascii_lowercase()) && !input.taken.iter().any(|it| **it == **domain)
    });
    out.into_iter().map(Arc::from).collect()
}

fn service_domains(input: &VirtualHostInput, service: &Service) -> Vec<String> {
    let flag = "PILOT_ENABLE_ABSOLUTE_FQDN_VHOST_DOMAIN";
    let absolute = input.mesh.features.flag(flag, true);
    let mut names: Vec<String> = Vec::new();
    for name in std::iter::once(&input.hostname).chain(input.aliases.iter()) {
        let name = name.as_str();
        names.push(name.to_owned());
        names.extend(absolute_name(name).filter(|_| absolute));
        names.extend(short_names(name, &input.caller.dns_domain));
    }
    if service.is_headless() {
        let below: Vec<String> = names.iter().map(|name| format!("*.{name}")).collect();
        names.extend(below);
    }
    names.extend(addresses(service, input.port, &input.caller));
    names.iter().flat_map(|name| in_form(name, input)).collect()
}

fn in_form(name: &str, input: &VirtualHostInput) -> Vec<String> {
    match input.form {
        DomainForm::Plain | DomainForm::Any => vec![in_brackets(name)],
        DomainForm::PlainAndPort => vec![in_brackets(name), host_with_port(name, input.port)],
        DomainForm::PortOnly => vec![host_with_port(name, input.port)],
    }
}

/// The name as resolvers know it in full, with a dot behind.
pub(crate) fn absolute_name(name: &str) -> Option<String> {
    let is_name = name != "*" && !name.ends_with('.') && name.parse::<IpAddr>().is_err();
    is_name.then(|| format!("{name}."))
}

pub(crate) fn in_brackets(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// `host:port`; `[::1]:80` for an IPv6 address.
pub(crate) fn host_with_port(host: &str, port: u16) -> String {
    format!("{}:{port}", in_brackets(host))
}

/// Addresses on which the proxy's callers reach the service: those of its families, else all.
/// Ranges of addresses are no domains.
fn addresses(service: &Service, port: u16, caller: &Caller) -> Vec<String> {
    let written = service.addresses_of(port);
    let parsed = written.iter().filter_map(|text| text.parse().ok());
    let (unspecified, mut known): (Vec<IpAddr>, Vec<IpAddr>) =
        parsed.partition(IpAddr::is_unspecified);
    if caller.dns_capture && (written.is_empty() || !unspecified.is_empty()) {
        known.extend(service.allocated.iter());
    }
    let reached = |ip: &IpAddr| if ip.is_ipv4() { caller.ipv4 } else { caller.ipv6 };
    let any = known.iter().any(reached);
    let kept = known.iter().filter(|ip| !any || reached(ip));
    kept.map(IpAddr::to_string).collect()
}

/// The names by which a proxy with this DNS domain may call a host beside its full one.
pub(crate) fn short_names(host: &str, dns_domain: &str) -> Vec<String> {
    match dns_domain.find(".svc.") {
        // Names outside of the cluster must not be shortened: they could hide a service.
        Some(at) if host.ends_with(&dns_domain[at..]) => kubernetes_names(host, &dns_domain[..at]),
        Some(_) => Vec::new(),
        None => shared_suffix_names(host, dns_domain),
    }
}

/// `cart`, `cart.shop.svc` and `cart.shop` inside the namespace, the latter two outside.
fn kubernetes_names(host: &str, own_namespace: &str) -> Vec<String> {
    let Some(end) = host.find(".svc.") else { return Vec::new() };
    let qualified = &host[..end];
    let Some((name, namespace)) = qualified.split_once('.') else { return Vec::new() };
    let with_svc = format!("{qualified}.svc");
    match namespace == own_namespace {
        true => vec![name.to_owned(), with_svc, qualified.to_owned()],
        false => vec![qualified.to_owned(), with_svc],
    }
}

/// What is left of a host without the labels that it ends with like the proxy's domain.
fn shared_suffix_names(host: &str, dns_domain: &str) -> Vec<String> {
    let host_labels: Vec<&str> = host.split('.').collect();
    let shared = host_labels
        .iter()
        .rev()
        .zip(dns_domain.rsplit('.'))
        .take_while(|(own, other)| *own == other)
        .count();
    let (unique, shared) = host_labels.split_at(host_labels.len() - shared);
    let (Some(first_shared), false) = (shared.first(), unique.is_empty()) else {
        return Vec::new();
    };
    let name = unique.join(".");
    let qualified = (unique.len() == 2).then(|| format!("{name}.{first_shared}"));
    std::iter::once(name).chain(qualified).collect()
}
