//! Both ends of a connection: what DestinationRules tell clients, and what servers accept.

use api::{
    Spec,
    istio::{
        destination_rule::DestinationRule,
        peer_authentication::{MutualTlsMode, PeerAuthentication},
        traffic_policy::{ClientTlsMode, ClientTlsSettings, TrafficPolicy},
    },
};
use model::{Kind, ObjectKey, Registry, Service, Shared};

use crate::{
    codes,
    facts::{Facts, labels},
    found::Found,
    mtls::modes_behind,
};

pub(crate) fn check(facts: &Facts<'_>, found: &mut Found) {
    for object in facts.objects(Kind::DestinationRule) {
        let Spec::DestinationRule(rule) = &object.spec else { continue };
        let host = facts.resolve(&rule.host, &object.key.namespace);
        let services = facts.reader.services_named(&host);
        for service in services.into_iter().filter(|it| it.registry == Registry::Kubernetes) {
            for (field, tls, port) in settings(rule) {
                let end = ClientEnd { rule: &object.key, field, tls, port };
                end.check(service, facts, found);
            }
        }
    }
    for object in facts.objects(Kind::PeerAuthentication) {
        let Spec::PeerAuthentication(policy) = &object.spec else { continue };
        check_ports(&object.key, policy, facts, found);
    }
}

/// What a rule tells clients: field, settings, and the port if it is for one.
fn settings(rule: &DestinationRule) -> Vec<(String, &ClientTlsSettings, Option<u16>)> {
    let mut all = Vec::new();
    let subsets = rule.subsets.iter().enumerate().filter_map(|(index, subset)| {
        Some((format!("spec.subsets[{index}].trafficPolicy"), subset.traffic_policy.as_ref()?))
    });
    let whole = rule.traffic_policy.as_ref().map(|it| ("spec.trafficPolicy".to_owned(), it));
    for (path, policy) in whole.into_iter().chain(subsets) {
        let policy: &TrafficPolicy = policy;
        all.extend(policy.tls.as_ref().map(|tls| (format!("{path}.tls"), tls, None)));
        for (index, level) in policy.port_level_settings.iter().enumerate() {
            let port = level.port.as_ref().and_then(|port| u16::try_from(port.number).ok());
            if let (Some(tls), Some(port)) = (&level.tls, port) {
                let field = format!("{path}.portLevelSettings[{index}].tls");
                all.push((field, tls, Some(port)));
            }
        }
    }
    all
}

struct ClientEnd<'r> {
    rule: &'r ObjectKey,
    field: String,
    tls: &'r ClientTlsSettings,
    port: Option<u16>,
}

impl ClientEnd<'_> {
    fn check(&self, service: &Shared<Service>, facts: &Facts<'_>, found: &mut Found) {
        let field = format!("{}.mode", self.field);
        let host = service.hostname();
        for port in service.ports.iter().filter(|it| self.port.is_none_or(|own| own == it.number)) {
            let modes = modes_behind(facts, service, port.number);
            let all = |mode: MutualTlsMode| !modes.is_empty() && modes.iter().all(|it| *it == mode);
            let number = port.number;
            match self.tls.mode {
                ClientTlsMode::IstioMutual => {
                    if all(MutualTlsMode::Disable) {
                        let message =
                            format!("the port {number} of `{host}` has mutual TLS turned off");
                        let hint = "remove `tls`, so that each connection is what the server takes";
                        found.add(&codes::TLS_NOT_SPOKEN, self.rule, field, message, hint);
                        return;
                    }
                    if self.has_no_proxy(service, facts) {
                        let message = format!("the instances of `{host}` have no proxy to end it");
                        let hint = "remove `tls`, or inject the proxy";
                        found.add(&codes::TLS_NOT_SPOKEN, self.rule, field, message, hint);
                        return;
                    }
                }
                ClientTlsMode::Disable | ClientTlsMode::Simple | ClientTlsMode::Mutual => {
                    let own = self.tls.mode != ClientTlsMode::Disable;
                    if all(MutualTlsMode::Strict) && !self.has_no_proxy(service, facts) {
                        let message = format!(
                            "the port {number} of `{host}` takes mutual TLS of the mesh only"
                        );
                        let hint = "use the mode ISTIO_MUTUAL, or remove `tls`";
                        found.add(&codes::TLS_REFUSED, self.rule, field, message, hint);
                        return;
                    }
                    if own && port.protocol.is_http() && self.has_proxy(service, facts) {
                        let message = format!("the port {number} of `{host}` speaks plain HTTP");
                        let hint = "use the mode ISTIO_MUTUAL, or remove `tls`";
                        found.add(&codes::TLS_IN_MESH, self.rule, field, message, hint);
                        return;
                    }
                }
            }
        }
    }

    fn has_no_proxy(&self, service: &Service, facts: &Facts<'_>) -> bool {
        let instances = facts.instances_of(service);
        let is_bare = |at: &usize| facts.instances[*at].is_bare();
        facts.proxies_are_known && !instances.is_empty() && instances.iter().all(is_bare)
    }

    fn has_proxy(&self, service: &Service, facts: &Facts<'_>) -> bool {
        let instances = facts.instances_of(service);
        !instances.is_empty() && instances.iter().all(|at| facts.instances[*at].has_proxy)
    }
}

fn check_ports(key: &ObjectKey, policy: &PeerAuthentication, facts: &Facts<'_>, found: &mut Found) {
    let (Some(selector), Some(ports)) = (&policy.selector, &policy.port_level_mtls) else { return };
    let selector = labels(&selector.match_labels);
    if selector.is_empty() {
        return;
    }
    let selected = facts.select_for_policy(&key.namespace, &selector);
    for port in ports.keys() {
        let Ok(number) = port.parse::<u16>() else { continue };
        if serves(&selected, number, facts) {
            continue;
        }
        let message = format!("no selected workload serves the port {number}");
        let field = format!("spec.portLevelMtls[\"{port}\"]");
        let hint = service_port_hint(&selected, number, facts);
        found.add(&codes::PORT_NOT_SERVED, key, field, message, &hint);
    }
}

/// Whether some instance serves a port, or nobody can say.
pub(crate) fn serves(selected: &[usize], port: u16, facts: &Facts<'_>) -> bool {
    let known = |at: &usize| {
        let ports = facts.ports_of(*at);
        // What a Pod declares need not be all; what services lead to is what callers reach.
        ports.is_empty() || facts.services_of(*at).is_empty() || ports.contains(&port)
    };
    selected.is_empty() || selected.iter().any(known)
}

/// Ports of policies are those of workloads, which is often mistaken.
pub(crate) fn service_port_hint(selected: &[usize], port: u16, facts: &Facts<'_>) -> String {
    for at in selected {
        for service in facts.services_of(*at) {
            let target = service.port(port).and_then(|it| facts.target(*at, &it.target));
            if let Some(target) = target {
                return format!("it is a port of the Service; the workload's is {target}");
            }
        }
    }
    "use a port on which the container listens".to_owned()
}
