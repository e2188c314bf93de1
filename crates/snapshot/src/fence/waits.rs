//! What waits in fences: dependencies that nothing asks for any more, and that stay for a while.
//!
//! - That they wait follows from what their fence said before, which no object tells: who wants it
//!   to outlive the process writes it down.

use std::sync::Arc;

use model::ObjectKey;
use rpds::RedBlackTreeMapSync;

use super::{DomainStatus, Domains};

/// The dependencies that wait, by fence. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct FenceWaits {
    by_fence: RedBlackTreeMapSync<ObjectKey, Arc<Domains>>,
    /// Grows with each change.
    changes: u64,
}

impl FenceWaits {
    /// All of them; no fence has none.
    pub fn iter(&self) -> impl Iterator<Item = (&ObjectKey, &Arc<Domains>)> {
        self.by_fence.iter()
    }

    /// Whether nothing has changed between two revisions of a mesh.
    pub fn is(&self, other: &Self) -> bool {
        self.changes == other.changes
    }

    /// Takes note of what a fence has come to. Whether that is news.
    pub(crate) fn note(&mut self, key: &ObjectKey, domains: Option<&Domains>) -> bool {
        let all = domains.into_iter().flatten();
        let waiting = all.filter(|(_, domain)| domain.status == DomainStatus::ExpireWait);
        let waiting: Domains = waiting.map(|(key, domain)| (key.clone(), domain.clone())).collect();
        let known = self.by_fence.get(key);
        if known.map_or(waiting.is_empty(), |known| **known == waiting) {
            return false;
        }
        self.changes += 1;
        match waiting.is_empty() {
            true => drop(self.by_fence.remove_mut(key)),
            false => self.by_fence.insert_mut(key.clone(), Arc::new(waiting)),
        }
        true
    }
}
