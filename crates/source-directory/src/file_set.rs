//! Files → the objects in effect.
//!
//! - Each object has one owner: of the files that hold it, the first by rank and path. The others
//!   are reported, and take over when the owner lets go.
//! - A file that is not fully understood keeps the objects that it does not show any more, and an
//!   object with errors keeps its last good version.
//! - Pure. The result depends on the last content of each file, and not on the order of updates.
//! - Not here: reading files (`load`), noticing changes (`tracker`).

mod held;

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
};

use api::Object;
use model::{Diagnostic, Diagnostics, ObjectKey, Severity};
use smallvec::SmallVec;
use snapshot::Change;
use source::Findings;

use self::held::Held;
use crate::{Completeness, ParsedFile, Rank, codes};

/// The last good content of every file, and what follows from all of them together.
#[derive(Clone, Debug, Default)]
pub struct FileSet {
    files: BTreeMap<Arc<str>, FileState>,
    /// Who holds each object, the owner first. Never an empty list, and mostly one file.
    holders: BTreeMap<ObjectKey, SmallVec<[Holder; 1]>>,
    /// Files whose findings may have changed since they were last taken.
    touched: BTreeSet<Arc<str>>,
    /// The findings as they were last taken, without files where all is well.
    reported: Findings,
}

#[derive(Clone, Debug)]
struct FileState {
    objects: Held,
    diagnostics: Diagnostics,
    rank: Rank,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Holder {
    rank: Rank,
    file: Arc<str>,
}

/// The objects in effect before an update, as far as the update may change them.
type Before = BTreeMap<ObjectKey, Option<Object>>;

impl FileSet {
    /// The file has new content. Returns what changes by that, one change for each object.
    pub fn update(&mut self, file: &Arc<str>, parsed: ParsedFile) -> Vec<Change> {
        self.apply([(file.clone(), Some(parsed))])
    }

    /// The file is gone. Returns what changes by that.
    pub fn remove(&mut self, file: &str) -> Vec<Change> {
        self.apply([(file.into(), None)])
    }

    /// Updates (`Some`) and removes (`None`) several files at once, so that an object that moves
    /// from one to another is never away. Returns one change for each object, sorted.
    pub fn apply(
        &mut self,
        updates: impl IntoIterator<Item = (Arc<str>, Option<ParsedFile>)>,
    ) -> Vec<Change> {
        let mut before = Before::new();
        for (file, parsed) in updates {
            self.replace(&file, parsed, &mut before);
        }
        let changes =
            before.into_iter().filter_map(|(key, before)| match (before, self.object(&key)) {
                (Some(before), Some(now)) if is_same(&before, now) => None,
                (_, Some(now)) => Some(Change::Put(now.clone())),
                (Some(_), None) => Some(Change::Delete(key)),
                (None, None) => None,
            });
        changes.collect()
    }

    /// The object in effect.
    pub fn object(&self, key: &ObjectKey) -> Option<&Object> {
        let owner = self.holders.get(key)?.first()?;
        self.files.get(&owner.file)?.objects.get(key)
    }

    /// All objects in effect, sorted by key.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.holders.keys().filter_map(|key| self.object(key))
    }

    /// The first file that holds the object with errors.
    pub(crate) fn refused_in(&self, key: &ObjectKey) -> Option<Arc<str>> {
        let is_refusal = |finding: &Diagnostic| {
            finding.severity == Severity::Error && finding.object.as_ref() == Some(key)
        };
        let mut files = self.files.iter();
        let found = files.find(|(_, state)| state.diagnostics.iter().any(is_refusal));
        found.map(|(file, _)| file.clone())
    }

    /// What is wrong with each file, as far as it changed since this was last asked. All being well
    /// is an empty list of findings.
    pub fn take_findings(&mut self) -> Findings {
        let mut changed = Findings::new();
        for file in std::mem::take(&mut self.touched) {
            let now = self.findings(&file);
            if self.reported.get(&file).unwrap_or(&Diagnostics::default()) == &now {
                continue;
            }
            if now.is_empty() {
                self.reported.remove(&file);
            } else {
                self.reported.insert(file.clone(), now.clone());
            }
            changed.insert(file, now);
        }
        changed
    }

