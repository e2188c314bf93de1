//! Texts that many endpoints have in common, once for each batch.
//!
//! - What a batch derives shares its accounts, networks and localities; what later batches derive
//!   has its own. Nothing is kept for it between batches.

use std::sync::Arc;

use model::{Locality, Set};

#[derive(Debug, Default)]
pub(super) struct Texts(Set<Arc<str>>);

impl Texts {
    pub(super) fn share(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return known.clone();
        }
        let new: Arc<str> = text.into();
        self.0.insert(new.clone());
        new
    }

    /// Reads `region/zone/subzone`.
    pub(super) fn locality(&mut self, text: &str) -> Locality {
        Locality::parse_with(text, |part| self.share(part))
    }
}
