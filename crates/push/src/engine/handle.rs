//! The way to the engine's thread.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use model::{Diagnostic, Hostname, Proxy, Shared, WorkloadKey};
use snapshot::{ChangeSet, Mesh, Snapshot};
use tokio::sync::{mpsc, oneshot};

use super::{Command, FencedClass, Mailbox, Preview, StreamId};
use crate::{
    Counters, PushLog, facet::SecretNames, learner::LateCalls, parcels::Parcels,
    state::OpenQuestions,
};

/// Talks to the engine's thread. Cheap to clone. The engine ends only with the process, so that
/// nothing here can fail for long.
#[derive(Clone, Debug)]
pub struct EngineHandle {
    commands: mpsc::Sender<Command>,
    counters: Arc<Counters>,
    log: PushLog,
    parcels: Arc<Parcels>,
    late: LateCalls,
}

impl EngineHandle {
    pub(super) fn new(
        commands: mpsc::Sender<Command>,
        counters: Arc<Counters>,
        log: PushLog,
        parcels: Arc<Parcels>,
        late: LateCalls,
    ) -> Self {
        Self { commands, counters, log, parcels, late }
    }

    /// What the last pushes were.
    pub fn log(&self) -> &PushLog {
        &self.log
    }

    pub(crate) fn parcels(&self) -> &Arc<Parcels> {
        &self.parcels
    }

    /// What classes were found to have called when a host came to exist, for whoever is told of it.
    pub(crate) fn late_calls(&self) -> &LateCalls {
        &self.late
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Hands over a new snapshot with what changed in it, and when the first of that was noticed.
    /// Returns when it is taken up, and assignments are compiled, so that the writer merges what
    /// changes meanwhile into the next one. Streams are told in rounds.
    pub async fn publish(&self, snapshot: Arc<Snapshot>, changes: ChangeSet, noticed: Instant) {
        let (done, told) = oneshot::channel();
        let command = Command::Snapshot(snapshot, changes, noticed, done);
        if self.commands.send(command).await.is_ok() {
            let _ = told.await;
        }
    }

    /// Returns when every stream was handed what a snapshot of at least this revision means for it.
    pub async fn settled(&self, revision: u64) {
        let (reply, answer) = oneshot::channel();
        if self.commands.send(Command::Settled(revision, reply)).await.is_ok() {
            let _ = answer.await;
        }
    }

    /// What a snapshot would mean for the connected proxies. Changes nothing. `changes` is what
    /// differs from the newest published snapshot. `None` when the process is ending.
    pub async fn preview(&self, snapshot: Arc<Snapshot>, changes: ChangeSet) -> Option<Preview> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Preview(snapshot, changes, reply)).await.ok()?;
        answer.await.ok()
    }

    /// What compiling for the connected classes has found, each finding once.
    pub async fn findings(&self) -> BTreeSet<Diagnostic> {
        let (reply, answer) = oneshot::channel();
        let _ = self.commands.send(Command::Findings(reply)).await;
        answer.await.unwrap_or_default()
    }

    pub(crate) async fn connect(&self, id: StreamId, proxy: Arc<Proxy>) -> Option<Arc<Mailbox>> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Connect(id, proxy, reply)).await.ok()?;
        answer.await.ok()
    }

    /// The stream sees these Kubernetes Secrets from now on. Returns when it was told.
    pub(crate) async fn secrets(&self, id: StreamId, names: SecretNames) {
        let (done, told) = oneshot::channel();
        if self.commands.send(Command::Secrets(id, names, done)).await.is_ok() {
            let _ = told.await;
        }
    }

    /// A proxy asks for virtual hosts. The answers are in its mailbox on return, which gives what its
    /// workload has called.
    pub(crate) async fn ask(
        &self,
        id: StreamId,
        questions: OpenQuestions,
    ) -> Vec<(WorkloadKey, Hostname)> {
        let (reply, answer) = oneshot::channel();
        let _ = self.commands.send(Command::Questions(id, questions, reply)).await;
        answer.await.unwrap_or_default()
    }

    /// The classes that a fence limits. `None` when the process is ending.
    pub async fn fenced_classes(&self) -> Option<Vec<FencedClass>> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Classes(reply)).await.ok()?;
        answer.await.ok()
    }

    /// The settings of the mesh in force. `None` when the process is ending.
    pub async fn mesh(&self) -> Option<Shared<Mesh>> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Mesh(reply)).await.ok()?;
        answer.await.ok()
    }

    pub(crate) async fn disconnect(&self, id: StreamId) {
        let _ = self.commands.send(Command::Disconnect(id)).await;
    }
}
