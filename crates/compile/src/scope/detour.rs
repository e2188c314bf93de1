//! Mode `gateway`: what a class is not told of, and calls through the gateway that has it.
//!
//! - The gateway has what the whole mesh may see. What is shown to chosen namespaces only is in the
//!   scope of those from the start, so that nobody sees more by the detour, and nobody less.
//! - Where no Sidecar says what may be seen, a class knows the hosts behind the gateway by as few domains
//!   as will do: they change when a namespace comes or goes, and not with every service.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use model::{Hostname, Namespace, ObjectKey, Resolution, Service, Shared, Visibility};
use snapshot::{OutboundPolicy, Reader, VirtualServiceRecord};

use super::{
    EgressListener, MAX_ALIASES, RuleRef, Scope, Visible, closeness, http_ports,
    written::names_like,
};
use crate::{
    ClientFence, Detour, names,
    route_config::OPEN_PORT,
    virtual_host::{absolute_name, in_brackets, short_names},
};

/// Where the detour of a class leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DetourTarget {
    /// The cluster of the gateway's Service.
    pub gateway: Arc<str>,
    /// The cluster that takes its place while it is down.
    pub bypass: Option<Arc<str>>,
    /// Whether the class can choose a cluster for each try.
    pub means: Detour,
}

/// Domains of services that the gateway has. Each list is sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct DetourDomains {
    /// They mean the same in every namespace.
    pub full: Vec<Arc<str>>,
    /// Names without the namespace, which is the caller's own.
    pub short: Vec<Arc<str>>,
    /// On which the gateway has something.
    pub ports: BTreeSet<u16>,
}

/// What the gateway has of all that workloads may see.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Detoured {
    /// Whose it is.
    namespace: Namespace,
    /// Hosts that it does not have as the class would: what not everybody may see, what has several
    /// meanings, and what rules are about that are not for everybody, or not for the class.
    pub(super) hidden: BTreeSet<Hostname>,
}

/// The gateway as a class sees it.
pub(super) struct Gateway {
    pub(super) service: Shared<Service>,
    pub(super) target: DetourTarget,
}

impl Scope {
    /// What the gateway has: all that is public, without itself, so that no request comes back to it.
    pub(super) fn relayed(own: &Namespace, reader: &Reader<'_>) -> Self {
        let mut rules = mesh_rules(own, reader);
        rules.retain(|rule| rule.visibility == Visibility::Public);
        let gateway = reader.fencing().gateway.as_ref().map(|it| &it.host);
        let mut services = reader.visible_services(own);
        services.retain(|it| is_relayed(it) && Some(it.hostname()) != gateway);
        services.sort_by_key(|service| closeness(&service.visibility, service.namespace(), own));
        Self::open(&services, &rules, reader.mesh().outbound_policy, Some(own))
    }
}

/// The domain by which callers of a namespace shorten names.
fn dns_domain(namespace: &Namespace, reader: &Reader<'_>) -> String {
    format!("{namespace}.svc.{}", reader.mesh().domain)
}

fn mesh_rules<'a>(
    namespace: &Namespace,
    reader: &Reader<'a>,
) -> Vec<&'a Shared<VirtualServiceRecord>> {
    let mut rules = reader.visible_virtual_services(namespace);
    rules.retain(|rule| rule.binds_to_mesh());
    rules
}

/// Where the caller's own destination address is used, the gateway has none.
fn is_relayed(service: &Service) -> bool {
    service.visibility == Visibility::Public && service.resolution != Resolution::Passthrough
}

