//! Decides which hosts a route configuration has, and which rule serves each.
//!
//! Rules go by age: an exact host beats wildcards, among wildcards the longest wins, and among
//! equal hosts the oldest rule that has a route for the caller.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use model::{Hostname, Labels, Map, Namespace, Protocol, Resolution, Service, Shared};
use snapshot::{Mesh, OutboundPolicy, Reader, VirtualServiceRecord};

use super::{CatchAll, DetourInput, RouteInput, RouteName, dispatch::select_dispatches};
use crate::{
    Client, DomainForm, EgressListener, Scope, VirtualHostInput,
    route::{Destination, select_destinations},
    scope::{http_ports, wildcards},
    virtual_host::{Caller, applies, counts_attempts},
};

/// The only port on which rules may bring in hosts that no registry knows.
pub(crate) const OPEN_PORT: u16 = 80;

/// Selects what the configuration of one outbound listener is made from.
pub fn select_route(
    name: &RouteName,
    scope: &Scope,
    client: &Client,
    reader: &Reader<'_>,
) -> RouteInput {
    let mesh = reader.mesh();
    let mut input = RouteInput::empty(&name.to_string());
    input.counts_attempts = counts_attempts(mesh);
    if !matches!(name, RouteName::Host(..) | RouteName::Service(..)) {
        input.catch_all = catch_all(scope, client);
        input.dispatches = select_dispatches(client, reader);
    }
    let (number, bind) = match name {
        RouteName::Port(port)
        | RouteName::OnDemand(port)
        | RouteName::Namespace(_, port)
        | RouteName::Host(_, port)
        | RouteName::Service(_, port) => (*port, ""),
        RouteName::HttpProxy => (0, ""),
        RouteName::Socket(path) => (0, &**path),
    };
    let Some(listener) = find_listener(scope, number, bind) else { return input };
    let proxy = listener.port.as_ref().is_some_and(|it| it.protocol == Protocol::HttpProxy);
    let port = (number != 0 && !proxy).then_some(number);
    input.matches_ports = port.is_none();
    input.on_demand = matches!(name, RouteName::OnDemand(_));
    if matches!(name, RouteName::Port(_)) && listener.detoured.ports.contains(&number) {
        input.detour = scope.detour.as_ref().map(|target| DetourInput {
            target: target.clone(),
            port: number,
            domains: listener.detoured.clone(),
            namespace: client.namespace.clone(),
        });
    }
    if let RouteName::Namespace(namespace, _) = name {
        input.virtual_hosts = namespace_hosts(namespace, port, scope, client, reader);
        return input;
    }
    let selection = Selection::new(listener, port, scope, client, reader);
    let selection = Selection { on_demand: input.on_demand, ..selection };
    input.virtual_hosts = match name {
        RouteName::Host(hostname, port) | RouteName::Service(hostname, port) => {
            selection.single(hostname, *port)
        }
        RouteName::Port(_)
        | RouteName::OnDemand(_)
        | RouteName::Namespace(..)
        | RouteName::HttpProxy
        | RouteName::Socket(_) => selection.all(),
    };
    input
}

/// Services of a namespace as callers within it name them.
fn namespace_hosts(
    namespace: &Namespace,
    port: Option<u16>,
    scope: &Scope,
    client: &Client,
    reader: &Reader<'_>,
) -> Vec<Shared<VirtualHostInput>> {
    let Some(all) = scope.listeners.iter().find(|it| it.port.is_none()) else { return Vec::new() };
    let own = all.services.iter().filter(|it| it.namespace() == namespace);
    let listener = EgressListener { services: own.cloned().collect(), ..all.clone() };
    let dns_domain = format!("{namespace}.svc.{}", reader.mesh().domain).into();
    let inside = Client { dns_domain, ..client.clone() };
    let mut hosts = Selection::new(&listener, port, scope, &inside, reader).all();
    hosts.retain(|host| host.service.is_some());
    hosts
}

/// The Sidecar's listener for this port or socket, else its catch-all.
pub(crate) fn find_listener<'a>(
    scope: &'a Scope,
    number: u16,
    bind: &str,
) -> Option<&'a EgressListener> {
    let own = scope.listeners.iter().find(|listener| {
        let port = listener.port.as_ref().map(|port| port.number);
        port == Some(number) && (number != 0 || *listener.bind == *bind)
    });
    own.or_else(|| scope.listeners.iter().find(|listener| listener.port.is_none()))
}

fn catch_all(scope: &Scope, client: &Client) -> CatchAll {
    if client.relay().is_some() {
        return CatchAll::Unknown;
    }
    match scope.outbound_policy {
        OutboundPolicy::RegistryOnly => CatchAll::Block,
        OutboundPolicy::AllowAnyDynamicDns => CatchAll::DynamicDns,
        OutboundPolicy::AllowAny => {
            scope.egress_proxy.clone().map_or(CatchAll::Passthrough, CatchAll::Cluster)
        }
    }
}

