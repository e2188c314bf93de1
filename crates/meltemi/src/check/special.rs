//! What a namespace sees in its own way, found without asking for each service again.

use std::collections::{HashMap, HashSet};

use api::Spec;
use model::{Hostname, Kind, Namespace, Service, Visibility};
use snapshot::{Snapshot, resolve_short_name};

/// The hosts for which there are DestinationRules that not all namespaces share, and the
/// namespaces that see services and VirtualServices which others do not.
#[derive(Default)]
pub(super) struct Special {
    /// Those of a namespace's own rules.
    own: HashMap<Namespace, Hosts>,
    /// Those of rules that are shown to some.
    restricted: Hosts,
    /// Those to whom something is shown that is not shown to all.
    chosen: HashSet<Namespace>,
    /// Those with a service of a host that others have too: theirs comes first for them.
    doubled: HashSet<Namespace>,
}

#[derive(Default)]
struct Hosts {
    exact: HashSet<Hostname>,
    wildcards: Vec<Hostname>,
}

impl Hosts {
    fn add(&mut self, host: Hostname) {
        match host.is_wildcard() {
            true => self.wildcards.push(host),
            false => _ = self.exact.insert(host),
        }
    }

    fn has(&self, host: &Hostname) -> bool {
        self.exact.contains(host) || self.wildcards.iter().any(|it| it.covers(host))
    }
}

impl Special {
    pub(super) fn new(snapshot: &Snapshot) -> Self {
        let mesh = snapshot.mesh();
        let mut special = Self::default();
        for object in snapshot.objects().of_kind(Kind::DestinationRule) {
            let Spec::DestinationRule(rule) = &object.spec else { continue };
            let namespace = &object.key.namespace;
            let host = resolve_short_name(&rule.host, namespace, &mesh.domain);
            let default = &mesh.default_destination_rule_visibility;
            if mesh.visibility(&rule.export_to, default, namespace) != Visibility::Public {
                special.restricted.add(host.clone());
            }
            special.own.entry(namespace.clone()).or_default().add(host);
        }
        for object in snapshot.objects().of_kind(Kind::VirtualService) {
            let Spec::VirtualService(rule) = &object.spec else { continue };
            let default = &mesh.default_virtual_service_visibility;
            special.choose(&mesh.visibility(&rule.export_to, default, &object.key.namespace));
        }
        let mut owners: HashMap<&Hostname, &Namespace> = HashMap::new();
        for service in snapshot.services() {
            special.choose(&service.visibility);
            if let Some(other) = owners.insert(service.hostname(), service.namespace()) {
                special.doubled.extend([other.clone(), service.namespace().clone()]);
            }
        }
        special
    }

    fn choose(&mut self, visibility: &Visibility) {
        if let Visibility::Namespaces(namespaces) = visibility {
            self.chosen.extend(namespaces.iter().cloned());
        }
    }

    /// Whether a namespace without a Sidecar sees exactly what is shown to all.
    pub(super) fn sees_public(&self, namespace: &Namespace) -> bool {
        !self.chosen.contains(namespace) && !self.doubled.contains(namespace)
    }

    /// The hosts of a namespace's own rules: exact ones, and wildcards.
    pub(super) fn hosts_of(
        &self,
        namespace: &Namespace,
    ) -> (impl Iterator<Item = &Hostname>, &[Hostname]) {
        let own = self.own.get(namespace);
        let wildcards = own.map(|own| &own.wildcards[..]).unwrap_or_default();
        (own.into_iter().flat_map(|own| &own.exact), wildcards)
    }

    /// Whether any namespace may see a service, or its clusters, in another way than others do.
    pub(super) fn is_general(&self, service: &Service) -> bool {
        service.visibility != Visibility::Public || self.restricted.has(service.hostname())
    }

    /// Whether a namespace may see a service, or its clusters, in another way than others do.
    pub(super) fn has(&self, service: &Service, namespace: &Namespace) -> bool {
        service.namespace() == namespace
            || self.is_general(service)
            || self.own.get(namespace).is_some_and(|own| own.has(service.hostname()))
    }
}
