//! Fences: which workloads are sent only a part of what they may see.
//!
//! - A fence limits what a workload is told, never what it may see: what its Sidecar, `exportTo` and
//!   policies keep from it stays so in every mode.
//! - Fences are ServiceFences, made from Services and Namespaces that ask for them, or labels that
//!   name a mode. Of several around one workload all dependencies count.
//! - Not here: how dependencies are learned and forgotten (`scope`).

mod aliases;
mod convert;
mod domains;
mod export;
mod select;
mod settings;
mod table;
mod waits;

use std::collections::{BTreeMap, BTreeSet};

use api::Object;
use model::{
    FenceTarget, Hostname, Kind, Labels, Namespace, ObjectKey, ScopeMode, Service, Shared,
    WorkloadKey,
};

pub use self::{
    aliases::{DomainAlias, DomainAliases},
    domains::{Domain, DomainSource, DomainStatus, Domains},
    export::{ExportedScope, ExportedScopes, Member},
    settings::{
        Dispatch, DispatchTarget, FencingSettings, LabelExpression, LazyGateway, NamespaceNames,
        NamespaceScope, NamespaceSelector, WorkloadLabel,
    },
    waits::FenceWaits,
};
pub(crate) use self::{
    domains::{Destinations, DomainInput, compute_domains, read_key},
    table::FenceTable,
};
use crate::Snapshot;

/// The label of a pod or of a Namespace with a [`ScopeMode`]; the pod's beats its Namespace's.
pub const SCOPE_LABEL: &str = "meltemi.io/scope";
/// The label of a Service or a Namespace that asks for a fence (`true`), or for none (`false`).
pub const FENCED_LABEL: &str = "slime.io/serviceFenced";

/// The hosts that a workload was seen to call, with their aliases.
pub type Learned = Shared<BTreeSet<Hostname>>;

/// What limits the scope of a workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence {
    pub mode: ScopeMode,
    pub declared: Declared,
}

/// Dependencies that somebody wrote down.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Declared {
    /// All services of these, without those of which the time is over: hosts, some of them wildcards.
    pub namespaces: BTreeMap<Namespace, BTreeSet<Hostname>>,
    /// Some may be wildcards.
    pub hosts: BTreeSet<Hostname>,
    /// Hosts of which the time is over, some of them wildcards: being called does not bring back what
    /// they cover.
    pub expired: BTreeSet<Hostname>,
}

impl Declared {
    /// Whether the service is one of them.
    pub fn has(&self, service: &Service) -> bool {
        self.has_by_namespace(service) || self.names(service.hostname())
    }

    /// Whether it is one of all services of its namespace.
    pub fn has_by_namespace(&self, service: &Service) -> bool {
        let without = self.namespaces.get(service.namespace());
        without.is_some_and(|without| !is_among(service.hostname(), without))
    }

    /// Whether the host is one of them, by its name or by a wildcard.
    pub fn names(&self, host: &Hostname) -> bool {
        is_among(host, &self.hosts)
    }

    /// Whether a host that was learned is left out of the scope. Who declares it by its own name means
    /// it, whatever a wildcard says.
    pub fn bars(&self, host: &Hostname) -> bool {
        !self.hosts.contains(host) && is_among(host, &self.expired)
    }

    /// Adds what is declared elsewhere for the same workload: what holds in one place holds.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (namespace, without) in &other.namespaces {
            let own = self.namespaces.entry(namespace.clone());
            own.and_modify(|own| *own = in_both(own, without)).or_insert_with(|| without.clone());
        }
        self.hosts.extend(other.hosts.iter().cloned());
        self.expired.extend(other.expired.iter().cloned());
        let hosts = &self.hosts;
        self.expired.retain(|host| !hosts.contains(host));
    }
}

/// Whether a host is one of these, by its name or by a wildcard.
fn is_among(host: &Hostname, hosts: &BTreeSet<Hostname>) -> bool {
    // Wildcards sort before all names.
    hosts.contains(host) || hosts.iter().take_while(|it| it.is_wildcard()).any(|it| it.covers(host))
}

/// What is among the hosts of either.
fn in_both(one: &BTreeSet<Hostname>, other: &BTreeSet<Hostname>) -> BTreeSet<Hostname> {
    let of_one = one.iter().filter(|host| is_among(host, other));
    of_one.chain(other.iter().filter(|host| is_among(host, one))).cloned().collect()
}

/// Why there is a fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FenceOrigin {
    /// Somebody wrote the ServiceFence.
    Written,
    /// A Service or its Namespace asks for it, or the settings do.
    Service,
}

/// One fence as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FenceRecord {
    /// Of kind ServiceFence, also where nobody wrote one.
    pub key: ObjectKey,
    pub origin: FenceOrigin,
    pub enabled: bool,
    /// Its workloads; `None` when the Service that should say so is missing or selects none.
    pub selector: Option<Labels>,
    pub domains: Domains,
    pub declared: Declared,
}

impl FenceRecord {
    /// Whether it is around any workload that there may be.
    pub(crate) fn has_effect(&self) -> bool {
        self.enabled && self.selector.is_some()
    }