/// What a listener has to choose from.
struct Selection<'a> {
    listener: &'a EgressListener,
    /// `None` is all ports.
    port: Option<u16>,
    services: Map<&'a Hostname, &'a Shared<Service>>,
    /// Rules by exact host, oldest first, as indices into the listener's.
    exact: Map<&'a Hostname, Vec<usize>>,
    /// Longest first, then oldest first.
    wildcards: Vec<(&'a Hostname, usize)>,
    aliases: BTreeMap<Hostname, Vec<Hostname>>,
    scope: &'a Scope,
    client: &'a Client,
    reader: &'a Reader<'a>,
    mesh: &'a Shared<Mesh>,
    caller: Caller,
    on_demand: bool,
}

/// One host on one port, with the rule that serves it.
struct Choice<'a> {
    service: &'a Shared<Service>,
    port: u16,
    rule: Option<usize>,
}

impl<'a> Selection<'a> {
    fn new(
        listener: &'a EgressListener,
        port: Option<u16>,
        scope: &'a Scope,
        client: &'a Client,
        reader: &'a Reader<'a>,
    ) -> Self {
        let served = |service: &&Shared<Service>| port.is_none_or(|it| service.port(it).is_some());
        let services = listener.services.iter().filter(served);
        let mut exact: Map<&Hostname, Vec<usize>> = Map::default();
        for (index, rule) in listener.rules.iter().enumerate() {
            for host in rule.hosts.iter().filter(|host| !host.is_wildcard()) {
                exact.entry(host).or_default().push(index);
            }
        }
        Self {
            listener,
            port,
            services: services.map(|service| (service.hostname(), service)).collect(),
            exact,
            wildcards: wildcards(listener),
            aliases: scope.aliases(),
            scope,
            client,
            reader,
            mesh: reader.mesh(),
            on_demand: false,
            caller: Caller {
                generator: client.generator,
                namespace: client.namespace.clone(),
                labels: client.labels.clone(),
                dns_domain: client.dns_domain.clone(),
                ipv4: client.ipv4,
                ipv6: client.ipv6,
                dns_capture: client.dns_capture,
            },
        }
    }

    /// Ports of a service that speak HTTP, or may.
    fn ports(&self, service: &'a Service) -> impl Iterator<Item = u16> {
        let wanted = self.port;
        http_ports(service).filter(move |it| wanted.is_none_or(|port| port == *it))
    }

