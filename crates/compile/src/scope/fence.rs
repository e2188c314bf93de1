//! A scope that a fence has made smaller: what is left of all that a class may see.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use model::{Hostname, Map, Service, Shared};
use snapshot::{DispatchTarget, Reader};

use super::{
    EgressListener, OpenPorts, RuleRef, Scope, ServerNames, Untold,
    detour::Gateway,
    visible::{Arranged, Visible, VisibleChange, byte_ports, wildcard_ports},
    written::names_like,
};
use crate::{ClientFence, names};

/// What a class is told, and what that depends on.
#[derive(Clone, Debug)]
pub struct Fenced {
    pub scope: Arc<Scope>,
    interest: Interest,
}

/// What decides what is left of a scope.
#[derive(Clone, Debug)]
struct Interest {
    /// Ports that have a listener for all addresses. A server behind one of them that speaks first would wait for
    /// its caller there, and that for the server.
    shared_ports: BTreeSet<u16>,
    /// Hosts that are left, if they exist: what was called, what is declared, and what goes with these.
    kept: BTreeSet<Hostname>,
    /// The services that rules for these lead to.
    led_to: BTreeSet<Hostname>,
    /// What these rules are about, with services that are not left.
    ruled: BTreeSet<Hostname>,
    /// The rest is called through the gateway, but for what that does not have.
    detours: bool,
    /// HTTP ports are open on which nothing is told.
    opens_http: bool,
}

impl Visible {
    /// What a class is told of all that it may see: what is declared for its workload, what that was
    /// seen to call, what it has asked for (`asked`), and whatever rules of these lead to. The work
    /// is in proportion to what is left, but for wildcards.
    ///
    /// Ports on which it may ask for more stay open.
    pub fn fenced(
        &self,
        fence: &ClientFence,
        asked: &BTreeSet<Hostname>,
        reader: &Reader<'_>,
    ) -> Fenced {
        self.fenced_to(fence, fence.called(asked, reader), reader)
    }

    /// The same with all that was `called`, as [`ClientFence::called`] says it: what was learned is not
    /// read.
    pub fn fenced_to(
        &self,
        fence: &ClientFence,
        called: BTreeSet<Hostname>,
        reader: &Reader<'_>,
    ) -> Fenced {
        let mut kept = called;
        kept.extend(self.declared(fence).map(|it| it.hostname().clone()));
        let gateway = self.gateway(fence, reader);
        let detoured = self.detoured.as_ref().filter(|_| gateway.is_some());
        kept.extend(detoured.into_iter().flat_map(|it| &it.hidden).cloned());
        kept.extend(self.told_whole(fence));
        self.follow_rules(fence, &mut kept);
        self.scope.follow_aliases(&mut kept);
        self.follow_names(&mut kept, fence);
        self.follow_wildcards(&mut kept);
        let detours = detoured.is_some();
        let opens_http = detours || fence.opens_http(reader);
        let shared_ports = self.follow_ports(&mut kept, opens_http, fence);
        let (led_to, ruled) = Default::default();
        let mut interest = Interest { shared_ports, kept, led_to, ruled, detours, opens_http };
        let listeners: Vec<EgressListener> = self
            .scope
            .listeners
            .iter()
            .zip(&self.listeners)
            .map(|(listener, places)| interest.narrow(listener, places, fence))
            .collect();
        interest.led_to = rules_lead_to(&listeners, reader);
        interest.led_to.extend(dispatched(reader));
        interest.led_to.extend(self.scope.egress_proxy.as_deref().and_then(names::service_of));
        let rules = listeners.iter().flat_map(|it| &it.rules);
        interest.ruled = rules.flat_map(|rule| rule.hosts.iter().cloned()).collect();
        let hosts = interest.kept.union(&interest.led_to);
        let mut services = pick(&self.scope.services, &self.scope.by_host, hosts);
        let is_known = |gateway: &Gateway| services.contains(&gateway.service);
        let own = gateway.iter().filter(|it| !is_known(it)).map(|it| it.service.clone());
        services.extend(own.collect::<Vec<_>>());
        let detour = gateway.map(|it| it.target);
        let egress_proxy = self.scope.egress_proxy.clone();
        let scope = Scope::new(listeners, services, self.scope.outbound_policy);
        Fenced { scope: Arc::new(Scope { egress_proxy, detour, ..scope }), interest }
    }

