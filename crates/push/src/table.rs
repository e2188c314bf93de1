//! The resources of one facet, as streams see them.

use std::sync::Arc;

use compile::Compiled;
use rpds::RedBlackTreeMapSync;

use crate::ResourceKind;

/// Resources of one type by name.
pub type Table = RedBlackTreeMapSync<Arc<str>, Arc<Compiled>>;

/// One revision of a facet. Cheap to clone: unchanged parts are shared.
#[derive(Clone, Debug)]
pub struct FacetView {
    /// Snapshot revision that it was compiled from.
    pub revision: u64,
    tables: [Table; 4],
}

impl Default for FacetView {
    fn default() -> Self {
        Self { revision: 0, tables: std::array::from_fn(|_| Table::new_sync()) }
    }
}

impl FacetView {
    pub fn table(&self, kind: ResourceKind) -> &Table {
        &self.tables[kind as usize]
    }

    pub fn get(&self, kind: ResourceKind, name: &str) -> Option<&Arc<Compiled>> {
        self.table(kind).get(name)
    }

    /// Puts or removes a resource. Whether its bytes differ from before.
    pub(crate) fn set(
        &mut self,
        kind: ResourceKind,
        name: &Arc<str>,
        new: Option<Arc<Compiled>>,
    ) -> bool {
        let table = &mut self.tables[kind as usize];
        let version = |compiled: &Arc<Compiled>| compiled.resource.version();
        let same = table.get(name).map(version) == new.as_ref().map(version);
        match new {
            Some(new) => table.insert_mut(name.clone(), new),
            None => {
                table.remove_mut(name);
            }
        }
        !same
    }
}
