//! The objects of one file. One export of a registry may hold all that there is, so that a tree of
//! them would cost a second map of all objects.

use api::Object;
use model::ObjectKey;

/// Sorted by key, each once.
#[derive(Clone, Debug, Default)]
pub(super) struct Held(Vec<Object>);

impl Held {
    /// Of objects with the same key the first counts; `hidden` is told of the others, and of the one
    /// that counts.
    pub(super) fn new(mut objects: Vec<Object>, mut hidden: impl FnMut(&Object, &Object)) -> Self {
        objects.sort_by(|one, other| one.key.cmp(&other.key));
        objects.dedup_by(|next, first| {
            let is_hidden = next.key == first.key;
            if is_hidden {
                hidden(next, first);
            }
            is_hidden
        });
        objects.shrink_to_fit();
        Self(objects)
    }

    /// Adds the objects whose keys are not held.
    pub(super) fn add_missing(&mut self, more: impl IntoIterator<Item = Object>) {
        let held = self.0.len();
        self.0.extend(more);
        if self.0.len() > held {
            *self = Self::new(std::mem::take(&mut self.0), |_, _| ());
        }
    }

    pub(super) fn get(&self, key: &ObjectKey) -> Option<&Object> {
        let at = self.0.binary_search_by(|object| object.key.cmp(key)).ok()?;
        self.0.get(at)
    }

    pub(super) fn contains(&self, key: &ObjectKey) -> bool {
        self.get(key).is_some()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Object> {
        self.0.iter()
    }
}
