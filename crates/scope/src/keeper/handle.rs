//! The way to the keeper, for sensors and for people.

use model::{FenceTarget, Hostname, Name, WorkloadKey};
use prometheus_client::registry::Registry;
use source::Barrier;
use std::collections::BTreeSet;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{
    Book, EdgeView, Explanation, FenceOff, Observed, Sensor, Stats, WorkloadView, metrics::Metrics,
};

/// What needs no answer.
#[derive(Debug)]
pub(super) enum Message {
    Observed { workload: WorkloadKey, host: Hostname, sensor: Sensor, count: u32, sight: Sight },
    Met { workload: WorkloadKey, application: Name },
    Works(Sensor),
}

/// How much of what there is to see a sensor sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    Whole,
    Part,
}

/// Something to ask or to decide, and whose sets have changed by it.
pub(super) type Question = Box<dyn FnOnce(&mut Book, u64) -> BTreeSet<WorkloadKey> + Send>;

/// What comes in turn.
pub(super) enum Asked {
    Question(Question),
    /// To be passed on to the mesh, behind all that was decided before.
    Mark(Barrier),
    /// To be answered when all that was decided before is written down.
    Keep(oneshot::Sender<Kept>),
}

/// Whether what was decided is written down; without a storage nothing has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Yes,
    No,
}

/// Speaks to the keeper. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ScopeHandle {
    observe: mpsc::Sender<Message>,
    ask: mpsc::Sender<Asked>,
    pub(super) metrics: Metrics,
    ended: CancellationToken,
}

/// The keeper has ended: the process is ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopeEnded;

/// What went wrong with a decision of people, who are answered when it is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecisionError {
    /// Whether it counts is not known.
    #[error("the process is ending")]
    Ended,
    /// It counts, and is tried to be written down again.
    #[error("the decision counts, but could not be written down: it ends with the process")]
    NotKept,
}

impl From<ScopeEnded> for DecisionError {
    fn from(_: ScopeEnded) -> Self {
        Self::Ended
    }
}

impl ScopeHandle {
    pub(super) fn new(
        observe: mpsc::Sender<Message>,
        ask: mpsc::Sender<Asked>,
        metrics: Metrics,
        ended: CancellationToken,
    ) -> Self {
        Self { observe, ask, metrics, ended }
    }

    /// A sensor saw `workload` call `host`, `count` times. Never waits: what finds no room is
    /// dropped and counted.
    pub fn observe(&self, workload: WorkloadKey, host: Hostname, sensor: Sensor, count: u32) {
        self.post(Message::Observed { workload, host, sensor, count, sight: Sight::Whole });
    }

    /// The same of a sensor that sees some calls alone: that it sees no others says nothing of them,
    /// and ages nothing.
    pub fn glimpse(&self, workload: WorkloadKey, host: Hostname, sensor: Sensor, count: u32) {
        self.post(Message::Observed { workload, host, sensor, count, sight: Sight::Part });
    }

    /// A proxy of `workload` is there, and says which application it is of: a workload of which
    /// nothing is known begins with what its siblings call. Never waits.
    pub fn meet(&self, workload: WorkloadKey, application: Name) {
        self.post(Message::Met { workload, application });
    }

    /// A sensor works, although it may have seen nothing. To be said more often than
    /// [`silence`](crate::ScopeSettings::silence); requests need not be spoken for.
    pub fn works(&self, sensor: Sensor) {
        self.post(Message::Works(sensor));
    }

    /// All workloads that are known, those first where something needs a look.
    pub async fn list(&self) -> Result<Vec<WorkloadView>, ScopeEnded> {
        self.look(|book, _| book.list()).await
    }

    /// The edges of a workload, by host.
    pub async fn edges(&self, workload: &WorkloadKey) -> Result<Vec<EdgeView>, ScopeEnded> {
        let workload = workload.clone();
        self.look(move |book, now| book.edges(&workload, now)).await
    }

    /// Why a host is in a workload's set, or is not.
    pub async fn explain(
        &self,
        workload: &WorkloadKey,
        host: &Hostname,
    ) -> Result<Explanation, ScopeEnded> {
        let (workload, host) = (workload.clone(), host.clone());
        self.look(move |book, now| book.explain(&workload, &host, now)).await
    }

    /// Sizes.
    pub async fn stats(&self) -> Result<Stats, ScopeEnded> {
        self.look(|book, now| book.stats(now)).await
    }

    /// Keeps an edge until it is unpinned. Whether the set has grown by it.
    pub async fn pin(
        &self,
        workload: &WorkloadKey,
        host: &Hostname,
    ) -> Result<bool, DecisionError> {
        let host = host.clone();
        self.decide(workload, move |book, workload, now| book.pin(workload, &host, now)).await
    }

    /// Lets an edge age again. Whether it was pinned.
    pub async fn unpin(
        &self,
        workload: &WorkloadKey,
        host: &Hostname,
    ) -> Result<bool, DecisionError> {
        let host = host.clone();
        self.decide(workload, move |book, workload, now| book.unpin(workload, &host, now)).await
    }

