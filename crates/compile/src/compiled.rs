//! What a compile function gives back.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use envoy::Resource;
use model::{Diagnostics, ObjectKey};

use crate::RouteParts;

/// One Envoy resource, and what must be known about it without decoding it again.
#[derive(Clone, Debug)]
pub struct Compiled {
    pub resource: Resource,
    /// Clusters that it sends traffic to: they must be there first, and go last.
    pub clusters: Vec<Arc<str>>,
    /// Route configurations that it asks for by name.
    pub routes: Vec<Arc<str>>,
    /// The objects that it was made from.
    pub origins: Vec<ObjectKey>,
    pub diagnostics: Diagnostics,
    /// The pod that an outbound listener stands for: the pod itself is not sent it.
    pub pod: Option<IpAddr>,
    /// Only of route configurations.
    pub parts: Option<Arc<RouteParts>>,
}

impl Compiled {
    /// A resource that refers to nothing.
    pub fn new(resource: Resource) -> Self {
        Self {
            resource,
            clusters: Vec::new(),
            routes: Vec::new(),
            origins: Vec::new(),
            diagnostics: Diagnostics::default(),
            pod: None,
            parts: None,
        }
    }

    /// With what it names and what it was made of: each once, sorted.
    #[must_use]
    pub(crate) fn naming<'a>(
        self,
        clusters: BTreeSet<Arc<str>>,
        routes: impl Iterator<Item = &'a Arc<str>>,
        origins: impl Iterator<Item = &'a ObjectKey>,
    ) -> Self {
        let routes: BTreeSet<&Arc<str>> = routes.collect();
        let origins: BTreeSet<&ObjectKey> = origins.collect();
        Self {
            clusters: clusters.into_iter().collect(),
            routes: routes.into_iter().cloned().collect(),
            origins: origins.into_iter().cloned().collect(),
            ..self
        }
    }
}
