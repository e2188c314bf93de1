//! Filing and deriving what limits scopes.
//!
//! - A fence is derived again when something changes that its dependencies follow from: the object,
//!   its Service and Namespace, a service that its labels select, a VirtualService of one of its hosts,
//!   or the time. Each is found by an index, so that nothing else is looked at.

mod destinations;
mod filed;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use api::{
    Object, Spec,
    slime::service_fence::{FenceWorkloadSelector, ServiceFence},
};
use model::{
    FenceSwitch, FenceTarget, Hostname, Kind, Labels, Name, Namespace, ObjectKey, Service,
    ServiceKey, WorkloadKey,
};

use self::destinations::RulesSeen;
pub(super) use self::filed::FenceIndex;
use super::{Index, Marks, records::labels};
use crate::{
    Learned, ReadKey, VirtualServiceRecord,
    fence::{self, Declared, DomainInput, FenceOrigin, FenceRecord, FenceTable, compute_domains},
};

/// Selectors over services hold in all namespaces.
fn everywhere() -> Namespace {
    Namespace::from("")
}

/// The key of the fence with the name and namespace of an object.
fn fence_key(key: &ObjectKey) -> ObjectKey {
    ObjectKey { kind: Kind::ServiceFence, ..key.clone() }
}

impl Index {
    /// What a workload was seen to call. The same again touches nothing.
    pub(super) fn learn(
        &mut self,
        workload: WorkloadKey,
        hosts: Option<Learned>,
        marks: &mut Marks,
    ) {
        let hosts = hosts.map(|hosts| {
            let aliases = hosts.iter().flat_map(|host| self.view.fencing.aliases.of(host));
            let aliases: Vec<Hostname> = aliases.collect();
            match aliases.is_empty() {
                true => hosts,
                false => Learned::new(hosts.iter().cloned().chain(aliases).collect()),
            }
        });
        if self.view.learned.get(&workload) == hosts.as_ref() {
            return;
        }
        match hosts {
            Some(hosts) => self.view.learned.insert_mut(workload.clone(), hosts),
            None => {
                self.view.learned.remove_mut(&workload);
            }
        }
        marks.changes.keys.insert(ReadKey::Learned(workload));
    }

    /// Somebody decided about the fences of some workloads. The same again touches nothing.
    pub(super) fn switch_fence(
        &mut self,
        target: FenceTarget,
        switch: FenceSwitch,
        marks: &mut Marks,
    ) {
        let is_off = switch == FenceSwitch::Off;
        if self.view.fences_off.contains(&target) == is_off {
            return;
        }
        match is_off {
            true => self.view.fences_off.insert_mut(target.clone()),
            false => drop(self.view.fences_off.remove_mut(&target)),
        }
        marks.changes.keys.insert(match target {
            FenceTarget::Namespace(namespace) => ReadKey::Fences(namespace),
            FenceTarget::Workload(workload) => ReadKey::FenceSwitch(workload),
        });
    }

    /// It is this time now.
    pub(super) fn set_time(&mut self, now: i64, marks: &mut Marks) {
        marks.fences.extend(self.fences.set_time(now));
    }

    /// A fence, or a Service that may ask for one.
    pub(super) fn mark_fence(&self, key: &ObjectKey, marks: &mut Marks) {
        marks.fences.insert(fence_key(key));
    }

    /// A Namespace may decide about the fences of its Services, and about modes.
    pub(super) fn mark_namespace(
        &self,
        key: &ObjectKey,
        old: Option<&Object>,
        new: Option<&Object>,
        marks: &mut Marks,
    ) {
        let namespace = Namespace::from(key.name.as_str());
        let labels = |object: Option<&Object>| object.map(|it| it.meta.labels.clone());
        let includes = |object: Option<&Object>| {
            self.view.fencing.namespaces.includes(&namespace, labels(object).as_ref())
        };
        let makes = |object| (fence::fenced_label(object), includes(object));
        if fence::label(old) != fence::label(new) || includes(old) != includes(new) {
            marks.changes.keys.insert(ReadKey::Fences(namespace.clone()));
        }
        if makes(old) != makes(new) {
            let services = self.objects_in(Kind::Service, &namespace);
            marks.fences.extend(services.map(|(key, _)| fence_key(key)));
        }
    }