    /// Forgets an edge, or all of a workload, but what is pinned. How many are gone.
    pub async fn reset(
        &self,
        workload: &WorkloadKey,
        host: Option<Hostname>,
    ) -> Result<usize, DecisionError> {
        let reset =
            move |book: &mut Book, key: &WorkloadKey, now| book.reset(key, host.as_ref(), now);
        self.decide(workload, reset).await
    }

    /// Switches the fences of some workloads off, for so many seconds or until that is taken back.
    pub async fn switch_off(
        &self,
        target: FenceTarget,
        seconds: Option<u64>,
    ) -> Result<(), DecisionError> {
        self.settle(move |book, now| {
            let until = seconds.map(|seconds| now.saturating_add(seconds));
            book.switch_off(target, until, now);
            ((), BTreeSet::new())
        })
        .await
    }

    /// Notes that every proxy knows that the fences are off. Whether they are.
    pub async fn confirm_off(&self, target: FenceTarget) -> Result<bool, DecisionError> {
        self.settle(move |book, now| (book.confirm_off(&target, now), BTreeSet::new())).await
    }

    /// Lets fences count again. Whether they were switched off by this very decision.
    pub async fn switch_back(&self, target: FenceTarget) -> Result<bool, DecisionError> {
        self.settle(move |book, _| (book.switch_back(&target), BTreeSet::new())).await
    }

    /// The decisions in force to switch fences off, by target.
    pub async fn fences_off(&self) -> Result<Vec<(FenceTarget, FenceOff)>, ScopeEnded> {
        self.look(|book, _| book.fences_off()).await
    }

    /// Waits until all that was decided before is in effect; the revision of the mesh that has it.
    pub async fn in_effect(&self) -> Result<u64, ScopeEnded> {
        let (barrier, reached) = Barrier::new();
        self.ask.send(Asked::Mark(barrier)).await.map_err(|_| ScopeEnded)?;
        reached.await.map_err(|_| ScopeEnded)
    }

    /// Takes in what somebody says that workloads call, and how often. It waits until that is on its
    /// way to the mesh, and finds no queue full.
    pub async fn learn(
        &self,
        calls: Vec<(WorkloadKey, Hostname, u32)>,
        sensor: Sensor,
    ) -> Result<(), ScopeEnded> {
        let metrics = self.metrics.clone();
        self.ask(move |book, now| {
            let mut changed = BTreeSet::new();
            for (workload, host, count) in calls {
                metrics.observed(sensor);
                match book.observe(&workload, &host, sensor, count, now) {
                    Observed::Added => {
                        metrics.added.inc();
                        changed.insert(workload);
                    }
                    Observed::Seen => {}
                    Observed::Refused(refusal) => metrics.refused(refusal),
                }
            }
            ((), changed)
        })
        .await
    }

    /// Registers what is counted; the caller gives the prefix.
    pub fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
    }

    /// Waits until all is written down. The shutdown must have begun.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    fn post(&self, message: Message) {
        if self.observe.try_send(message).is_err() {
            self.metrics.dropped.inc();
        }
    }

    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Book, u64) -> T + Send + 'static,
    ) -> Result<T, ScopeEnded> {
        self.ask(|book, now| (look(book, now), BTreeSet::new())).await
    }

    async fn decide<T: Send + 'static>(
        &self,
        workload: &WorkloadKey,
        decide: impl FnOnce(&mut Book, &WorkloadKey, u64) -> T + Send + 'static,
    ) -> Result<T, DecisionError> {
        let workload = workload.clone();
        self.settle(|book, now| {
            let result = decide(book, &workload, now);
            // The index compares: a set that is the same touches nothing.
            (result, [workload].into())
        })
        .await
    }

    /// Asks, and waits until what was decided is written down.
    async fn settle<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&mut Book, u64) -> (T, BTreeSet<WorkloadKey>) + Send + 'static,
    ) -> Result<T, DecisionError> {
        let result = self.ask(decide).await?;
        self.kept().await?;
        Ok(result)
    }

    /// Waits until all that was decided and learned before is written down.
    pub async fn kept(&self) -> Result<(), DecisionError> {
        let (reply, kept) = oneshot::channel();
        self.ask.send(Asked::Keep(reply)).await.map_err(|_| ScopeEnded)?;
        match kept.await.map_err(|_| ScopeEnded)? {
            Kept::Yes => Ok(()),
            Kept::No => Err(DecisionError::NotKept),
        }
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Book, u64) -> (T, BTreeSet<WorkloadKey>) + Send + 'static,
    ) -> Result<T, ScopeEnded> {
        let (reply, answer) = oneshot::channel();
        let question: Question = Box::new(move |book, now| {
            let (result, changed) = question(book, now);
            // Who asked may have gone.
            let _ = reply.send(result);
            changed
        });
        self.ask.send(Asked::Question(question)).await.map_err(|_| ScopeEnded)?;
        answer.await.map_err(|_| ScopeEnded)
    }
}
