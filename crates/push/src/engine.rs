//! Snapshots in, views of facets out to the streams that hold them.
//!
//! One thread owns all of it: there is no lock on the way of a change. Streams are told through a
//! [`Mailbox`] in which changes merge while a stream is slow.

mod classes;
mod dependants;
mod due;
mod facets;
mod gathered;
mod handle;
mod mailbox;
mod on_demand;
mod preview;
mod rounds;
mod telling;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Instant,
};

use compile::{Client, gateway::select_own_ports, inbound::select_inbound};
use model::{Diagnostic, Generator, Hostname, Proxy, ProxyKind, Shared, WorkloadKey};
use snapshot::{ChangeSet, Mesh, Reader, Reads, Snapshot};
use tokio::sync::{mpsc, oneshot};

pub use self::{
    classes::{FencedClass, Told},
    handle::EngineHandle,
    preview::{FacetPreview, Preview, ResourceChange},
};
use self::{
    dependants::{Dependant, Dependants},
    due::{Batch, Due, Pace},
    facets::Unseen,
    gathered::{Gathered, News},
    rounds::Rounds,
};
pub(crate) use self::{
    mailbox::{Letter, Mailbox},
    rounds::{Lane, Ticket},
};
use crate::{
    Counters, FacetView, ResourceKind,
    facet::{Changed, Facet, FacetId, FacetKey, Found, Job, SecretNames},
    learner::LateCalls,
    log::{PushLog, PushRecord, Work},
    memo::Memos,
    parcels::Parcels,
    state::OpenQuestions,
};

pub(crate) type StreamId = u64;

#[derive(Clone, Debug)]
struct FacetEntry {
    key: FacetKey,
    /// Behind an `Arc` so that a preview copies only the facets that it changes.
    facet: Arc<Facet>,
    view: Arc<FacetView>,
    streams: BTreeSet<StreamId>,
    /// When the last of them has gone.
    unseen_since: Option<Instant>,
    /// What it adds to or follows.
    parent: Option<FacetId>,
    /// The facets that add to this one, or follow it.
    children: BTreeSet<FacetId>,
}

#[derive(Clone, Debug)]
struct StreamEntry {
    proxy: Arc<Proxy>,
    facets: Vec<FacetId>,
    mailbox: Arc<Mailbox>,
    reads: Reads,
    /// The Kubernetes Secrets that it has asked for and may have.
    secrets: SecretNames,
}

enum Command {
    Snapshot(Arc<Snapshot>, ChangeSet, Instant, oneshot::Sender<()>),
    Connect(StreamId, Arc<Proxy>, oneshot::Sender<Arc<Mailbox>>),
    Disconnect(StreamId),
    Secrets(StreamId, SecretNames, oneshot::Sender<()>),
    Questions(StreamId, OpenQuestions, oneshot::Sender<Vec<(WorkloadKey, Hostname)>>),
    Classes(oneshot::Sender<Vec<FencedClass>>),
    Mesh(oneshot::Sender<Shared<Mesh>>),
    Settled(u64, oneshot::Sender<()>),
    Preview(Arc<Snapshot>, ChangeSet, oneshot::Sender<Preview>),
    Findings(oneshot::Sender<BTreeSet<Diagnostic>>),
}

/// The owner of all facets.
#[derive(Debug)]
pub struct Engine {
    snapshot: Arc<Snapshot>,
    facets: BTreeMap<FacetId, FacetEntry>,
    facet_ids: HashMap<FacetKey, FacetId>,
    unseen: Unseen,
    streams: HashMap<StreamId, StreamEntry>,
    dependants: Dependants,
    next_facet: FacetId,
    memos: Memos,
    counters: Arc<Counters>,
    log: PushLog,
    parcels: Arc<Parcels>,
    late: LateCalls,
    /// What is to be compiled, and what of it is compiled now.
    due: Due,
    batch: Batch,
    pace: Pace,
    rounds: Rounds,
    /// What is told in the next round.
    gathered: Gathered,
    /// The revision that every stream was told of.
    told: u64,
    /// Who waits for a revision.
    waiting: Vec<(u64, oneshot::Sender<()>)>,
}

/// Wakes the engine's thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Commands that may wait: connects of a storm queue here, in order.
const QUEUE: usize = 1024;

impl Engine {
    /// Starts the engine's thread on a first snapshot.
    pub fn start(snapshot: Arc<Snapshot>) -> EngineHandle {
        let (commands, queue) = mpsc::channel(QUEUE);
        let engine = Self::new(snapshot, Arc::default());
        let (counters, log) = (engine.counters.clone(), engine.log.clone());
        let (parcels, late) = (engine.parcels.clone(), engine.late.clone());
        thread::spawn(move || engine.run_thread(queue));
        EngineHandle::new(commands, counters, log, parcels, late)
    }

