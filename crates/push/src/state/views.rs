//! What a stream should hold: the views of its facets, as one.

use std::{net::IpAddr, sync::Arc};

use compile::Compiled;

use crate::{FacetView, ResourceKind};

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