    /// What is at places of a Sidecar where nothing can be asked for, and where no call would be learned: there
    /// is no listener without a service.
    fn told_whole(&self, fence: &ClientFence) -> impl Iterator<Item = Hostname> {
        let listeners = self.scope.listeners.iter();
        let unasked = listeners.filter(|_| fence.mode.learns()).flat_map(EgressListener::unasked);
        unasked.map(|service| service.hostname().clone())
    }

    /// Hosts that callers may write as they write one that is left: whose the name is, is found among all of them.
    fn follow_names(&self, kept: &mut BTreeSet<Hostname>, fence: &ClientFence) {
        let mut new: Vec<Hostname> = kept.iter().cloned().collect();
        while !new.is_empty() {
            let names = new.iter().flat_map(|host| names_like(host, &fence.dns_domain));
            let known: Vec<Hostname> = names.filter(|it| self.knows(it)).collect();
            new = known.into_iter().filter(|host| kept.insert(host.clone())).collect();
        }
    }

    fn knows(&self, host: &Hostname) -> bool {
        self.scope.service(host).is_some()
            || self.listeners.iter().any(|places| places.rules.contains_key(host))
    }

    /// A declared host that is none of a service may be one of a rule, by a wildcard too: the closest one
    /// says where it leads.
    fn follow_rules(&self, fence: &ClientFence, kept: &mut BTreeSet<Hostname>) {
        let named = fence.declared.hosts.iter();
        for host in named.filter(|it| !it.is_wildcard() && self.scope.service(it).is_none()) {
            let places = self.scope.listeners.iter().zip(&self.listeners);
            let closest = places.filter_map(|(listener, places)| {
                let wild = places.wildcard_rules.iter().map(|place| &listener.rules[*place]);
                let hosts = wild.flat_map(|rule| rule.hosts.iter());
                let covering = hosts.filter(|it| it.is_wildcard() && it.covers(host));
                let is_named = places.rules.contains_key(host);
                covering.max_by_key(|it| it.as_str().len()).filter(|_| !is_named)
            });
            kept.extend(closest.cloned());
            // A rule for it may come.
            kept.insert(host.clone());
        }
    }

    /// A wildcard would answer for all names below it: whatever else these mean is needed too.
    fn follow_wildcards(&self, kept: &mut BTreeSet<Hostname>) {
        let wildcards: Vec<Hostname> = wildcards_of(kept).cloned().collect();
        if wildcards.is_empty() {
            return;
        }
        let services = self.scope.services.iter().map(|it| it.hostname());
        let rules = self.scope.listeners.iter().flat_map(|it| &it.rules);
        let known = services.chain(rules.flat_map(|rule| rule.hosts.iter()));
        kept.extend(known.filter(|host| wildcards.iter().any(|it| it.covers(host))).cloned());
    }

    /// Services with bytes on a port that has a listener for all addresses need one of their own. Says which
    /// ports these are: those of HTTP that are left, and all others that are open.
    fn follow_ports(
        &self,
        kept: &mut BTreeSet<Hostname>,
        opens_http: bool,
        fence: &ClientFence,
    ) -> BTreeSet<u16> {
        let open = self.listeners.iter().map(|places| &places.open_ports);
        let mut ports = BTreeSet::new();
        for OpenPorts { http, tls, .. } in open {
            ports.extend(http.iter().filter(|_| opens_http));
            ports.extend(tls.keys().filter(|_| fence.opens_tls()));
        }
        loop {
            let services = kept.iter().filter_map(|host| self.scope.service(host));
            ports.extend(services.flat_map(|service| wildcard_ports(service)));
            let shared = ports.iter().filter_map(|port| self.bytes_by_port.get(port)).flatten();
            let before = kept.len();
            kept.extend(shared.cloned());
            if kept.len() == before {
                return ports;
            }
        }
    }

    /// Services that are declared for a workload.
    fn declared(&self, fence: &ClientFence) -> impl Iterator<Item = &Shared<Service>> {
        let (scope, declared) = (&self.scope, &fence.declared);
        let places = declared.namespaces.keys().filter_map(|it| self.by_namespace.get(it));
        let of_namespaces = places.flatten().map(|place| &scope.services[*place]);
        let (wildcards, exact): (Vec<&Hostname>, Vec<_>) =
            declared.hosts.iter().partition(|it| it.is_wildcard());
        let covered = match wildcards.is_empty() {
            true => &[],
            false => &*scope.services,
        };
        let covered = covered
            .iter()
            .filter(move |it| wildcards.iter().any(|host| host.covers(it.hostname())));
        let named = exact.into_iter().filter_map(|host| scope.service(host));
        of_namespaces.filter(|it| declared.has(it)).chain(named).chain(covered)
    }
}

