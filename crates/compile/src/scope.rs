//! What a class of proxies may know of the mesh: its egress listeners with their services and
//! VirtualServices.
//!
//! A scope names rules and holds services. The content of a rule is read where it is used, so a
//! rule that changes without moving leaves every scope as it is.

mod changed;
mod detour;
mod endings;
mod fence;
mod import;
mod visible;
mod written;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::istio::sidecar::{CaptureMode, IstioEgressListener, OutboundTrafficPolicyMode, Sidecar};
use model::{
    Hostname, Map, Namespace, ObjectKey, Protocol, Registry, Service, ServicePort, Shared,
    Visibility,
};
use snapshot::{OutboundPolicy, Reader, VirtualServiceRecord, resolve_short_name};

pub use self::detour::{DetourDomains, DetourTarget};
use self::import::Imports;
pub use self::{
    changed::ChangedNames,
    fence::Fenced,
    visible::{Visible, VisibleChange},
    written::{Written, clean_host},
};
pub(crate) use self::{
    visible::{http_ports, wildcards},
    written::without_port,
};
use crate::{Client, names};

/// Of a Sidecar: all that is exported to its namespace.
const EVERYTHING: &str = "*/*";
/// How often a name may stand for a name before it leads nowhere.
const MAX_ALIASES: usize = 8;
/// Without a Sidecar, a service of the client's own namespace beats others with its host.
const UNIFIED_SWITCH: &str = "PILOT_UNIFIED_SIDECAR_SCOPE";

/// Everything outbound that a class sees.
#[derive(Clone, Debug, PartialEq)]
pub struct Scope {
    /// In order: those with a port first (as written), the catch-all last.
    pub listeners: Vec<EgressListener>,
    /// Every service that any listener may lead to, oldest first, one per host.
    pub services: Vec<Shared<Service>>,
    pub outbound_policy: OutboundPolicy,
    /// The cluster that takes everything unknown which may be called, if the Sidecar names one.
    pub egress_proxy: Option<Arc<str>>,
    /// Where hosts are called that the listeners only have domains of.
    pub detour: Option<DetourTarget>,
    by_host: Map<Hostname, usize>,
}

/// What decides what a class may see.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeKey {
    pub namespace: Namespace,
    /// The Sidecar in force.
    pub sidecar: Option<ObjectKey>,
}

/// One egress listener of a Sidecar, or the one that everybody has without a Sidecar.
#[derive(Clone, Debug, PartialEq)]
pub struct EgressListener {
    /// `None` is the catch-all.
    pub port: Option<EgressPort>,
    pub bind: Arc<str>,
    pub capture_mode: CaptureMode,
    /// Closest first, then oldest. With a port, each service has only that port.
    pub services: Vec<Shared<Service>>,
    pub rules: Vec<RuleRef>,
    /// Ports on which the class may call services that it was not told of.
    pub open_ports: OpenPorts,
    /// A Sidecar says which services these are of all that are exported to the class.
    pub is_narrow: bool,
    /// What the class may call on a detour beside that.
    pub detoured: Arc<DetourDomains>,
    pub untold: Untold,
}

impl EgressListener {
    /// Whether a class can ask for services of it one by one. At a port of its own that takes a Host: by bytes, of
    /// a proxy, or at a socket in the file system, no service is asked for.
    pub(crate) fn asks_for_hosts(&self) -> bool {
        self.port.as_ref().is_none_or(|port| {
            let is_proxy = port.protocol == Protocol::HttpProxy;
            port.protocol.is_http() && !is_proxy && port.number != 0
        })
    }

    /// The services that nothing can ask for: all of a place where no Host is said, but for those that are told
    /// from others by the server name of TLS.
    pub(crate) fn unasked(&self) -> impl Iterator<Item = &Shared<Service>> {
        let asks = self.asks_for_hosts();
        let takes_names = self.port.as_ref().is_some_and(|port| port.protocol.is_tls());
        let is_named = move |service: &Service| {
            takes_names && service.ports.iter().all(|it| it.protocol.is_tls())
        };
        self.services.iter().filter(move |service| !asks && !is_named(service))
    }
}

