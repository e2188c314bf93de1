//! Many streams at once, and waiting for them.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use envoy::{
    config::core::v3::{Extension, Node},
    service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest},
};
use prost::Message;
use prost_types::{Struct, Value, value::Kind as ValueKind};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time,
};
use xds::Protocol;

use super::{
    catalog::Catalog,
    lag::Lags,
    seen::{Goal, Seen, Tally},
    state::State,
    stream::{Command, Shared, Stream},
};
use crate::progress::Progress;

/// What Envoy lists among its extensions.
const ON_DEMAND: &str = "envoy.filters.http.on_demand";
const POLL: Duration = Duration::from_millis(1);
/// How often a long wait says how far it is.
const REPORT: Duration = Duration::from_secs(5);
/// Connections that are opened at a time: fewer than a kernel's backlog.
const CONNECTING: usize = 1_000;
/// Streams that share a local address; each has about 28,000 ports.
const STREAMS_OF_A_SOURCE: usize = 10_000;

/// Who a proxy is.
#[derive(Clone, Debug)]
pub(crate) struct ProxyIdentity {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) workload: String,
    pub(crate) address: Ipv4Addr,
}

/// What the streams of a fleet have in common.
#[derive(Clone, Debug)]
pub(crate) struct FleetSettings {
    pub(crate) server: SocketAddr,
    pub(crate) protocol: Protocol,
    /// Counts how long numbered changes take.
    pub(crate) lags: Option<Arc<Lags>>,
    /// A wait that takes longer than this fails, and says who is missing.
    pub(crate) patience: Duration,
}

struct Entry {
    name: String,
    seen: Arc<Mutex<Seen>>,
    commands: mpsc::Sender<Command>,
}

