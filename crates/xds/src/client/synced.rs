//! A proxy without traffic: subscribes, follows references and acknowledges as Envoy does.
//!
//! - It works only while one of its methods is awaited; in between it does not read.
//! - Wildcard CDS and LDS; endpoints, routes, secrets and extensions by the names that clusters
//!   and listeners refer to, asked for before the response that named them is acknowledged.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use envoy::{Any, type_url};
use prost::{Message, Name};
use tokio::time;

use super::{
    AdsClient, AdsResource, AdsResponse, ClientError, ClientSettings,
    references::{Reference, references},
};
use crate::Protocol;

/// Types that are subscribed to as a whole, in Envoy's order.
const WILDCARD: [&str; 2] = [type_url::CLUSTER, type_url::LISTENER];
/// Types that are followed by name.
const FOLLOWED: [&str; 4] =
    [type_url::ENDPOINT, type_url::ROUTE, type_url::SECRET, type_url::EXTENSION_CONFIG];

/// A resource that the proxy has accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldResource {
    /// On SotW, the version of the response.
    pub version: String,
    /// `None` when resources are not kept, or the server sent none.
    pub resource: Option<Any>,
    references: BTreeSet<Reference>,
}

/// What has been received of one type, NACKed responses included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TypeCounts {
    /// Responses.
    pub responses: u64,
    /// Resources in them.
    pub resources: u64,
    /// Removals in them.
    pub removed: u64,
    /// Their length.
    pub bytes: u64,
    /// How many of them were rejected.
    pub nacks: u64,
}

/// A proxy that keeps in sync with a server.
#[derive(Debug)]
pub struct SyncedProxy {
    settings: ClientSettings,
    client: AdsClient,
    held: BTreeMap<String, BTreeMap<String, HeldResource>>,
    /// Names subscribed to because something refers to them.
    followed: BTreeMap<&'static str, BTreeSet<String>>,
    /// Names subscribed to because the test said so.
    on_demand: BTreeMap<String, BTreeSet<String>>,
    /// Changed EDS clusters whose endpoints have not come since.
    warming: BTreeSet<String>,
    rejected: BTreeMap<String, String>,
    /// The last accepted response of each type.
    versions: BTreeMap<String, String>,
    counts: BTreeMap<String, TypeCounts>,
    keeps_resources: bool,
}

impl SyncedProxy {
    /// Connects and subscribes to all clusters and listeners.
    pub async fn connect(settings: ClientSettings) -> Result<Self, ClientError> {
        let mut proxy = Self {
            client: AdsClient::connect_with(&settings).await?,
            settings,
            held: BTreeMap::new(),
            followed: BTreeMap::new(),
            on_demand: BTreeMap::new(),
            warming: BTreeSet::new(),
            rejected: BTreeMap::new(),
            versions: BTreeMap::new(),
            counts: BTreeMap::new(),
            keeps_resources: true,
        };
        proxy.resubscribe().await?;
        Ok(proxy)
    }

    /// Keeps only names, versions and references from now on: for load with many proxies.
    pub fn forget_resources(&mut self) {
        self.keeps_resources = false;
    }

    /// Rejects every response of a type with `reason` from now on.
    pub fn reject(&mut self, type_url: &str, reason: &str) {
        self.rejected.insert(type_url.to_owned(), reason.to_owned());
    }

    /// Ends [`SyncedProxy::reject`].
    pub fn accept(&mut self, type_url: &str) {
        self.rejected.remove(type_url);
    }

    /// Subscribes to names beside those that are followed, as on-demand discovery does.
    pub async fn demand(&mut self, type_url: &str, names: &[&str]) -> Result<(), ClientError> {
        let names = names.iter().map(|&name| name.to_owned());
        self.on_demand.entry(type_url.to_owned()).or_default().extend(names.clone());
        self.client.subscribe(type_url, names, BTreeMap::new()).await
    }

