//! What one source has said so far, so that a new run of it can be compared with the last one.
//!
//! - After [`Ledger::restart`], objects and findings of the last run stay in effect until the new
//!   run names them, or is synced without having named them.
//! - Pure. Not here: when a source is restarted (`supervise`).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::Object;
use model::{Diagnostics, ObjectKey};
use snapshot::Change;

use crate::Findings;

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    objects: BTreeMap<ObjectKey, Entry>,
    /// How many objects each place holds.
    files: BTreeMap<Arc<str>, usize>,
    findings: Arc<Findings>,
    /// What the last run said and this one has not yet; empty unless it is catching up.
    stale: BTreeSet<ObjectKey>,
    stale_findings: BTreeSet<Arc<str>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    hash: u128,
    file: Arc<str>,
}

impl Entry {
    fn new(object: &Object) -> Self {
        Self { hash: object.hash, file: object.location.file.clone() }
    }
}

impl Ledger {
    pub(crate) fn objects(&self) -> usize {
        self.objects.len()
    }

    pub(crate) fn files(&self) -> usize {
        self.files.len()
    }

    pub(crate) fn findings(&self) -> &Arc<Findings> {
        &self.findings
    }

    /// A new run begins: all that is known is now in doubt.
    pub(crate) fn restart(&mut self) {
        self.stale = self.objects.keys().cloned().collect();
        self.stale_findings = self.findings.keys().cloned().collect();
    }

    /// Takes note of changes and returns those that change something.
    pub(crate) fn changes(&mut self, changes: Vec<Change>) -> Vec<Change> {
        changes.into_iter().filter(|change| self.change(change)).collect()
    }

    fn change(&mut self, change: &Change) -> bool {
        if let Some(key) = change.key() {
            self.stale.remove(key);
        }
        let (before, is_change) = match change {
            // The index compares them.
            Change::KeySet(..)
            | Change::Learned(..)
            | Change::FenceSwitched(..)
            | Change::Time(_) => return true,
            Change::Put(object) => {
                let entry = Entry::new(object);
                if self.objects.get(&object.key) == Some(&entry) {
                    return false;
                }
                *self.files.entry(entry.file.clone()).or_default() += 1;
                (self.objects.insert(object.key.clone(), entry), true)
            }
            Change::Delete(key) => {
                let before = self.objects.remove(key);
                let is_change = before.is_some();
                (before, is_change)
            }
        };
        if let Some(before) = before {
            self.leave(&before.file);
        }
        is_change
    }

    fn leave(&mut self, file: &Arc<str>) {
        if let Some(count) = self.files.get_mut(file) {
            *count -= 1;
            if *count == 0 {
                self.files.remove(file);
            }
        }
    }

    /// Takes note of findings and returns those that changed.
    pub(crate) fn diagnostics(&mut self, mut diagnostics: Findings) -> Findings {
        let none = Diagnostics::default();
        diagnostics.retain(|place, now| {
            self.stale_findings.remove(place);
            self.findings.get(place).unwrap_or(&none) != now
        });
        if !diagnostics.is_empty() {
            let findings = Arc::make_mut(&mut self.findings);
            for (place, now) in &diagnostics {
                if now.is_empty() {
                    findings.remove(place);
                } else {
                    findings.insert(place.clone(), now.clone());
                }
            }
        }
        diagnostics
    }

    /// The run has said everything: what it did not name is gone.
    pub(crate) fn synced(&mut self) -> (Vec<Change>, Findings) {
        let stale = std::mem::take(&mut self.stale);
        let gone = self.changes(stale.into_iter().map(Change::Delete).collect());
        let places = std::mem::take(&mut self.stale_findings);
        let well = places.into_iter().map(|place| (place, Diagnostics::default())).collect();
        (gone, self.diagnostics(well))
    }
}

#[cfg(test)]
mod tests;