impl Entry {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Streams that are held until this is dropped.
pub(crate) struct Fleet {
    shared: Arc<Shared>,
    patience: Duration,
    entries: Vec<Entry>,
    tasks: JoinSet<()>,
}

impl Fleet {
    pub(crate) fn new(settings: FleetSettings) -> Self {
        let FleetSettings { server, protocol, lags, patience } = settings;
        let shared = Shared {
            catalog: Catalog::new(protocol),
            server,
            connecting: Semaphore::new(CONNECTING),
            tally: Tally::new(),
            lags,
            buffers: Mutex::default(),
        };
        Self { shared: Arc::new(shared), patience, entries: Vec::new(), tasks: JoinSet::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Opens further streams, all at once.
    pub(crate) fn open(&mut self, proxies: impl IntoIterator<Item = ProxyIdentity>) {
        for proxy in proxies {
            let index = self.entries.len();
            let (commands, receiver) = mpsc::channel(4);
            let seen = Arc::new(Mutex::new(Seen::default()));
            let stream = Stream {
                shared: Arc::clone(&self.shared),
                seen: Arc::clone(&seen),
                node: node_field(&proxy, self.shared.catalog.protocol()),
                source: self.source(index),
                state: State::default(),
            };
            self.tasks.spawn(stream.run(receiver));
            let name = format!("{}.{}", proxy.name, proxy.namespace);
            self.entries.push(Entry { name, seen, commands });
        }
    }

    /// One local address has too few ports for everybody; on loopback there are more of them.
    fn source(&self, index: usize) -> Option<Ipv4Addr> {
        let block = index / STREAMS_OF_A_SOURCE;
        if block == 0 || !self.shared.server.ip().is_loopback() || self.shared.server.is_ipv6() {
            return None;
        }
        Some(Ipv4Addr::new(127, 77, u8::try_from(block).unwrap_or(255), 1))
    }

    /// Forgets what was seen, but not who is connected and in sync.
    pub(crate) fn reset(&self) {
        self.shared.tally.reset();
        self.entries.iter().for_each(|entry| entry.seen().reset());
    }

    /// Tells one stream.
    pub(crate) async fn command(&self, index: usize, command: Command) {
        // A stream that has failed is reported by the next wait.
        let _ = self.entries[index].commands.send(command).await;
    }

    /// Tells every stream.
    pub(crate) async fn command_all(&self, command: Command) {
        for index in 0..self.entries.len() {
            self.command(index, command).await;
        }
    }

    /// How many streams have reached a goal.
    pub(crate) fn reached(&self, goal: Goal) -> usize {
        self.shared.tally.reached(goal)
    }

    /// When those streams reached the goal that have, sorted.
    pub(crate) fn times(&self, goal: Goal) -> Vec<Instant> {
        let mut times: Vec<Instant> =
            self.entries.iter().filter_map(|entry| entry.seen().when(goal)).collect();
        times.sort_unstable();
        times
    }

    /// Waits until all streams have reached a goal; gives when, sorted.
    pub(crate) async fn wait(
        &self,
        what: &str,
        progress: &Progress,
        goal: Goal,
    ) -> Result<Vec<Instant>> {
        self.wait_for(what, progress, goal, self.entries.len()).await
    }

    /// Waits until so many streams have reached a goal; gives when, sorted.
    pub(crate) async fn wait_for(
        &self,
        what: &str,
        progress: &Progress,
        goal: Goal,
        count: usize,
    ) -> Result<Vec<Instant>> {
        let start = Instant::now();
        let mut report = start + REPORT;
        loop {
            let reached = self.reached(goal);
            if reached >= count {
                return Ok(self.times(goal));
            }
            if self.shared.tally.ended() > 0 {
                bail!("{what}: {}", self.first_error());
            }
            if start.elapsed() > self.patience {
                let missing = self.missing(goal);
                let patience = self.patience;
                bail!("{what}: {reached} of {count} streams within {patience:?}; not {missing}");
            }
            if Instant::now() > report {
                let failures = self.failures();
                progress.say(format_args!("{what}: {reached} of {count} streams{failures}"));
                report += REPORT;
            }
            time::sleep(POLL).await;
        }
    }

    fn missing(&self, goal: Goal) -> String {
        let missing = self.entries.iter().filter(|entry| entry.seen().when(goal).is_none());
        let first = missing.take(3).map(|entry| match &entry.seen().error {
            Some(error) => format!("{} ({error})", entry.name),
            None => entry.name.clone(),
        });
        first.collect::<Vec<_>>().join(", ")
    }

    /// How many connections have failed so far, and what one of them said.
    fn failures(&self) -> String {
        let mut seen = self.entries.iter().map(|entry| entry.seen());
        let Some(error) = seen.find_map(|seen| seen.error.clone()) else { return String::new() };
        format!("; {} connections failed, one: {error}", self.sum(|seen| seen.failures))
    }

    fn first_error(&self) -> String {
        let ended = self.entries.iter().find(|entry| entry.seen().is_over);
        let error = |entry: &Entry| entry.seen().error.clone().unwrap_or_default();
        ended.map_or_else(String::new, |entry| format!("{} gave up: {}", entry.name, error(entry)))
    }

    /// Waits until no stream has had a response for `quiet`; gives when the last one came.
    pub(crate) async fn wait_quiet(&self, quiet: Duration) -> Result<Option<Instant>> {
        let start = Instant::now();
        loop {
            let last = self.shared.tally.last_response();
            if last.map_or(start, |last| last.max(start)).elapsed() >= quiet {
                return Ok(last);
            }
            if start.elapsed() > self.patience {
                bail!("the server still sends responses after {:?}", self.patience);
            }
            time::sleep(POLL).await;
        }
    }

    /// Adds up a number of every stream.
    pub(crate) fn sum(&self, number: impl Fn(&Seen) -> u64) -> u64 {
        self.entries.iter().map(|entry| number(&entry.seen())).sum()
    }

    /// Looks at every stream.
    pub(crate) fn each<T>(&self, look: impl Fn(&Seen) -> T) -> Vec<T> {
        self.entries.iter().map(|entry| look(&entry.seen())).collect()
    }
}

/// A node as a field of a request.
pub(crate) fn node_field(proxy: &ProxyIdentity, protocol: Protocol) -> Vec<u8> {
    let node = Some(proxy.node());
    match protocol {
        Protocol::Delta => DeltaDiscoveryRequest { node, ..Default::default() }.encode_to_vec(),
        Protocol::Sotw => DiscoveryRequest { node, ..Default::default() }.encode_to_vec(),
    }
}

impl ProxyIdentity {
    /// The node of a sidecar, with Istio's id and metadata.
    pub(crate) fn node(&self) -> Node {
        let Self { name, namespace, workload, address } = self;
        let labels = Struct { fields: BTreeMap::from([("app".to_owned(), string(workload))]) };
        let fields = BTreeMap::from([
            ("NAME".to_owned(), string(name)),
            ("NAMESPACE".to_owned(), string(namespace)),
            ("INSTANCE_IPS".to_owned(), string(&address.to_string())),
            ("CLUSTER_ID".to_owned(), string("Kubernetes")),
            ("ISTIO_VERSION".to_owned(), string("1.30.0")),
            ("LABELS".to_owned(), Value { kind: Some(ValueKind::StructValue(labels)) }),
        ]);
        Node {
            id: format!("sidecar~{address}~{name}.{namespace}~{namespace}.svc.cluster.local"),
            cluster: format!("{workload}.{namespace}"),
            metadata: Some(Struct { fields }),
            // Who is fenced loads on demand by it; nobody else is sent it.
            extensions: vec![Extension { name: ON_DEMAND.to_owned(), ..Extension::default() }],
            ..Node::default()
        }
    }
}

fn string(text: &str) -> Value {
    Value { kind: Some(ValueKind::StringValue(text.to_owned())) }
}