    /// Opens a new stream and tells the server what the proxy still has.
    pub async fn reconnect(&mut self) -> Result<(), ClientError> {
        self.client = AdsClient::connect_with(&self.settings).await?;
        self.resubscribe().await
    }

    /// As [`SyncedProxy::reconnect`], to another server.
    pub async fn reconnect_to(&mut self, address: SocketAddr) -> Result<(), ClientError> {
        self.settings.address = address;
        self.reconnect().await
    }

    /// Takes and answers responses until none has come for `quiet`. Gives how many came.
    pub async fn sync_until_quiet(&mut self, quiet: Duration) -> Result<u64, ClientError> {
        let mut responses = 0;
        while let Ok(response) = time::timeout(quiet, self.step()).await {
            match response? {
                Some(_) => responses += 1,
                None => break,
            }
        }
        Ok(responses)
    }

    /// Takes and answers one response; `None` when the server ended the stream with `OK`.
    pub async fn step(&mut self) -> Result<Option<AdsResponse>, ClientError> {
        let Some(response) = self.client.next_response().await? else { return Ok(None) };
        self.handle(&response).await?;
        Ok(Some(response))
    }

    /// Accepted resources of a type, by name.
    pub fn resources(&self, type_url: &str) -> impl Iterator<Item = (&str, &HeldResource)> {
        let held = self.held.get(type_url).into_iter().flatten();
        held.map(|(name, resource)| (name.as_str(), resource))
    }

    /// Names of the accepted resources of a type, sorted.
    pub fn names(&self, type_url: &str) -> Vec<&str> {
        self.resources(type_url).map(|(name, _)| name).collect()
    }

    /// An accepted resource, decoded. `None` when it is not there, not kept, or not an `M`.
    pub fn get<M: Message + Name + Default>(&self, name: &str) -> Option<M> {
        self.held.get(&M::type_url())?.get(name)?.resource.as_ref()?.unpack().ok()
    }

    /// Type URL and name of what is referred to and has not come.
    pub fn missing(&self) -> Vec<(&str, &str)> {
        let followed = self.followed.iter();
        let names = followed.flat_map(|(url, names)| names.iter().map(|name| (*url, name)));
        let has = |url: &str, name| self.held.get(url).is_some_and(|held| held.contains_key(name));
        let missing = names.filter(|(url, name)| !has(url, *name));
        missing.map(|(url, name)| (url, name.as_str())).collect()
    }

    /// EDS names of clusters that were added or changed and whose endpoints have not come since.
    /// Envoy does not use such a cluster, or its new form.
    pub fn warming(&self) -> &BTreeSet<String> {
        &self.warming
    }

    /// What has been received of a type, over all connections.
    pub fn counts(&self, type_url: &str) -> TypeCounts {
        self.counts.get(type_url).copied().unwrap_or_default()
    }

    /// The stream, for requests that no proxy would send by itself.
    pub fn client(&mut self) -> &mut AdsClient {
        &mut self.client
    }

    async fn resubscribe(&mut self) -> Result<(), ClientError> {
        let others = FOLLOWED.into_iter().map(str::to_owned);
        let others: BTreeSet<_> = others.chain(self.on_demand.keys().cloned()).collect();
        let types = WILDCARD.into_iter().map(str::to_owned);
        let others = others.into_iter().filter(|url| !WILDCARD.contains(&url.as_str()));
        for type_url in types.chain(others) {
            let mut names = self.on_demand.get(&type_url).cloned().unwrap_or_default();
            if WILDCARD.contains(&type_url.as_str()) {
                // Beside other names the wildcard must be spelled out.
                names.extend((!names.is_empty()).then(|| "*".to_owned()));
            } else {
                names.extend(self.followed.get(type_url.as_str()).cloned().unwrap_or_default());
                if names.is_empty() {
                    continue;
                }
            }
            let versions = self.known_versions(&type_url);
            self.client.subscribe(&type_url, names, versions).await?;
        }
        Ok(())
    }

