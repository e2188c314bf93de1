//! Which VirtualServices are bound to a gateway, and which services they mean.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use model::{Hostname, Namespace, Registry, Service, Shared};
use snapshot::Reader;

use super::GatewayScope;
use crate::{
    Client, RuleRef,
    scope::{closeness, rule_ref},
};

/// The rules of each of these gateways that the client's namespace may see, in the order in which
/// they win: private ones, then those shown to chosen namespaces, then public ones, each by age.
pub(super) fn bound_rules(
    gateways: &BTreeSet<Arc<str>>,
    client: &Client,
    reader: &Reader<'_>,
) -> BTreeMap<Arc<str>, Vec<RuleRef>> {
    let mut visible = reader.visible_virtual_services(&client.namespace);
    let own = &client.namespace;
    visible.sort_by_key(|rule| closeness(&rule.visibility, rule.namespace(), own));
    let mut bound: BTreeMap<Arc<str>, Vec<RuleRef>> = BTreeMap::new();
    for rule in visible {
        let named: BTreeSet<&Arc<str>> = rule.gateways.iter().collect();
        for gateway in named.into_iter().filter(|gateway| gateways.contains(*gateway)) {
            let rule = rule_ref(rule);
            bound.entry(gateway.clone()).or_default().push(rule);
        }
    }
    bound
}

impl GatewayScope {
    pub(super) fn rules_of(&self, gateway: &str) -> &[RuleRef] {
        self.rules.get(gateway).map(Vec::as_slice).unwrap_or_default()
    }
}

/// The service that a gateway means by a host. A host may be defined in several namespaces: the
/// `preferred` one comes first, then Kubernetes (nobody takes over a host by a ServiceEntry), then
/// the closest, then the oldest.
pub fn find_service<'a>(
    hostname: &Hostname,
    preferred: Option<&Namespace>,
    client: &Client,
    reader: &Reader<'a>,
) -> Option<&'a Shared<Service>> {
    let named = reader.services_named(hostname);
    let read = named.into_iter().filter_map(|service| reader.service(&service.key));
    read.filter(|service| service.visibility.includes(&client.namespace)).min_by_key(|service| {
        let other = preferred != Some(service.namespace());
        let external = service.registry != Registry::Kubernetes;
        let far = closeness(&service.visibility, service.namespace(), &client.namespace);
        (other, external, far, service.created, service.name.clone(), service.key.clone())
    })
}