impl Scope {
    /// A service with those that its name stands for: it is as they are.
    fn names<'a>(
        &'a self,
        service: &'a Shared<Service>,
    ) -> impl Iterator<Item = &'a Shared<Service>> {
        let next = |it: &&Shared<Service>| it.alias_of.as_ref().and_then(|it| self.service(it));
        std::iter::successors(Some(service), next).take(MAX_ALIASES + 1)
    }

    /// Hosts that the gateway does not have as a class of the namespace would.
    fn hidden(&self, namespace: &Namespace, reader: &Reader<'_>) -> BTreeSet<Hostname> {
        let leaves = |rule: &VirtualServiceRecord| {
            let mut led_to = rule.imports().into_iter().map(Hostname::new);
            led_to.any(|host| {
                self.service(&host).is_some_and(|it| self.names(it).any(|it| !is_relayed(it)))
            })
        };
        let (mut all, mut doubled) = (HashSet::new(), HashSet::new());
        for service in reader.visible_services(namespace) {
            let host = service.hostname();
            doubled.extend((!all.insert(host)).then_some(host));
        }
        let (mut ruled, mut told) = (BTreeSet::new(), BTreeSet::new());
        let rules = mesh_rules(namespace, reader);
        for listener in &self.listeners {
            let own: HashMap<&ObjectKey, &RuleRef> =
                listener.rules.iter().map(|it| (&it.key, it)).collect();
            for rule in &rules {
                match own.get(&rule.key) {
                    Some(own) if !own.is_for_all || leaves(rule) => told.extend(rule.hosts.iter()),
                    // What a Sidecar leaves out, the gateway has all the same.
                    None if rule.visibility == Visibility::Public => {
                        ruled.extend(rule.hosts.iter());
                    }
                    Some(_) | None => {}
                }
            }
            told.extend(listener.hosts_of_others(&all));
        }
        ruled.extend(&told);
        let is_ruled = |host: &Hostname| {
            // Wildcards sort before all names.
            let mut wildcards = ruled.iter().take_while(|it| it.is_wildcard());
            ruled.contains(host) || wildcards.any(|it| it.covers(host))
        };
        // Whose a name is that several may be called by, the gateway finds among others.
        let dns_domain = dns_domain(namespace, reader);
        let is_alike = |host: &Hostname| {
            let names = names_like(host, &dns_domain);
            names.iter().any(|name| all.contains(name) || ruled.contains(name))
        };
        let is_hidden = |service: &Shared<Service>| {
            let host = service.hostname();
            !is_relayed(service) || doubled.contains(host) || is_ruled(host) || is_alike(host)
        };
        let is_hidden = |service: &&Shared<Service>| self.names(service).any(is_hidden);
        let services = self.services.iter().filter(is_hidden).map(|it| it.hostname());
        // These have names below them that only rules know.
        let wildcards = ruled.iter().filter(|it| it.is_wildcard()).copied();
        services.chain(wildcards).chain(told.iter().copied()).cloned().collect()
    }
}

impl EgressListener {
    /// Hosts of rules that are services among `all`, which a Sidecar leaves out: the gateway has these.
    fn hosts_of_others<'a>(
        &'a self,
        all: &HashSet<&'a Hostname>,
    ) -> impl Iterator<Item = &'a Hostname> + use<'a> {
        let others: HashSet<&Hostname> = match self.is_narrow {
            true => {
                let own = self.services.iter().map(|it| it.hostname()).collect();
                all.difference(&own).copied().collect()
            }
            false => HashSet::new(),
        };
        let hosts = self.rules.iter().flat_map(|rule| rule.hosts.iter());
        hosts.filter(move |host| match host.is_wildcard() {
            true => others.iter().any(|other| host.overlaps(other)),
            false => others.contains(host),
        })
    }
}

impl Visible {
    /// Adds what mode `gateway` needs, if that leads anywhere.
    pub(super) fn add_detour(&mut self, namespace: &Namespace, reader: &Reader<'_>) {
        let Some(gateway) = &reader.fencing().gateway else { return };
        let dns_domain = dns_domain(namespace, reader);
        for (places, listener) in self.listeners.iter_mut().zip(&self.scope.listeners) {
            places.detoured = Arc::new(domains(listener, &dns_domain, &gateway.host));
        }
        let hidden = self.scope.hidden(namespace, reader);
        self.detoured = Some(Detoured { namespace: namespace.clone(), hidden });
    }

    /// Whether this is all that may be seen, and what the gateway has of it.
    pub fn is_of(&self, scope: &Scope, namespace: &Namespace, reader: &Reader<'_>) -> bool {
        let is_same = |it: &Detoured| it.hidden == scope.hidden(namespace, reader);
        *self.scope == *scope && self.detoured.as_ref().is_none_or(is_same)
    }

    /// Whether the gateway does not have the host, so that whoever calls the rest through it is told of this
    /// from the start.
    pub fn is_hidden(&self, host: &Hostname) -> bool {
        self.detoured.as_ref().is_some_and(|it| it.hidden.contains(host))
    }

