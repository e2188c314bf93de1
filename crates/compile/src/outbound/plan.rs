//! Walks the egress listeners of a class and gives each service port its listeners.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use model::{
    Cidr, EndpointAddress, Hostname, Protocol, Registry, Resolution, Service, ServicePort, Shared,
};
use snapshot::{Mesh, OutboundPolicy, Reader};

use crate::{
    Client, EgressListener, RouteName, Scope, codes,
    filters::{HttpSettings, TcpRoute},
    names,
    outbound::{
        Capture, ChainAction, ChainInput, ChainMatch, HttpRouteSource, HttpRoutes, ListenerInput,
        OutboundPlan,
        address::{Reach, is_usable, reaches},
        bind::Binding,
        entry::{Entries, Entry, Request},
        policy,
        rules::RuleIndex,
        tcp::{self, TcpTarget},
    },
    scope::ServerNames,
    telemetry::{Side, Telemetry, select_telemetry},
};

/// Plans every outbound listener of a class.
pub fn plan_outbound(scope: &Scope, client: &Client, reader: &Reader<'_>) -> OutboundPlan {
    let mut planner = Planner::new(scope, client, reader);
    for listener in &scope.listeners {
        planner.add_egress(listener);
    }
    planner.add_http_proxy();
    planner.finish()
}

/// What the parts of a plan have in common.
pub(super) struct Planner<'a> {
    pub scope: &'a Scope,
    pub client: &'a Client,
    pub reader: &'a Reader<'a>,
    pub mesh: &'a Mesh,
    pub http: HttpSettings,
    /// Whether services of the egress listener at hand are asked for.
    asks: bool,
    pub telemetry: Shared<Telemetry>,
    pub fallback: TcpRoute,
    pub wildcard: Arc<str>,
    pub aliases: BTreeMap<Hostname, Vec<Hostname>>,
    pub entries: Entries,
}

/// A port that a service wants to be reached on.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    service: &'a Service,
    port: u16,
    protocol: Protocol,
    rules: &'a RuleIndex<'a>,
}

/// The address that it is wanted at.
struct Place {
    bind: Arc<str>,
    capture: Capture,
    ranges: Vec<Cidr>,
    needs_server_name: bool,
    pod: Option<IpAddr>,
}

impl Place {
    fn at(bind: Arc<str>, capture: Capture) -> Self {
        Self { bind, capture, ranges: Vec::new(), needs_server_name: false, pod: None }
    }
}

impl<'a> Planner<'a> {
    fn new(scope: &'a Scope, client: &'a Client, reader: &'a Reader<'a>) -> Self {
        let mesh: &Mesh = reader.mesh();
        let resolves = scope.services.iter().any(|it| it.resolution == Resolution::DynamicDns);
        let dynamic_dns = resolves || scope.outbound_policy == OutboundPolicy::AllowAnyDynamicDns;
        let on_demand = client.loads_on_demand();
        let http = HttpSettings { dynamic_dns, on_demand, ..HttpSettings::new(client, mesh) };
        let (telemetry, found) = select_telemetry(Side::Client, client, reader);
        let mut entries = Entries::default();
        found.into_iter().for_each(|finding| entries.diagnostics.push(finding));
        Self {
            scope,
            client,
            reader,
            mesh,
            fallback: policy::fallback(scope, http.idle_timeout),
            asks: http.on_demand,
            http,
            telemetry,
            wildcard: client.wildcard().into(),
            aliases: scope.aliases(),
            entries,
        }
    }

    fn add_egress(&mut self, listener: &EgressListener) {
        let binding = Binding::of(listener, self.client);
        self.asks = self.http.on_demand && listener.asks_for_hosts();
        let rules = RuleIndex::new(&listener.rules);
        if listener.port.is_none() {
            self.entries.lock();
        }
        for port in &listener.open_ports.http {
            self.add_open_port(*port, &binding);
        }
        self.add_services(listener, &binding, &rules);
        for (port, names) in &listener.open_ports.tls {
            self.open_tls(*port, names, &binding);
        }
    }

    fn add_services(
        &mut self,
        listener: &EgressListener,
        binding: &Binding,
        rules: &RuleIndex<'_>,
    ) {
        let Some(port) = &listener.port else {
            for service in &listener.services {
                for ServicePort { number, protocol, .. } in service.ports.iter() {
                    let wanted = Wanted { service, port: *number, protocol: *protocol, rules };
                    self.add_port(wanted, binding, EachPod::Apart);
                }
            }
            return;
        };
        for service in &listener.services {
            let (port, protocol) = (port.number, port.protocol);
            let wanted = Wanted { service, port, protocol, rules };
            self.add_port(wanted, binding, EachPod::Together);
        }
    }