/// Ports that have a listener also without a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenPorts {
    /// The class asks for hosts.
    pub http: BTreeSet<u16>,
    /// Those of these where a service may be meant by its address, whatever Host is called: its protocol
    /// is detected.
    pub detected: BTreeSet<u16>,
    /// It says the server names that it calls. Connections with these wait until it is told of their services.
    pub tls: BTreeMap<u16, ServerNames>,
}

impl OpenPorts {
    /// Whether these are the same ports, whatever names they have.
    fn are_those_of(&self, other: &Self) -> bool {
        self.http == other.http
            && self.detected == other.detected
            && self.tls.keys().eq(other.tls.keys())
    }
}

/// The hosts of services on a port on which nothing but a server name tells them apart.
pub(crate) type ServerNames = Arc<BTreeSet<Arc<str>>>;

/// What a fenced class was not told of, as far as it decides about rules that it was told of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Untold {
    /// Hosts that these rules have as well: it goes by what all rules say of a host, or by none.
    pub rule_hosts: BTreeSet<Hostname>,
    /// Ports on which a rule is about a service that speaks HTTP.
    pub rule_ports: BTreeMap<ObjectKey, BTreeSet<u16>>,
    /// Ports of services whose names a wildcard of a rule covers.
    pub wildcard_ports: BTreeMap<Hostname, BTreeSet<u16>>,
}

/// The port of an egress listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EgressPort {
    /// 0 for a Unix domain socket.
    pub number: u16,
    pub protocol: Protocol,
    pub name: Arc<str>,
}

/// A VirtualService bound to `mesh`: what decides whether it applies, without its content.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RuleRef {
    pub key: ObjectKey,
    pub hosts: Arc<[Hostname]>,
    /// The whole mesh may see it, and it means the same for every caller.
    pub is_for_all: bool,
    /// It says where TLS goes.
    pub has_tls: bool,
}

impl Scope {
    /// The service with this host, if the class may see it.
    pub fn service(&self, hostname: &Hostname) -> Option<&Shared<Service>> {
        self.by_host.get(hostname).map(|index| &self.services[*index])
    }

    /// The names that only stand for others, by the service that they lead to in the end. Sorted.
    pub(crate) fn aliases(&self) -> BTreeMap<Hostname, Vec<Hostname>> {
        let mut out: BTreeMap<Hostname, Vec<Hostname>> = BTreeMap::new();
        for service in &self.services {
            let Some(mut target) = service.alias_of.as_ref() else { continue };
            for _ in 0..MAX_ALIASES {
                let next = self.service(target).and_then(|it| it.alias_of.as_ref());
                let Some(next) = next else { break };
                target = next;
            }
            out.entry(target.clone()).or_default().push(service.hostname().clone());
        }
        out.values_mut().for_each(|names| names.sort());
        out
    }

    /// Selects the scope of a class.
    pub fn select(client: &Client, reader: &Reader<'_>) -> Self {
        match client.relay() {
            Some(_) => Self::relayed(&client.namespace, reader),
            None => Self::of(&client.scope_key(), reader),
        }
    }

    /// All that classes with this key may see.
    pub fn of(key: &ScopeKey, reader: &Reader<'_>) -> Self {
        let own = &key.namespace;
        let mut rules: Vec<&Shared<VirtualServiceRecord>> = reader.visible_virtual_services(own);
        rules.retain(|rule| rule.binds_to_mesh());
        rules.sort_by_key(|rule| closeness(&rule.visibility, rule.namespace(), own));
        let mut services = reader.visible_services(own);
        services.sort_by_key(|service| closeness(&service.visibility, service.namespace(), own));
        let sidecar = key.sidecar.as_ref().and_then(|key| {
            reader.sidecars(&key.namespace).iter().find(|record| record.key == *key)
        });
        let policy = reader.mesh().outbound_policy;
        let Some(record) = sidecar else {
            let unified = reader.mesh().features.flag(UNIFIED_SWITCH, true);
            return Self::open(&services, &rules, policy, unified.then_some(own));
        };
        let egress_proxy = egress_proxy(&record.spec, own, &reader.mesh().domain);
        Self { egress_proxy, ..Self::restricted(&record.spec, own, &services, &rules, policy) }
    }

