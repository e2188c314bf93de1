//! What the jobs of a facet made and read.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use model::Map;
use snapshot::Reads;

use super::{Job, Made, Update};
use crate::{FacetView, ResourceKind, whole::Wholes};

/// The names of a job's resources, sorted. Most have one or two, and a tree for these would be five times
/// as large.
type Names = Box<[(ResourceKind, Arc<str>)]>;

/// Names whose resources are others than before.
pub(crate) type Changed = BTreeSet<(ResourceKind, Arc<str>)>;

#[derive(Clone, Debug)]
pub(super) struct Shelf {
    pub(super) view: FacetView,
    outputs: Map<Job, Names>,
    pub(super) reads: BTreeMap<Job, Reads>,
}

impl Shelf {
    pub(super) fn new(wholes: Arc<Wholes>) -> Self {
        let (outputs, reads) = Default::default();
        Self { view: FacetView::new(wholes), outputs, reads }
    }

    /// Replaces a job's resources by those that it made now; `None` leaves them.
    pub(super) fn store(&mut self, job: &Job, made: Option<Made>, update: &mut Update) {
        let Some(made) = made else { return };
        let mut made: Vec<_> = made
            .into_iter()
            .map(|(kind, compiled)| ((kind, compiled.resource.name().clone()), compiled))
            .collect();
        made.sort_by(|(one, _), (other, _)| one.cmp(other));
        // Of two with the same name the first counts.
        made.dedup_by(|(one, _), (other, _)| one == other);
        let names: Names = made.iter().map(|(name, _)| name.clone()).collect();
        for ((kind, name), compiled) in made {
            if self.view.set(kind, &name, Some(compiled)) {
                update.changed.insert((kind, name));
            }
        }
        let old = self.outputs.remove(job).unwrap_or_default();
        let gone = old.iter().filter(|it| names.binary_search(it).is_err());
        self.remove(gone, update);
        self.outputs.insert(job.clone(), names);
    }

    /// Takes a job and its resources away.
    pub(super) fn drop_job(&mut self, job: &Job, update: &mut Update) {
        let names = self.outputs.remove(job).unwrap_or_default();
        self.remove(names.iter(), update);
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

    fn remove<'n>(
        &mut self,
        names: impl Iterator<Item = &'n (ResourceKind, Arc<str>)>,
        update: &mut Update,
    ) {
        for (kind, name) in names {
            self.view.set(*kind, name, None);
            update.changed.insert((*kind, name.clone()));
        }
    }
}
