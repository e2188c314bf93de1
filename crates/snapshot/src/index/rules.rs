//! Deriving what a batch has marked: VirtualServices, DestinationRules, Sidecars, Gateways.

use std::{collections::BTreeSet, sync::Arc};

use api::{Spec, istio::virtual_service::VirtualService};
use model::{Hostname, Kind, Namespace, ObjectKey, Shared, Visibility};
use rpds::RedBlackTreeSetSync;

use super::{
    Index, Marks,
    delegates::merge_delegate,
    derive::toggle,
    records::{
        complete_virtual_service, destination_rule_record, gateway_record, sidecar_record,
        virtual_service_record,
    },
    services::created,
};
use crate::{DestinationRuleRecord, ReadKey, VirtualServiceRecord, view::RuleOrder};

impl Index {
    pub(super) fn derive_virtual_services(&mut self, marks: &mut Marks) {
        for key in std::mem::take(&mut marks.virtual_services) {
            let new = self.resolve_virtual_service(&key);
            let old = self.view.virtual_services.get(&key).cloned();
            if old == new {
                continue;
            }
            let keys = &mut marks.changes.keys;
            keys.insert(ReadKey::VirtualService(key.clone()));
            let same_place = match (&old, &new) {
                (Some(old), Some(new)) => old.same_place(new),
                _ => false,
            };
            let mut moved = Vec::new();
            if !same_place {
                for (record, present) in [(&old, false), (&new, true)] {
                    let Some(record) = record else { continue };
                    self.place_virtual_service(record, present);
                    keys.extend(rule_keys(&record.visibility));
                    moved.push((record.clone(), present));
                }
            }
            match new {
                Some(new) => self.view.virtual_services.insert_mut(key, new),
                None => {
                    self.view.virtual_services.remove_mut(&key);
                }
            }
            for (record, present) in moved {
                self.mark_fences_of_rule(&record, present, marks);
            }
        }
    }

    fn place_virtual_service(&mut self, record: &VirtualServiceRecord, present: bool) {
        let order = RuleOrder {
            created: record.created,
            name: record.key.name.clone(),
            namespace: record.key.namespace.clone(),
            key: record.key.clone(),
        };
        match &record.visibility {
            Visibility::Public => toggle(&mut self.view.public_virtual_services, order, present),
            Visibility::Namespaces(namespaces) => {
                for namespace in namespaces.iter() {
                    let set = self.view.virtual_services_for.get(namespace);
                    let mut set = set.cloned().unwrap_or_else(RedBlackTreeSetSync::new_sync);
                    toggle(&mut set, order.clone(), present);
                    self.view.virtual_services_for.insert_mut(namespace.clone(), set);
                }
            }
        }
    }

    /// A VirtualService with hosts, its delegates merged in. Delegates themselves have no record.
    fn resolve_virtual_service(&mut self, key: &ObjectKey) -> Option<Shared<VirtualServiceRecord>> {
        self.forget_delegates(key);
        let object = self.view.objects.get(key)?;
        let Spec::VirtualService(spec) = &object.spec else { return None };
        if spec.hosts.is_empty() {
            return None;
        }
        let (created, mut hash) = (created(&object.meta), object.hash);
        let mut spec = complete_virtual_service(key, spec, &self.domain);
        let delegates = self.merge_delegates(key, &mut spec, &mut hash);
        for delegate in &delegates {
            self.delegated_by.entry(delegate.clone()).or_default().insert(key.clone());
        }
        hash ^= self.view.mesh.content_hash();
        let mesh = &self.view.mesh;
        let record = virtual_service_record(key, created, spec, delegates, mesh);
        Some(Shared::with_hash(record, hash))
    }

    fn forget_delegates(&mut self, key: &ObjectKey) {
        let Some(old) = self.view.virtual_services.get(key) else { return };
        for delegate in &old.delegates {
            if let Some(roots) = self.delegated_by.get_mut(delegate) {
                roots.remove(key);
            }
        }
    }