    /// Everything that is exported to the namespace.
    fn open(
        services: &[&Shared<Service>],
        rules: &[&Shared<VirtualServiceRecord>],
        outbound_policy: OutboundPolicy,
        own: Option<&Namespace>,
    ) -> Self {
        let services = one_per_host(services.iter().copied().cloned().collect(), own);
        let listener = EgressListener {
            port: None,
            bind: "".into(),
            capture_mode: CaptureMode::Default,
            services: services.clone(),
            rules: rules.iter().map(|rule| rule_ref(rule)).collect(),
            open_ports: OpenPorts::default(),
            is_narrow: false,
            untold: Untold::default(),
            detoured: Arc::default(),
        };
        Self::new(vec![listener], services, outbound_policy)
    }

    /// What a Sidecar leaves.
    fn restricted(
        sidecar: &Sidecar,
        own: &Namespace,
        services: &[&Shared<Service>],
        rules: &[&Shared<VirtualServiceRecord>],
        policy: OutboundPolicy,
    ) -> Self {
        let policy = match sidecar.outbound_traffic_policy.as_ref().map(|it| it.mode) {
            Some(OutboundTrafficPolicyMode::RegistryOnly) => OutboundPolicy::RegistryOnly,
            Some(OutboundTrafficPolicyMode::AllowAny) => OutboundPolicy::AllowAny,
            None => policy,
        };
        let everything = IstioEgressListener {
            hosts: vec![EVERYTHING.to_owned()],
            ..IstioEgressListener::default()
        };
        let egress = match sidecar.egress.is_empty() {
            true => std::slice::from_ref(&everything),
            false => &sidecar.egress,
        };
        let listeners: Vec<EgressListener> =
            egress.iter().map(|egress| egress_listener(egress, own, services, rules)).collect();
        let services = imported_services(&listeners, own, services, rules);
        Self::new(listeners, services, policy)
    }

    fn new(
        listeners: Vec<EgressListener>,
        services: Vec<Shared<Service>>,
        outbound_policy: OutboundPolicy,
    ) -> Self {
        let by_host = services.iter().enumerate();
        let by_host = by_host.map(|(index, it)| (it.hostname().clone(), index)).collect();
        Self { listeners, services, outbound_policy, egress_proxy: None, detour: None, by_host }
    }
}

fn egress_proxy(sidecar: &Sidecar, own: &Namespace, domain: &str) -> Option<Arc<str>> {
    let proxy = sidecar.outbound_traffic_policy.as_ref()?.egress_proxy.as_ref()?;
    let host = resolve_short_name(&proxy.host, own, domain);
    let port = proxy.port.as_ref().and_then(|port| u16::try_from(port.number).ok())?;
    Some(names::outbound_cluster(port, &proxy.subset, &host).into())
}

/// Sorts what a client in a namespace sees: first what is only for its own namespace, then what is
/// shown to chosen namespaces, then what everybody sees; each of these by age.
pub(crate) fn closeness(visibility: &Visibility, owner: &Namespace, client: &Namespace) -> u8 {
    match visibility {
        Visibility::Namespaces(_) if owner == client => 0,
        Visibility::Namespaces(_) => 1,
        Visibility::Public => 2,
    }
}

pub(crate) fn rule_ref(rule: &VirtualServiceRecord) -> RuleRef {
    let is_for_all = rule.visibility == Visibility::Public && !rule.asks_for_caller();
    let has_tls = !rule.spec.tls.is_empty();
    RuleRef { key: rule.key.clone(), hosts: rule.hosts.clone(), is_for_all, has_tls }
}

/// A host may be defined in several namespaces; a class knows one of them: its own namespace's if
/// asked for, else Kubernetes' (nobody takes over a host by a ServiceEntry), else the first.
fn one_per_host(services: Vec<Shared<Service>>, own: Option<&Namespace>) -> Vec<Shared<Service>> {
    let rank = |service: &Service| {
        (Some(service.namespace()) != own, service.registry != Registry::Kubernetes)
    };
    let mut best: Map<Hostname, usize> =
        Map::with_capacity_and_hasher(services.len(), Default::default());
    for (index, service) in services.iter().enumerate() {
        best.entry(service.hostname().clone())
            .and_modify(|kept| {
                if rank(service) < rank(&services[*kept]) {
                    *kept = index;
                }
            })
            .or_insert(index);
    }
    if best.len() == services.len() {
        return services;
    }
    let keep: BTreeSet<usize> = best.into_values().collect();
    let numbered = services.into_iter().enumerate();
    numbered.filter(|(index, _)| keep.contains(index)).map(|(_, service)| service).collect()
}

