//! Texts that many endpoints have in common, once for all services that are looked at together.
//!
//! - Their endpoints share accounts, networks and localities; those of other services, and what is derived
//!   later, have their own. Nothing is kept for it.

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