    fn new(snapshot: Arc<Snapshot>, counters: Arc<Counters>) -> Self {
        Self {
            snapshot,
            facets: BTreeMap::new(),
            facet_ids: HashMap::new(),
            unseen: Unseen::new(),
            streams: HashMap::new(),
            dependants: Dependants::default(),
            next_facet: 0,
            memos: Memos::default(),
            counters,
            log: PushLog::default(),
            parcels: Arc::default(),
            late: LateCalls::default(),
            due: Due::default(),
            batch: Batch::default(),
            pace: Pace::default(),
            rounds: Rounds::new(thread::current()),
            gathered: Gathered::default(),
            told: 0,
            waiting: Vec::new(),
        }
    }

    /// Works until the process ends. Waits for commands and for the end of a round at once.
    fn run_thread(mut self, mut queue: mpsc::Receiver<Command>) {
        self.rounds.thread = thread::current();
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            let polled = queue.poll_recv(&mut context);
            let is_idle = polled.is_pending();
            match polled {
                Poll::Ready(Some(command)) => self.handle(command),
                Poll::Ready(None) => return,
                Poll::Pending => {}
            }
            let now = Instant::now();
            match self.advance(now) {
                _ if !is_idle => {}
                Some(until) => thread::park_timeout(until.saturating_duration_since(now)),
                None => thread::park(),
            }
        }
    }

    fn handle(&mut self, command: Command) {
        match command {
            Command::Snapshot(snapshot, changes, noticed, done) => {
                self.on_snapshot(snapshot, &changes, noticed);
                let _ = done.send(());
            }
            Command::Connect(id, proxy, reply) => {
                let mailbox = self.on_connect(id, proxy);
                let _ = reply.send(mailbox);
            }
            Command::Disconnect(id) => self.on_disconnect(id),
            Command::Secrets(id, names, done) => {
                self.on_secrets(id, names);
                let _ = done.send(());
            }
            Command::Questions(id, questions, reply) => {
                let _ = reply.send(self.on_questions(id, questions));
            }
            Command::Classes(reply) => {
                let _ = reply.send(self.fenced_classes());
            }
            Command::Mesh(reply) => {
                let _ = reply.send(Reader::new(&self.snapshot).mesh().clone());
            }
            Command::Settled(revision, reply) => {
                self.waiting.push((revision, reply));
            }
            Command::Preview(snapshot, changes, reply) => {
                let _ = reply.send(self.preview(snapshot, &changes));
            }
            Command::Findings(reply) => {
                self.finish_due();
                let seen = self.facets.values().filter(|entry| !entry.streams.is_empty());
                let findings = seen.flat_map(|entry| entry.facet.findings()).cloned();
                let _ = reply.send(findings.collect());
            }
        }
    }

    fn on_snapshot(&mut self, snapshot: Arc<Snapshot>, changes: &ChangeSet, noticed: Instant) {
        self.counters.snapshots.inc();
        let mut record = PushRecord::new(snapshot.revision, &changes.causes, noticed);
        let (before, begun) = (Work::of(&self.counters), Instant::now());
        self.snapshot = snapshot;
        let changed = self.take_up(changes);
        record.compile = begun.elapsed();
        record.work = Work::of(&self.counters).since(before);
        record.count_changed(&changed);
        (record.streams, record.told_after) = (self.streams.len(), noticed.elapsed());
        let revision = record.revision;
        self.log.open(record);
        if !self.due.revisions().contains(&revision) {
            self.log.ready([revision], Instant::now());
        }
    }

    /// Brings one facet up to date and publishes its view. Says what differs, and adds the jobs
    /// that follow in other facets and the streams that may belong elsewhere now.
    fn run(
        &mut self,
        id: FacetId,
        dirty: BTreeSet<Job>,
        jobs: &mut BTreeMap<FacetId, BTreeSet<Job>>,
        moving: &mut BTreeSet<StreamId>,
    ) -> Changed {
        let Some(entry) = self.facets.get_mut(&id) else { return Changed::new() };
        let found = entry.facet.found();
        let facet = Arc::make_mut(&mut entry.facet);
        let update = facet.run(dirty, &self.snapshot, &self.memos, &self.counters);
        entry.view = Arc::new(facet.view().clone());
        let none = Reads::default();
        for (job, old) in update.reads {
            let new = facet.reads(job).unwrap_or(&none);
            self.dependants.replace(Dependant::Job(id, job), &old, new);
        }
        let now = facet.found();
        if !found.is(&now) {
            moving.extend(&entry.streams);
            let children = entry.children.clone();
            self.tell_children(&children, &now, jobs);
        }
        update.changed
    }

    fn tell_children(
        &mut self,
        children: &BTreeSet<FacetId>,
        found: &Found,
        jobs: &mut BTreeMap<FacetId, BTreeSet<Job>>,
    ) {
        for child in children {
            let Some(entry) = self.facets.get_mut(child) else { continue };
            let follow = Arc::make_mut(&mut entry.facet).follow(found.clone());
            if !follow.is_empty() {
                jobs.entry(*child).or_default().extend(follow);
            }
        }
    }

    fn views(&self, facets: &[FacetId]) -> Vec<Arc<FacetView>> {
        facets.iter().filter_map(|id| self.facets.get(id)).map(|it| it.view.clone()).collect()
    }

    fn on_connect(&mut self, id: StreamId, proxy: Arc<Proxy>) -> Arc<Mailbox> {
        let mailbox = Arc::new(Mailbox::default());
        let (facets, reads, secrets) = (Vec::new(), Reads::default(), SecretNames::default());
        let entry = StreamEntry { proxy, facets, mailbox: mailbox.clone(), reads, secrets };
        self.streams.insert(id, entry);
        self.reduce_again(id);
        let facets = self.streams[&id].facets.clone();
        let (views, revisions) = (self.views(&facets), Vec::new());
        let (tickets, found) = Default::default();
        mailbox.put(Letter { views, changed: None, revisions, tickets, found });
        mailbox
    }

    /// The stream sees these Secrets from now on.
    fn on_secrets(&mut self, id: StreamId, names: SecretNames) {
        let Some(entry) = self.streams.get_mut(&id) else { return };
        let old = std::mem::replace(&mut entry.secrets, names.clone());
        self.reduce_again(id);
        let Some(entry) = self.streams.get(&id) else { return };
        let changed: Changed =
            old.symmetric_difference(&names).map(|it| (ResourceKind::Secret, it.clone())).collect();
        let views = self.views(&entry.facets);
        // The views say more than the stream was told of. It is told again in the next round.
        let News { changed: gathered, .. } = self.gathered.news(id, &entry.facets);
        let changed = gathered.map(|lists| [lists, vec![Arc::new(changed)]].concat());
        let (revisions, tickets, found) = Default::default();
        entry.mailbox.put(Letter { views, changed, revisions, tickets, found });
    }

    fn on_disconnect(&mut self, id: StreamId) {
        let Some(entry) = self.streams.remove(&id) else { return };
        self.dependants.replace(Dependant::Stream(id), &entry.reads, &Reads::default());
        let now = Instant::now();
        // What adds to a facet goes before it.
        for facet in entry.facets.into_iter().rev() {
            self.leave(facet, id, now);
        }
    }

    /// Reduces a stream's proxy to its facets. Whether they are others than before.
    fn reduce_again(&mut self, id: StreamId) -> bool {
        let Some(entry) = self.streams.get(&id) else { return false };
        let (proxy, secrets) = (entry.proxy.clone(), entry.secrets.clone());
        let snapshot = self.snapshot.clone();
        let reader = Reader::new(&snapshot);
        let mut facets = self.facets_of(&proxy, &reader);
        if !secrets.is_empty() {
            facets.push(self.facet(FacetKey::Secrets(proxy.namespace.clone(), secrets)));
        }
        let reads = reader.into_reads();
        for facet in &facets {
            if let Some(entry) = self.facets.get_mut(facet) {
                entry.streams.insert(id);
            }
        }
        let Some(entry) = self.streams.get_mut(&id) else { return false };
        let old_reads = std::mem::replace(&mut entry.reads, reads.clone());
        let old = std::mem::replace(&mut entry.facets, facets.clone());
        self.dependants.replace(Dependant::Stream(id), &old_reads, &reads);
        let now = Instant::now();
        for facet in old.iter().rev().filter(|facet| !facets.contains(facet)) {
            self.leave(*facet, id, now);
        }
        old != facets
    }

    /// The facets of a proxy's class, the main one first.
    fn facets_of(&mut self, proxy: &Proxy, reader: &Reader<'_>) -> Vec<FacetId> {
        let client = Client::reduce(proxy, reader);
        let mut facets = Vec::new();
        let main = match client.kind {
            ProxyKind::Router if client.relay().is_none() => {
                let ports = select_own_ports(&proxy.addresses, &client, reader);
                self.facet(FacetKey::Gateway(Box::new(client.clone()), ports))
            }
            ProxyKind::Sidecar | ProxyKind::Router => {
                self.facet(FacetKey::Outbound(Box::new(client.clone())))
            }
        };
        facets.push(main);
        // A gRPC library has no application behind it.
        if client.kind == ProxyKind::Sidecar && client.generator == Generator::Envoy {
            let inbound = select_inbound(proxy, &client, reader);
            facets.push(self.facet(FacetKey::Inbound(Shared::new(inbound))));
        }
        let place = self.facets.get(&main).and_then(|it| it.facet.place_of(proxy));
        if let Some(place) = place {
            facets.push(self.facet(FacetKey::Placed(main, Box::new(client), place)));
        }
        facets
    }
}
