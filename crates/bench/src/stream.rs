//! One stream that costs its client little: it follows references and acknowledges, as Envoy does,
//! but keeps names and versions only.
//!
//! What a resource refers to is decoded once for all streams, so that the figures show the server.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use envoy::{Any, type_url};
use xds::{
    Protocol,
    client::{
        AdsClient, AdsResource, AdsResponse, ClientError, ClientSettings, Reference, references,
    },
};
use xxhash_rust::xxh3::xxh3_128;

/// The types that a sidecar is sent, in Envoy's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Cluster,
    Endpoint,
    Listener,
    Route,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Cluster, Self::Endpoint, Self::Listener, Self::Route];

    pub(crate) fn type_url(self) -> &'static str {
        match self {
            Self::Cluster => type_url::CLUSTER,
            Self::Endpoint => type_url::ENDPOINT,
            Self::Listener => type_url::LISTENER,
            Self::Route => type_url::ROUTE,
        }
    }

    fn of(type_url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.type_url() == type_url)
    }

    fn is_wildcard(self) -> bool {
        matches!(self, Self::Cluster | Self::Listener)
    }
}

/// What each resource refers to, by its content. Shared by all streams.
#[derive(Debug, Default)]
pub(crate) struct ReferenceMemo(Mutex<HashMap<u128, Arc<BTreeSet<Reference>>>>);

impl ReferenceMemo {
    fn get(&self, kind: Kind, resource: &Any) -> Arc<BTreeSet<Reference>> {
        let key = xxh3_128(&resource.value);
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        found.unwrap_or_else(|| {
            let made = Arc::new(references(kind.type_url(), resource));
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&made));
            made
        })
    }
}

/// What a response was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    pub(crate) kind: Option<Kind>,
    pub(crate) resources: usize,
}

/// What is held of one type.
#[derive(Debug, Default)]
struct Held {
    /// Versions by name. On SotW all are that of the last response.
    versions: BTreeMap<String, String>,
    /// Names that are subscribed to because something refers to them.
    wanted: BTreeSet<String>,
    /// The last response, once there was one.
    version: Option<String>,
}

impl Held {
    fn is_complete(&self, kind: Kind) -> bool {
        match kind.is_wildcard() {
            true => self.version.is_some(),
            false => self.wanted.iter().all(|name| self.versions.contains_key(name)),
        }
    }
}

/// A stream on a connection of its own.
#[derive(Debug)]
pub(crate) struct BenchStream {
    settings: ClientSettings,
    client: Option<AdsClient>,
    memo: Arc<ReferenceMemo>,
    held: [Held; 4],
}

impl BenchStream {
    /// A stream that is not connected yet.
    pub(crate) fn new(settings: ClientSettings, memo: Arc<ReferenceMemo>) -> Self {
        Self { settings, client: None, memo, held: Default::default() }
    }

    /// Opens a connection, also in place of another one, subscribes to all clusters and listeners
    /// and says what the stream has already.
    pub(crate) async fn connect(&mut self) -> Result<(), ClientError> {
        let client = self.client.insert(AdsClient::connect_with(&self.settings).await?);
        for kind in subscribed(&self.held) {
            let Held { versions, wanted, version } = &self.held[kind as usize];
            let known: BTreeMap<String, String> = match self.settings.protocol {
                Protocol::Delta => versions.clone(),
                Protocol::Sotw => version.iter().map(|it| (String::new(), it.clone())).collect(),
            };
            client.subscribe(kind.type_url(), wanted.clone(), known).await?;
        }
        Ok(())
    }

    /// How many requests open a connection.
    pub(crate) fn subscriptions(&self) -> u64 {
        subscribed(&self.held).count() as u64
    }

    /// Takes and answers one response; `None` when the server has ended the stream.
    pub(crate) async fn step(&mut self) -> Result<Option<Received>, ClientError> {
        let Some(client) = &mut self.client else { return Ok(None) };
        let Some(response) = client.next_response().await? else { return Ok(None) };
        let kind = Kind::of(&response.type_url);
        if let Some(kind) = kind {
            self.follow(kind, &response).await?;
            let held = &mut self.held[kind as usize];
            for name in &response.removed {
                held.versions.remove(name);
            }
            for AdsResource { name, version, .. } in &response.resources {
                held.versions.insert(name.clone(), version.clone());
            }
            held.version = Some(response.version.clone());
        }
        if let Some(client) = &mut self.client {
            client.ack(&response).await?;
        }
        Ok(Some(Received { kind, resources: response.resources.len() }))
    }

    /// Subscribes to what a response is the first to refer to.
    async fn follow(&mut self, kind: Kind, response: &AdsResponse) -> Result<(), ClientError> {
        if !kind.is_wildcard() {
            return Ok(());
        }
        let mut added: [Vec<String>; 4] = Default::default();
        for resource in response.resources.iter().filter_map(|it| it.resource.as_ref()) {
            for (type_url, name) in self.memo.get(kind, resource).iter() {
                let Some(kind) = Kind::of(type_url) else { continue };
                if self.held[kind as usize].wanted.insert(name.clone()) {
                    added[kind as usize].push(name.clone());
                }
            }
        }
        let Some(client) = &mut self.client else { return Ok(()) };
        for (kind, names) in Kind::ALL.into_iter().zip(added) {
            if !names.is_empty() {
                client.subscribe(kind.type_url(), names, BTreeMap::new()).await?;
            }
        }
        Ok(())
    }

    /// Whether everything has come that was asked for.
    pub(crate) fn is_synced(&self) -> bool {
        Kind::ALL.into_iter().all(|kind| self.held[kind as usize].is_complete(kind))
    }
}

/// The types to ask for: by name only what something refers to.
fn subscribed(held: &[Held; 4]) -> impl Iterator<Item = Kind> {
    Kind::ALL
        .into_iter()
        .filter(|kind| kind.is_wildcard() || !held[*kind as usize].wanted.is_empty())
}