    fn rule(&self, index: usize) -> Option<&'a Shared<VirtualServiceRecord>> {
        self.reader.virtual_service(&self.listener.rules[index].key)
    }

    fn rule_applies(&self, index: usize, port: u16) -> bool {
        self.rule(index).is_some_and(|rule| applies(rule, self.mesh, &self.caller, port))
    }

    /// The rule whose wildcard is closest to a host, unless another rule names the host.
    fn closest_wildcard(&self, hostname: &Hostname) -> Option<usize> {
        if self.exact.contains_key(hostname) {
            return None;
        }
        let found = self.wildcards.iter().find(|(pattern, _)| pattern.covers(hostname));
        found.map(|(_, index)| *index)
    }

    fn rule_for(&self, hostname: &Hostname, port: u16) -> Option<usize> {
        let applies = |index: &usize| self.rule_applies(*index, port);
        match self.exact.get(hostname) {
            Some(rules) => rules.iter().copied().find(applies),
            None => self.closest_wildcard(hostname).filter(applies),
        }
    }

    fn single(&self, hostname: &Hostname, port: u16) -> Vec<Shared<VirtualHostInput>> {
        let Some(service) = self.services.get(hostname).copied() else { return Vec::new() };
        if service.resolution == Resolution::Alias || !self.ports(service).any(|it| it == port) {
            return Vec::new();
        }
        let choice = Choice { service, port, rule: self.rule_for(hostname, port) };
        vec![self.service_host(&choice, DomainForm::Any)]
    }

    /// Hosts of rules first, the oldest rule first, then services that no rule is about.
    fn all(&self) -> Vec<Shared<VirtualHostInput>> {
        let mut by_rule: BTreeMap<usize, Vec<Choice<'a>>> = BTreeMap::new();
        let mut plain = Vec::new();
        for service in &self.listener.services {
            let kept = self.services.get(service.hostname());
            if kept.is_none() {
                continue;
            }
            for port in self.ports(service) {
                let rule = self.rule_for(service.hostname(), port);
                // Another name is a domain of the service that it stands for, unless a rule is
                // about it.
                if rule.is_none() && service.resolution == Resolution::Alias {
                    continue;
                }
                let choice = Choice { service, port, rule };
                match rule {
                    Some(index) => by_rule.entry(index).or_default().push(choice),
                    None => plain.push(choice),
                }
            }
        }
        let mut out = Vec::new();
        let matching = self.matching_rules();
        for index in 0..self.listener.rules.len() {
            let matches = matching.contains(&index) || self.matches_untold(index);
            self.push_unknown_hosts(index, matches, &mut out);
            let choices = by_rule.remove(&index).unwrap_or_default();
            out.extend(choices.iter().map(|it| self.service_host(it, self.form(it.port))));
        }
        out.extend(plain.iter().map(|it| self.service_host(it, self.form(it.port))));
        out
    }

    /// Rules that are about a service with HTTP on a port of the listener.
    fn matching_rules(&self) -> BTreeSet<usize> {
        let mut out = BTreeSet::new();
        for (hostname, service) in &self.services {
            if self.ports(service).next().is_some() {
                out.extend(self.exact.get(hostname).into_iter().flatten());
                out.extend(self.closest_wildcard(hostname));
            }
        }
        out
    }

    /// Whether a rule is about such a service of which the class was not told.
    fn matches_untold(&self, index: usize) -> bool {
        let key = &self.listener.rules[index].key;
        self.listener.untold.rule_ports.get(key).is_some_and(|ports| self.is_one_of(ports))
    }

    fn is_one_of(&self, ports: &BTreeSet<u16>) -> bool {
        self.port.map_or(!ports.is_empty(), |port| ports.contains(&port))
    }

    /// Hosts of a rule that are no services. They come on port 80, and elsewhere with a service
    /// of the same rule.
    fn push_unknown_hosts(
        &self,
        index: usize,
        matching: bool,
        out: &mut Vec<Shared<VirtualHostInput>>,
    ) {
        let port = match self.port {
            Some(OPEN_PORT) => OPEN_PORT,
            Some(port) if matching => port,
            None if matching => OPEN_PORT,
            Some(_) | None => return,
        };
        let hosts = self.listener.rules[index].hosts.iter();
        let untold = &self.listener.untold.rule_hosts;
        let unknown: Vec<&Hostname> =
            hosts.filter(|host| !self.knows(host) && !untold.contains(*host)).collect();
        if unknown.is_empty() || !self.rule_applies(index, port) {
            return;
        }
        let Some(rule) = self.rule(index) else { return };
        for hostname in unknown {
            out.push(Shared::new(VirtualHostInput {
                mesh: self.mesh.clone(),
                hostname: hostname.clone(),
                port,
                service: None,
                rule: Some(rule.clone()),
                destinations: self.destinations(rule),
                aliases: Arc::from([]),
                caller: self.caller_for(Some(rule)),
                form: self.form(port),
                taken: Arc::from([]),
                on_demand: self.on_demand,
                relayed: self.client.relay().is_some(),
            }));
        }
    }

    fn knows(&self, hostname: &Hostname) -> bool {
        match hostname.is_wildcard() {
            true => {
                let untold = self.listener.untold.wildcard_ports.get(hostname);
                untold.is_some_and(|ports| self.is_one_of(ports))
                    || self.services.keys().any(|service| hostname.overlaps(service))
            }
            false => self.services.contains_key(hostname),
        }
    }

    fn form(&self, port: u16) -> DomainForm {
        match (self.port, port) {
            (Some(_), _) => DomainForm::Plain,
            (None, OPEN_PORT) => DomainForm::PlainAndPort,
            (None, _) => DomainForm::PortOnly,
        }
    }

    fn service_host(&self, choice: &Choice<'a>, form: DomainForm) -> Shared<VirtualHostInput> {
        let hostname = choice.service.hostname();
        let rule = choice.rule.and_then(|index| self.rule(index));
        let destinations = match rule {
            Some(rule) => self.destinations(rule),
            None => {
                let service = Some(choice.service);
                Arc::from([Destination::select(hostname, service, self.client, self.reader)])
            }
        };
        Shared::new(VirtualHostInput {
            mesh: self.mesh.clone(),
            hostname: hostname.clone(),
            port: choice.port,
            service: Some(choice.service.clone()),
            rule: rule.cloned(),
            destinations,
            aliases: self.aliases_of(hostname, choice.port),
            caller: self.caller_for(rule),
            form,
            taken: Arc::from([]),
            on_demand: self.on_demand,
            relayed: self.client.relay().is_some(),
        })
    }

    /// The other names of a service that no rule of their own is about.
    fn aliases_of(&self, hostname: &Hostname, port: u16) -> Arc<[Hostname]> {
        let ruled = |name: &Hostname| {
            self.services.get(name).is_some_and(|alias| alias.port(port).is_some())
                && self.rule_for(name, port).is_some()
        };
        let names = self.aliases.get(hostname).into_iter().flatten();
        names.filter(|name| !ruled(name)).cloned().collect()
    }

    fn destinations(&self, rule: &VirtualServiceRecord) -> Arc<[Destination]> {
        select_destinations(rule, self.client, self.reader, |host| self.scope.service(host))
    }

    /// Labels and namespace only where the rule asks for them.
    fn caller_for(&self, rule: Option<&Shared<VirtualServiceRecord>>) -> Caller {
        let conditions = || rule.iter().flat_map(|rule| &rule.spec.http).flat_map(|it| &it.match_);
        let mut caller = self.caller.clone();
        if !conditions().any(|it| !it.source_namespace.is_empty()) {
            caller.namespace = "".into();
        }
        let asked = |key: &str| conditions().any(|it| it.source_labels.contains_key(key));
        let kept = self.caller.labels.iter().filter(|(key, _)| asked(key));
        caller.labels = kept.collect::<Labels>();
        caller
    }
}
