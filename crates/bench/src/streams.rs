//! Many streams at once, each a task, and what has become of them.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use envoy::config::core::v3::Node;
use prost_types::{Struct, Value, value::Kind as ValueKind};
use tokio::{sync::mpsc, task::JoinSet, time};
use xds::{Protocol, client::ClientSettings};

use crate::{
    mesh::{MeshSize, ProxyIdentity},
    progress::Progress,
    stream::{BenchStream, Kind, Received, ReferenceMemo},
};

const POLL: Duration = Duration::from_millis(2);
/// A wait that takes longer than this fails, and says who is missing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// A stream whose connection fails so often is given up.
const MAX_FAILURES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(200);
/// How often a long wait says how far it is.
const REPORT: Duration = Duration::from_secs(5);

/// What a stream has seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) synced: Option<Instant>,
    /// First response of each type since the last reset.
    first: [Option<Instant>; 4],
    /// Last response ever.
    last: Option<Instant>,
    /// Since the last reset.
    pub(crate) resources: usize,
    /// Requests of the last reconnect, once it was made.
    pub(crate) reconnected: Option<u64>,
    /// Connections that failed, ever.
    pub(crate) failures: u32,
    error: Option<String>,
}

impl Seen {
    fn add(&mut self, received: Received, is_synced: bool) {
        let Received { kind, resources } = received;
        let now = Instant::now();
        self.last = Some(now);
        self.resources += resources;
        if let Some(kind) = kind {
            self.first[kind as usize].get_or_insert(now);
        }
        if is_synced {
            self.synced.get_or_insert(now);
        }
    }

    pub(crate) fn first(&self, kind: Kind) -> Option<Instant> {
        self.first[kind as usize]
    }
}

#[derive(Debug)]
struct Entry {
    name: String,
    seen: Arc<Mutex<Seen>>,
    reconnects: mpsc::Sender<()>,
}

/// Streams that are held until this is dropped.
#[derive(Debug)]
pub(crate) struct Streams {
    entries: Vec<Entry>,
    tasks: JoinSet<()>,
    memo: Arc<ReferenceMemo>,
}

impl Streams {
    pub(crate) fn new() -> Self {
        Self { entries: Vec::new(), tasks: JoinSet::new(), memo: Arc::default() }
    }

    /// Opens further streams, all at once.
    pub(crate) fn open(
        &mut self,
        indices: Range<usize>,
        mesh: &MeshSize,
        address: SocketAddr,
        protocol: Protocol,
    ) {
        for index in indices {
            let proxy = mesh.proxy(index);
            let settings = ClientSettings::new(address, protocol, node(&proxy));
            let (reconnects, receiver) = mpsc::channel(1);
            let seen = Arc::new(Mutex::new(Seen::default()));
            let (memo, for_task) = (Arc::clone(&self.memo), Arc::clone(&seen));
            self.tasks.spawn(async move {
                if let Err(error) = drive(settings, memo, receiver, &for_task).await {
                    lock(&for_task).error = Some(format!("{error:#}"));
                }
            });
            let name = format!("{}.{}", proxy.name, proxy.namespace);
            self.entries.push(Entry { name, seen, reconnects });
        }
    }

    /// Forgets what was seen, but not who is in sync.
    pub(crate) fn reset(&self) {
        for entry in &self.entries {
            let mut seen = lock(&entry.seen);
            let Seen { synced, last, failures, .. } = *seen;
            *seen = Seen { synced, last, failures, ..Seen::default() };
        }
    }

    /// Makes every stream open a new connection.
    pub(crate) async fn reconnect(&self) {
        for entry in &self.entries {
            // A stream that has failed is reported by the next wait.
            let _ = entry.reconnects.send(()).await;
        }
    }

