//! What a stream should hold: the views of its facets, as one.

use std::{net::IpAddr, sync::Arc};

use compile::Compiled;

use crate::{
    FacetView, ResourceKind, Table,
    whole::{self, Whole},
};

/// The views of a stream's facets.
#[derive(Clone, Debug, Default)]
pub(super) struct Views {
    pub(super) facets: Vec<Arc<FacetView>>,
    /// Addresses of the proxy.
    pub(super) own: Arc<[IpAddr]>,
}

impl Views {
    /// The resource of this name. The listener that stands for the proxy's own pod is left out:
    /// its application reaches itself without the proxy.
    pub(super) fn get(&self, kind: ResourceKind, name: &str) -> Option<&Arc<Compiled>> {
        self.facets.iter().find_map(|view| view.get(kind, name)).filter(|it| self.is_for(it))
    }

    /// A name, in the one copy that all streams share if the views have it.
    pub(super) fn shared_name(&self, kind: ResourceKind, name: &str) -> Arc<str> {
        let known = self.facets.iter().find_map(|view| view.table(kind).get_key_value(name));
        known.map_or_else(|| name.into(), |(known, _)| known.clone())
    }

    /// All names of a type.
    pub(super) fn names(&self, kind: ResourceKind) -> impl Iterator<Item = &Arc<str>> {
        let entries = self.facets.iter().flat_map(move |view| view.table(kind).iter());
        entries.filter(|(_, it)| self.is_for(it)).map(|(name, _)| name)
    }

    /// How many resources of a type the facets have.
    pub(super) fn size(&self, kind: ResourceKind) -> usize {
        self.facets.iter().map(|view| view.table(kind).size()).sum()
    }

    /// The tables of a type that have something.
    pub(super) fn tables(&self, kind: ResourceKind) -> Vec<Arc<Table>> {
        self.having(kind).map(|view| view.shared_table(kind).clone()).collect()
    }

    /// Bytes of all that a proxy asks for when it starts.
    pub(super) fn bytes(&self) -> usize {
        let kinds = [
            ResourceKind::Cluster,
            ResourceKind::Endpoint,
            ResourceKind::Listener,
            ResourceKind::Route,
        ];
        let wholes = kinds.iter().flat_map(|kind| self.facets.iter().map(|it| it.whole(*kind)));
        wholes.map(|whole| whole.bytes).sum()
    }

    /// Stands for all resources of a type, but for what is left out for the proxy's own pod.
    pub(super) fn sum(&self, kind: ResourceKind) -> u64 {
        self.facets.iter().fold(0, |sum: u64, view| sum.wrapping_add(view.sum(kind)))
    }

    /// Whether one of the facets has all clusters that a listener or a route names.
    pub(super) fn is_closed(&self, resource: &Arc<Compiled>) -> bool {
        self.facets.iter().any(|view| view.is_closed(resource))
    }

    /// Whether both are of the same facets and have the same of a type.
    pub(super) fn same(&self, other: &Self, kind: ResourceKind) -> bool {
        let mut others = other.having(kind);
        let all = self.having(kind).all(|one| others.next().is_some_and(|it| one.same(it, kind)));
        all && others.next().is_none()
    }

    /// The facets that have something of a type.
    fn having(&self, kind: ResourceKind) -> impl Iterator<Item = &Arc<FacetView>> {
        self.facets.iter().filter(move |view| view.table(kind).size() > 0)
    }

    /// Whether these are all names of a type, each once: what is compared are sums of their hashes,
    /// so that nothing is sorted or looked up.
    pub(super) fn are_all(&self, kind: ResourceKind, names: &[String]) -> bool {
        if names.len() != self.size(kind) {
            return false;
        }
        let wholes: Vec<Arc<Whole>> = self.having(kind).map(|view| view.whole(kind)).collect();
        let own = wholes.iter().fold(0, |sum: u64, whole| sum.wrapping_add(whole.names));
        wholes.iter().all(|whole| whole.is_for(&self.own))
            && own == whole::sum_of_names(names.iter().map(String::as_str))
    }

    /// All resources of a type, facet by facet, for a response of all of them. `None` if facets
    /// have the same name.
    pub(super) fn wholes(&self, kind: ResourceKind) -> Option<Vec<Arc<Whole>>> {
        let mut facets: Vec<&Arc<FacetView>> = self.having(kind).collect();
        // One is much larger than the others.
        facets.sort_by_key(|view| std::cmp::Reverse(view.table(kind).size()));
        let distinct = facets.iter().enumerate().skip(1).all(|(index, view)| {
            let mut names = view.table(kind).keys();
            names.all(|name| facets[..index].iter().all(|before| before.get(kind, name).is_none()))
        });
        distinct.then(|| facets.into_iter().map(|view| self.whole_for(view, kind)).collect())
    }

    fn whole_for(&self, view: &FacetView, kind: ResourceKind) -> Arc<Whole> {
        let whole = view.whole(kind);
        match whole.is_for(&self.own) {
            true => whole,
            false => {
                let own = whole.resources.iter().filter(|it| self.is_for(it)).cloned();
                Arc::new(Whole::new(own.collect()))
            }
        }
    }

    fn is_for(&self, compiled: &Compiled) -> bool {
        compiled.pod.is_none_or(|pod| !self.own.contains(&pod))
    }

    /// Whether a listener or a route names this cluster.
    pub(super) fn reference(&self, cluster: &str) -> bool {
        self.facets.iter().any(|view| view.references().contains(cluster))
    }

    /// Revision of the newest snapshot that any of the views was made from.
    pub(super) fn revision(&self) -> u64 {
        self.facets.iter().map(|view| view.revision).max().unwrap_or_default()
    }
}
