//! The owner of the book: observations in, learned sets out, and a storage behind.
//!
//! - A first call goes straight through: an edge that is new is on the store's queue as soon as
//!   its observation was taken up; no timer is in that way, and no write.
//! - What is new is written down within [`WRITE`]; that an edge was seen again, a minute and a moment
//!   for each 512 workloads later: so much is lost at most when the process is killed. What people
//!   decide is written down before they are answered.
//! - Observers never wait: what finds the queue full is dropped and counted. A call that matters
//!   comes again.
//! - Time is that of a clock that cannot be set back while the process lives.

mod handle;
mod writing;

use std::{
    collections::BTreeSet,
    time::{SystemTime, UNIX_EPOCH},
};

use model::WorkloadKey;
use snapshot::Change;
use source::{SourceEvent, SourceSender};
use storage::{StorageError, StorageHandle};
use tokio::{
    sync::mpsc,
    time::{Duration, Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

pub use self::handle::{DecisionError, ScopeEnded, ScopeHandle};
use self::{
    handle::{Asked, Message, Sight},
    writing::Writing,
};
use crate::{
    Book, Observed, ScopeSettings, Sensor,
    metrics::Metrics,
    record::{self, CLOCKS, CLOCKS_KEY, FENCES_OFF, WINDOWS, WORKLOADS},
};

/// The name under which the writer waits for what was learned before.
pub const SOURCE: &str = "scope";

/// The longest time until what is new is written down.
const WRITE: Duration = Duration::from_secs(1);
/// The time between two counts of everything, for the metrics.
const COUNT: Duration = Duration::from_secs(10);
/// Observations that are taken up together: those that are there already.
const TOGETHER: usize = 256;
/// Entries that are read at once.
const PIECE: usize = 4_096;
/// Questions that may wait.
const QUESTIONS: usize = 16;

/// Runs until the shutdown.
pub struct Keeper {
    book: Book,
    clock: Clock,
    storage: Option<StorageHandle>,
    mesh: SourceSender,
    metrics: Metrics,
    writing: Writing,
}

/// Seconds since 1970, that never go back.
#[derive(Clone, Copy)]
struct Clock {
    began: Instant,
    at: u64,
}

impl Clock {
    fn start() -> Self {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self { began: Instant::now(), at }
    }

    fn now(&self) -> u64 {
        self.at + self.began.elapsed().as_secs()
    }
}

impl Keeper {
    /// Begins with what `storage` holds and keeps it there; without one everything is in memory.
    ///
    /// Says on `mesh` what was learned before, then that [`SOURCE`] is synced, and from then on
    /// every change.
    pub fn start(
        storage: Option<StorageHandle>,
        settings: ScopeSettings,
        mesh: SourceSender,
        shutdown: CancellationToken,
    ) -> ScopeHandle {
        let (observe, observations) = mpsc::channel(settings.queue.max(1));
        let (ask, questions) = mpsc::channel(QUESTIONS);
        let metrics = Metrics::default();
        let ended = CancellationToken::new();
        let pass = Duration::from_secs(settings.pass.max(1));
        let handle = ScopeHandle::new(observe, ask, metrics.clone(), ended.clone());
        let keeper = Self {
            book: Book::new(settings),
            clock: Clock::start(),
            storage,
            mesh,
            metrics,
            writing: Writing::new(),
        };
        tokio::spawn(async move {
            let _ended = ended.drop_guard();
            keeper.run(observations, questions, pass, shutdown).await;
        });
        handle
    }

    async fn run(
        mut self,
        mut observations: mpsc::Receiver<Message>,
        mut questions: mpsc::Receiver<Asked>,
        pass: Duration,
        shutdown: CancellationToken,
    ) {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = self.begin() => (),
        }
        let every = |period| {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        };
        let (mut writes, mut passes, mut counts) = (every(WRITE), every(pass), every(COUNT));
        // The first tick is at once, and nothing has aged yet.
        passes.tick().await;
        let mut together = Vec::with_capacity(TOGETHER);
        loop {
            let changed = tokio::select! {
                () = shutdown.cancelled() => break,
                count = observations.recv_many(&mut together, TOGETHER) => match count {
                    0 => break,
                    _ => self.take_up(&mut together),
                },
                Some(asked) = questions.recv() => match asked {
                    Asked::Question(question) => question(&mut self.book, self.clock.now()),
                    Asked::Mark(barrier) => {
                        // All that was decided before it has been said.
                        let event = SourceEvent::Barrier { source: SOURCE.into(), barrier };
                        let _ = self.mesh.send(event).await;
                        BTreeSet::new()
                    }
                    Asked::Keep(reply) => {
                        self.keep(reply);
                        BTreeSet::new()
                    }
                },
                ended = self.writing.end() => {
                    self.written(ended);
                    BTreeSet::new()
                }
                _ = writes.tick() => {
                    for target in self.book.end_switches(self.clock.now()) {
                        tracing::info!(%target, "Fences that were off for a time count again");
                    }
                    // Proxies can ask as long as this process runs.
                    self.book.work(Sensor::Request, self.clock.now());
                    self.write(self.writing.touched());
                    BTreeSet::new()
                }
                _ = counts.tick() => {
                    self.metrics.sized(&self.book.stats(self.clock.now()));
                    BTreeSet::new()
                }
                _ = passes.tick() => self.pass(),
            };
            let changes = self.changes(changed);
            if !changes.is_empty() {
                tokio::select! {
                    () = shutdown.cancelled() => break,
                    is_heard = self.tell(changes) => if !is_heard { break },
                }
            }
        }
        self.end().await;
    }

    /// Reads what was learned before, and says it.
    async fn begin(&mut self) {
        if let Some(storage) = self.storage.clone() {
            match self.read(&storage).await {
                Ok(unreadable) => {
                    let stats = self.book.stats(self.clock.now());
                    let (edges, workloads) = (stats.edges, stats.workloads);
                    tracing::info!(edges, workloads, "Learned dependencies are known again");
                    if unreadable > 0 {
                        tracing::warn!(unreadable, "Some learned dependencies cannot be read");
                    }
                }
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(
                        error,
                        "Learned dependencies cannot be read; learning begins anew"
                    );
                }
            }
        }
        let known: BTreeSet<WorkloadKey> = self.book.workloads().cloned().collect();
        let changes = self.changes(known);
        let _ = self.tell(changes).await;
        // Nobody listens any more: the process is ending.
        let _ = self.mesh.send(SourceEvent::Synced { source: SOURCE.into() }).await;
    }

    /// How many entries could not be read.
    async fn read(&mut self, storage: &StorageHandle) -> Result<usize, StorageError> {
        let now = self.clock.now();
        let (mut unreadable, mut from) = (0, Vec::new());
        loop {
            let piece = storage.scan(WORKLOADS, from..vec![u8::MAX; 2], PIECE).await?;
            for (key, value) in &piece {
                match record::read(key, value) {
                    Some((workload, record)) => self.book.restore(workload, record, now),
                    None => unreadable += 1,
                }
            }
            let Some((last, _)) = piece.into_iter().last() else { break };
            from = last;
            from.push(0);
        }
        let everything = Vec::new()..vec![u8::MAX; 2];
        for (key, value) in storage.scan(WINDOWS, everything.clone(), usize::MAX).await? {
            match record::read_window(&key, &value) {
                Some((workload, window)) => self.book.restore_window(workload.as_ref(), window),
                None => unreadable += 1,
            }
        }
        for (key, value) in storage.scan(FENCES_OFF, everything, usize::MAX).await? {
            match record::read_switch(&key, &value) {
                Some((target, off)) => self.book.restore_switch(target, off),
                None => unreadable += 1,
            }
        }
        let clocks = storage.get(CLOCKS, CLOCKS_KEY.to_vec()).await?;
        if let Some(clocks) = clocks.and_then(|value| record::read_clocks(&value)) {
            self.book.set_clocks(clocks);
        }
        Ok(unreadable)
    }

    /// Whose sets have changed.
    fn take_up(&mut self, messages: &mut Vec<Message>) -> BTreeSet<WorkloadKey> {
        let now = self.clock.now();
        let mut changed = BTreeSet::new();
        for message in messages.drain(..) {
            match message {
                Message::Observed { workload, host, sensor, count, sight } => {
                    self.metrics.observed(sensor);
                    if sight == Sight::Whole {
                        self.book.work(sensor, now);
                    }
                    match self.book.glimpse(&workload, &host, sensor, count, now) {
                        Observed::Added => {
                            self.metrics.added.inc();
                            changed.insert(workload);
                        }
                        Observed::Seen => {}
                        Observed::Refused(refusal) => {
                            self.metrics.refused(refusal);
                            tracing::debug!(
                                %workload, %host, reason = refusal.as_str(),
                                "A dependency was not learned"
                            );
                        }
                    }
                }
                Message::Met { workload, application } => {
                    if self.book.meet(&workload, &application, now) {
                        changed.insert(workload);
                    }
                }
                Message::Works(sensor) => self.book.work(sensor, now),
            }
        }
        changed
    }

    fn pass(&mut self) -> BTreeSet<WorkloadKey> {
        let now = self.clock.now();
        let pass = self.book.pass(now);
        self.metrics.passed(&pass);
        if pass.removed > 0 {
            let (edges, workloads) = (pass.removed, pass.workloads.len());
            tracing::info!(edges, workloads, "Dependencies that nobody used were forgotten");
        }
        pass.workloads.into_iter().collect()
    }

    /// The sets of these workloads, and what was decided about fences.
    fn changes(&mut self, workloads: BTreeSet<WorkloadKey>) -> Vec<Change> {
        let switched = self.book.take_switched().into_iter();
        let switched = switched.map(|(target, switch)| Change::FenceSwitched(target, switch));
        let learned = workloads.into_iter().map(|workload| {
            let hosts = self.book.hosts(&workload);
            Change::Learned(workload, hosts)
        });
        // A fence that counts again does so with what was learned meanwhile.
        learned.chain(switched).collect()
    }

    /// Says changes. Whether anybody listens.
    async fn tell(&self, changes: Vec<Change>) -> bool {
        if changes.is_empty() {
            return true;
        }
        let event = SourceEvent::Changes {
            source: SOURCE.into(),
            changes,
            diagnostics: Default::default(),
            received: std::time::Instant::now(),
        };
        self.mesh.send(event).await.is_ok()
    }
}

#[cfg(test)]
mod tests;