fn egress_listener(
    egress: &IstioEgressListener,
    own: &Namespace,
    services: &[&Shared<Service>],
    rules: &[&Shared<VirtualServiceRecord>],
) -> EgressListener {
    let imports = Imports::parse(&egress.hosts, own);
    let port = egress.port.as_ref().map(|port| EgressPort {
        number: u16::try_from(port.number).unwrap_or_default(),
        protocol: Protocol::parse(&port.protocol),
        name: port.name.as_str().into(),
    });
    let imported = services.iter().copied().filter(|service| imports.has_service(service));
    let narrowed = imported.filter_map(|service| match &port {
        Some(port) if port.number != 0 && port.protocol != Protocol::HttpProxy => {
            with_ports(service, |it| it.number == port.number)
        }
        _ => Some(service.clone()),
    });
    let rules = rules.iter().filter(|rule| imports.has_rule(rule));
    EgressListener {
        bind: egress.bind.as_str().into(),
        capture_mode: egress.capture_mode,
        services: one_per_host(narrowed.collect(), Some(own)),
        rules: rules.map(|rule| rule_ref(rule)).collect(),
        open_ports: OpenPorts::default(),
        is_narrow: !egress.hosts.iter().any(|host| host == EVERYTHING),
        untold: Untold::default(),
        detoured: Arc::default(),
        port,
    }
}

/// The service with only those ports; `None` when none is left.
fn with_ports(
    service: &Shared<Service>,
    keep: impl Fn(&ServicePort) -> bool,
) -> Option<Shared<Service>> {
    if service.ports.iter().all(&keep) {
        return (!service.ports.is_empty()).then(|| service.clone());
    }
    let ports: Vec<ServicePort> = service.ports.iter().filter(|port| keep(port)).cloned().collect();
    (!ports.is_empty()).then(|| Shared::new(Service { ports: ports.into(), ..(**service).clone() }))
}

/// The services of the listeners, and those that imported VirtualServices lead to.
fn imported_services(
    listeners: &[EgressListener],
    own: &Namespace,
    services: &[&Shared<Service>],
    rules: &[&Shared<VirtualServiceRecord>],
) -> Vec<Shared<Service>> {
    let mut found: BTreeMap<Hostname, Vec<Shared<Service>>> = BTreeMap::new();
    for service in listeners.iter().flat_map(|listener| &listener.services) {
        found.entry(service.hostname().clone()).or_default().push(service.clone());
    }
    let used: BTreeSet<&ObjectKey> =
        listeners.iter().flat_map(|listener| &listener.rules).map(|rule| &rule.key).collect();
    let wanted: BTreeSet<&str> = rules
        .iter()
        .filter(|rule| used.contains(&rule.key))
        .flat_map(|rule| rule.imports())
        .filter(|host| !found.contains_key(*host))
        .collect();
    let destinations =
        services.iter().copied().filter(|it| wanted.contains(it.hostname().as_str()));
    let destinations = one_per_host(destinations.cloned().collect(), Some(own));
    // One service may come through several listeners, each with one of its ports.
    let originals: Map<_, _> = services.iter().map(|it| (&it.key, *it)).collect();
    let merged = found.into_values().filter_map(|parts| {
        let ports: BTreeSet<u16> =
            parts.iter().flat_map(|it| it.ports.iter().map(|port| port.number)).collect();
        let original = originals.get(&parts.first()?.key)?;
        with_ports(original, |port| ports.contains(&port.number))
    });
    let mut all: Vec<Shared<Service>> = merged.chain(destinations).collect();
    all.sort_by(|a, b| (a.created, &a.name, &a.key).cmp(&(b.created, &b.name, &b.key)));
    all
}
