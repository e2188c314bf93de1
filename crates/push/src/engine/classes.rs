//! The classes that a fence limits, for status.

use std::sync::Arc;

use compile::Client;
use model::{Hostname, Proxy};

use super::{Engine, FacetKey};
use crate::FacetView;

/// Streams whose scope a fence limits alike.
#[derive(Clone, Debug)]
pub struct FencedClass {
    pub client: Client,
    /// One of its proxies.
    pub proxy: Arc<Proxy>,
    pub streams: usize,
    /// What that proxy is to hold towards others.
    pub views: Vec<Arc<FacetView>>,
    pub told: Told,
}

/// How much a class is told of all that it may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Services of the scope.
    pub services: usize,
    /// Services that it may see.
    pub visible: usize,
    /// The hosts that its proxies have asked for since the first of them connected.
    pub asked: Vec<Hostname>,
    /// It has asked for more hosts than a fence fits: it is sent its whole scope.
    pub everything: bool,
    /// Names that nothing defines and that it is not asked about again, over all ports.
    pub unknown: usize,
    /// Ports on which it has named so many of these that it does not ask any more.
    pub closed_ports: Vec<u16>,
}

impl Told {
    /// Whether it has asked for so much that a fence does not fit it.
    pub fn is_capped(&self) -> bool {
        self.everything || !self.closed_ports.is_empty()
    }
}

impl Engine {
    /// In the order in which they came.
    pub(super) fn fenced_classes(&self) -> Vec<FencedClass> {
        let mut classes = Vec::new();
        for entry in self.facets.values() {
            let FacetKey::Outbound(client) = &entry.key else { continue };
            let first = entry.streams.first().and_then(|stream| self.streams.get(stream));
            let Some((stream, told)) = first.zip(entry.facet.told()) else { continue };
            let outward = stream
                .facets
                .iter()
                .filter_map(|id| self.facets.get(id))
                .filter(|it| matches!(it.key, FacetKey::Outbound(_) | FacetKey::Placed(..)));
            classes.push(FencedClass {
                client: (**client).clone(),
                proxy: stream.proxy.clone(),
                streams: entry.streams.len(),
                views: outward.map(|it| it.view.clone()).collect(),
                told,
            });
        }
        classes
    }
}