fn wildcards_of(hosts: &BTreeSet<Hostname>) -> impl Iterator<Item = &Hostname> {
    // They sort before all names.
    hosts.iter().take_while(|it| it.is_wildcard())
}

impl ClientFence {
    /// Whether something is done with HTTP to hosts that are not told: they are asked for, reported or dispatched.
    fn opens_http(&self, reader: &Reader<'_>) -> bool {
        let dispatches = !reader.fencing().dispatches.is_empty();
        self.loads_on_demand || self.reports.is_some() || dispatches
    }

    fn opens_tls(&self) -> bool {
        self.loads_on_demand || self.reports.is_some()
    }

    /// The ports on which it says server names, with those that it waits for.
    fn tls_ports(&self, ports: &BTreeMap<u16, ServerNames>) -> BTreeMap<u16, ServerNames> {
        match (self.loads_on_demand, &self.reports) {
            (true, _) => ports.clone(),
            (false, Some(_)) => ports.keys().map(|port| (*port, Arc::default())).collect(),
            (false, None) => BTreeMap::new(),
        }
    }

    /// What the workload was seen to call and what was `asked` for, without what is declared to be over.
    pub fn called(&self, asked: &BTreeSet<Hostname>, reader: &Reader<'_>) -> BTreeSet<Hostname> {
        let learned = reader.learned(&self.workload).filter(|_| self.mode.learns());
        let learned = learned.into_iter().flat_map(|hosts| hosts.iter());
        learned.filter(|host| !self.declared.bars(host)).chain(asked).cloned().collect()
    }
}

impl Fenced {
    /// Whether a service is told since it shares a port with others.
    pub fn shares_port(&self, service: &Service) -> bool {
        byte_ports(service).any(|port| self.interest.shared_ports.contains(&port))
    }

    /// Whether a change of what is visible may change what the class is told.
    pub fn depends_on(&self, fence: &ClientFence, now: &Visible, change: &VisibleChange) -> bool {
        let Interest { kept, led_to, ruled, .. } = &self.interest;
        let shares_port =
            |host: &Hostname| now.scope.service(host).is_some_and(|it| self.shares_port(it));
        let is_declared = |host: &Hostname| {
            now.scope.service(host).is_some_and(|service| fence.declared.has(service))
        };
        let is_below = |host: &Hostname| {
            wildcards_of(ruled).chain(wildcards_of(kept)).any(|it| it.overlaps(host))
        };
        let is_like = |host: &Hostname| {
            names_like(host, &fence.dns_domain)
                .iter()
                .any(|name| self.interest.has_host(name, fence))
        };
        let is_whole = |it: &EgressListener| fence.mode.learns() && !it.asks_for_hosts();
        let tells_whole = || now.scope.listeners.iter().any(is_whole);
        change.is_general
            || change.open_ports
            || (!change.hosts.is_empty() || !change.rules.is_empty()) && tells_whole()
            || change.server_names && fence.loads_on_demand
            || change.detour && fence.detour.is_some()
            || change.hosts.iter().any(|it| {
                kept.contains(it)
                    || led_to.contains(it)
                    || ruled.contains(it)
                    || is_declared(it)
                    || is_below(it)
                    || shares_port(it)
                    || is_like(it)
            })
            || change
                .rules
                .iter()
                .any(|rule| self.interest.has_rule(rule, fence) || rule.hosts.iter().any(is_like))
    }
}

impl Interest {
    /// Whether a host of a rule is left, so that the class goes by what all rules say of it.
    fn has_host(&self, host: &Hostname, fence: &ClientFence) -> bool {
        self.kept.contains(host) || fence.declared.names(host)
    }

    /// Whether a rule is for something that is left.
    fn has_rule(&self, rule: &RuleRef, fence: &ClientFence) -> bool {
        let kept = &self.kept;
        rule.hosts.iter().any(|host| {
            self.has_host(host, fence)
                || host.is_wildcard() && kept.iter().any(|it| host.covers(it))
                || wildcards_of(kept).any(|it| it.covers(host))
        })
    }

