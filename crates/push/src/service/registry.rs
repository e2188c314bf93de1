//! The connected proxies, and what each was sent and acknowledged.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use model::Proxy;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use xds::Protocol;

use crate::{ResourceKind, state::StreamState};

/// How long a stream's task may take to answer a question.
const PATIENCE: Duration = Duration::from_secs(2);

/// One resource of a proxy.
#[derive(Clone, Debug)]
pub struct ResourceDump {
    pub kind: ResourceKind,
    pub name: Arc<str>,
    /// Version that is acknowledged, as lower-case hex.
    pub acknowledged: Option<String>,
    /// Version that was sent and is not answered yet; empty for a removal.
    pub sent: Option<String>,
    /// Why the newest version was refused, in Envoy's words.
    pub refused: Option<String>,
    /// Encoded message of what the proxy holds.
    pub body: Bytes,
    pub origins: Vec<model::ObjectKey>,
}

/// One proxy as its stream sees it.
#[derive(Clone, Debug)]
pub struct ProxyDump {
    pub proxy: Arc<Proxy>,
    pub protocol: Protocol,
    pub synced: bool,
    /// Names that wait to be sent or acknowledged, by type.
    pub pending: BTreeMap<ResourceKind, usize>,
    /// Types that the proxy has asked for.
    pub subscribed: Vec<ResourceKind>,
    pub resources: Vec<ResourceDump>,
}

/// A question to a stream's task.
#[derive(Debug)]
pub(super) struct Query {
    protocol: Protocol,
    bodies: bool,
    reply: oneshot::Sender<ProxyDump>,
}

impl Query {
    pub(super) fn answer(self, proxy: &Arc<Proxy>, state: &StreamState) {
        let Self { protocol, bodies, reply } = self;
        let kinds = ResourceKind::ALL;
        let _ = reply.send(ProxyDump {
            proxy: proxy.clone(),
            protocol,
            synced: state.is_synced(),
            pending: kinds.into_iter().map(|kind| (kind, state.pending(kind))).collect(),
            subscribed: kinds.into_iter().filter(|kind| state.is_subscribed(*kind)).collect(),
            resources: kinds.into_iter().flat_map(|kind| dump(kind, state, bodies)).collect(),
        });
    }
}

fn dump(kind: ResourceKind, state: &StreamState, bodies: bool) -> Vec<ResourceDump> {
    let refused = state.rejections(kind);
    let held = state.held(kind).iter().map(|(name, held)| {
        let current = held.acknowledged.as_ref();
        ResourceDump {
            kind,
            name: name.clone(),
            acknowledged: held.version.map(|version| format!("{version:016x}")),
            sent: held
                .sent
                .as_ref()
                .map(|sent| sent.as_ref().map(|it| it.resource.version_text()).unwrap_or_default()),
            refused: refused.get(name).map(|it| it.message.clone()),
            body: match bodies {
                true => current.map(|it| it.resource.decode_bytes()).unwrap_or_default(),
                false => Bytes::new(),
            },
            origins: current.map(|it| it.origins.clone()).unwrap_or_default(),
        }
    });
    let never_held = refused.iter().filter(|(name, _)| !state.held(kind).contains_key(*name));
    let never_held = never_held.map(|(name, rejection)| ResourceDump {
        kind,
        name: name.clone(),
        acknowledged: None,
        sent: None,
        refused: Some(rejection.message.clone()),
        body: Bytes::new(),
        origins: Vec::new(),
    });
    held.chain(never_held).collect()
}

#[derive(Clone, Debug)]
struct Entry {
    proxy: Arc<Proxy>,
    protocol: Protocol,
    queries: mpsc::Sender<Query>,
}

/// Finds connected proxies. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct StreamRegistry(Arc<Mutex<BTreeMap<u64, Entry>>>);

impl StreamRegistry {
    pub(super) fn add(
        &self,
        id: u64,
        proxy: Arc<Proxy>,
        protocol: Protocol,
    ) -> mpsc::Receiver<Query> {
        let (queries, receiver) = mpsc::channel(4);
        self.lock().insert(id, Entry { proxy, protocol, queries });
        receiver
    }

    pub(super) fn remove(&self, id: u64) {
        self.lock().remove(&id);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connected proxies, by stream.
    pub fn proxies(&self) -> Vec<Arc<Proxy>> {
        self.lock().values().map(|entry| entry.proxy.clone()).collect()
    }

    /// What the proxies hold; those for which `wanted` says no are not asked. With `bodies`, the
    /// resources themselves. A stream that does not answer in time is left out.
    pub async fn dump(&self, wanted: impl Fn(&Proxy) -> bool, bodies: bool) -> Vec<ProxyDump> {
        let entries: Vec<Entry> =
            self.lock().values().filter(|entry| wanted(&entry.proxy)).cloned().collect();
        let mut dumps = Vec::with_capacity(entries.len());
        for entry in entries {
            let (reply, answer) = oneshot::channel();
            let query = Query { protocol: entry.protocol, bodies, reply };
            if entry.queries.send(query).await.is_err() {
                continue;
            }
            dumps.extend(timeout(PATIENCE, answer).await.into_iter().flatten());
        }
        dumps
    }
}
