//! The connected proxies, and what each was sent and acknowledged.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use compile::Compiled;
use envoy::extensions::transport_sockets::tls::v3::{Secret, secret::Type};
use model::{Identity, Proxy, WorkloadKey};
use prost::Message;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout, timeout_at},
};
use xds::Protocol;

use super::{
    standing::{HeldBack, Standing, Watch, Watchers, held_back},
    trust::HeldIdentity,
};
use crate::{ResourceKind, caller::Caller, state::StreamState};

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
    /// What the stream has proven to be, if anything.
    pub identity: Option<Identity>,
    pub synced: bool,
    /// Names that wait to be sent or acknowledged, by type.
    pub pending: BTreeMap<ResourceKind, usize>,
    /// Listeners and routes that are held back, and the clusters that nothing defines.
    pub held_back: Vec<HeldBack>,
    /// Types that the proxy has asked for.
    pub subscribed: Vec<ResourceKind>,
    pub resources: Vec<ResourceDump>,
}

/// A question to a stream's task.
#[derive(Debug)]
pub(super) enum Query {
    /// What the proxy holds.
    Dump { protocol: Protocol, bodies: bool, reply: oneshot::Sender<ProxyDump> },
    /// How far the proxy is.
    Standing(oneshot::Sender<Standing>),
    /// When it is live, or has refused something.
    Watch(oneshot::Sender<Standing>),
    /// When it has answered all that can be sent now.
    Taken(oneshot::Sender<()>),
    /// By what it proves who it is, and whom it believes.
    Identity(oneshot::Sender<HeldIdentity>),
}

impl Query {
    /// Answers at once, or when `watchers` are next told.
    pub(super) fn answer(
        self,
        proxy: &Arc<Proxy>,
        caller: &Caller,
        state: &StreamState,
        watchers: &mut Watchers,
    ) {
        match self {
            Self::Dump { protocol, bodies, reply } => {
                let identity = caller.proof.as_ref().map(|proof| proof.identity.clone());
                let dump = proxy_dump(proxy, state, protocol, bodies);
                let _ = reply.send(ProxyDump { identity, ..dump });
            }
            Self::Standing(reply) => {
                let _ = reply.send(Standing::of(state));
            }
            Self::Watch(reply) => watchers.add(reply),
            Self::Taken(reply) => watchers.add_taken(reply),
            Self::Identity(reply) => {
                let _ = reply.send(HeldIdentity::of(state));
            }
        }
    }
}

fn proxy_dump(
    proxy: &Arc<Proxy>,
    state: &StreamState,
    protocol: Protocol,
    bodies: bool,
) -> ProxyDump {
    let kinds = ResourceKind::ALL;
    ProxyDump {
        proxy: proxy.clone(),
        protocol,
        identity: None,
        synced: state.is_synced(),
        pending: kinds.into_iter().map(|kind| (kind, state.pending(kind))).collect(),
        held_back: held_back(state),
        subscribed: kinds.into_iter().filter(|kind| state.is_subscribed(*kind)).collect(),
        resources: kinds.into_iter().flat_map(|kind| dump(kind, state, bodies)).collect(),
    }
}

fn dump(kind: ResourceKind, state: &StreamState, bodies: bool) -> Vec<ResourceDump> {
    let refused = state.rejections(kind);
    let all = state.held(kind);
    let held = all.iter().map(|(name, held)| {
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
                true => current.map(|it| shown_body(kind, it)).unwrap_or_default(),
                false => Bytes::new(),
            },
            origins: current.map(|it| it.origins.clone()).unwrap_or_default(),
        }
    });
    let never_held = refused.iter().filter(|(name, _)| !all.contains_key(*name));
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

/// What may be shown of a resource: of a secret, never its key.
fn shown_body(kind: ResourceKind, compiled: &Compiled) -> Bytes {
    let body = compiled.resource.decode_bytes();
    match kind {
        ResourceKind::Secret => without_key(body),
        ResourceKind::Cluster
        | ResourceKind::Endpoint
        | ResourceKind::Listener
        | ResourceKind::ScopedRoute
        | ResourceKind::Route
        | ResourceKind::VirtualHost
        | ResourceKind::Runtime => body,
    }
}

fn without_key(body: Bytes) -> Bytes {
    let Ok(mut secret) = Secret::decode(body) else { return Bytes::new() };
    match &mut secret.r#type {
        Some(Type::TlsCertificate(certificate)) => {
            certificate.private_key = None;
            certificate.password = None;
        }
        Some(Type::ValidationContext(_)) => (),
        Some(Type::SessionTicketKeys(_) | Type::GenericSecret(_)) | None => secret.r#type = None,
    }
    secret.encode_to_vec().into()
}

#[derive(Clone, Debug)]
struct Entry {
    proxy: Arc<Proxy>,
    protocol: Protocol,
    queries: mpsc::Sender<Query>,
}

#[derive(Debug, Default)]
struct Connected {
    streams: BTreeMap<u64, Entry>,
    by_workload: HashMap<WorkloadKey, BTreeSet<u64>>,
}

/// Finds connected proxies. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct StreamRegistry(Arc<Mutex<Connected>>);

impl StreamRegistry {
    pub(super) fn add(
        &self,
        id: u64,
        proxy: Arc<Proxy>,
        protocol: Protocol,
    ) -> mpsc::Receiver<Query> {
        let (queries, receiver) = mpsc::channel(4);
        let workload = proxy.workload();
        let mut connected = self.lock();
        connected.by_workload.entry(workload).or_default().insert(id);
        connected.streams.insert(id, Entry { proxy, protocol, queries });
        receiver
    }