    fn add_port(&mut self, wanted: Wanted<'_>, binding: &Binding, pods: EachPod) {
        let Wanted { service, port, protocol, .. } = wanted;
        if service.resolution == Resolution::Alias || protocol == Protocol::Udp {
            return;
        }
        if let Some(why) = binding.refusal(port, protocol, self.client) {
            let finding = codes::OUTBOUND_PORT.diagnostic(format!("no listener on {port}: {why}"));
            self.entries.diagnostics.push(finding.object(service.origin.clone()));
            return;
        }
        let place = |bind: Arc<str>| Place::at(bind, binding.capture);
        if binding.bind.is_none() && protocol.is_http() {
            self.add(wanted, place(self.wildcard.clone()));
            return;
        }
        let reaches = reaches(service, port, self.client);
        let ranges: Vec<Cidr> = reaches.iter().filter_map(|reach| reach.range()).collect();
        let anywhere = reaches.contains(&Reach::Anywhere);
        if let Some(bind) = &binding.bind {
            let shared = anywhere && *bind == self.wildcard;
            let needs_server_name = shared || ranges.len() == reaches.len();
            self.add(wanted, Place { needs_server_name, ..place(bind.clone()) });
            return;
        }
        for reach in &reaches {
            if let Reach::Address(address) = reach {
                self.add(wanted, place(address.to_string().into()));
            }
        }
        if !ranges.is_empty() {
            self.add(wanted, Place { ranges, ..place(self.wildcard.clone()) });
        }
        if anywhere && pods == EachPod::Apart && service.resolution == Resolution::Passthrough {
            self.add_pods(wanted, binding.capture);
        } else if anywhere {
            let wildcard = place(self.wildcard.clone());
            self.add(wanted, Place { needs_server_name: true, ..wildcard });
        }
    }

    /// A service without an address is reached at its pods.
    fn add_pods(&mut self, wanted: Wanted<'_>, capture: Capture) {
        let (service, client) = (wanted.service, self.client);
        let name = service.port(wanted.port).map(|port| port.name.clone()).unwrap_or_default();
        let endpoints = self.reader.endpoints(&service.key);
        let mut serving: Vec<_> = endpoints
            .iter()
            .flat_map(|endpoints| endpoints.iter())
            .filter(|endpoint| endpoint.ports.contains_key(&name))
            .map(|endpoint| &endpoint.address)
            .collect();
        serving.dedup();
        let listed = service.registry == Registry::Kubernetes || !service.selector.is_empty();
        let wildcard = Place::at(self.wildcard.clone(), capture);
        if serving.is_empty() && !listed {
            self.add(wanted, Place { needs_server_name: true, ..wildcard });
            return;
        }
        let pods: Vec<IpAddr> = serving
            .into_iter()
            .filter_map(|address| match address {
                EndpointAddress::Ip(address) => Some(*address),
                EndpointAddress::Dns(_) | EndpointAddress::Unix(_) => None,
            })
            .filter(|address| is_usable(*address, client))
            .collect();
        // Without a pod there is no listener: one for every address would take over the port as
        // soon as the last pod went away.
        if self.mesh.features.flag("PILOT_ENABLE_HEADLESS_FILTER_CHAIN_LISTENER", false) {
            if !pods.is_empty() {
                let ranges = pods.into_iter().map(Cidr::single).collect();
                self.add(wanted, Place { ranges, ..wildcard });
            }
            return;
        }
        for pod in pods {
            let place = Place::at(pod.to_string().into(), capture);
            self.add(wanted, Place { pod: Some(pod), ..place });
        }
    }

    /// One listener for a service.
    fn add(&mut self, wanted: Wanted<'_>, place: Place) {
        let Wanted { service, port, protocol, rules } = wanted;
        if self.entries.is_settled(&place.bind, port, protocol) {
            return;
        }
        let at_wildcard = place.bind == self.wildcard;
        let mut chains = Vec::new();
        let mut kind = protocol;
        if protocol.is_http() {
            let sniffed = at_wildcard && protocol != Protocol::HttpProxy;
            if sniffed {
                kind = Protocol::Unsupported;
            }
            let route = self.route_name(&place.bind, port);
            chains.push(self.http_chain(
                wanted,
                route,
                if sniffed { Sniff::Yes } else { Sniff::No },
            ));
        } else {
            let records = tcp::read_rules(rules.matching(service.hostname()), self.reader);
            let target = TcpTarget {
                service,
                port,
                protocol,
                ranges: &place.ranges,
                needs_server_name: place.needs_server_name,
            };
            chains.extend(self.tcp_chains(&target, &records));
            if protocol.is_unsupported() {
                let route = match at_wildcard || port == 0 {
                    true => self.route_name(&place.bind, port),
                    false => format!("{}:{port}", service.hostname()).into(),
                };
                chains.push(self.http_chain(wanted, route, Sniff::Yes));
            }
        }
        self.entries.add(Request {
            bind: place.bind,
            port,
            capture: place.capture,
            protocol: kind,
            chains,
            pod: place.pod,
            origin: service.origin.clone(),
        });
    }