    fn replace(&mut self, file: &Arc<str>, parsed: Option<ParsedFile>, before: &mut Before) {
        self.touched.insert(file.clone());
        let rank = parsed.as_ref().map(|parsed| parsed.rank);
        if rank.is_some() && self.files.get(file).is_some_and(|old| Some(old.rank) != rank) {
            self.replace(file, None, before);
        }
        let old = self.files.remove(file);
        let new = parsed.map(|parsed| merge(parsed, old.as_ref()));
        let none = Held::default();
        let old_objects = old.as_ref().map_or(&none, |state| &state.objects);
        let new_objects = new.as_ref().map_or(&none, |state| &state.objects);
        let mut note = |set: &Self, key: &ObjectKey| {
            if let Entry::Vacant(entry) = before.entry(key.clone()) {
                // The file itself is out of the set now, so that its objects come from `old`.
                let owner = set.holders.get(key).and_then(|holders| holders.first());
                let object = owner.and_then(|owner| {
                    let objects = match set.files.get(&owner.file) {
                        Some(state) => &state.objects,
                        None => old_objects,
                    };
                    objects.get(key)
                });
                entry.insert(object.cloned());
            }
        };
        for object in old_objects.iter() {
            let key = &object.key;
            match new_objects.get(key) {
                Some(new) if is_same(object, new) => {
                    if object.location != new.location {
                        self.touch_holders(key);
                    }
                }
                Some(_) => {
                    note(self, key);
                    self.touch_holders(key);
                }
                None => {
                    note(self, key);
                    self.let_go(key, file);
                }
            }
        }
        if let Some(new) = &new {
            let keys = new.objects.iter().map(|object| &object.key);
            for key in keys.filter(|key| !old_objects.contains(key)) {
                note(self, key);
                self.take_hold(key, Holder { rank: new.rank, file: file.clone() });
            }
        }
        if let Some(new) = new {
            self.files.insert(file.clone(), new);
        }
    }

    fn take_hold(&mut self, key: &ObjectKey, holder: Holder) {
        let holders = self.holders.entry(key.clone()).or_default();
        if let Err(index) = holders.binary_search(&holder) {
            holders.insert(index, holder);
        }
        self.touch_holders(key);
    }

    fn let_go(&mut self, key: &ObjectKey, file: &Arc<str>) {
        let Some(holders) = self.holders.get_mut(key) else { return };
        holders.retain(|holder| holder.file != *file);
        if holders.is_empty() {
            self.holders.remove(key);
        }
        self.touch_holders(key);
    }

    /// Holders report each other, with their places.
    fn touch_holders(&mut self, key: &ObjectKey) {
        let holders = self.holders.get(key).into_iter().flatten();
        self.touched.extend(holders.map(|holder| holder.file.clone()));
    }

    /// What is wrong with a file by itself and beside the others.
    fn findings(&self, file: &Arc<str>) -> Diagnostics {
        let Some(state) = self.files.get(file) else { return Diagnostics::default() };
        let mut diagnostics = state.diagnostics.clone();
        for object in state.objects.iter() {
            let key = &object.key;
            let owner = self.holders.get(key).and_then(|holders| holders.first());
            let Some(owner) = owner.filter(|owner| owner.file != *file) else { continue };
            if let Some(winner) = self.object(key) {
                diagnostics.push(match owner.rank {
                    Rank::Found => duplicate(object, winner),
                    Rank::MeshConfig => overridden(object, winner),
                });
            }
        }
        diagnostics
    }
}

/// The new state of a file: what it shows now, and what it held where that is not proven wrong.
fn merge(parsed: ParsedFile, old: Option<&FileState>) -> FileState {
    let ParsedFile { objects: shown, refused, cautious, .. } = parsed;
    let (mut diagnostics, completeness, rank) =
        (parsed.diagnostics, parsed.completeness, parsed.rank);
    let mut objects = Held::new(shown, |object, first| diagnostics.push(duplicate(object, first)));
    if let Some(old) = old {
        let kept = old.objects.iter().filter(|object| match completeness {
            Completeness::Partial => true,
            Completeness::Whole => refused.contains(&object.key),
        });
        objects.add_missing(kept.cloned());
    }
    objects.add_missing(cautious);
    FileState { objects, diagnostics, rank }
}

fn is_same(one: &Object, other: &Object) -> bool {
    one.hash == other.hash && one.location.file == other.location.file
}

fn duplicate(object: &Object, winner: &Object) -> Diagnostic {
    let message = format!(
        "the object at {} has no effect: it is also at {}, which comes first",
        object.location, winner.location
    );
    let finding = codes::DUPLICATE_OBJECT.diagnostic(message).hint("remove one of the two");
    finding.object(object.key.clone()).at(object.location.clone())
}

fn overridden(object: &Object, winner: &Object) -> Diagnostic {
    let message = format!("the mesh configuration in {} is used instead", winner.location.file);
    let finding = codes::OVERRIDDEN.diagnostic(message);
    finding.object(object.key.clone()).at(object.location.clone())
}

#[cfg(test)]
mod tests;
