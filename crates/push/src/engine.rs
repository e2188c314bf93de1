//! Snapshots in, views of facets out to the streams that hold them.
//!
//! One thread owns all of it: there is no lock on the way of a change. Streams are told through a
//! [`Mailbox`] in which changes merge while a stream is slow.

mod mailbox;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use compile::{Client, inbound::select_inbound};
use model::Proxy;
use snapshot::{ChangeSet, ReadKey, Reader, Reads, Snapshot};
use tokio::sync::{mpsc, oneshot};

pub(crate) use self::mailbox::{Letter, Mailbox};
use crate::{
    FacetView,
    facet::{Changed, Facet, FacetKey, Job, PlaceKey},
};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    pub(crate) fn inc(&self) {
        self.inc_by(1);
    }

    pub(crate) fn inc_by(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How much work was done; tests assert that the unaffected cost none.
#[derive(Debug, Default)]
pub struct Counters {
    /// Jobs run: selections that may have ended there.
    pub jobs: Count,
    /// Resources compiled.
    pub compiled: Count,
    /// Virtual hosts encoded.
    pub hosts: Count,
    /// Streams told of a change.
    pub notified: Count,
    /// Snapshots taken in.
    pub snapshots: Count,
}

type StreamId = u64;
type FacetId = u64;

/// Who read a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Dependant {
    Job(FacetId, Job),
    /// The reduction of a stream's proxy to its facets.
    Stream(StreamId),
}

#[derive(Debug)]
struct FacetEntry {
    key: FacetKey,
    facet: Facet,
    view: Arc<FacetView>,
    streams: BTreeSet<StreamId>,
}

#[derive(Debug)]
struct StreamEntry {
    proxy: Arc<Proxy>,
    facets: Vec<FacetId>,
    mailbox: Arc<Mailbox>,
    reads: Reads,
}

enum Command {
    Snapshot(Arc<Snapshot>, ChangeSet),
    Connect(StreamId, Arc<Proxy>, oneshot::Sender<Arc<Mailbox>>),
    Disconnect(StreamId),
}

/// The way to the engine's thread.
#[derive(Clone, Debug)]
pub struct EngineHandle {
    commands: mpsc::Sender<Command>,
    counters: Arc<Counters>,
}

impl EngineHandle {
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Hands over a new snapshot with what changed in it. Waits while the engine is busy, so that
    /// the writer merges further changes into the next one.
    pub async fn publish(&self, snapshot: Arc<Snapshot>, changes: ChangeSet) {
        // The engine ends only with the process.
        let _ = self.commands.send(Command::Snapshot(snapshot, changes)).await;
    }

    pub(crate) async fn connect(&self, id: StreamId, proxy: Arc<Proxy>) -> Option<Arc<Mailbox>> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Connect(id, proxy, reply)).await.ok()?;
        answer.await.ok()
    }

    pub(crate) async fn disconnect(&self, id: StreamId) {
        let _ = self.commands.send(Command::Disconnect(id)).await;
    }
}

/// The owner of all facets.
#[derive(Debug)]
pub struct Engine {
    snapshot: Arc<Snapshot>,
    facets: BTreeMap<FacetId, FacetEntry>,
    facet_ids: HashMap<FacetKey, FacetId>,
    streams: HashMap<StreamId, StreamEntry>,
    dependants: HashMap<ReadKey, HashSet<Dependant>>,
    next_facet: FacetId,
    counters: Arc<Counters>,
}

/// Commands that may wait: connects of a storm queue here, in order.
const QUEUE: usize = 1024;

impl Engine {
    /// Starts the engine's thread on a first snapshot.
    pub fn start(snapshot: Arc<Snapshot>) -> EngineHandle {
        let (commands, mut queue) = mpsc::channel(QUEUE);
        let counters = Arc::new(Counters::default());
        let mut engine = Self {
            snapshot,
            facets: BTreeMap::new(),
            facet_ids: HashMap::new(),
            streams: HashMap::new(),
            dependants: HashMap::new(),
            next_facet: 0,
            counters: counters.clone(),
        };
        thread::spawn(move || {
            while let Some(command) = queue.blocking_recv() {
                engine.handle(command);
            }
        });
        EngineHandle { commands, counters }
    }

    fn handle(&mut self, command: Command) {
        match command {
            Command::Snapshot(snapshot, changes) => self.on_snapshot(snapshot, &changes),
            Command::Connect(id, proxy, reply) => {
                let mailbox = self.on_connect(id, proxy);
                let _ = reply.send(mailbox);
            }
            Command::Disconnect(id) => self.on_disconnect(id),
        }
    }

    fn on_snapshot(&mut self, snapshot: Arc<Snapshot>, changes: &ChangeSet) {
        self.counters.snapshots.inc();
        self.snapshot = snapshot;
        let mut jobs: BTreeMap<FacetId, BTreeSet<Job>> = BTreeMap::new();
        let mut moved: BTreeSet<StreamId> = BTreeSet::new();
        for dependant in changes.keys.iter().filter_map(|key| self.dependants.get(key)).flatten() {
            match dependant {
                Dependant::Job(facet, job) => {
                    jobs.entry(*facet).or_default().insert(job.clone());
                }
                Dependant::Stream(stream) => {
                    moved.insert(*stream);
                }
            }
        }
        let mut changed: BTreeMap<FacetId, Arc<Changed>> = BTreeMap::new();
        for (facet, jobs) in jobs {
            let names = self.run(facet, jobs);
            if !names.is_empty() {
                changed.insert(facet, Arc::new(names));
            }
        }
        let moved: BTreeSet<StreamId> =
            moved.into_iter().filter(|stream| self.reduce_again(*stream)).collect();
        let mut told: BTreeSet<StreamId> = BTreeSet::new();
        for facet in changed.keys() {
            told.extend(self.facets.get(facet).into_iter().flat_map(|it| &it.streams));
        }
        for stream in told.union(&moved) {
            self.tell(*stream, &changed, moved.contains(stream));
        }
    }

