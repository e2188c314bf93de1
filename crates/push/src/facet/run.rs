//! Runs the jobs of a facet, those of many services on all cores.

use std::{collections::BTreeSet, panic};

use rayon::prelude::*;
use snapshot::{Reader, Snapshot};

use super::{Changed, Facet, Job, Jobs, Kind, Tools, Update, Work};
use crate::{ResourceKind, counters::Counters, memo::Memos};

/// Fewer services than this are not worth waking other threads for.
const MANY: usize = 32;

/// What a facet's jobs run on.
#[derive(Clone, Copy)]
struct Ground<'a> {
    snapshot: &'a Snapshot,
    memos: &'a Memos,
    counters: &'a Counters,
}

impl Facet {
    /// Runs the dirty jobs, in the order in which they depend on each other.
    pub(crate) fn run(
        &mut self,
        mut dirty: BTreeSet<Job>,
        snapshot: &Snapshot,
        memos: &Memos,
        counters: &Counters,
    ) -> Update {
        let ground = Ground { snapshot, memos, counters };
        let mut update = Update::default();
        self.run_all(&mut dirty, ground, &mut update);
        // What answers a question may be gone, and what answers it instead may have to be found first.
        for _ in 0..2 {
            dirty = self.ask_again(&update.changed);
            self.run_all(&mut dirty, ground, &mut update);
        }
        self.shelf.view.revision = snapshot.revision;
        update
    }

    /// Jobs for questions of which a change has taken the answers.
    fn ask_again(&mut self, changed: &Changed) -> BTreeSet<Job> {
        let Kind::Outbound(outbound) = &mut self.kind else { return BTreeSet::new() };
        match changed.iter().any(|(kind, _)| *kind == ResourceKind::VirtualHost) {
            true => outbound.ask_again(&self.shelf.view),
            false => BTreeSet::new(),
        }
    }

    fn run_all(&mut self, dirty: &mut BTreeSet<Job>, ground: Ground<'_>, update: &mut Update) {
        // `Job` is ordered by dependency: later jobs may be added while earlier ones run.
        while let Some(first) = dirty.pop_first() {
            let is_alike = self.alike(&first);
            let mut jobs = vec![first];
            while dirty.first().is_some_and(is_alike) {
                jobs.extend(dirty.pop_first());
            }
            if jobs.len() >= MANY {
                self.run_services(jobs, dirty, ground, update);
                continue;
            }
            for job in jobs {
                self.run_one(job, dirty, ground, update);
            }
        }
    }

    /// Which jobs do not depend on this one: those of other services, where the facet has clusters.
    fn alike(&self, job: &Job) -> fn(&Job) -> bool {
        match (&self.kind, job) {
            (Kind::Outbound(_) | Kind::Gateway(_), Job::Clusters(_)) => {
                |it| matches!(it, Job::Clusters(_))
            }
            (Kind::Outbound(_) | Kind::Gateway(_), Job::Assignments(_)) => {
                |it| matches!(it, Job::Assignments(_))
            }
            _ => |_| false,
        }
    }

    fn run_one(
        &mut self,
        job: Job,
        dirty: &mut BTreeSet<Job>,
        ground: Ground<'_>,
        update: &mut Update,
    ) {
        let Ground { snapshot, memos, counters } = ground;
        counters.jobs.inc();
        let reader = Reader::new(snapshot);
        let mut work = Work { reader: &reader, memos, counters, dirty, dropped: Vec::new() };
        let view = &self.shelf.view;
        let jobs: &mut dyn Jobs = match &mut self.kind {
            Kind::Outbound(outbound) => &mut **outbound,
            Kind::Gateway(gateway) => &mut **gateway,
            Kind::Placed(placed) => &mut **placed,
            Kind::Inbound(inbound) => inbound,
            Kind::Secrets(secrets) => secrets,
            Kind::Visible(seen) => seen,
        };
        let made = guarded(&job, counters, || jobs.run(&job, view, &mut work));
        for gone in work.dropped {
            self.shelf.drop_job(&gone, update);
        }
        self.shelf.store(job, made, reader.into_reads(), update);
    }

    /// Runs jobs of services that do not depend on each other: what takes time is done on all
    /// cores, and filed in their order.
    fn run_services(
        &mut self,
        jobs: Vec<Job>,
        dirty: &mut BTreeSet<Job>,
        ground: Ground<'_>,
        update: &mut Update,
    ) {
        let (clusters, client) = match &mut self.kind {
            Kind::Outbound(outbound) => (&mut outbound.clusters, &outbound.client),
            Kind::Gateway(gateway) => (&mut gateway.clusters, &gateway.client),
            Kind::Placed(_) | Kind::Inbound(_) | Kind::Secrets(_) | Kind::Visible(_) => return,
        };
        let Ground { snapshot, memos, counters } = ground;
        let compiled: Vec<_> = jobs
            .par_iter()
            .map(|job| {
                counters.jobs.inc();
                let reader = Reader::new(snapshot);
                let tools = Tools { reader: &reader, memos, counters };
                let made = guarded(job, counters, || clusters.compile(job, client, tools));
                (made, reader.into_reads())
            })
            .collect();
        for (job, (made, reads)) in jobs.into_iter().zip(compiled) {
            let made = made.map(|made| clusters.file(made, dirty));
            self.shelf.store(job, made, reads, update);
        }
    }
}

/// A defect in what one object leads to must not end the service of all others.
fn guarded<T>(job: &Job, counters: &Counters, run: impl FnOnce() -> Option<T>) -> Option<T> {
    match panic::catch_unwind(panic::AssertUnwindSafe(run)) {
        Ok(made) => made,
        Err(_) => {
            counters.panics.inc();
            tracing::error!(?job, "Compiling failed by a defect; its resources stay as they were");
            None
        }
    }
}