    /// Whether both mean the same for workloads.
    pub(crate) fn has_effect_of(&self, other: &Self) -> bool {
        match (self.has_effect(), other.has_effect()) {
            (false, false) => true,
            (true, true) => self.selector == other.selector && self.declared == other.declared,
            (true, false) | (false, true) => false,
        }
    }
}

/// The mode that an object's label asks for; one that is none asks for nothing.
pub(crate) fn label(object: Option<&Object>) -> Option<ScopeMode> {
    object?.meta.labels.get(SCOPE_LABEL)?.parse().ok()
}

/// What an object says about being fenced.
pub(crate) fn fenced_label(object: Option<&Object>) -> Option<bool> {
    match object?.meta.labels.get(FENCED_LABEL)?.as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

impl Snapshot {
    /// The fence around the workloads of a namespace that have these labels; `None` when nothing
    /// limits them.
    pub(crate) fn fence_of(&self, namespace: &Namespace, labels: &Labels) -> Option<Fence> {
        let mode = self.mode_asked_for(namespace, labels);
        if mode == Some(ScopeMode::Full) {
            return None;
        }
        let fences = self.fences_around(namespace, labels);
        let is_fenced = !fences.is_empty() || self.fence_by_label(namespace, labels).is_some();
        let mode = mode.or_else(|| is_fenced.then_some(self.fencing.mode))?;
        if mode == ScopeMode::Full {
            return None;
        }
        Some(Fence { mode, declared: self.declared_by(&fences) })
    }

    /// The fence that would be around workloads that are fenced by no label and no object yet: with
    /// what is declared for them all the same.
    pub fn planned_fence(&self, namespace: &Namespace, labels: &Labels) -> Fence {
        let asked = self.mode_asked_for(namespace, labels).into_iter();
        let modes = asked.chain([self.fencing.mode, ScopeMode::OnDemand]);
        let mode = modes.into_iter().find(|mode| *mode != ScopeMode::Full).unwrap_or_default();
        Fence { mode, declared: self.declared_by(&self.fences_around(namespace, labels)) }
    }

    /// By the labels of a workload, else by those of its Namespace.
    fn mode_asked_for(&self, namespace: &Namespace, labels: &Labels) -> Option<ScopeMode> {
        let written = labels.get(SCOPE_LABEL).and_then(|mode| mode.parse().ok());
        written.or_else(|| label(self.namespace_object(namespace)))
    }

    fn declared_by(&self, fences: &[&FenceRecord]) -> Declared {
        let mut declared = self.always_declared();
        for fence in fences {
            declared.merge(&fence.declared);
        }
        declared
    }

    /// By which decision the fences of a workload are switched off, if they are: the one about the
    /// workload alone first.
    pub fn fence_off(&self, workload: &WorkloadKey) -> Option<&FenceTarget> {
        if self.fences_off.is_empty() {
            return None;
        }
        let namespace = FenceTarget::Namespace(workload.namespace.clone());
        let targets = [FenceTarget::Workload(workload.clone()), namespace];
        targets.iter().find_map(|target| self.fences_off.get(target))
    }

    /// What every fence holds.
    fn always_declared(&self) -> Declared {
        let mut declared = self.fencing.always.clone();
        declared.namespaces.insert(self.mesh.root_namespace.clone(), BTreeSet::new());
        declared
    }

    /// The fences in effect around workloads with these labels, by name.
    pub fn fences_around(&self, namespace: &Namespace, labels: &Labels) -> Vec<&FenceRecord> {
        self.fences.get(namespace).map(|table| table.around(labels)).unwrap_or_default()
    }

    /// The dependencies of fences that nothing asks for any more and that stay for a while.
    pub fn fence_waits(&self) -> &FenceWaits {
        &self.fence_waits
    }

    /// All fences, by namespace and name.
    pub fn fences(&self) -> Vec<&FenceRecord> {
        let mut all: Vec<_> = self.fences.values().flat_map(|table| table.records()).collect();
        all.sort_by(|a, b| a.key.cmp(&b.key));
        all
    }

    /// Name and selector of the fence that a label of a workload asks for. One that somebody wrote
    /// under that name decides alone.
    fn fence_by_label(&self, namespace: &Namespace, labels: &Labels) -> Option<(String, Labels)> {
        let label = self.fencing.workload_label.as_ref()?;
        let value = labels.get(&label.key)?;
        let name = label.fence_name(value);
        let is_written = self.fences.get(namespace).is_some_and(|it| it.get(&name).is_some());
        let is_made = !is_written && self.makes_fences_in(namespace);
        is_made.then(|| (name, [(label.key.as_str(), value)].into_iter().collect()))
    }

    /// Whether fences are made in a namespace.
    pub(crate) fn makes_fences_in(&self, namespace: &Namespace) -> bool {
        let labels = self.namespace_object(namespace).map(|object| &object.meta.labels);
        self.fencing.namespaces.includes(namespace, labels)
    }

    pub(crate) fn namespace_object(&self, namespace: &Namespace) -> Option<&Object> {
        self.objects.get(&ObjectKey::new(Kind::Namespace, "", namespace.as_str()))
    }
}
