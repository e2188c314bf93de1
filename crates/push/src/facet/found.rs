//! What passes from a facet to those that add to it or follow it.

use std::sync::Arc;

use super::{placed::PlacedServices, visible::Sight};

/// What a facet has found for them.
#[derive(Clone, Debug, Default)]
pub(crate) enum Found {
    #[default]
    Nothing,
    /// The services whose assignments depend on where a proxy runs.
    Placed(Arc<PlacedServices>),
    Visible(Sight),
}

impl Found {
    /// Whether both are the same, and not only equal.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nothing, Self::Nothing) => true,
            (Self::Placed(one), Self::Placed(other)) => Arc::ptr_eq(one, other),
            (Self::Visible(one), Self::Visible(other)) => one.is(other),
            (Self::Nothing | Self::Placed(_) | Self::Visible(_), _) => false,
        }
    }
}