    /// Waits until `done` gives a time for every stream; gives all of them, sorted.
    pub(crate) async fn wait(
        &self,
        what: &str,
        progress: &Progress,
        done: impl Fn(&Seen) -> Option<Instant>,
    ) -> Result<Vec<Instant>> {
        let start = Instant::now();
        let mut report = start + REPORT;
        loop {
            let mut times = Vec::with_capacity(self.entries.len());
            let mut missing = Vec::new();
            for entry in &self.entries {
                let seen = lock(&entry.seen);
                if let Some(error) = &seen.error {
                    bail!("the stream of {} ended: {error}", entry.name);
                }
                match done(&seen) {
                    Some(time) => times.push(time),
                    None => missing.push(entry.name.as_str()),
                }
            }
            if missing.is_empty() {
                times.sort_unstable();
                return Ok(times);
            }
            let first = missing.iter().take(5).copied().collect::<Vec<_>>().join(", ");
            let (missing, all) = (missing.len(), self.entries.len());
            if start.elapsed() > PATIENCE {
                bail!(
                    "{what}: {missing} of {all} streams are missing after {PATIENCE:?}: {first} …"
                );
            }
            if Instant::now() > report {
                progress
                    .say(format_args!("{what}: {missing} of {all} streams are missing: {first} …"));
                report += REPORT;
            }
            time::sleep(POLL).await;
        }
    }

    /// Waits until no stream has had a response for `quiet`; gives when the last one came.
    pub(crate) async fn wait_quiet(&self, quiet: Duration) -> Result<Option<Instant>> {
        let deadline = Instant::now() + PATIENCE;
        let start = Instant::now();
        loop {
            let last = self.entries.iter().filter_map(|entry| lock(&entry.seen).last).max();
            if last.map_or(start, |last| last.max(start)).elapsed() >= quiet {
                return Ok(last);
            }
            if Instant::now() > deadline {
                bail!("the server still sends responses after {PATIENCE:?}");
            }
            time::sleep(POLL).await;
        }
    }

    /// Adds up a number of every stream.
    pub(crate) fn sum(&self, number: impl Fn(&Seen) -> u64) -> u64 {
        self.entries.iter().map(|entry| number(&lock(&entry.seen))).sum()
    }
}

/// Keeps a stream open. A connection that fails is opened again after a pause, as Envoy does.
async fn drive(
    settings: ClientSettings,
    memo: Arc<ReferenceMemo>,
    mut reconnects: mpsc::Receiver<()>,
    seen: &Mutex<Seen>,
) -> Result<()> {
    let mut stream = BenchStream::new(settings, memo);
    let mut failures = 0;
    let mut connected = stream.connect().await;
    loop {
        while let Err(error) = connected {
            failures += 1;
            lock(seen).failures = failures;
            if failures == MAX_FAILURES {
                return Err(error.into());
            }
            time::sleep(PAUSE).await;
            connected = stream.connect().await;
        }
        tokio::select! {
            command = reconnects.recv() => {
                if command.is_none() {
                    return Ok(());
                }
                connected = stream.connect().await;
                lock(seen).reconnected = Some(stream.subscriptions());
            }
            received = stream.step() => match received {
                Ok(Some(received)) => lock(seen).add(received, stream.is_synced()),
                Ok(None) => bail!("the server ended it"),
                Err(error) => connected = Err(error),
            }
        }
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The node of a sidecar, as `meltemi bootstrap` writes it.
fn node(proxy: &ProxyIdentity) -> Node {
    let ProxyIdentity { name, namespace, workload, address } = proxy;
    let labels = Struct { fields: BTreeMap::from([("app".to_owned(), string(workload))]) };
    let fields = BTreeMap::from([
        ("NAME".to_owned(), string(name)),
        ("NAMESPACE".to_owned(), string(namespace)),
        ("INSTANCE_IPS".to_owned(), string(address)),
        ("CLUSTER_ID".to_owned(), string("Kubernetes")),
        ("LABELS".to_owned(), Value { kind: Some(ValueKind::StructValue(labels)) }),
    ]);
    Node {
        id: format!("sidecar~{address}~{name}.{namespace}~{namespace}.svc.cluster.local"),
        cluster: format!("{workload}.{namespace}"),
        metadata: Some(Struct { fields }),
        ..Node::default()
    }
}

fn string(text: &str) -> Value {
    Value { kind: Some(ValueKind::StringValue(text.to_owned())) }
}
