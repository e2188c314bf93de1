//! Proxies → what each kind of them would be sent.
//!
//! - Proxies are reduced as for streams: equal reductions are one class, compiled once. Virtual
//!   hosts and clusters that classes have in common are compiled once as well.
//! - Applications that serve the same ports under other names are one class: names alone cannot
//!   make Envoy refuse anything. What they report is full of names, and the same for all of a
//!   client: it is compiled with the first application that serves the same protocols.
//! - Without a Sidecar, namespaces see nearly the same: the first is compiled as a whole, of the
//!   others only what is their own, which costs nothing for what is not. Mistakes that all of them share are told once anyway.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use compile::{
    Client, ClusterRef, Compiled, CompiledVirtualHost, RouteName, Scope, VirtualHostInput,
    cluster::{select_cluster, special_clusters},
    compile_route, compile_virtual_host,
    endpoint::{Place, select_endpoints},
    every_cluster,
    gateway::{
        GatewayHostInput, OwnPorts, compile_gateway_host, compile_gateway_listener,
        compile_gateway_route, find_service, gateway_clusters, plan_gateway, select_gateway_route,
        select_gateways, select_own_ports,
    },
    inbound::{
        InboundInput, add_inbound_telemetry, compile_inbound_clusters, compile_inbound_listeners,
        select_silent_inbound,
    },
    outbound::{compile_listener, plan_outbound},
    select_route,
    telemetry::TelemetryClient,
    traffic_policy::{Rules, select_rules},
};
use envoy::type_url;
use model::{Diagnostic, Hostname, Kind, ObjectKey, Protocol, Proxy, ProxyKind, Service, Shared};
use snapshot::{Reader, Snapshot};

use super::{public::Public, special::Special};

/// Resources that one kind of proxy holds together. Those that several kinds share are shared.
#[derive(Debug, Default)]
pub(super) struct Class {
    pub(super) resources: Vec<Arc<Compiled>>,
    /// The clusters that it has as others do.
    base: Option<Arc<Base>>,
    /// The hosts whose clusters it has in its own way.
    own: HashSet<Hostname>,
    /// The clusters of a class that the same proxies have, where this is the rest of them.
    beside: Arc<HashSet<Arc<str>>>,
}

/// The clusters that are the same in every namespace.
#[derive(Debug, Default)]
struct Base {
    clusters: HashSet<Arc<str>>,
    /// The hosts that the namespace in which they were compiled sees in its own way.
    left_out: HashSet<Hostname>,
}

/// Collects the classes, then compiles them.
pub(super) struct Compiler<'a> {
    reader: Reader<'a>,
    sidecars: BTreeMap<Client, Inbounds>,
    gateways: HashSet<(Client, OwnPorts)>,
    known: Known,
    special: Special,
    /// Taken while it is used.
    public: Option<Public>,
    findings: Vec<Diagnostic>,
}

/// The incoming sides of the sidecars that are one client.
#[derive(Default)]
struct Inbounds {
    inputs: Vec<InboundInput>,
    /// The inputs without names, and without what is reported.
    forms: HashSet<InboundInput>,
    /// Protocols of ports, together those of one application, for which it was added what is
    /// reported of them.
    reported: HashSet<BTreeSet<Protocol>>,
}

/// What compiling has found in resources, many of which several classes share.
#[derive(Default)]
struct Reported {
    findings: Vec<Diagnostic>,
    /// By address, and kept, so that no other comes to lie there.
    seen: HashMap<*const Compiled, Arc<Compiled>>,
}

impl Reported {
    fn add(&mut self, class: &Class) {
        for compiled in class.resources.iter().filter(|it| !it.diagnostics.is_empty()) {
            if self.seen.insert(Arc::as_ptr(compiled), compiled.clone()).is_none() {
                self.findings.extend(compiled.diagnostics.iter().cloned());
            }
        }
    }
}