    /// Brings a facet up to date and publishes its view. Says what differs.
    fn run(&mut self, id: FacetId, jobs: BTreeSet<Job>) -> Changed {
        let Some(entry) = self.facets.get_mut(&id) else { return Changed::new() };
        let update = entry.facet.run(jobs, &self.snapshot, &self.counters);
        entry.view = Arc::new(entry.facet.view.clone());
        for (job, old) in update.reads {
            let new = entry.facet.reads.get(&job).cloned().unwrap_or_default();
            replace_reads(&mut self.dependants, &Dependant::Job(id, job), &old, &new);
        }
        update.changed
    }

    fn tell(&self, id: StreamId, changed: &BTreeMap<FacetId, Arc<Changed>>, everything: bool) {
        let Some(stream) = self.streams.get(&id) else { return };
        self.counters.notified.inc();
        let names = stream.facets.iter().filter_map(|facet| changed.get(facet)).cloned();
        let names = (!everything).then(|| names.collect());
        stream.mailbox.put(Letter { views: self.views(&stream.facets), changed: names });
    }

    fn views(&self, facets: &[FacetId]) -> Vec<Arc<FacetView>> {
        facets.iter().filter_map(|id| self.facets.get(id)).map(|it| it.view.clone()).collect()
    }

    fn on_connect(&mut self, id: StreamId, proxy: Arc<Proxy>) -> Arc<Mailbox> {
        let mailbox = Arc::new(Mailbox::default());
        let entry = StreamEntry {
            proxy,
            facets: Vec::new(),
            mailbox: mailbox.clone(),
            reads: Reads::default(),
        };
        self.streams.insert(id, entry);
        self.reduce_again(id);
        let facets = self.streams[&id].facets.clone();
        mailbox.put(Letter { views: self.views(&facets), changed: None });
        mailbox
    }

    fn on_disconnect(&mut self, id: StreamId) {
        let Some(entry) = self.streams.remove(&id) else { return };
        replace_reads(&mut self.dependants, &Dependant::Stream(id), &entry.reads, &[]);
        for facet in entry.facets {
            self.leave(facet, id);
        }
    }

    /// Reduces a stream's proxy to its facets. Whether they are others than before.
    fn reduce_again(&mut self, id: StreamId) -> bool {
        let Some(entry) = self.streams.get(&id) else { return false };
        let proxy = entry.proxy.clone();
        let snapshot = self.snapshot.clone();
        let reader = Reader::new(&snapshot);
        let keys = reduce(&proxy, &reader);
        let reads = reader.into_reads();
        let facets: Vec<FacetId> = keys.into_iter().map(|key| self.facet(key)).collect();
        for facet in &facets {
            if let Some(entry) = self.facets.get_mut(facet) {
                entry.streams.insert(id);
            }
        }
        let Some(entry) = self.streams.get_mut(&id) else { return false };
        let old_reads = std::mem::replace(&mut entry.reads, reads.clone());
        let old = std::mem::replace(&mut entry.facets, facets.clone());
        replace_reads(&mut self.dependants, &Dependant::Stream(id), &old_reads, &reads);
        for facet in old.iter().filter(|facet| !facets.contains(facet)) {
            self.leave(*facet, id);
        }
        old != facets
    }

    /// The facet with this key, compiled if it is new.
    fn facet(&mut self, key: FacetKey) -> FacetId {
        if let Some(id) = self.facet_ids.get(&key) {
            return *id;
        }
        let id = self.next_facet;
        self.next_facet += 1;
        let facet = Facet::new(key.clone());
        let jobs = facet.first_jobs();
        let view = Arc::new(FacetView::default());
        self.facet_ids.insert(key.clone(), id);
        self.facets.insert(id, FacetEntry { key, facet, view, streams: BTreeSet::new() });
        self.run(id, jobs);
        id
    }

    fn leave(&mut self, facet: FacetId, stream: StreamId) {
        let Some(entry) = self.facets.get_mut(&facet) else { return };
        entry.streams.remove(&stream);
        if !entry.streams.is_empty() {
            return;
        }
        let Some(entry) = self.facets.remove(&facet) else { return };
        self.facet_ids.remove(&entry.key);
        for (job, reads) in &entry.facet.reads {
            let dependant = Dependant::Job(facet, job.clone());
            replace_reads(&mut self.dependants, &dependant, reads, &[]);
        }
    }
}

/// The facets of a proxy's class.
fn reduce(proxy: &Proxy, reader: &Reader<'_>) -> Vec<FacetKey> {
    let client = Client::reduce(proxy, reader);
    let inbound = select_inbound(&proxy.addresses, &client, reader);
    let place = PlaceKey::reduce(proxy);
    vec![
        FacetKey::Outbound(Box::new(client), Box::new(place)),
        FacetKey::Inbound(Box::new(inbound)),
    ]
}

/// Files a dependant under what it reads now. Both lists are sorted.
fn replace_reads(
    dependants: &mut HashMap<ReadKey, HashSet<Dependant>>,
    dependant: &Dependant,
    old: &[ReadKey],
    new: &[ReadKey],
) {
    for key in old.iter().filter(|key| new.binary_search(key).is_err()) {
        if let Some(list) = dependants.get_mut(key) {
            list.remove(dependant);
            if list.is_empty() {
                dependants.remove(key);
            }
        }
    }
    for key in new.iter().filter(|key| old.binary_search(key).is_err()) {
        dependants.entry(key.clone()).or_default().insert(dependant.clone());
    }
}
