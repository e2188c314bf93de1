//! What is compiled later: whatever is more than new versions of assignments.
//!
//! - Assignments whose clusters stay as they are, are compiled with the snapshot that brings them. All else
//!   waits here, and is compiled together: a plane with nothing to do compiles at once; after that as
//!   much time passes as it took, and the round in which it was told ends. So an object that changes
//!   all the time costs half of the time at most, and its streams get no more than they take.
//! - What takes long is compiled facet by facet; in between, assignments of newer snapshots are.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use snapshot::ChangeSet;

use super::{Engine, Lane, StreamId, dependants::Dependant};
use crate::{
    facet::{Changed, FacetId, Job},
    log::Work,
};

/// After so much time something else has its turn.
const SLICE: Duration = Duration::from_millis(5);
/// However long compiling took, changes gather no longer than this.
const LONGEST: Duration = Duration::from_secs(2);

/// Jobs to run and streams to reduce anew, with the revisions that made them necessary.
#[derive(Debug, Default)]
pub(super) struct Due {
    facets: BTreeMap<FacetId, Dirty>,
    streams: BTreeMap<StreamId, Vec<u64>>,
}

#[derive(Debug, Default)]
struct Dirty {
    jobs: BTreeSet<Job>,
    /// Oldest first.
    revisions: Vec<u64>,
}

/// What is compiled now, and what that has taken.
#[derive(Debug, Default)]
pub(super) struct Batch {
    due: Due,
    /// All snapshots that it was begun for. The work counts for the push of the newest.
    revisions: BTreeSet<u64>,
    time: Duration,
    work: Work,
    changed: Vec<Arc<Changed>>,
}

impl Due {
    pub(super) fn is_empty(&self) -> bool {
        self.facets.is_empty() && self.streams.is_empty()
    }

    /// All snapshots with something in it.
    pub(super) fn revisions(&self) -> BTreeSet<u64> {
        let jobs = self.facets.values().flat_map(|dirty| &dirty.revisions);
        jobs.chain(self.streams.values().flatten()).copied().collect()
    }

    fn add_jobs(&mut self, facet: FacetId, jobs: BTreeSet<Job>, revisions: &[u64]) {
        if jobs.is_empty() {
            return;
        }
        let dirty = self.facets.entry(facet).or_default();
        dirty.jobs.extend(jobs);
        join(&mut dirty.revisions, revisions);
    }

    fn add_stream(&mut self, stream: StreamId, revisions: &[u64]) {
        join(self.streams.entry(stream).or_default(), revisions);
    }

    fn extend(&mut self, other: Self) {
        for (facet, Dirty { jobs, revisions }) in other.facets {
            self.add_jobs(facet, jobs, &revisions);
        }
        for (stream, revisions) in other.streams {
            self.add_stream(stream, &revisions);
        }
    }

    /// Whether the clusters of an assignment are to be compiled as well, which brings it with them.
    fn has_clusters(&self, facet: FacetId, job: &Job) -> bool {
        let Job::Assignments(service) = job else { return true };
        let clusters = Job::Clusters(service.clone());
        self.facets.get(&facet).is_some_and(|dirty| dirty.jobs.contains(&clusters))
    }
}

/// Adds revisions; both lists are sorted.
fn join(all: &mut Vec<u64>, more: &[u64]) {
    all.extend(more);
    all.sort_unstable();
    all.dedup();
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.due.is_empty()
    }

    pub(super) fn revisions(&self) -> &BTreeSet<u64> {
        &self.revisions
    }
}

/// When the next batch may be compiled, and how much of it at a time.
#[derive(Debug)]
pub(super) struct Pace {
    free_at: Option<Instant>,
    pub(super) slice: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { free_at: None, slice: SLICE }
    }
}

impl Pace {
    /// A batch has taken so long.
    pub(super) fn ended(&mut self, now: Instant, taken: Duration) {
        self.free_at = Some(now + taken.min(LONGEST));
    }

    /// When the next one may be compiled, if not now.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        self.free_at.filter(|free_at| *free_at > now)
    }
}

impl Engine {
    /// Takes up what depends on the changes of the newest snapshot. Assignments are compiled now.
    pub(super) fn take_up(&mut self, changes: &ChangeSet) -> Vec<Arc<Changed>> {
        let revisions = [self.snapshot.revision];
        let mut jobs: BTreeMap<FacetId, BTreeSet<Job>> = BTreeMap::new();
        for dependant in changes.keys.iter().flat_map(|key| self.dependants.of(key)) {
            match dependant {
                Dependant::Job(facet, job) => {
                    let entry = self.facets.get(facet);
                    let job = entry.and_then(|entry| entry.facet.job(*job));
                    jobs.entry(*facet).or_default().extend(job.cloned());
                }
                Dependant::Stream(stream) => self.due.add_stream(*stream, &revisions),
            }
        }
        // Nothing is done for what nobody sees.
        let unseen: Vec<FacetId> = jobs.keys().copied().filter(|it| !self.is_seen(*it)).collect();
        for facet in unseen {
            jobs.remove(&facet);
            self.end(facet);
        }
        let mut changed = Vec::new();
        for (facet, mut jobs) in jobs {
            let is_later = |job: &Job| !matches!(job, Job::Assignments(_));
            self.due.add_jobs(
                facet,
                jobs.extract_if(.., |job| is_later(job)).collect(),
                &revisions,
            );
            let (due, batch) = (&self.due, &self.batch.due);
            let is_later =
                |job: &Job| due.has_clusters(facet, job) || batch.has_clusters(facet, job);
            let later = jobs.extract_if(.., |job| is_later(job)).collect();
            self.due.add_jobs(facet, later, &revisions);
            if !jobs.is_empty() {
                let (names, follows) = self.compile(facet, jobs, &revisions);
                changed.push(names);
                self.due.extend(follows);
            }
        }
        changed
    }