/// What is compiled already, by input.
#[derive(Default)]
struct Known {
    /// Clients, but for the namespace, for which everything was compiled.
    forms: HashMap<Client, Arc<Base>>,
    /// The clusters of a service, with their endpoints.
    clusters: HashMap<ClustersKey, Vec<Arc<Compiled>>>,
    hosts: HashMap<Shared<VirtualHostInput>, Arc<CompiledVirtualHost>>,
    gateway_hosts: HashMap<Shared<GatewayHostInput>, Arc<CompiledVirtualHost>>,
}

/// All that the clusters of a service depend on in a check, where every proxy is in one place.
type ClustersKey = (ProxyKind, Shared<Service>, Rules, BTreeSet<ClusterRef>);

impl<'a> Compiler<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        Self {
            reader: Reader::new(snapshot),
            sidecars: BTreeMap::new(),
            gateways: HashSet::new(),
            known: Known::default(),
            special: Special::new(snapshot),
            public: None,
            findings: Vec::new(),
        }
    }

    /// Adds a proxy to its class.
    pub(super) fn add(&mut self, proxy: &Proxy) {
        let mut client = Client::reduce(proxy, &self.reader);
        if let Some(name) = &mut client.telemetry.service_name {
            *name = "application".into();
        }
        match proxy.kind {
            ProxyKind::Sidecar => self.add_sidecar(proxy, client),
            ProxyKind::Router => {
                let ports = select_own_ports(&proxy.addresses, &client, &self.reader);
                self.gateways.insert((client, ports));
            }
        }
    }

    fn add_sidecar(&mut self, proxy: &Proxy, client: Client) {
        let mut input = without_names(select_silent_inbound(proxy, &client, &self.reader));
        self.findings.append(&mut input.findings);
        let inbounds = self.sidecars.entry(client.clone()).or_default();
        if !inbounds.forms.insert(input.clone()) {
            return;
        }
        let protocols = input.ports.iter().map(|port| port.protocol).collect();
        if inbounds.reported.insert(protocols) {
            add_inbound_telemetry(&mut input, proxy, &client, &self.reader);
            self.findings.append(&mut input.findings);
        }
        inbounds.inputs.push(input);
    }

    /// Compiles every class and gives each as soon as it is there; returns what is wrong.
    pub(super) fn compile(mut self, give: &mut dyn FnMut(Class)) -> Vec<Diagnostic> {
        let mut reported = Reported::default();
        let mut done = |class: Class| {
            reported.add(&class);
            give(class);
        };
        let mut served = HashSet::new();
        for (client, Inbounds { inputs, .. }) in std::mem::take(&mut self.sidecars) {
            let mut outbound = self.outbound(&client);
            // Incoming and outgoing listeners share the proxy's ports: the first of each are
            // judged together. The rest differs in what leads to applications only.
            let mut fresh = inputs.iter().filter(|input| served.insert((*input).clone()));
            outbound.resources.extend(fresh.next().into_iter().flat_map(inbound));
            let (base, beside) = (outbound.base.clone(), Arc::new(outbound.clusters()));
            done(outbound);
            for input in fresh {
                let (base, beside) = (base.clone(), beside.clone());
                done(Class { resources: inbound(input), base, beside, ..Class::default() });
            }
        }
        for (client, ports) in std::mem::take(&mut self.gateways) {
            done(self.gateway(&client, &ports));
        }
        self.findings.extend(reported.findings);
        self.findings
    }

    fn outbound(&mut self, client: &Client) -> Class {
        let base = self.known.forms.get(&form_of(client));
        let base = base.filter(|_| client.sidecar.is_none()).cloned();
        if client.sidecar.is_some() || !self.special.sees_public(&client.namespace) {
            let mut scope = Scope::select(client, &self.reader);
            if base.is_some() {
                self.narrow(&mut scope, client);
            }
            return self.outbound_of(&scope, base, client);
        }
        let select = || Public::new(Scope::select(client, &self.reader), &self.special);
        let mut public = self.public.take().unwrap_or_else(select);
        let narrowed = base.is_some().then(|| public.narrow(&self.special, &client.namespace));
        let whole = narrowed.map(|it| std::mem::replace(&mut public.scope.listeners, it));
        let class = self.outbound_of(&public.scope, base, client);
        if let Some(whole) = whole {
            public.scope.listeners = whole;
        }
        self.public = Some(public);
        class
    }

    fn outbound_of(&mut self, scope: &Scope, base: Option<Arc<Base>>, client: &Client) -> Class {
        let mesh = self.reader.mesh().clone();
        let mut class = Class::default();
        class.extend(special_clusters(client, &mesh, scope.outbound_policy).map(|it| it.compile()));
        for service in own_services(scope, base.as_deref()) {
            let rules = select_rules(service, client, &self.reader);
            let wanted = every_cluster(service, &rules);
            self.add_clusters(service, rules, wanted, client, &mut class);
            class.own.insert(service.hostname().clone());
        }
        if client.sidecar.is_none() && base.is_none() {
            let left_out = scope.services.iter();
            let left_out = left_out.filter(|it| self.special.has(it, &client.namespace));
            let left_out = left_out.map(|it| it.hostname().clone()).collect();
            self.known.forms.insert(form_of(client), Arc::new(Base::new(&class, left_out)));
        }
        class.base = base;
        let plan = plan_outbound(scope, client, &self.reader);
        self.findings.extend(plan.diagnostics.into_vec());
        class.extend(plan.listeners.iter().map(compile_listener));
        for name in plan.routes.iter().filter_map(|name| RouteName::parse(name)) {
            let input = select_route(&name, scope, client, &self.reader);
            let hosts = &mut self.known.hosts;
            let compiled = compile_route(&input, &mut |host| {
                let new = || Arc::new(compile_virtual_host(host));
                hosts.entry(host.clone()).or_insert_with(new).clone()
            });
            class.extend([compiled]);
        }
        class
    }

    /// Leaves in the listeners what is special to a namespace: its own services and rules, those
    /// that are not for everybody, and services for which it has rules.
    fn narrow(&self, scope: &mut Scope, client: &Client) {
        let own = &client.namespace;
        for listener in &mut scope.listeners {
            listener.services.retain(|service| self.special.has(service, own));
            let hosts: HashSet<&Hostname> =
                listener.services.iter().map(|service| service.hostname()).collect();
            listener.rules.retain(|rule| {
                rule.key.namespace == *own || rule.hosts.iter().any(|host| hosts.contains(host))
            });
        }
    }

    fn gateway(&mut self, client: &Client, ports: &OwnPorts) -> Class {
        let scope = select_gateways(client, ports, &self.reader);
        let mesh = self.reader.mesh().clone();
        let plan = plan_gateway(&scope, client, &self.reader);
        self.findings.extend(plan.diagnostics.into_vec());
        let mut class = Class::default();
        class.extend(plan.listeners.iter().map(compile_gateway_listener));
        for name in &plan.routes {
            let input = select_gateway_route(name, &scope, client, &self.reader);
            let hosts = &mut self.known.gateway_hosts;
            let compiled = compile_gateway_route(&input, &mut |host| {
                let new = || Arc::new(compile_gateway_host(host));
                hosts.entry(host.clone()).or_insert_with(new).clone()
            });
            class.extend([compiled]);
        }
        for (hostname, wanted) in gateway_clusters(class.resources.iter().map(|it| &**it)) {
            let near = Some(&client.namespace);
            let service = find_service(&hostname, near, client, &self.reader).cloned();
            let Some(service) = service else { continue };
            let rules = select_rules(&service, client, &self.reader);
            self.add_clusters(&service, rules, wanted, client, &mut class);
        }
        class.extend(special_clusters(client, &mesh, mesh.outbound_policy).map(|it| it.compile()));
        class
    }

    /// Adds those of the wanted clusters that there are, with their endpoints.
    fn add_clusters(
        &mut self,
        service: &Shared<Service>,
        rules: Rules,
        wanted: BTreeSet<ClusterRef>,
        client: &Client,
        class: &mut Class,
    ) {
        let key = (client.kind, service.clone(), rules, wanted);
        let reader = &self.reader;
        let compiled = self.known.clusters.entry(key).or_insert_with_key(|(_, _, _, wanted)| {
            let each = wanted.iter().map(|cluster| compile_pair(service, cluster, client, reader));
            each.flatten().map(Arc::new).collect()
        });
        class.resources.extend(compiled.iter().cloned());
    }
}

