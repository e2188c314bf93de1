//! Which VirtualServices are bound to a gateway, and which services they mean.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use model::{Hostname, Namespace, Registry, Service, Shared, Visibility};
use snapshot::{Reader, VirtualServiceRecord};

use super::GatewayScope;
use crate::{Client, RuleRef};

/// The rules of each of these gateways that the client's namespace may see, in the order in which
/// they win: private ones, then those shown to chosen namespaces, then public ones, each by age.
pub(super) fn bound_rules(
    gateways: &BTreeSet<Arc<str>>,
    client: &Client,
    reader: &Reader<'_>,
) -> BTreeMap<Arc<str>, Vec<RuleRef>> {
    let mut visible = reader.visible_virtual_services(&client.namespace);
    visible.sort_by_key(|rule| closeness(rule));
    let mut bound: BTreeMap<Arc<str>, Vec<RuleRef>> = BTreeMap::new();
    for rule in visible {
        let named: BTreeSet<&Arc<str>> = rule.gateways.iter().collect();
        for gateway in named.into_iter().filter(|gateway| gateways.contains(*gateway)) {
            let rule = RuleRef { key: rule.key.clone(), hosts: rule.hosts.clone() };
            bound.entry(gateway.clone()).or_default().push(rule);
        }
    }
    bound
}

fn closeness(rule: &VirtualServiceRecord) -> u8 {
    match &rule.visibility {
        Visibility::Namespaces(only) if **only == [rule.namespace().clone()] => 0,
        Visibility::Namespaces(_) => 1,
        Visibility::Public => 2,
    }
}

impl GatewayScope {
    pub(super) fn rules_of(&self, gateway: &str) -> &[RuleRef] {
        self.rules.get(gateway).map(Vec::as_slice).unwrap_or_default()
    }
}

/// The service that a gateway means by a host. A host may be defined in several namespaces: the
/// `preferred` one comes first, then Kubernetes (nobody takes over a host by a ServiceEntry), then
/// the oldest.
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
        (other, external, service.created, service.name.clone(), service.key.clone())
    })
}
