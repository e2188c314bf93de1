//! What a namespace sees in its own way, found without asking for each service again.

use std::collections::{HashMap, HashSet};

use api::Spec;
use model::{Hostname, Kind, Namespace, Service, Visibility};
use snapshot::{Snapshot, resolve_short_name};

/// The hosts for which there are DestinationRules that not all namespaces share.
#[derive(Default)]
pub(super) struct Special {
    /// Those of a namespace's own rules.
    own: HashMap<Namespace, Hosts>,
    /// Those of rules that are shown to some.
    restricted: Hosts,
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
        special
    }

    /// Whether a namespace may see a service, or its clusters, in another way than others do.
    pub(super) fn has(&self, service: &Service, namespace: &Namespace) -> bool {
        service.namespace() == namespace
            || service.visibility != Visibility::Public
            || self.restricted.has(service.hostname())
            || self.own.get(namespace).is_some_and(|own| own.has(service.hostname()))
    }
}