/// All of a client that its clusters depend on, where a namespace does not see its own.
fn form_of(client: &Client) -> Client {
    let telemetry = TelemetryClient::default();
    Client { namespace: "".into(), dns_domain: "".into(), telemetry, ..client.clone() }
}

/// The services whose clusters are compiled for a class: all, or those that it does not share.
/// `scope` has narrowed listeners then.
fn own_services<'s>(scope: &'s Scope, base: Option<&Base>) -> Vec<&'s Shared<Service>> {
    let Some(base) = base else { return scope.services.iter().collect() };
    let left_out = base.left_out.iter().filter_map(|host| scope.service(host));
    let special = scope.listeners.iter().flat_map(|listener| &listener.services);
    let own: BTreeMap<_, _> = left_out.chain(special).map(|it| (&it.key, it)).collect();
    own.into_values().collect()
}

/// A cluster, and its endpoints where it is sent them.
fn compile_pair(
    service: &Shared<Service>,
    cluster: &ClusterRef,
    client: &Client,
    reader: &Reader<'_>,
) -> Vec<Compiled> {
    let ClusterRef { form, port, subset } = cluster;
    let input = select_cluster(service, *port, subset, client, reader);
    let compiled = form.compile_cluster(&input);
    let assignment = || {
        let place = Place::default();
        let input = select_endpoints(service, *port, subset, client, &place, reader);
        form.compile_endpoints(&input)
    };
    let assignment = (compiled.is_some() && input.is_eds()).then(assignment);
    compiled.into_iter().chain(assignment).collect()
}

