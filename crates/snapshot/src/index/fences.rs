//! Filing what limits scopes.

use model::WorkloadKey;

use super::{Index, Marks};
use crate::{Learned, ReadKey};

impl Index {
    /// What a workload was seen to call. The same again touches nothing.
    pub(super) fn learn(
        &mut self,
        workload: WorkloadKey,
        hosts: Option<Learned>,
        marks: &mut Marks,
    ) {
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
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Arc};

    use api::istio::mesh_config::MeshConfig;
    use model::{Hostname, Name, Namespace, Shared, WorkloadKey};

    use crate::{Change, Features, Index, ReadKey, Reader};

    #[test]
    fn what_is_learned_touches_its_workload() {
        let mut index = Index::new(Arc::new(MeshConfig::default()), Features::default(), "local");
        let web = WorkloadKey { namespace: Namespace::from("shop"), name: Name::from("web") };
        let hosts = || {
            let hosts: BTreeSet<Hostname> = ["b.shop".into(), "a.shop".into()].into();
            Some(Shared::new(hosts))
        };
        let changes = index.apply([Change::Learned(web.clone(), hosts())]);
        assert_eq!(changes.keys, [ReadKey::Learned(web.clone())].into());
        let snapshot = index.snapshot();
        assert_eq!(Reader::new(&snapshot).learned(&web), hosts().as_ref());
        assert!(index.apply([Change::Learned(web.clone(), hosts())]).is_empty());
        let changes = index.apply([Change::Learned(web.clone(), None)]);
        assert_eq!(changes.keys, [ReadKey::Learned(web.clone())].into());
        assert_eq!(Reader::new(&index.snapshot()).learned(&web), None);
    }
}
