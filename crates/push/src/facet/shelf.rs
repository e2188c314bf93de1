//! What the jobs of a facet made and read.

use std::{collections::BTreeSet, sync::Arc};

use model::Map;
use slab::Slab;
use snapshot::Reads;

use super::{Job, Made, Update};
use crate::{FacetView, ResourceKind, whole::Wholes};

/// The names of a job's resources, sorted. Most have one or two, and a tree for these would be five times
/// as large.
type Names = Box<[(ResourceKind, Arc<str>)]>;

/// Names whose resources are others than before.
pub(crate) type Changed = BTreeSet<(ResourceKind, Arc<str>)>;

/// Stands for a job of one facet, as long as there is the job.
pub(crate) type JobId = usize;

#[derive(Clone, Debug)]
pub(super) struct Shelf {
    pub(super) view: FacetView,
    ids: Map<Job, JobId>,
    jobs: Slab<Filed>,
}

/// What a job made and read when it ran last.
#[derive(Clone, Debug)]
struct Filed {
    job: Job,
    names: Names,
    reads: Reads,
}

impl Shelf {
    pub(super) fn new(wholes: Arc<Wholes>) -> Self {
        let (ids, jobs) = Default::default();
        Self { view: FacetView::new(wholes), ids, jobs }
    }

    pub(super) fn job(&self, id: JobId) -> Option<&Job> {
        self.jobs.get(id).map(|filed| &filed.job)
    }

    pub(super) fn reads(&self, id: JobId) -> Option<&Reads> {
        self.jobs.get(id).map(|filed| &filed.reads)
    }

    pub(super) fn all_reads(&self) -> impl Iterator<Item = (JobId, &Reads)> {
        self.jobs.iter().map(|(id, filed)| (id, &filed.reads))
    }

    /// Files what a job made and read; `None` leaves its resources.
    pub(super) fn store(
        &mut self,
        job: Job,
        made: Option<Made>,
        reads: Reads,
        update: &mut Update,
    ) {
        let id = match self.ids.get(&job) {
            Some(id) => *id,
            None => {
                let (names, reads) = Default::default();
                let id = self.jobs.insert(Filed { job: job.clone(), names, reads });
                self.ids.insert(job, id);
                id
            }
        };
        if let Some(made) = made {
            self.store_made(id, made, update);
        }
        let old = std::mem::replace(&mut self.jobs[id].reads, reads);
        update.reads.push((id, old));
    }

    /// Replaces a job's resources by those that it made now.
    fn store_made(&mut self, id: JobId, made: Made, update: &mut Update) {
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
        let old = std::mem::take(&mut self.jobs[id].names);
        let gone = old.iter().filter(|it| names.binary_search(it).is_err());
        self.remove(gone, update);
        self.jobs[id].names = names;
    }

    /// Takes a job and its resources away.
    pub(super) fn drop_job(&mut self, job: &Job, update: &mut Update) {
        let Some(id) = self.ids.remove(job) else { return };
        let Filed { names, reads, .. } = self.jobs.remove(id);
        self.remove(names.iter(), update);
        update.reads.push((id, reads));
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