    fn merge_delegates(
        &self,
        key: &ObjectKey,
        spec: &mut VirtualService,
        hash: &mut u128,
    ) -> BTreeSet<ObjectKey> {
        let mut named = BTreeSet::new();
        let mut routes = Vec::with_capacity(spec.http.len());
        for route in std::mem::take(&mut spec.http) {
            let Some(delegate) = &route.delegate else {
                routes.push(route);
                continue;
            };
            let namespace = match delegate.namespace.as_str() {
                "" => key.namespace.as_str(),
                namespace => namespace,
            };
            let target = ObjectKey::new(Kind::VirtualService, namespace, &delegate.name);
            if let Some(object) = self.view.objects.get(&target)
                && let Spec::VirtualService(found) = &object.spec
                && found.hosts.is_empty()
                && self.delegate_is_visible(&target, found, key)
            {
                let found = complete_virtual_service(&target, found, &self.domain);
                *hash = hash.rotate_left(1) ^ object.hash;
                routes.extend(merge_delegate(&route, &found.http));
            }
            named.insert(target);
        }
        spec.http = routes;
        named
    }

    fn delegate_is_visible(
        &self,
        key: &ObjectKey,
        spec: &VirtualService,
        root: &ObjectKey,
    ) -> bool {
        let mesh = &self.view.mesh;
        let default = &mesh.default_virtual_service_visibility;
        mesh.visibility(&spec.export_to, default, &key.namespace).includes(&root.namespace)
    }

    pub(super) fn derive_destination_rules(&mut self, marks: &mut Marks) {
        for key in std::mem::take(&mut marks.destination_rules) {
            let new = self.view.objects.get(&key).and_then(|object| match &object.spec {
                Spec::DestinationRule(spec) => {
                    let mesh = &self.view.mesh;
                    let record =
                        destination_rule_record(&key, created(&object.meta), spec.clone(), mesh);
                    Some(Shared::with_hash(record, object.hash ^ mesh.content_hash()))
                }
                _ => None,
            });
            for pattern in self.remove_rule(&key) {
                self.rule_hosts(&pattern, &key.namespace, marks);
            }
            if let Some(record) = new {
                self.rule_hosts(&record.host.clone(), &key.namespace, marks);
                self.insert_rule(record);
            }
        }
    }

    /// Every service host that a pattern covers reads the rules of the namespace anew.
    fn rule_hosts(&self, pattern: &Hostname, namespace: &Namespace, marks: &mut Marks) {
        let keys = &mut marks.changes.keys;
        let key = |host: &Hostname| ReadKey::DestinationRules(host.clone(), namespace.clone());
        if !pattern.is_wildcard() {
            keys.insert(key(pattern));
            return;
        }
        let covered = self.view.hostnames.keys().filter(|host| pattern.covers(host));
        keys.extend(covered.map(key));
    }

    fn remove_rule(&mut self, key: &ObjectKey) -> Vec<Hostname> {
        let Some(host) = self.rule_host.remove(key) else { return Vec::new() };
        let rules = self.view.destination_rules.get(&host).cloned();
        let rest: Vec<Shared<DestinationRuleRecord>> = rules
            .iter()
            .flat_map(|rules| rules.iter())
            .filter(|rule| rule.key != *key)
            .cloned()
            .collect();
        self.set_rules(host.clone(), rest);
        vec![host]
    }

    fn insert_rule(&mut self, record: Shared<DestinationRuleRecord>) {
        let host = record.host.clone();
        self.rule_host.insert(record.key.clone(), host.clone());
        let rules = self.view.destination_rules.get(&host).cloned();
        let mut rules: Vec<_> = rules.iter().flat_map(|rules| rules.iter()).cloned().collect();
        rules.push(record);
        rules.sort_by(|a, b| {
            (a.created, &a.key.name, &a.key).cmp(&(b.created, &b.key.name, &b.key))
        });
        self.set_rules(host, rules);
    }

    fn set_rules(&mut self, host: Hostname, rules: Vec<Shared<DestinationRuleRecord>>) {
        let wild = host.is_wildcard();
        match rules.is_empty() {
            true => {
                self.view.destination_rules.remove_mut(&host);
            }
            false => self.view.destination_rules.insert_mut(host.clone(), rules.into()),
        }
        if wild {
            let mut patterns: Vec<Hostname> =
                self.view.destination_rules.keys().filter(|it| it.is_wildcard()).cloned().collect();
            patterns.sort_by_key(|it| (std::cmp::Reverse(it.as_str().len()), it.clone()));
            self.view.wildcard_rules = patterns.into();
        }
    }

