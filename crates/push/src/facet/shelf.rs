//! What the jobs of a facet made and read.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use snapshot::Reads;

use model::Map;

use super::{Job, Made, Update};
use crate::{FacetView, ResourceKind};

/// The names of a job's resources.
type Names = BTreeSet<(ResourceKind, Arc<str>)>;

/// Names whose resources are others than before.
pub(crate) type Changed = BTreeSet<(ResourceKind, Arc<str>)>;

#[derive(Clone, Debug, Default)]
pub(super) struct Shelf {
    pub(super) view: FacetView,
    outputs: Map<Job, Names>,
    pub(super) reads: BTreeMap<Job, Reads>,
}

impl Shelf {
    /// Replaces a job's resources by those that it made now; `None` leaves them.
    pub(super) fn store(&mut self, job: &Job, made: Option<Made>, update: &mut Update) {
        let Some(made) = made else { return };
        let mut names = Names::new();
        for (kind, compiled) in made {
            let name = compiled.resource.name().clone();
            if names.insert((kind, name.clone())) && self.view.set(kind, &name, Some(compiled)) {
                update.changed.insert((kind, name));
            }
        }
        let gone = match self.outputs.get(job) {
            Some(old) => old - &names,
            None => Names::new(),
        };
        self.remove(gone, update);
        self.outputs.insert(job.clone(), names);
    }

    /// Takes a job and its resources away.
    pub(super) fn drop_job(&mut self, job: &Job, update: &mut Update) {
        let names = self.outputs.remove(job).unwrap_or_default();
        self.remove(names, update);
        if let Some(old) = self.reads.remove(job) {
            update.reads.push((job.clone(), old));
        }
    }

    /// Notes what a job has read.
    pub(super) fn set_reads(&mut self, job: Job, reads: Reads, update: &mut Update) {
        let old = match reads.is_empty() {
            true => self.reads.remove(&job),
            false => self.reads.insert(job.clone(), reads),
        };
        update.reads.push((job, old.unwrap_or_default()));
    }

    fn remove(&mut self, names: Names, update: &mut Update) {
        for (kind, name) in names {
            self.view.set(kind, &name, None);
            update.changed.insert((kind, name));
        }
    }
}
