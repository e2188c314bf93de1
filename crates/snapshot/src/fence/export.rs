//! Fences as ordinary Sidecars say them: for a control plane that knows no fences.

use std::collections::{BTreeMap, BTreeSet};

use model::{Hostname, Labels, Name, Namespace, ScopeMode, WorkloadKey};

use super::{Declared, FenceRecord};
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

    /// Every fence in effect, by namespace and name, with what `members` around which it is were seen
    /// to call. Workloads that only a label with a mode fences have none.
    pub fn export_scopes(&self, members: &BTreeSet<Member>) -> Vec<ExportedScope> {
        let mut scopes: BTreeMap<(Namespace, Name), Scope> = BTreeMap::new();
        for fence in self.fences().into_iter().filter(|fence| fence.has_effect()) {
            let Some(selector) = &fence.selector else { continue };
            let key = (fence.key.namespace.clone(), fence.key.name.clone());
            scopes.insert(key, Scope::new(self, selector.clone(), Some(fence)));
        }
        for member in members {
            let WorkloadKey { namespace, .. } = &member.workload;
            let Some(fence) = self.fence_of(namespace, &member.labels) else { continue };
            if let Some((name, selector)) = self.fence_by_label(namespace, &member.labels) {
                let key = (namespace.clone(), Name::from(name));
                scopes.entry(key).or_insert_with(|| Scope::new(self, selector, None));
            }
            let learned =
                self.learned.get(&member.workload).filter(|_| fence.mode != ScopeMode::Declared);
            let around = scopes.iter_mut().filter(|((own, _), scope)| {
                own == namespace && scope.selector.selects(&member.labels)
            });
            for (_, scope) in around {
                let hosts = learned.iter().flat_map(|hosts| hosts.iter());
                let counting = hosts.filter(|host| !scope.declared.bars(host)).cloned();
                scope.learned.extend(counting);
                scope.workloads.insert(member.workload.clone());
            }
        }
        scopes.into_iter().map(|((namespace, name), scope)| scope.export(namespace, name)).collect()
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
        let namespaces = declared.namespaces.iter().map(|namespace| format!("{namespace}/*"));
        let hosts = declared.hosts.iter().chain(&learned).map(|host| format!("*/{host}"));
        let hosts: BTreeSet<String> = namespaces.chain(hosts).collect();
        let hosts = hosts.into_iter().collect();
        ExportedScope { namespace, name, selector, hosts, workloads }
    }
}
