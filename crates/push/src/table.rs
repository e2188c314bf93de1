//! The resources of one facet, as streams see them.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use compile::Compiled;
use rpds::RedBlackTreeMapSync;

use model::{Map, Set};

use crate::{
    ResourceKind,
    state::share,
    whole::{Whole, Wholes},
};

/// Resources of one type by name.
pub type Table = RedBlackTreeMapSync<Arc<str>, Arc<Compiled>>;

/// One revision of a facet. Cheap to clone: unchanged parts are shared.
#[derive(Clone, Debug)]
pub struct FacetView {
    /// Snapshot revision that it was compiled from.
    pub revision: u64,
    tables: [Arc<Table>; ResourceKind::COUNT],
    /// Of the shares of all resources, by type.
    sums: [u64; ResourceKind::COUNT],
    /// What `references` has found.
    references: OnceLock<Arc<Set<Arc<str>>>>,
    /// Of the newest revision that was asked for it, by type.
    wholes: Arc<[Mutex<Option<MadeWhole>>; ResourceKind::COUNT]>,
    /// Where other facets find the same.
    shared: Arc<Wholes>,
    closed: Arc<Mutex<Closed>>,
}

/// Listeners and routes whose clusters were all found in a table of clusters, by name.
#[derive(Debug, Default)]
struct Closed {
    clusters: Option<Arc<Table>>,
    resources: Map<Arc<str>, Arc<Compiled>>,
}

/// A table as a whole. It lies with the facet and not with the table: streams keep old tables.
#[derive(Debug)]
struct MadeWhole {
    of: Arc<Table>,
    whole: Arc<Whole>,
}

impl Default for FacetView {
    fn default() -> Self {
        let tables = std::array::from_fn(|_| Arc::new(Table::new_sync()));
        Self {
            revision: 0,
            tables,
            sums: [0; ResourceKind::COUNT],
            references: OnceLock::new(),
            wholes: Arc::default(),
            shared: Arc::default(),
            closed: Arc::default(),
        }
    }
}

impl FacetView {
    /// One that has nothing yet, and shares its wholes with others.
    pub(crate) fn new(shared: Arc<Wholes>) -> Self {
        Self { shared, ..Self::default() }
    }

    pub fn table(&self, kind: ResourceKind) -> &Table {
        &self.tables[kind as usize]
    }

    pub fn get(&self, kind: ResourceKind, name: &str) -> Option<&Arc<Compiled>> {
        self.table(kind).get(name)
    }

    /// The resources of a type. Nobody changes them.
    pub(crate) fn shared_table(&self, kind: ResourceKind) -> &Arc<Table> {
        &self.tables[kind as usize]
    }

    /// Whether both are of one facet, and have the same of a type. `false` says nothing.
    pub(crate) fn same(&self, other: &Self, kind: ResourceKind) -> bool {
        Arc::ptr_eq(&self.tables[kind as usize], &other.tables[kind as usize])
    }

    /// Stands for all resources of a type: what holds the same has the same sum of shares.
    pub(crate) fn sum(&self, kind: ResourceKind) -> u64 {
        self.sums[kind as usize]
    }

    /// Whether the facet has all clusters that a listener or a route names. Looked for once for all
    /// streams that see the view.
    pub(crate) fn is_closed(&self, resource: &Arc<Compiled>) -> bool {
        let clusters = &self.tables[ResourceKind::Cluster as usize];
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        if !closed.clusters.as_ref().is_some_and(|known| Arc::ptr_eq(known, clusters)) {
            *closed = Closed { clusters: Some(clusters.clone()), ..Closed::default() };
        }
        let name = resource.resource.name();
        if closed.resources.get(name).is_some_and(|known| Arc::ptr_eq(known, resource)) {
            return true;
        }
        let is_closed = resource.clusters.iter().all(|cluster| clusters.contains_key(cluster));
        if is_closed {
            closed.resources.insert(name.clone(), resource.clone());
        }
        is_closed
    }

    /// The clusters that listeners and routes name. Found once for all streams that see the view.
    pub(crate) fn references(&self) -> &Set<Arc<str>> {
        self.references.get_or_init(|| {
            let naming = ResourceKind::ALL.into_iter().filter(|kind| kind.names_clusters());
            let naming = naming.flat_map(|kind| self.table(kind).values());
            Arc::new(naming.flat_map(|compiled| compiled.clusters.iter().cloned()).collect())
        })
    }

    /// All resources of a type, made ready once for all streams that are sent all of them, also of other
    /// facets.
    pub(crate) fn whole(&self, kind: ResourceKind) -> Arc<Whole> {
        let table = &self.tables[kind as usize];
        let mut made = self.wholes[kind as usize].lock().unwrap_or_else(PoisonError::into_inner);
        match &*made {
            Some(made) if Arc::ptr_eq(&made.of, table) => made.whole.clone(),
            _ => {
                let whole = self.shared.of(kind, self.sums[kind as usize], table);
                *made = Some(MadeWhole { of: table.clone(), whole: whole.clone() });
                whole
            }
        }
    }

    /// Puts or removes a resource. Whether its bytes differ from before.
    pub(crate) fn set(
        &mut self,
        kind: ResourceKind,
        name: &Arc<str>,
        new: Option<Arc<Compiled>>,
    ) -> bool {
        let is_there =
            |new: &Arc<Compiled>| self.get(kind, name).is_some_and(|it| Arc::ptr_eq(it, new));
        if new.as_ref().is_some_and(is_there) {
            return false;
        }
        if kind.names_clusters() {
            self.references = OnceLock::new();
        }
        if kind == ResourceKind::Cluster {
            *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = Closed::default();
        }
        // What was made ready is out of date, and must not keep the old table alive.
        *self.wholes[kind as usize].lock().unwrap_or_else(PoisonError::into_inner) = None;
        let table = Arc::make_mut(&mut self.tables[kind as usize]);
        let version = |compiled: &Arc<Compiled>| compiled.resource.version();
        let same = table.get(name).map(version) == new.as_ref().map(version);
        let share_of = |compiled: Option<&Arc<Compiled>>| compiled.map_or(0, |it| share(it));
        let sum = &mut self.sums[kind as usize];
        *sum = sum.wrapping_sub(share_of(table.get(name))).wrapping_add(share_of(new.as_ref()));
        match new {
            Some(new) => table.insert_mut(name.clone(), new),
            None => {
                table.remove_mut(name);
            }
        }
        !same
    }
}
