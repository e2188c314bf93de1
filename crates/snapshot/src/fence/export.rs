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
    /// Scopes of a namespace that declare different things for one workload: Istio goes by one Sidecar for each.
    pub overlapping: BTreeSet<(Namespace, BTreeSet<Name>)>,
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
        let mut scopes = Scopes::default();
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
                if !scopes.has(&key) {
                    scopes.insert(key, Scope::new(self, selector, None));
                }
            }
        }
        let mut alone: BTreeSet<&Member> = fenced.keys().copied().collect();
        alone.retain(|member| scopes.around(&member.workload.namespace, &member.labels).is_empty());
        let left_out = self.export_labelled(&alone, members, &mut scopes);
        for (member, mode) in &fenced {
            let learned =
                self.learned.get(&member.workload).filter(|_| *mode != ScopeMode::Declared);
            for key in scopes.around(&member.workload.namespace, &member.labels) {
                let Some(scope) = scopes.by_key.get_mut(&key) else { continue };
                let hosts = learned.iter().flat_map(|hosts| hosts.iter());
                let counting = hosts.filter(|host| !scope.declared.bars(host)).cloned();
                scope.learned.extend(counting);
                scope.workloads.insert(member.workload.clone());
            }
        }
        let mut limited_too = BTreeSet::new();
        for member in members.iter().filter(|member| !fenced.contains_key(member)) {
            let selecting = scopes.around(&member.workload.namespace, &member.labels).into_iter();
            limited_too.extend(selecting.map(|(_, name)| (member.workload.clone(), name)));
        }
        let overlapping = scopes.overlapping(members);
        let scopes = scopes.by_key.into_iter();
        let scopes = scopes.map(|((namespace, name), scope)| scope.export(namespace, name));
        ExportedScopes { scopes: scopes.collect(), left_out, limited_too, overlapping }
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
            if scopes.has(&key) {
                key.1 = Name::from(format!("{}-scope", key.1));
            }
            scopes.insert(key, Scope::new(self, selector, None));
        }
        left_out
    }
}

/// Namespace and name.
type Key = (Namespace, Name);

/// Of a selector; `None` where that selects all.
type FirstLabel = Option<(String, String)>;

#[derive(Default)]
struct Scopes {
    by_key: BTreeMap<Key, Scope>,
    /// By the namespace and the first label of the selector: what is around a workload is found among
    /// few.
    by_label: BTreeMap<(Namespace, FirstLabel), BTreeSet<Name>>,
}

impl Scopes {
    fn has(&self, key: &Key) -> bool {
        self.by_key.contains_key(key)
    }

    fn insert(&mut self, key: Key, scope: Scope) {
        let first = scope.selector.iter().next();
        let first = first.map(|(label, value)| (label.to_owned(), value.to_owned()));
        let (namespace, name) = key.clone();
        self.by_label.entry((namespace, first)).or_default().insert(name);
        self.by_key.insert(key, scope);
    }

    /// Those that select workloads of a namespace that have these labels.
    fn around(&self, namespace: &Namespace, labels: &Labels) -> Vec<Key> {
        let own = labels.iter();
        let own = own.map(|(label, value)| Some((label.to_owned(), value.to_owned())));
        let names = own
            .chain([None])
            .filter_map(|label| self.by_label.get(&(namespace.clone(), label)))
            .flatten();
        let keys = names.map(|name| (namespace.clone(), name.clone()));
        let selects = |key: &Key| self.by_key[key].selector.selects(labels);
        keys.filter(selects).collect()
    }

    /// Those that declare different things for the same workload: one of `members`, or whatever has
    /// just the labels of a selector.
    fn overlapping(&self, members: &BTreeSet<Member>) -> BTreeSet<(Namespace, BTreeSet<Name>)> {
        let members = members.iter().map(|it| (&it.workload.namespace, &it.labels));
        let selected = self.by_key.iter().map(|((namespace, _), it)| (namespace, &it.selector));
        let names = members.chain(selected).map(|(namespace, labels)| {
            let around = self.around(namespace, labels).into_iter().map(|(_, name)| name);
            (namespace.clone(), around.collect::<BTreeSet<Name>>())
        });
        let declared = |namespace: &Namespace, name: &Name| {
            &self.by_key[&(namespace.clone(), name.clone())].declared
        };
        // What a workload was seen to call is in each scope that selects it.
        let differs = |(namespace, names): &(Namespace, BTreeSet<Name>)| {
            names.iter().map(|name| declared(namespace, name)).collect::<BTreeSet<_>>().len() > 1
        };
        names.filter(differs).collect()
    }
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
        let namespaces = declared.namespaces.keys().map(|namespace| format!("{namespace}/*"));
        let hosts = declared.hosts.iter().chain(&learned).map(|host| format!("*/{host}"));
        let hosts: BTreeSet<String> = namespaces.chain(hosts).collect();
        let hosts = hosts.into_iter().collect();
        ExportedScope { namespace, name, selector, hosts, workloads }
    }
}