    /// A listener for HTTP to services that the class may ask for. What is no HTTP goes on to where it
    /// was going.
    fn add_open_port(&mut self, port: u16, binding: &Binding) {
        let bind = binding.bind.clone().unwrap_or_else(|| self.wildcard.clone());
        if binding.refusal(port, Protocol::Http, self.client).is_some()
            || self.entries.map.contains_key(&(bind.clone(), port))
        {
            return;
        }
        let chain = self.http_chain_for(Protocol::Http, self.route_name(&bind, port), Sniff::Yes);
        self.entries.open(Request {
            bind,
            port,
            capture: binding.capture,
            protocol: Protocol::Unsupported,
            chains: vec![chain],
            pod: None,
            origin: model::ObjectKey::new(
                model::Kind::Namespace,
                "",
                self.client.namespace.as_str(),
            ),
        });
    }

    /// Has the server name of TLS looked at where no service of the class is told by one yet, since what
    /// leaves there is reported with it. A listener that takes everything has no way out.
    fn open_tls(&mut self, port: u16, names: &ServerNames, binding: &Binding) {
        let bind = binding.bind.clone().unwrap_or_else(|| self.wildcard.clone());
        // The HTTP listener of a port is at the same place.
        if binding.refusal(port, Protocol::Http, self.client).is_some() {
            return;
        }
        let waiting = tcp::waiting_chain(port, names, &self.fallback);
        self.entries.open_tls((bind, port), binding.capture, waiting);
    }

    /// Shared by all services of the port; for a socket in the file system it is its path.
    fn route_name(&self, bind: &Arc<str>, port: u16) -> Arc<str> {
        match port {
            0 => bind.clone(),
            port if self.asks => RouteName::OnDemand(port).to_string().into(),
            port => RouteName::Port(port).to_string().into(),
        }
    }

    fn http_chain(&self, wanted: Wanted<'_>, route: Arc<str>, sniff: Sniff) -> ChainInput {
        self.http_chain_for(wanted.protocol, route, sniff)
    }

    fn http_chain_for(&self, protocol: Protocol, route: Arc<str>, sniff: Sniff) -> ChainInput {
        ChainInput {
            name: "".into(),
            matches: match sniff {
                Sniff::Yes => ChainMatch::plain_http(self.http.http10),
                Sniff::No => ChainMatch::default(),
            },
            action: ChainAction::Http(HttpRoutes {
                source: HttpRouteSource::Rds(route),
                protocol,
                absolute_url: protocol == Protocol::HttpProxy,
            }),
            // A listener that many services share does not change with each of them.
            origins: Vec::new(),
        }
    }

    fn finish(mut self) -> OutboundPlan {
        let entries = std::mem::take(&mut self.entries);
        let mut listeners: Vec<ListenerInput> =
            entries.map.into_iter().map(|(key, entry)| self.listener(key, entry)).collect();
        listeners.extend(self.virtual_listener());
        listeners.sort_by(|a, b| a.name.cmp(&b.name));
        let routes: BTreeSet<String> =
            listeners.iter().flat_map(ListenerInput::routes).map(|name| name.to_string()).collect();
        OutboundPlan {
            listeners,
            routes: routes.into_iter().collect(),
            diagnostics: entries.diagnostics,
        }
    }

    fn listener(&self, (bind, port): (Arc<str>, u16), entry: Entry) -> ListenerInput {
        ListenerInput {
            name: names::listener(&bind, port).into(),
            further_binds: self.further_binds(&bind),
            bind,
            port,
            capture: entry.capture,
            chains: entry.chains,
            fallback: Some(self.fallback.clone()),
            inspects_tls: entry.inspects_tls,
            inspection_timeout: self.mesh.config.protocol_detection_timeout,
            http: HttpSettings { reports_unknown: self.reports_unknown(port), ..self.http.clone() },
            telemetry: self.telemetry.clone(),
            pod: entry.pod,
        }
    }

    /// Whether a request without a route may be for a service that is told by its address.
    fn reports_unknown(&self, port: u16) -> bool {
        self.scope.listeners.iter().any(|it| it.open_ports.detected.contains(&port))
    }

    /// With two IP families, "any address" is two addresses.
    pub(super) fn further_binds(&self, bind: &str) -> Vec<Arc<str>> {
        let dual = self.client.ipv4 && self.client.ipv6;
        let wanted = dual && *bind == *self.wildcard;
        match wanted && self.mesh.features.flag("ISTIO_DUAL_STACK", false) {
            true => vec!["::".into()],
            false => Vec::new(),
        }
    }
}

/// What to do with a service that has pods and no address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum EachPod {
    Apart,
    /// A Sidecar gave the port by hand.
    Together,
}

#[derive(Clone, Copy)]
enum Sniff {
    Yes,
    No,
}