    pub(super) fn remove(&self, id: u64) {
        let mut connected = self.lock();
        let Some(entry) = connected.streams.remove(&id) else { return };
        if let hash_map::Entry::Occupied(mut of) =
            connected.by_workload.entry(entry.proxy.workload())
        {
            of.get_mut().remove(&id);
            if of.get().is_empty() {
                of.remove();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Connected> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connected proxies, by stream.
    pub fn proxies(&self) -> Vec<Arc<Proxy>> {
        self.lock().streams.values().map(|entry| entry.proxy.clone()).collect()
    }

    /// What the proxies hold; those for which `wanted` says no are not asked. With `bodies`, the
    /// resources themselves. A stream that does not answer in time is left out.
    pub async fn dump(&self, wanted: impl Fn(&Proxy) -> bool, bodies: bool) -> Vec<ProxyDump> {
        let wanted = |entry: &&Entry| wanted(&entry.proxy);
        let entries: Vec<Entry> = self.lock().streams.values().filter(wanted).cloned().collect();
        let mut dumps = Vec::with_capacity(entries.len());
        for entry in entries {
            let (reply, answer) = oneshot::channel();
            let query = Query::Dump { protocol: entry.protocol, bodies, reply };
            if entry.queries.send(query).await.is_err() {
                continue;
            }
            dumps.extend(timeout(PATIENCE, answer).await.into_iter().flatten());
        }
        dumps
    }

    /// How far each connected proxy is. One whose task does not answer in time is left out.
    pub async fn standings(&self) -> BTreeMap<u64, (Arc<Proxy>, Standing)> {
        let mut asked = Vec::new();
        for (stream, entry) in self.entries() {
            let (reply, answer) = oneshot::channel();
            if entry.queries.send(Query::Standing(reply)).await.is_ok() {
                asked.push((stream, entry.proxy, answer));
            }
        }
        let deadline = Instant::now() + PATIENCE;
        let mut standings = BTreeMap::new();
        for (stream, proxy, answer) in asked {
            if let Ok(Ok(standing)) = timeout_at(deadline, answer).await {
                standings.insert(stream, (proxy, standing));
            }
        }
        standings
    }

    /// What each connected proxy has acknowledged of its own identity; `None` for one whose task
    /// does not answer in time.
    pub async fn identities(&self) -> Vec<(Arc<Proxy>, Option<HeldIdentity>)> {
        let mut asked = Vec::new();
        for (_, entry) in self.entries() {
            let (reply, answer) = oneshot::channel();
            if entry.queries.send(Query::Identity(reply)).await.is_ok() {
                asked.push((entry.proxy, answer));
            }
        }
        let deadline = Instant::now() + PATIENCE;
        let mut held = Vec::with_capacity(asked.len());
        for (proxy, answer) in asked {
            match timeout_at(deadline, answer).await {
                Ok(Ok(identity)) => held.push((proxy, Some(identity))),
                // The stream has ended.
                Ok(Err(_)) => (),
                Err(_) => held.push((proxy, None)),
            }
        }
        held
    }

    /// Watches every proxy that is connected now. Each task has taken in what the engine has told
    /// it so far before it looks.
    pub async fn watch(&self) -> Vec<Watch> {
        let mut watches = Vec::new();
        for (stream, entry) in self.entries() {
            let (reply, outcome) = oneshot::channel();
            // A stream that ends now closes the other end.
            let _ = entry.queries.send(Query::Watch(reply)).await;
            watches.push(Watch { stream, proxy: entry.proxy, outcome });
        }
        watches
    }

    /// Returns when the proxies of a workload have answered what the engine has told their streams so far, but for
    /// what waits for something that nothing defines.
    pub async fn taken(&self, workload: &WorkloadKey) {
        let entries = self.entries_of(workload);
        let mut answers = Vec::with_capacity(entries.len());
        for entry in entries {
            let (reply, answer) = oneshot::channel();
            if entry.queries.send(Query::Taken(reply)).await.is_ok() {
                answers.push(answer);
            }
        }
        for answer in answers {
            // A stream that ends has nothing to wait for.
            let _ = answer.await;
        }
    }

    fn entries_of(&self, workload: &WorkloadKey) -> Vec<Entry> {
        let connected = self.lock();
        let ids = connected.by_workload.get(workload).into_iter().flatten();
        ids.filter_map(|id| connected.streams.get(id)).cloned().collect()
    }

    fn entries(&self) -> Vec<(u64, Entry)> {
        self.lock().streams.iter().map(|(stream, entry)| (*stream, entry.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy_of;

    #[tokio::test]
    async fn a_workload_is_found_by_its_streams_while_they_last() {
        let registry = StreamRegistry::default();
        let proxy = |id: &str| {
            let id = format!("sidecar~10.0.0.1~{id}.shop~shop.svc.cluster.local");
            let node = envoy::config::core::v3::Node { id, ..Default::default() };
            Arc::new(proxy_of(&node).unwrap())
        };
        let (cart, pay) = (proxy("cart"), proxy("pay"));
        let workload = cart.workload();
        let mut of_cart = registry.add(1, cart.clone(), Protocol::Delta);
        let mut of_pay = registry.add(2, pay, Protocol::Delta);
        let again = registry.add(3, cart, Protocol::Delta);
        registry.remove(3);
        drop(again);
        let answer = async {
            let Some(Query::Taken(reply)) = of_cart.recv().await else { panic!("not asked") };
            reply.send(()).unwrap();
        };
        tokio::join!(registry.taken(&workload), answer);
        assert!(of_pay.try_recv().is_err());
        registry.remove(1);
        registry.taken(&workload).await;
        registry.remove(2);
        assert!(registry.lock().by_workload.is_empty());
    }
}
