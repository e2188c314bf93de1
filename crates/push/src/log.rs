//! What the last pushes were: which objects caused each, what it cost, who got what.
//!
//! A push is one published snapshot. The engine opens its entry, the streams add what they send
//! and when their proxies have acknowledged it. Only so many are kept.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use model::ObjectKey;
use prometheus_client::registry::Registry;
use snapshot::Happening;

use crate::{
    Counters, ResourceKind,
    facet::Changed,
    stages::{Stage, Stages},
};

/// Pushes that are remembered.
const KEPT: usize = 256;
/// Objects that are named of one push; the others are counted.
const NAMED: usize = 16;

/// One published snapshot, and what became of it.
#[derive(Clone, Debug)]
pub struct PushRecord {
    pub revision: u64,
    /// When it was taken up.
    pub at: SystemTime,
    /// The first objects that caused it, by key.
    pub causes: Vec<(ObjectKey, Happening)>,
    /// All objects that caused it.
    pub cause_count: usize,
    /// Time from when the first change was noticed until the last streams were told, or until it was
    /// taken up if it concerned none.
    pub told_after: Duration,
    /// Time to compile what depends on the changes. What several pushes led to together counts for
    /// the last of them.
    pub compile: Duration,
    /// Jobs run, resources compiled and virtual hosts encoded.
    pub work: Work,
    /// Names whose resources differ, in one facet or several, by type.
    pub changed: BTreeMap<ResourceKind, usize>,
    /// Connected streams.
    pub streams: usize,
    /// Of these, the ones that were told; twice if they were told of assignments first.
    pub told: usize,
    /// What was sent to them meanwhile. A response for two pushes counts for the later one.
    pub sent: BTreeMap<ResourceKind, Sent>,
    /// Those of `told` that have acknowledged everything since.
    pub live: usize,
    /// Time from when the first change was noticed until the last of `live` was.
    pub live_after: Duration,
    noticed: Instant,
    /// When it has reached the end of a stage.
    reached: Instant,
}

/// Work of the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    pub jobs: u64,
    pub compiled: u64,
    pub hosts: u64,
}

impl Work {
    pub(crate) fn of(counters: &Counters) -> Self {
        Self {
            jobs: counters.jobs.get(),
            compiled: counters.compiled.get(),
            hosts: counters.hosts.get(),
        }
    }

    pub(crate) fn add(&mut self, more: Self) {
        self.jobs += more.jobs;
        self.compiled += more.compiled;
        self.hosts += more.hosts;
    }

    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            jobs: self.jobs - before.jobs,
            compiled: self.compiled - before.compiled,
            hosts: self.hosts - before.hosts,
        }
    }
}

/// Responses of one type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    pub responses: usize,
    pub resources: usize,
    pub bytes: usize,
}

/// The last pushes, and how long their stages took. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct PushLog {
    records: Arc<Mutex<VecDeque<PushRecord>>>,
    stages: Stages,
}

impl PushLog {
    /// The last `count` pushes, the newest first.
    pub fn last(&self, count: usize) -> Vec<PushRecord> {
        self.lock().iter().rev().take(count).cloned().collect()
    }

    /// Registers how long each stage takes.
    pub fn register(&self, registry: &mut Registry) {
        self.stages.register(registry);
    }

    /// Opens an entry.
    pub(crate) fn open(&self, record: PushRecord) {
        let stored = record.reached.saturating_duration_since(record.noticed);
        self.stages.observe(Stage::Stored, record.revision, stored);
        let mut records = self.lock();
        if records.len() >= KEPT {
            records.pop_front();
        }
        records.push_back(record);
    }

    /// A stream was sent a response after it was told of this push.
    pub(crate) fn sent(&self, revision: u64, kind: ResourceKind, sent: Sent) {
        self.with(revision, |record| {
            let all = record.sent.entry(kind).or_default();
            all.responses += sent.responses;
            all.resources += sent.resources;
            all.bytes += sent.bytes;
        });
    }

    /// What a push led to was compiled. What several led to counts for the last of them.
    pub(crate) fn compiled(
        &self,
        revision: u64,
        time: Duration,
        work: Work,
        changed: &[Arc<Changed>],
    ) {
        self.with(revision, |record| {
            record.compile += time;
            record.work.add(work);
            record.count_changed(changed);
        });
    }

    /// Of these pushes nothing is left to compile.
    pub(crate) fn ready(&self, revisions: impl IntoIterator<Item = u64>, now: Instant) {
        for revision in revisions {
            self.with(revision, |record| self.reach(record, Stage::Compiled, now));
        }
    }