/// The input as it is for every application with the same ports.
fn without_names(mut input: InboundInput) -> InboundInput {
    for port in &mut input.ports {
        port.hostname = "application".into();
        port.origin = ObjectKey::new(Kind::Service, "application", "application");
    }
    input
}

impl Base {
    fn new(class: &Class, left_out: HashSet<Hostname>) -> Self {
        let names = class.of_type(type_url::CLUSTER).map(|it| it.resource.name());
        let is_shared = |name: &&Arc<str>| host_of(name).is_none_or(|it| !left_out.contains(it));
        Self { clusters: names.filter(is_shared).cloned().collect(), left_out }
    }
}

/// `cart.shop.svc.cluster.local` of `outbound|80|v1|cart.shop.svc.cluster.local`.
fn host_of(cluster: &str) -> Option<&str> {
    cluster.splitn(4, '|').nth(3)
}

impl Class {
    /// Whether its proxies have a cluster that is not among its own resources.
    pub(super) fn shares_cluster(&self, name: &str) -> bool {
        let is_own = || host_of(name).is_some_and(|host| self.own.contains(host));
        self.beside.contains(name)
            || (self.base.as_ref().is_some_and(|base| base.clusters.contains(name)) && !is_own())
    }

    fn clusters(&self) -> HashSet<Arc<str>> {
        self.of_type(type_url::CLUSTER).map(|it| it.resource.name().clone()).collect()
    }

    /// The resources of one type.
    pub(super) fn of_type(&self, url: &str) -> impl Iterator<Item = &Arc<Compiled>> {
        self.resources.iter().filter(move |it| it.resource.type_url() == url)
    }

    fn extend(&mut self, compiled: impl IntoIterator<Item = Compiled>) {
        self.resources.extend(compiled.into_iter().map(Arc::new));
    }
}

fn inbound(input: &InboundInput) -> Vec<Arc<Compiled>> {
    let listeners = compile_inbound_listeners(input).into_iter();
    listeners.chain(compile_inbound_clusters(input)).map(Arc::new).collect()
}