    /// The gateway, if the mode of a class leads to it.
    pub(super) fn gateway(&self, fence: &ClientFence, reader: &Reader<'_>) -> Option<Gateway> {
        let (means, detoured) = (fence.detour?, self.detoured.as_ref()?);
        let gateway = reader.fencing().gateway.as_ref()?;
        let named = reader.services_named(&gateway.host).into_iter();
        let mut read = named.filter_map(|service| reader.service(&service.key));
        let service = read.find(|service| {
            *service.namespace() == gateway.namespace
                && service.visibility.includes(&detoured.namespace)
                && service.port(gateway.port).is_some()
        })?;
        let passthrough = || names::PASSTHROUGH_CLUSTER.into();
        let bypass = match self.scope.outbound_policy {
            OutboundPolicy::RegistryOnly => None,
            // The name would have to be resolved before it is known that it is needed.
            OutboundPolicy::AllowAnyDynamicDns => Some(passthrough()),
            OutboundPolicy::AllowAny => {
                Some(self.scope.egress_proxy.clone().unwrap_or_else(passthrough))
            }
        };
        let cluster = names::outbound_cluster(gateway.port, "", &gateway.host).into();
        let target = DetourTarget { gateway: cluster, bypass, means };
        Some(Gateway { service: service.clone(), target })
    }
}

/// The domains of what the gateway has of a listener.
fn domains(listener: &EgressListener, dns_domain: &str, gateway: &Hostname) -> DetourDomains {
    let mut services: Vec<&Service> = listener.services.iter().map(|it| &**it).collect();
    services.retain(|it| is_relayed(it) && http_ports(it).next().is_some());
    services.retain(|it| it.hostname() != gateway);
    let mut domains = match listener.is_narrow {
        true => exact_domains(&services, dns_domain),
        false => wide_domains(&services, dns_domain),
    };
    let known: BTreeSet<&Hostname> = listener.services.iter().map(|it| it.hostname()).collect();
    let rules = listener.rules.iter().filter(|it| it.is_for_all);
    let alone = rules.flat_map(|it| it.hosts.iter()).filter(|host| !known.contains(host));
    let alone: Vec<String> = alone.map(|host| host.as_str().to_owned()).collect();
    let mut ports: BTreeSet<u16> = services.iter().flat_map(|it| http_ports(it)).collect();
    ports.extend((!alone.is_empty()).then_some(OPEN_PORT));
    domains.extend(alone);
    domains.remove("*");
    let (own, suffix) = split_domain(dns_domain);
    let short = services.iter().filter_map(|service| {
        let qualified = service.hostname().as_str().strip_suffix(suffix)?;
        let (name, namespace) = qualified.rsplit_once('.')?;
        (namespace == own).then(|| name.to_owned())
    });
    let short: BTreeSet<String> = short.filter(|name| !domains.contains(name)).collect();
    let list = |domains: BTreeSet<String>| domains.into_iter().map(Arc::from).collect();
    DetourDomains { full: list(domains), short: list(short), ports }
}

/// The namespace, and what names of services end with.
fn split_domain(dns_domain: &str) -> (&str, &str) {
    dns_domain.split_at(dns_domain.find(".svc.").unwrap_or(dns_domain.len()))
}

/// Every form in which a caller may write these services: where a Sidecar says what may be seen,
/// nothing beside them.
fn exact_domains(services: &[&Service], dns_domain: &str) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for service in services {
        let host = service.hostname().as_str();
        out.insert(host.to_owned());
        out.extend(absolute_name(host));
        let (_, suffix) = split_domain(dns_domain);
        let own = host.strip_suffix(suffix).and_then(|it| it.split_once('.'));
        let short = short_names(host, dns_domain).into_iter();
        out.extend(short.filter(|it| own.is_none_or(|(name, _)| it != name)));
        let addresses = service.ports.iter().flat_map(|port| service.addresses_of(port.number));
        let single = addresses.filter(|it| it.parse::<IpAddr>().is_ok());
        out.extend(single.map(|address| in_brackets(address)));
    }
    out
}

/// As few domains as have all of these. Some names that do not exist are among them, of which the
/// gateway says so.
fn wide_domains(services: &[&Service], dns_domain: &str) -> BTreeSet<String> {
    let (_, suffix) = split_domain(dns_domain);
    let (inside, outside): (Vec<&Service>, Vec<&Service>) =
        services.iter().partition(|it| it.hostname().as_str().ends_with(suffix));
    let mut out = exact_domains(&outside, dns_domain);
    for service in inside {
        out.extend([format!("*{suffix}"), format!("*{suffix}."), "*.svc".to_owned()]);
        let host = service.hostname().as_str();
        let qualified = host.strip_suffix(suffix).unwrap_or(host);
        out.extend(qualified.rsplit_once('.').map(|(_, namespace)| format!("*.{namespace}")));
    }
    out
}