    fn known_versions(&self, type_url: &str) -> BTreeMap<String, String> {
        match self.settings.protocol {
            Protocol::Delta => {
                let held = self.resources(type_url);
                held.map(|(name, held)| (name.to_owned(), held.version.clone())).collect()
            }
            Protocol::Sotw => {
                let version = self.versions.get(type_url);
                version.map(|version| (String::new(), version.clone())).into_iter().collect()
            }
        }
    }

    async fn handle(&mut self, response: &AdsResponse) -> Result<(), ClientError> {
        let counts = self.counts.entry(response.type_url.clone()).or_default();
        counts.responses += 1;
        counts.resources += response.resources.len() as u64;
        counts.removed += response.removed.len() as u64;
        counts.bytes += response.len as u64;
        if let Some(reason) = self.rejected.get(&response.type_url) {
            counts.nacks += 1;
            return self.client.nack(response, reason).await;
        }
        let changed = self.apply(response);
        let is_wildcard = WILDCARD.contains(&response.type_url.as_str());
        let asked = is_wildcard && self.follow().await?;
        if changed && !asked {
            self.client.ask_again(type_url::ENDPOINT).await?;
        }
        self.versions.insert(response.type_url.clone(), response.version.clone());
        self.client.ack(response).await
    }

    /// Stores what a response says. Gives whether EDS clusters that were held changed.
    fn apply(&mut self, response: &AdsResponse) -> bool {
        let (type_url, keeps) = (response.type_url.as_str(), self.keeps_resources);
        let held = self.held.entry(type_url.to_owned()).or_default();
        response.removed.iter().for_each(|name| drop(held.remove(name)));
        if self.settings.protocol == Protocol::Sotw && WILDCARD.contains(&type_url) {
            let named: BTreeSet<_> = response.resources.iter().map(|new| &new.name).collect();
            held.retain(|name, _| named.contains(name));
        }
        let mut changed = false;
        for AdsResource { name, version, resource, .. } in &response.resources {
            let references =
                resource.as_ref().map(|any| references(type_url, any)).unwrap_or_default();
            if type_url == type_url::ENDPOINT {
                self.warming.remove(name);
            }
            let before = held.get(name);
            let is_same = |before: &HeldResource| match keeps {
                true => before.resource == *resource,
                false => before.version == *version,
            };
            if !before.is_some_and(is_same) {
                let endpoints = references.iter().filter(|(url, _)| *url == type_url::ENDPOINT);
                for (_, name) in endpoints {
                    changed |= before.is_some();
                    self.warming.insert(name.clone());
                }
            }
            let resource = resource.clone().filter(|_| keeps);
            held.insert(
                name.clone(),
                HeldResource { version: version.clone(), resource, references },
            );
        }
        changed
    }

    /// Brings the subscriptions in line with what clusters and listeners refer to. Gives whether
    /// endpoints were asked for.
    async fn follow(&mut self) -> Result<bool, ClientError> {
        let mut asked = false;
        let held = WILDCARD.iter().filter_map(|url| self.held.get(*url));
        let held = held.flat_map(BTreeMap::values);
        let mut wanted: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (type_url, name) in held.flat_map(|resource| &resource.references) {
            wanted.entry(*type_url).or_default().insert(name.clone());
        }
        for type_url in FOLLOWED {
            let wanted = wanted.remove(type_url).unwrap_or_default();
            let known = self.followed.insert(type_url, wanted.clone()).unwrap_or_default();
            let added: Vec<_> = wanted.difference(&known).cloned().collect();
            let gone: Vec<_> = known.difference(&wanted).cloned().collect();
            for name in &gone {
                self.held.get_mut(type_url).and_then(|held| held.remove(name));
                self.warming.remove(name);
            }
            if !added.is_empty() {
                asked |= type_url == type_url::ENDPOINT;
                self.client.subscribe(type_url, added, BTreeMap::new()).await?;
            }
            if !gone.is_empty() {
                self.client.unsubscribe(type_url, gone).await?;
            }
        }
        Ok(asked)
    }
}