    /// A push has reached the end of a stage.
    fn reach(&self, record: &mut PushRecord, stage: Stage, now: Instant) {
        let taken = now.saturating_duration_since(record.reached);
        self.stages.observe(stage, record.revision, taken);
        record.reached = now;
    }

    /// So many streams are told of these pushes.
    pub(crate) fn told(&self, counts: &BTreeMap<u64, usize>, now: Instant) {
        for (revision, count) in counts {
            self.with(*revision, |record| {
                self.reach(record, Stage::Told, now);
                record.told += count;
                record.told_after = now.saturating_duration_since(record.noticed);
            });
        }
    }

    /// When the first change behind this push was noticed.
    pub(crate) fn noticed(&self, revision: u64) -> Option<Instant> {
        let records = self.lock();
        let found = records.iter().rev().find(|it| it.revision == revision);
        found.map(|record| record.noticed)
    }

    /// A proxy has acknowledged everything that it was told of with these pushes.
    pub(crate) fn live(&self, revisions: &[u64], now: Instant) {
        for revision in revisions {
            self.with(*revision, |record| {
                record.live += 1;
                let taken = now.saturating_duration_since(record.reached);
                self.stages.observe(Stage::Acknowledged, record.revision, taken);
                let after = now.saturating_duration_since(record.noticed);
                record.live_after = record.live_after.max(after);
            });
        }
    }

    /// Pushes are looked up from the newest on: streams ask for those.
    fn with(&self, revision: u64, change: impl FnOnce(&mut PushRecord)) {
        let mut records = self.lock();
        if let Some(record) = records.iter_mut().rev().find(|it| it.revision == revision) {
            change(record);
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<PushRecord>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PushRecord {
    /// A push that is taken up now.
    pub(crate) fn new(
        revision: u64,
        causes: &BTreeMap<ObjectKey, Happening>,
        noticed: Instant,
    ) -> Self {
        let named = causes.iter().take(NAMED).map(|(key, happening)| (key.clone(), *happening));
        Self {
            revision,
            at: SystemTime::now(),
            causes: named.collect(),
            cause_count: causes.len(),
            told_after: Duration::ZERO,
            compile: Duration::ZERO,
            work: Work::default(),
            changed: BTreeMap::new(),
            streams: 0,
            told: 0,
            sent: BTreeMap::new(),
            live: 0,
            live_after: Duration::ZERO,
            noticed,
            reached: Instant::now(),
        }
    }

    pub(crate) fn count_changed(&mut self, facets: &[Arc<Changed>]) {
        // Facets of many classes have the same names.
        let names: BTreeSet<&(ResourceKind, Arc<str>)> =
            facets.iter().flat_map(|it| it.iter()).collect();
        for (kind, _) in names {
            *self.changed.entry(*kind).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(revision: u64, noticed: Instant) -> PushRecord {
        PushRecord::new(revision, &BTreeMap::new(), noticed)
    }

    #[test]
    fn only_the_last_pushes_are_kept() {
        let log = PushLog::default();
        let now = Instant::now();
        for revision in 0..300 {
            log.open(record(revision, now));
        }
        let all = log.last(usize::MAX);
        assert_eq!((all.len(), all[0].revision, all[KEPT - 1].revision), (KEPT, 299, 44));
        // What is forgotten is not counted elsewhere.
        log.sent(3, ResourceKind::Route, Sent { responses: 1, resources: 1, bytes: 10 });
        assert!(log.last(usize::MAX).iter().all(|it| it.sent.is_empty()));
    }

    #[test]
    fn what_streams_do_is_counted_where_it_belongs() {
        let log = PushLog::default();
        let begun = Instant::now();
        log.open(record(1, begun));
        log.open(record(2, begun));
        let sent = Sent { responses: 1, resources: 2, bytes: 30 };
        log.sent(2, ResourceKind::Route, sent);
        log.sent(2, ResourceKind::Route, sent);
        log.live(&[1, 2], begun + Duration::from_millis(5));
        log.live(&[2], begun + Duration::from_millis(3));
        let [newer, older] = &log.last(2)[..] else { panic!("two pushes") };
        assert_eq!(newer.sent[&ResourceKind::Route].bytes, 60);
        assert_eq!((newer.live, newer.live_after), (2, Duration::from_millis(5)));
        assert_eq!((older.live, older.sent.len()), (1, 0));
    }
}
