//! Fences as ordinary Sidecars say them: for a control plane that knows no fences.

use std::collections::{BTreeMap, BTreeSet};

use model::{Hostname, Labels, Name, Namespace, ScopeMode, WorkloadKey};

use super::{Declared, FenceRecord, select::Selection};
use crate::Snapshot;

/// A workload with one set of its labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    pub workload: WorkloadKey,
    pub labels: Labels,
}

/// What a Sidecar says about some workloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedScope {
    pub namespace: Namespace,
    pub name: Name,
    pub selector: Labels,
    /// `namespace/*`, `*/host` or `*/*`; sorted.
    pub hosts: Vec<String>,
    /// The workloads of which learned dependencies are among the hosts.
    pub workloads: BTreeSet<WorkloadKey>,
}

/// What workloads are told, in the words of Sidecars.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportedScopes {
    /// By namespace and name.
    pub scopes: Vec<ExportedScope>,
    /// Workloads that are fenced by a label alone, and have no labels by which a Sidecar would select
    /// them and nobody else.
    pub left_out: BTreeSet<WorkloadKey>,
    /// Workloads that no fence limits, each with the name of a scope in its namespace that selects it all
    /// the same: a label takes it out of a fence, which no Sidecar can say.
    pub limited_too: BTreeSet<(WorkloadKey, Name)>,
}

impl Snapshot {
    /// The workloads that have a pod or a WorkloadEntry.
    pub fn members(&self) -> BTreeSet<Member> {
        let workloads = self.addresses.values().filter_map(|record| record.workload.as_ref());
        workloads
            .map(|workload| Member {
                workload: WorkloadKey {
                    namespace: workload.namespace.clone(),
                    name: Name::from(&*workload.workload_name),
                },
                labels: workload.labels.clone(),
            })
            .collect()
    }

    /// Every fence in effect, with what `members` around which it is were seen to call, and each workload
    /// that only a label with a mode fences.
    pub fn export_scopes(&self, members: &BTreeSet<Member>) -> ExportedScopes {
        let mut scopes = Scopes::new();
        for fence in self.fences().into_iter().filter(|fence| fence.has_effect()) {
            let Some(selector) = &fence.selector else { continue };
            let key = (fence.key.namespace.clone(), fence.key.name.clone());
            scopes.insert(key, Scope::new(self, selector.clone(), Some(fence)));
        }
        let fenced = members.iter().filter_map(|member| {
            let fence = self.fence_of(&member.workload.namespace, &member.labels)?;
            Some((member, fence.mode))
        });
        let fenced: BTreeMap<&Member, ScopeMode> = fenced.collect();
        for member in fenced.keys() {
            let namespace = &member.workload.namespace;
            if let Some((name, selector)) = self.fence_by_label(namespace, &member.labels) {
                let key = (namespace.clone(), Name::from(name));
                scopes.entry(key).or_insert_with(|| Scope::new(self, selector, None));
            }
        }
        let mut alone: BTreeSet<&Member> = fenced.keys().copied().collect();
        alone.retain(|member| around(&mut scopes, member).next().is_none());
        let left_out = self.export_labelled(&alone, members, &mut scopes);
        for (member, mode) in &fenced {
            let learned =
                self.learned.get(&member.workload).filter(|_| *mode != ScopeMode::Declared);
            for (_, scope) in around(&mut scopes, member) {
                let hosts = learned.iter().flat_map(|hosts| hosts.iter());
                let counting = hosts.filter(|host| !scope.declared.bars(host)).cloned();
                scope.learned.extend(counting);
                scope.workloads.insert(member.workload.clone());
            }
        }
        let mut limited_too = BTreeSet::new();
        for member in members.iter().filter(|member| !fenced.contains_key(member)) {
            let selecting = around(&mut scopes, member);
            limited_too.extend(selecting.map(|(name, _)| (member.workload.clone(), name.clone())));
        }
        let scopes =
            scopes.into_iter().map(|((namespace, name), scope)| scope.export(namespace, name));
        ExportedScopes { scopes: scopes.collect(), left_out, limited_too }
    }

    /// Adds a scope for each workload around whose members no fence is. Gives those for which there
    /// can be none.
    fn export_labelled(
        &self,
        alone: &BTreeSet<&Member>,
        members: &BTreeSet<Member>,
        scopes: &mut Scopes,
    ) -> BTreeSet<WorkloadKey> {
        let mut left_out = BTreeSet::new();
        if alone.is_empty() {
            return left_out;
        }
        let selection = Selection::new(members, &self.fencing.name_label);
        // They are in the order of their workloads.
        let in_order: Vec<&Member> = alone.iter().copied().collect();
        for own in in_order.chunk_by(|one, other| one.workload == other.workload) {
            // Whoever is selected besides must be fenced in the same way: it is told more, not less.
            let selector = selection.selector(own, &|member| alone.contains(&member));
            let Some(selector) = selector else {
                left_out.insert(own[0].workload.clone());
                continue;
            };
            let WorkloadKey { namespace, name } = own[0].workload.clone();
            let mut key = (namespace, name);
            if scopes.contains_key(&key) {
                key.1 = Name::from(format!("{}-scope", key.1));
            }
            scopes.insert(key, Scope::new(self, selector, None));
        }
        left_out
    }
}

/// By namespace and name.
type Scopes = BTreeMap<(Namespace, Name), Scope>;

/// The scopes that select a member, with their names.
fn around<'a>(
    scopes: &'a mut Scopes,
    member: &'a Member,
) -> impl Iterator<Item = (&'a Name, &'a mut Scope)> {
    let namespace = &member.workload.namespace;
    let own = scopes.range_mut((namespace.clone(), Name::from(""))..);
    let own = own.take_while(move |((it, _), _)| it == namespace);
    let selecting = own.filter(|(_, scope)| scope.selector.selects(&member.labels));
    selecting.map(|((_, name), scope)| (name, scope))
}

struct Scope {
    selector: Labels,
    declared: Declared,
    learned: BTreeSet<Hostname>,
    workloads: BTreeSet<WorkloadKey>,
}

impl Scope {
    fn new(snapshot: &Snapshot, selector: Labels, fence: Option<&FenceRecord>) -> Self {
        let mut declared = snapshot.always_declared();
        if let Some(fence) = fence {
            declared.merge(&fence.declared);
        }
        Self { selector, declared, learned: BTreeSet::new(), workloads: BTreeSet::new() }
    }

    fn export(self, namespace: Namespace, name: Name) -> ExportedScope {
        let Self { selector, declared, learned, workloads } = self;
        let namespaces = declared.namespaces.iter().map(|namespace| format!("{namespace}/*"));
        let hosts = declared.hosts.iter().chain(&learned).map(|host| format!("*/{host}"));
        let hosts: BTreeSet<String> = namespaces.chain(hosts).collect();
        let hosts = hosts.into_iter().collect();
        ExportedScope { namespace, name, selector, hosts, workloads }
    }
}
