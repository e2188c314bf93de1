//! Whether a proxy lives by what the mesh says now, and if not, what is in the way.

use std::{collections::BTreeMap, sync::Arc};

use model::Proxy;
use tokio::sync::oneshot;

use crate::{ResourceKind, state::StreamState};

/// How far a proxy is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has acknowledged everything that it should hold.
    Live,
    /// Something is on its way, or waits for something else.
    Waiting(Waiting),
    /// It has refused what it should hold, and will not be sent it again.
    Refused(Vec<Refusal>),
}

/// What a proxy has not acknowledged yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// How many names, by type.
    pub pending: BTreeMap<ResourceKind, usize>,
    /// Listeners and routes that are held back.
    pub held_back: Vec<HeldBack>,
}

/// A listener or a route of which the proxy is not sent all, because of clusters that nothing
/// defines, or that take long to warm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBack {
    pub kind: ResourceKind,
    pub name: Arc<str>,
    pub clusters: Vec<Arc<str>>,
}

/// A resource that the proxy should hold and has refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub kind: ResourceKind,
    pub name: Arc<str>,
    /// Envoy's words.
    pub message: String,
}

/// A connected proxy, and what will become of it.
#[derive(Debug)]
pub struct Watch {
    pub stream: u64,
    pub proxy: Arc<Proxy>,
    /// Told once the proxy is live or has refused something; closed when it is gone.
    pub outcome: oneshot::Receiver<Standing>,
}

/// Who waits for a stream.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    /// To be live, or to have refused something.
    standing: Vec<oneshot::Sender<Standing>>,
    /// To have answered all that can be sent now.
    taken: Vec<oneshot::Sender<()>>,
}

impl Watchers {
    pub(super) fn add(&mut self, watcher: oneshot::Sender<Standing>) {
        self.standing.push(watcher);
    }

    pub(super) fn add_taken(&mut self, watcher: oneshot::Sender<()>) {
        self.taken.push(watcher);
    }

    /// To be called when the state may have changed. Costs nothing while nobody waits.
    pub(super) fn look(&mut self, state: &StreamState) {
        self.taken.retain(|watcher| !watcher.is_closed());
        if !self.taken.is_empty() && pending(state).is_empty() {
            for watcher in self.taken.drain(..) {
                let _ = watcher.send(());
            }
        }
        self.standing.retain(|watcher| !watcher.is_closed());
        if self.standing.is_empty() {
            return;
        }
        let standing = Standing::of(state);
        if matches!(standing, Standing::Waiting(_)) {
            return;
        }
        for watcher in self.standing.drain(..) {
            // Who asked may have gone.
            let _ = watcher.send(standing.clone());
        }
    }
}

impl Standing {
    pub(super) fn of(state: &StreamState) -> Self {
        let refused: Vec<Refusal> =
            ResourceKind::ALL.into_iter().flat_map(|kind| refusals(state, kind)).collect();
        if !refused.is_empty() {
            return Self::Refused(refused);
        }
        let waiting = Waiting { held_back: held_back(state), pending: pending(state) };
        match waiting.pending.is_empty() && waiting.held_back.is_empty() {
            true => Self::Live,
            false => Self::Waiting(waiting),
        }
    }
}

/// How many names are still to be sent, asked for or acknowledged.
fn pending(state: &StreamState) -> BTreeMap<ResourceKind, usize> {
    let counts = ResourceKind::ALL.into_iter().map(|kind| (kind, state.pending(kind)));
    let pending: BTreeMap<_, _> = counts.filter(|(_, count)| *count > 0).collect();
    match pending.is_empty() {
        // What a proxy has acknowledged may make it ask for more, a moment later.
        true => unasked(state),
        false => pending,
    }
}

pub(super) fn held_back(state: &StreamState) -> Vec<HeldBack> {
    let all = ResourceKind::ALL.into_iter().flat_map(|kind| {
        state.held_back(kind).iter().map(move |(name, clusters)| HeldBack {
            kind,
            name: name.clone(),
            clusters: clusters.iter().cloned().collect(),
        })
    });
    all.collect()
}

/// What the proxy should hold and refused. An older version that it refused is of no matter.
fn refusals(state: &StreamState, kind: ResourceKind) -> impl Iterator<Item = Refusal> {
    state.rejections(kind).iter().filter_map(move |(name, rejection)| {
        let target = state.target(kind, name)?;
        let is_current = rejection.version == Some(target.resource.version());
        is_current.then(|| Refusal { kind, name: name.clone(), message: rejection.message.clone() })
    })
}

/// Names that the proxy will ask for because of what it holds, and has not yet.
fn unasked(state: &StreamState) -> BTreeMap<ResourceKind, usize> {
    let clusters = state.held(ResourceKind::Cluster);
    let endpoints = state.held(ResourceKind::Endpoint);
    let assignments = clusters.keys().filter(|name| {
        state.target(ResourceKind::Endpoint, name).is_some() && !endpoints.contains_key(*name)
    });
    let listeners = state.held(ResourceKind::Listener);
    let routes = state.held(ResourceKind::Route);
    let named = listeners.values().filter_map(|held| held.acknowledged.as_ref());
    let named = named.flat_map(|listener| &listener.routes);
    // Envoy asks for listeners only when its clusters are warm.
    let is_starting = !state.is_subscribed(ResourceKind::Listener);
    let counts = [
        (ResourceKind::Listener, usize::from(is_starting)),
        (ResourceKind::Endpoint, assignments.count()),
        (ResourceKind::Route, named.filter(|name| !routes.contains_key(*name)).count()),
    ];
    counts.into_iter().filter(|(_, count)| *count > 0).collect()
}