    fn objects_in<'a>(
        &'a self,
        kind: Kind,
        namespace: &'a Namespace,
    ) -> impl Iterator<Item = (&'a ObjectKey, &'a Object)> {
        let first = ObjectKey::new(kind, namespace.as_str(), "");
        let all = self.view.objects.range(first..);
        all.take_while(move |(key, _)| key.kind == kind && key.namespace == *namespace)
    }

    /// A service came, went or changed.
    pub(super) fn mark_fences_of_service(
        &mut self,
        key: &ServiceKey,
        old: Option<&Service>,
        new: Option<&Service>,
        marks: &mut Marks,
    ) {
        let fences = &mut self.fences;
        let labels = |service: Option<&Service>| service.map(|it| it.labels.clone());
        let is_same = old.is_some() == new.is_some();
        if !is_same || labels(old) != labels(new) {
            let selecting = |fences: &FenceIndex| fences.selectors.selecting(key).into_iter();
            marks.fences.extend(selecting(fences).map(|(fence, _)| fence));
            if fences.has_selectors {
                fences.selectors.set_workload(key, labels(new).map(|it| (everywhere(), it)));
            }
            marks.fences.extend(selecting(fences).map(|(fence, _)| fence));
        }
        if !is_same
            && let Some(around) = fences.by_namespace.get(&key.namespace)
            && fences.rules_of(&key.hostname).next().is_some()
        {
            marks.fences.extend(around.iter().cloned());
        }
    }

    /// A VirtualService was put where it now is, or taken away.
    pub(super) fn mark_fences_of_rule(
        &mut self,
        record: &VirtualServiceRecord,
        is_present: bool,
        marks: &mut Marks,
    ) {
        if !record.binds_to_mesh() {
            return;
        }
        for host in record.hosts.iter() {
            self.fences.file_rule(host, &record.key, is_present);
            marks.fences.extend(self.fences_of_host(host));
        }
    }

    /// The fences whose dependencies may lead on from a host.
    fn fences_of_host(&self, host: &Hostname) -> Vec<ObjectKey> {
        let fences = &self.fences;
        if host.is_wildcard() {
            let covered = fences.by_host.iter().filter(|(it, _)| host.covers(it));
            let by_host = covered.flat_map(|(_, keys)| keys);
            return by_host.chain(fences.by_namespace.values().flatten()).cloned().collect();
        }
        let defined_in = self.view.hostnames.get(host).into_iter().flat_map(|keys| keys.iter());
        let around = defined_in.filter_map(|key| fences.by_namespace.get(&key.namespace));
        let found = fences.by_host.get(host).into_iter().chain(around);
        found.flatten().cloned().collect()
    }

    pub(super) fn derive_fences(&mut self, marks: &mut Marks) {
        let mut marked = std::mem::take(&mut marks.fences).into_iter().peekable();
        while let Some(first) = marked.next() {
            let namespace = first.namespace.clone();
            let mut keys = vec![first];
            while let Some(key) = marked.next_if(|key| key.namespace == namespace) {
                keys.push(key);
            }
            self.derive_fences_in(namespace, keys, marks);
        }
    }

    fn derive_fences_in(&mut self, namespace: Namespace, keys: Vec<ObjectKey>, marks: &mut Marks) {
        let mut changed: Vec<(Name, Option<FenceRecord>)> = Vec::new();
        for key in keys {
            let new = self.resolve_fence(&key);
            self.fences.file(&key, new.as_ref().map(|(record, selectors)| (record, *selectors)));
            let new = new.map(|(record, _)| record);
            let table = self.view.fences.get(&namespace);
            let old = table.and_then(|table| table.get(key.name.as_str()));
            if old == new.as_ref() {
                continue;
            }
            let has_same_effect = match (old, &new) {
                (Some(old), Some(new)) => old.has_effect_of(new),
                (Some(only), None) => !only.has_effect(),
                (None, Some(only)) => !only.has_effect(),
                (None, None) => true,
            };
            // Whether a fence is there at all decides about one that would be made in its place.
            if !has_same_effect || old.is_some() != new.is_some() {
                marks.changes.keys.insert(ReadKey::Fences(namespace.clone()));
            }
            if self.view.fence_waits.note(&key, new.as_ref().map(|record| &record.domains)) {
                marks.changes.keys.insert(ReadKey::FenceWaits);
            }
            changed.push((key.name, new));
        }
        if changed.is_empty() {
            return;
        }
        match FenceTable::with(self.view.fences.get(&namespace).map(|it| &**it), changed) {
            Some(table) => self.view.fences.insert_mut(namespace, table.into()),
            None => {
                self.view.fences.remove_mut(&namespace);
            }
        }
    }

    /// A fence as it is now, with the number of its selectors over services.
    fn resolve_fence(&mut self, key: &ObjectKey) -> Option<(FenceRecord, usize)> {
        let made;
        let (fence, origin) = match self.view.objects.get(key).map(|object| &object.spec) {
            Some(Spec::ServiceFence(fence)) => {
                made = fence.clone();
                (&*made, FenceOrigin::Written)
            }
            _ if self.asks_for_fence(key) => {
                made = made_fence().into();
                (&*made, FenceOrigin::Service)
            }
            _ => return None,
        };
        let selectors = fence.spec.label_selector.len();
        if selectors > 0 && !std::mem::replace(&mut self.fences.has_selectors, true) {
            for (service, found) in &self.view.services {
                let place = (everywhere(), found.labels.clone());
                self.fences.selectors.set_workload(service, Some(place));
            }
        }
        for (at, selector) in fence.spec.label_selector.iter().enumerate() {
            let place = (everywhere(), labels(&selector.selector));
            self.fences.selectors.set_selector(&(key.clone(), at), Some(place));
        }
        let mut selected: BTreeSet<Hostname> = BTreeSet::new();
        for at in 0..selectors {
            let services = self.fences.selectors.selected(&(key.clone(), at));
            selected.extend(services.into_iter().map(|(service, _)| service.hostname.clone()));
        }
        let table = self.view.fences.get(&key.namespace);
        let before = table.and_then(|table| table.get(key.name.as_str()));
        let waited = self.fences.waited.remove(key);
        let domains = compute_domains(
            &DomainInput {
                namespace: &key.namespace,
                spec: &fence.spec,
                status: &fence.status,
                selected: selected.into_iter().collect(),
                before: before.map(|record| &record.domains).or(waited.as_ref()),
                now: self.fences.now,
                expire_wait: self.view.fencing.expire_wait,
                aliases: &self.view.fencing.aliases,
                domain: &self.domain,
            },
            &RulesSeen { index: self, from: &key.namespace },
        );
        let record = FenceRecord {
            key: key.clone(),
            origin,
            enabled: fence.spec.enable,
            selector: self.fence_selector(key, fence),
            declared: Declared::of(&domains),
            domains,
        };
        Some((record, selectors))
    }

    /// Whether a Service asks for a fence of its name, or somebody does for it.
    fn asks_for_fence(&self, key: &ObjectKey) -> bool {
        let settings = &self.view.fencing;
        if !settings.auto {
            return false;
        }
        let service = ObjectKey { kind: Kind::Service, ..key.clone() };
        let object = self.view.objects.get(&service);
        let Some(Spec::Service(service)) = object.map(|object| &object.spec) else { return false };
        let asked = fence::fenced_label(object)
            .or_else(|| fence::fenced_label(self.view.namespace_object(&key.namespace)));
        !service.spec.selector.is_empty()
            && asked.unwrap_or(settings.by_default)
            && self.view.makes_fences_in(&key.namespace)
    }

    fn fence_selector(&self, key: &ObjectKey, fence: &ServiceFence) -> Option<Labels> {
        let written = fence.spec.workload_selector.as_ref();
        if let Some(own) = written.filter(|it| !it.labels.is_empty()) {
            return Some(labels(&own.labels));
        }
        if written.is_some_and(|it| it.from_service) {
            let service = ObjectKey { kind: Kind::Service, ..key.clone() };
            let Spec::Service(service) = &self.view.objects.get(&service)?.spec else {
                return None;
            };
            return Some(labels(&service.spec.selector)).filter(|it| !it.is_empty());
        }
        let pair = (self.view.fencing.name_label.as_str(), key.name.as_str());
        Some([pair].into_iter().collect())
    }
}

/// A fence that a Service asks for.
fn made_fence() -> ServiceFence {
    let mut fence = ServiceFence::default();
    fence.spec.enable = true;
    let selector = FenceWorkloadSelector { from_service: true, ..Default::default() };
    fence.spec.workload_selector = Some(selector);
    fence
}
