//! Destinations of VirtualServices: services, ports and subsets that are there and can be seen.

use std::collections::BTreeSet;

use api::{
    Spec,
    istio::virtual_service::{Destination, VirtualService},
};
use model::{Kind, Labels, Namespace, ObjectKey, Service, Shared};

use crate::{codes, facts::Facts, found::Found};

/// One destination that a rule names.
pub struct Named<'r> {
    pub field: String,
    pub destination: &'r Destination,
}

/// Every destination of a rule, with its field.
pub fn named<'r>(rule: &'r VirtualService) -> Vec<Named<'r>> {
    let mut all = Vec::new();
    let mut add = |field: String, destination: Option<&'r Destination>| {
        all.extend(destination.map(|destination| Named { field, destination }));
    };
    for (index, http) in rule.http.iter().enumerate() {
        for (at, route) in http.route.iter().enumerate() {
            add(format!("spec.http[{index}].route[{at}].destination"), route.destination.as_ref());
        }
        add(format!("spec.http[{index}].mirror"), http.mirror.as_ref());
        for (at, mirror) in http.mirrors.iter().enumerate() {
            let field = format!("spec.http[{index}].mirrors[{at}].destination");
            add(field, mirror.destination.as_ref());
        }
    }
    let tls = rule.tls.iter().map(|it| &it.route).enumerate();
    let tcp = rule.tcp.iter().map(|it| &it.route).enumerate();
    let both = tls.map(|it| ("tls", it)).chain(tcp.map(|it| ("tcp", it)));
    for (kind, (index, routes)) in both {
        for (at, route) in routes.iter().enumerate() {
            let field = format!("spec.{kind}[{index}].route[{at}].destination");
            add(field, route.destination.as_ref());
        }
    }
    all
}

/// Why a destination does not exist, and what to do about it. `check` and this crate say it in the
/// same words.
pub fn no_service(host: &str) -> (String, &'static str) {
    let hint = "check the host, or add a Service or a ServiceEntry";
    (format!("there is no service `{host}`"), hint)
}

pub fn no_port(host: &str, port: u32) -> (String, &'static str) {
    let hint = "set `destination.port.number` to a port of the service";
    (format!("the service `{host}` has no port {port}"), hint)
}

pub fn no_subset(host: &str, subset: &str) -> (String, &'static str) {
    let hint = "define the subset in the DestinationRule of the service";
    (format!("the service `{host}` has no subset `{subset}`"), hint)
}

pub(crate) fn check(facts: &Facts<'_>, found: &mut Found) {
    for object in facts.objects(Kind::VirtualService) {
        let Spec::VirtualService(rule) = &object.spec else { continue };
        let caller = Caller::new(&object.key, rule, facts);
        for named in named(rule) {
            if !named.destination.host.is_empty() {
                caller.check(&named, found);
            }
        }
    }
}

/// Those who follow a rule.
struct Caller<'f, 'a> {
    facts: &'f Facts<'a>,
    rule: &'f ObjectKey,
    /// Where they are: the rule's namespace, and those of its gateways.
    namespaces: BTreeSet<&'f Namespace>,
    /// The ports on which calls come in, as far as they are known.
    ports: BTreeSet<u16>,
}

impl<'f, 'a> Caller<'f, 'a> {
    fn new(key: &'f ObjectKey, rule: &'f VirtualService, facts: &'f Facts<'a>) -> Self {
        let mut caller =
            Self { facts, rule: key, namespaces: BTreeSet::new(), ports: BTreeSet::new() };
        caller.namespaces.insert(&key.namespace);
        let Some(record) = facts.reader.virtual_service(key) else { return caller };
        for gateway in record.gateways.iter().filter_map(|name| facts.gateway(name)) {
            caller.namespaces.extend(&gateway.namespaces);
            caller.ports.extend(&gateway.ports);
        }
        if record.binds_to_mesh() {
            let hosts = rule.hosts.iter().map(|host| facts.resolve(host, &key.namespace));
            for service in hosts.flat_map(|host| facts.reader.services_named(&host)) {
                caller.ports.extend(service.ports.iter().map(|port| port.number));
            }
        }
        caller
    }

    fn check(&self, named: &Named<'_>, found: &mut Found) {
        let Destination { host, subset, port } = named.destination;
        let host = self.facts.resolve(host, &self.rule.namespace);
        let mut missing = |(message, hint): (String, &str)| {
            found.add(&codes::NO_SUCH_DESTINATION, self.rule, &named.field, message, hint);
        };
        let services = self.facts.reader.services_named(&host);
        if services.is_empty() {
            return missing(no_service(host.as_str()));
        }
        let sees = |service: &&&Shared<Service>| {
            self.namespaces.iter().any(|it| service.visibility.includes(it))
        };
        let visible: Vec<&Shared<Service>> = services.iter().filter(sees).copied().collect();
        let Some(first) = visible.first() else {
            let message =
                format!("the service `{host}` is not exported to where it is called from");
            let hint = "add the namespace to `exportTo` of the service";
            let code = &codes::SERVICE_NOT_VISIBLE;
            return found.add(code, self.rule, &named.field, message, hint);
        };
        match port.as_ref().map(|port| port.number) {
            Some(number) => {
                let has = |service: &&Shared<Service>| {
                    service.ports.iter().any(|port| u32::from(port.number) == number)
                };
                if !visible.iter().any(has) {
                    return missing(no_port(host.as_str(), number));
                }
            }
            None => self.check_default_port(first, &named.field, found),
        }
        if !subset.is_empty() {
            self.check_subset(&visible, subset, &named.field, found);
        }
    }

    /// Without a port in the rule, it is the one on which the call came in.
    fn check_default_port(&self, service: &Service, field: &str, found: &mut Found) {
        let ports = || service.ports.iter().map(|port| port.number);
        let is_clear = service.ports.len() < 2 || self.ports.is_empty();
        if is_clear || ports().any(|port| self.ports.contains(&port)) {
            return;
        }
        let known: Vec<String> = ports().map(|port| port.to_string()).collect();
        let (host, known) = (service.hostname(), known.join(", "));
        let message = format!("the service `{host}` has the ports {known}, and none is chosen");
        let hint = "set `destination.port.number`";
        found.add(&codes::PORT_REQUIRED, self.rule, field, message, hint);
    }

    fn check_subset(
        &self,
        services: &[&Shared<Service>],
        subset: &str,
        field: &str,
        found: &mut Found,
    ) {
        let reader = &self.facts.reader;
        let defines = |client: &Namespace| {
            services.iter().any(|service| {
                let rules = reader.destination_rules(&service.key, client, &Labels::default());
                rules.iter().any(|rule| rule.spec.subsets.iter().any(|it| it.name == subset))
            })
        };
        if self.namespaces.iter().any(|client| defines(client)) {
            return;
        }
        let host = services[0].hostname();
        // Rules for chosen clients are not for those who are not known.
        let elsewhere = self
            .facts
            .rules_for(host)
            .iter()
            .find(|(_, rule)| rule.subsets.iter().any(|it| it.name == subset));
        let (message, hint) = no_subset(host.as_str(), subset);
        match elsewhere {
            None => found.add(&codes::NO_SUCH_DESTINATION, self.rule, field, message, hint),
            Some((_, rule)) if rule.workload_selector.is_some() => (),
            Some((key, _)) => {
                let message = format!("the subset `{subset}` of {key} is hidden from the callers");
                let hint = "export the DestinationRule to them, from the namespace of the service";
                found.add(&codes::SUBSET_NOT_VISIBLE, self.rule, field, message, hint);
            }
        }
    }
}
