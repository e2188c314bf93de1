//! What a class would be sent, were it connected: compiled for its size alone, aside from the engine.
//!
//! - Nothing of it is kept, and no stream is told.
//! - It takes as long as a first connection of the class: whoever asks bounds how often.

use compile::Client;
use model::Proxy;
use snapshot::Snapshot;

use crate::{
    Counters, FacetView, ResourceKind,
    facet::{Facet, FacetKey},
    memo::Memos,
};

/// How much some resources are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Resources of all types.
    pub resources: usize,
    /// Their encoded messages, without what the transport adds.
    pub bytes: usize,
}

impl Sizes {
    /// All that views hold.
    pub fn of<'a>(views: impl IntoIterator<Item = &'a FacetView>) -> Self {
        let mut sizes = Self::default();
        for view in views {
            for resource in ResourceKind::ALL.iter().flat_map(|kind| view.table(*kind).values()) {
                sizes.resources += 1;
                sizes.bytes += resource.resource.body().len();
            }
        }
        sizes
    }
}

/// Compiles classes of one snapshot for their sizes. What equal inputs made is shared among those
/// that are held at the same time.
#[derive(Debug)]
pub struct Reckoner<'a> {
    snapshot: &'a Snapshot,
    memos: Memos,
    counters: Counters,
}

impl<'a> Reckoner<'a> {
    /// A reckoner of this revision of the mesh.
    pub fn new(snapshot: &'a Snapshot) -> Self {
        Self { snapshot, memos: Memos::default(), counters: Counters::default() }
    }

    /// All that sidecars of a class would hold towards others, where `proxy` runs.
    pub fn outbound(&mut self, client: &Client, proxy: &Proxy) -> Sizes {
        let visible = client
            .fence
            .as_ref()
            .map(|_| self.compile(&FacetKey::Visible(Box::new(client.scope_key())), None));
        let main = FacetKey::Outbound(Box::new(client.clone()));
        let main = self.compile(&main, visible.as_ref());
        let placed = main.place_of(proxy).map(|place| {
            // The number of the facet beside it is not looked at.
            let key = FacetKey::Placed(0, Box::new(client.clone()), place);
            self.compile(&key, Some(&main))
        });
        Sizes::of([&main].into_iter().chain(&placed).map(Facet::view))
    }

    fn compile(&mut self, key: &FacetKey, beside: Option<&Facet>) -> Facet {
        let (mut facet, jobs) = Facet::new(key, beside, &self.memos);
        facet.run(jobs, self.snapshot, &self.memos, &self.counters);
        facet
    }
}
