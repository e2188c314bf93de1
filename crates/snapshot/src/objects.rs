//! All objects as people wrote them, shared between revisions.
//!
//! - For those who judge or show objects. What is compiled reads what derives from them, through a
//!   [`Reader`](crate::Reader), so that what depends on an object is known.

use std::ops::RangeFrom;

use api::Object;
use model::{Kind, ObjectKey};
use rpds::RedBlackTreeMapSync;

/// Objects by key, in order. A copy is cheap.
#[derive(Clone, Debug)]
pub struct Objects {
    map: RedBlackTreeMapSync<ObjectKey, Object>,
    edits: u64,
}

impl Objects {
    pub(crate) fn new() -> Self {
        Self { map: RedBlackTreeMapSync::new_sync(), edits: 0 }
    }

    /// Grows with every object that is put or removed, also where nothing that derives from it
    /// changes: of one [`Index`](crate::Index), equal numbers mean equal objects.
    pub fn edits(&self) -> u64 {
        self.edits
    }

    pub fn len(&self) -> usize {
        self.map.size()
    }

    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    pub fn get(&self, key: &ObjectKey) -> Option<&Object> {
        self.map.get(key)
    }

    pub fn keys(&self) -> impl Iterator<Item = &ObjectKey> {
        self.map.keys()
    }

    /// Every object, in the order of the keys.
    pub fn values(&self) -> impl Iterator<Item = &Object> {
        self.map.values()
    }

    /// The objects of a kind, in the order of the keys.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Object> {
        let all = self.range(ObjectKey::new(kind, "", "")..);
        all.map(|(_, object)| object).take_while(move |object| object.key.kind == kind)
    }

    pub(crate) fn range(
        &self,
        range: RangeFrom<ObjectKey>,
    ) -> impl Iterator<Item = (&ObjectKey, &Object)> {
        self.map.range(range)
    }

    pub(crate) fn insert(&mut self, key: ObjectKey, object: Object) {
        self.edits += 1;
        self.map.insert_mut(key, object);
    }

    pub(crate) fn remove(&mut self, key: &ObjectKey) {
        self.edits += 1;
        self.map.remove_mut(key);
    }
}