    /// Counts the label keys of each rule, so that classes depend on no other labels.
    pub(super) fn derive_rule_labels(&mut self, marks: &mut Marks) {
        let touched = marks.changes.causes.keys().any(|key| {
            matches!(key.kind, Kind::VirtualService | Kind::DestinationRule | Kind::MeshConfig)
        });
        if !touched {
            return;
        }
        let mut keys: BTreeSet<Arc<str>> = BTreeSet::new();
        for (_, record) in &self.view.virtual_services {
            keys.extend(source_labels(&record.spec).map(|key| Arc::from(key.as_str())));
        }
        for rules in self.view.destination_rules.values() {
            let selectors = rules.iter().filter_map(|rule| rule.selector.as_ref());
            keys.extend(selectors.flat_map(|it| it.iter()).map(|(key, _)| Arc::from(key)));
        }
        if keys != *self.view.rule_labels {
            self.view.rule_labels = Arc::new(keys);
            marks.changes.keys.insert(ReadKey::RuleLabels);
        }
    }

    pub(super) fn derive_sidecars(&mut self, marks: &mut Marks) {
        for namespace in std::mem::take(&mut marks.sidecars) {
            let first = ObjectKey::new(Kind::Sidecar, namespace.as_str(), "");
            let mut records: Vec<_> = self
                .view
                .objects
                .range(first..)
                .take_while(|(key, _)| key.kind == Kind::Sidecar && key.namespace == namespace)
                .filter_map(|(key, object)| match &object.spec {
                    Spec::Sidecar(spec) => {
                        let record = sidecar_record(key, created(&object.meta), spec.clone());
                        Some(Shared::with_hash(record, object.hash))
                    }
                    _ => None,
                })
                .collect();
            records.sort_by_key(|record| (record.created, record.key.name.clone()));
            marks.changes.keys.insert(ReadKey::Sidecars(namespace.clone()));
            match records.is_empty() {
                true => {
                    self.view.sidecars.remove_mut(&namespace);
                }
                false => self.view.sidecars.insert_mut(namespace, records.into()),
            }
        }
    }

    pub(super) fn derive_gateways(&mut self, marks: &mut Marks) {
        if !std::mem::take(&mut marks.gateways) {
            return;
        }
        let first = ObjectKey::new(Kind::Gateway, "", "");
        let mut records: Vec<_> = self
            .view
            .objects
            .range(first..)
            .take_while(|(key, _)| key.kind == Kind::Gateway)
            .filter_map(|(key, object)| match &object.spec {
                Spec::Gateway(spec) => {
                    let record = gateway_record(key, created(&object.meta), spec.clone());
                    Some(Shared::with_hash(record, object.hash))
                }
                _ => None,
            })
            .collect();
        let order = |key: &ObjectKey| (key.name.clone(), key.namespace.clone());
        records.sort_by_key(|record| (record.created, order(&record.key)));
        self.view.gateways = records.into();
        marks.changes.keys.insert(ReadKey::Gateways);
    }
}

fn source_labels(spec: &VirtualService) -> impl Iterator<Item = &String> {
    let http = spec.http.iter().flat_map(|it| &it.match_).flat_map(|it| it.source_labels.keys());
    let tls = spec.tls.iter().flat_map(|it| &it.match_).flat_map(|it| it.source_labels.keys());
    let tcp = spec.tcp.iter().flat_map(|it| &it.match_).flat_map(|it| it.source_labels.keys());
    http.chain(tls).chain(tcp)
}

fn rule_keys(visibility: &Visibility) -> Vec<ReadKey> {
    match visibility {
        Visibility::Public => vec![ReadKey::PublicVirtualServices],
        Visibility::Namespaces(namespaces) => {
            namespaces.iter().map(|it| ReadKey::VirtualServicesFor(it.clone())).collect()
        }
    }
}