    /// Open ports of HTTP. A place that the Sidecar names stays open in any case.
    fn http_ports(&self, listener: &EgressListener, places: &Arranged) -> BTreeSet<u16> {
        match &listener.port {
            Some(port) => listener.asks_for_hosts().then_some(port.number).into_iter().collect(),
            None if self.opens_http => places.open_ports.http.clone(),
            None => BTreeSet::new(),
        }
    }

    fn narrow(
        &self,
        listener: &EgressListener,
        places: &Arranged,
        fence: &ClientFence,
    ) -> EgressListener {
        let has_wildcards = fence.declared.hosts.first().is_some_and(Hostname::is_wildcard);
        let mut rules: BTreeSet<usize> = match has_wildcards {
            // These may be for the host of any rule.
            true => (0..listener.rules.len()).collect(),
            false => places.wildcard_rules.clone(),
        };
        rules.retain(|place| self.has_rule(&listener.rules[*place], fence));
        let exact = self.kept.iter().chain(&fence.declared.hosts);
        rules.extend(exact.filter_map(|host| places.rules.get(host)).flatten());
        let told = rules.iter().map(|place| (*place, &listener.rules[*place]));
        let rule_ports = told.clone().map(|(place, it)| (&it.key, &places.rule_ports[place]));
        let ports =
            |host: &Hostname| Some((host.clone(), places.wildcard_ports.get(host)?.clone()));
        let hosts = told.clone().flat_map(|(_, rule)| rule.hosts.iter());
        let untold = Untold {
            rule_hosts: hosts.filter(|host| !self.has_host(host, fence)).cloned().collect(),
            rule_ports: rule_ports.map(|(key, ports)| (key.clone(), ports.clone())).collect(),
            wildcard_ports: told.flat_map(|(_, it)| it.hosts.iter().filter_map(ports)).collect(),
        };
        EgressListener {
            port: listener.port.clone(),
            bind: listener.bind.clone(),
            capture_mode: listener.capture_mode,
            services: pick(&listener.services, &places.services, &self.kept),
            rules: rules.into_iter().map(|place| listener.rules[place].clone()).collect(),
            open_ports: OpenPorts {
                http: self.http_ports(listener, places),
                detected: places.open_ports.detected.clone(),
                tls: fence.tls_ports(&places.open_ports.tls),
            },
            untold,
            is_narrow: listener.is_narrow,
            detoured: match self.detours {
                true => places.detoured.clone(),
                false => Arc::default(),
            },
        }
    }
}

/// Services with these hosts, in the order in which they stand.
fn pick<'a>(
    services: &[Shared<Service>],
    places: &Map<Hostname, usize>,
    hosts: impl IntoIterator<Item = &'a Hostname>,
) -> Vec<Shared<Service>> {
    let picked: BTreeSet<usize> =
        hosts.into_iter().filter_map(|host| places.get(host)).copied().collect();
    picked.into_iter().map(|place| services[place].clone()).collect()
}

impl Scope {
    /// A name that only stands for another needs that one too.
    fn follow_aliases(&self, kept: &mut BTreeSet<Hostname>) {
        let mut open: Vec<Hostname> = kept.iter().cloned().collect();
        while let Some(host) = open.pop() {
            let target = self.service(&host).and_then(|service| service.alias_of.clone());
            open.extend(target.filter(|target| kept.insert(target.clone())));
        }
    }
}

/// The services that rules lead to.
fn rules_lead_to(listeners: &[EgressListener], reader: &Reader<'_>) -> BTreeSet<Hostname> {
    let rules: BTreeSet<_> =
        listeners.iter().flat_map(|it| &it.rules).map(|rule| &rule.key).collect();
    let records = rules.into_iter().filter_map(|key| reader.virtual_service(key));
    records.flat_map(|record| record.imports()).map(Hostname::new).collect()
}

/// The services that unknown hosts are dispatched to.
fn dispatched(reader: &Reader<'_>) -> impl Iterator<Item = Hostname> {
    let targets = reader.fencing().dispatches.iter();
    targets.filter_map(|dispatch| match &dispatch.target {
        DispatchTarget::Cluster(name) => names::service_of(name),
        DispatchTarget::Passthrough | DispatchTarget::Gateway => None,
    })
}

#[cfg(test)]
mod tests;
