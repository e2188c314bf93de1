//! The resources of one facet, as streams see them.

use std::{
    collections::HashSet,
    sync::{Arc, OnceLock},
};

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
    tables: [Table; ResourceKind::COUNT],
    /// What `references` has found.
    references: OnceLock<Arc<HashSet<Arc<str>>>>,
}

impl Default for FacetView {
    fn default() -> Self {
        let tables = std::array::from_fn(|_| Table::new_sync());
        Self { revision: 0, tables, references: OnceLock::new() }
    }
}

impl FacetView {
    pub fn table(&self, kind: ResourceKind) -> &Table {
        &self.tables[kind as usize]
    }

    pub fn get(&self, kind: ResourceKind, name: &str) -> Option<&Arc<Compiled>> {
        self.table(kind).get(name)
    }

    /// The clusters that listeners and routes name. Found once for all streams that see the view.
    pub(crate) fn references(&self) -> &HashSet<Arc<str>> {
        self.references.get_or_init(|| {
            let naming = [ResourceKind::Listener, ResourceKind::Route].into_iter();
            let naming = naming.flat_map(|kind| self.table(kind).values());
            Arc::new(naming.flat_map(|compiled| compiled.clusters.iter().cloned()).collect())
        })
    }

    /// Puts or removes a resource. Whether its bytes differ from before.
    pub(crate) fn set(
        &mut self,
        kind: ResourceKind,
        name: &Arc<str>,
        new: Option<Arc<Compiled>>,
    ) -> bool {
        self.references = OnceLock::new();
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