    /// Compiles a part of what is due, if it is time for that. Says when to go on.
    pub(super) fn advance_due(&mut self, now: Instant) -> Option<Instant> {
        if self.batch.is_empty() && !self.due.is_empty() {
            let told = self.rounds.until(Lane::Structure, now);
            let until = self.pace.until(now).max(told);
            if until.is_some() {
                return until;
            }
            self.begin_batch();
        }
        self.run_batch(self.pace.slice);
        (!self.batch.is_empty()).then_some(now)
    }

    /// Compiles all that is due.
    pub(super) fn finish_due(&mut self) {
        self.run_batch(Duration::MAX);
        self.begin_batch();
        self.run_batch(Duration::MAX);
    }

    /// Compiles jobs that somebody waits for, and what follows from them.
    pub(super) fn compile_now(&mut self, facet: FacetId, jobs: BTreeSet<Job>) {
        let revisions = [self.snapshot.revision];
        let mut open = Due::default();
        open.add_jobs(facet, jobs, &revisions);
        while let Some((facet, Dirty { jobs, revisions })) = open.facets.pop_first() {
            let (_, follows) = self.compile(facet, jobs, &revisions);
            open.extend(follows);
        }
        for (stream, revisions) in open.streams {
            if self.reduce_again(stream) {
                self.gathered.add_moved(stream, &revisions);
            }
        }
    }

    fn begin_batch(&mut self) {
        let due = std::mem::take(&mut self.due);
        self.batch = Batch { revisions: due.revisions(), due, ..Batch::default() };
    }

    /// Compiles facet after facet, for so long.
    fn run_batch(&mut self, slice: Duration) {
        if self.batch.is_empty() {
            return;
        }
        let (begun, before) = (Instant::now(), Work::of(&self.counters));
        while self.run_next() && begun.elapsed() < slice {}
        self.batch.time += begun.elapsed();
        self.batch.work.add(Work::of(&self.counters).since(before));
        if self.batch.is_empty() {
            let Batch { revisions, time, work, changed, .. } = std::mem::take(&mut self.batch);
            let now = Instant::now();
            self.pace.ended(now, time);
            if let Some(newest) = revisions.last() {
                self.log.compiled(*newest, time, work, &changed);
            }
            self.log.ready(revisions, now);
        }
    }

    /// Whether there was something.
    fn run_next(&mut self) -> bool {
        // A facet is older than those that add to it, so these come later.
        if let Some((facet, Dirty { jobs, revisions })) = self.batch.due.facets.pop_first() {
            let (names, follows) = self.compile(facet, jobs, &revisions);
            self.batch.changed.push(names);
            self.batch.due.extend(follows);
            return true;
        }
        // To which facets a stream belongs may depend on what they have found.
        let Some((stream, revisions)) = self.batch.due.streams.pop_first() else { return false };
        if self.reduce_again(stream) {
            self.gathered.add_moved(stream, &revisions);
        }
        true
    }

    /// Runs jobs of a facet. Says what differs, and what follows in other facets.
    fn compile(
        &mut self,
        id: FacetId,
        jobs: BTreeSet<Job>,
        revisions: &[u64],
    ) -> (Arc<Changed>, Due) {
        let (mut follow, mut moving) = (BTreeMap::new(), BTreeSet::new());
        let changed = Arc::new(self.run(id, jobs, &mut follow, &mut moving));
        let mut follows = Due::default();
        for (facet, jobs) in follow {
            follows.add_jobs(facet, jobs, revisions);
        }
        for stream in moving {
            follows.add_stream(stream, revisions);
        }
        self.gathered.add(id, changed.clone(), revisions);
        (changed, follows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_gather_for_as_long_as_compiling_took() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        assert_eq!(pace.until(now), None);
        pace.ended(now, Duration::from_millis(50));
        assert_eq!(pace.until(now), Some(now + Duration::from_millis(50)));
        assert_eq!(pace.until(now + Duration::from_millis(50)), None);
        pace.ended(now, Duration::from_secs(60));
        assert_eq!(pace.until(now), Some(now + LONGEST));
    }
}
