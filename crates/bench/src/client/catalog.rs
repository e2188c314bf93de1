//! What the streams together have seen of resources: each is decoded once, however many get it.
//!
//! A stream knows a resource by a number. Requests that many streams send alike (all names, or all
//! versions, of a type) are encoded once too.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    net::Ipv4Addr,
    sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
};

use bytes::Bytes;
use envoy::{
    Any,
    config::{
        core::v3::{address, socket_address::PortSpecifier},
        endpoint::v3::{ClusterLoadAssignment, lb_endpoint::HostIdentifier},
    },
    service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest, Resource},
};
use prost::Message;
use xds::{Protocol, client::references};
use xxhash_rust::xxh3::xxh3_128;

use super::kind::{Kind, PerKind};

/// A name of a type, counted from 0.
pub(crate) type NameId = u32;
/// A resource with one content, counted from 0.
pub(crate) type RecordId = u32;

/// A resource as it was sent once or more often.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) id: RecordId,
    pub(crate) kind: Kind,
    pub(crate) name: NameId,
    version: String,
    /// Sorted.
    pub(crate) references: Vec<(Kind, NameId)>,
    /// Whether it is a route configuration whose hosts are loaded on demand.
    pub(crate) loads_hosts: bool,
    /// Which change it shows; see [`crate::mesh::marker_of`].
    pub(crate) marker: Option<u32>,
}

#[derive(Debug, Default)]
struct Names {
    by_name: HashMap<String, NameId>,
    all: Vec<String>,
}

impl Names {
    fn intern(&mut self, name: &str) -> NameId {
        if let Some(id) = self.by_name.get(name) {
            return *id;
        }
        let id = NameId::try_from(self.all.len()).expect("fewer than 2^32 names");
        self.all.push(name.to_owned());
        self.by_name.insert(name.to_owned(), id);
        id
    }
}

#[derive(Debug, Default)]
pub(crate) struct Inner {
    by_content: HashMap<u128, RecordId>,
    records: Vec<Record>,
    names: PerKind<Names>,
}

impl Inner {
    pub(crate) fn record(&self, id: RecordId) -> &Record {
        &self.records[id as usize]
    }

    pub(crate) fn name_id(&self, kind: Kind, name: &str) -> Option<NameId> {
        self.names[kind as usize].by_name.get(name).copied()
    }

    pub(crate) fn name(&self, kind: Kind, id: NameId) -> &str {
        &self.names[kind as usize].all[id as usize]
    }
}

/// Shared by all streams that speak one protocol to one server.
#[derive(Debug)]
pub(crate) struct Catalog {
    protocol: Protocol,
    inner: RwLock<Inner>,
    /// Encoded names and versions of requests.
    requests: Mutex<HashMap<(Kind, u64), Bytes>>,
}

impl Catalog {
    pub(crate) fn new(protocol: Protocol) -> Self {
        Self { protocol, inner: RwLock::default(), requests: Mutex::default() }
    }

    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at a resource as it was sent; `look` must not come back to the catalog. `None`: it is
    /// of no type that we know, or broken.
    pub(crate) fn with<T>(
        &self,
        bytes: &[u8],
        look: impl FnOnce(&Inner, &Record) -> T,
    ) -> Option<T> {
        let key = xxh3_128(bytes);
        {
            let inner = self.read();
            if let Some(id) = inner.by_content.get(&key) {
                return Some(look(&inner, inner.record(*id)));
            }
        }
        let sent = Sent::decode(self.protocol, bytes)?;
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let id = match inner.by_content.get(&key) {
            Some(id) => *id,
            None => inner.add(key, sent),
        };
        drop(inner);
        let inner = self.read();
        Some(look(&inner, inner.record(id)))
    }

    /// The encoded fields of a request that name `names`, and on delta say which versions are
    /// held.
    pub(crate) fn names_field(&self, kind: Kind, names: &[NameId]) -> Bytes {
        self.encoded(kind, (false, names), |inner| {
            let names = names.iter().map(|id| inner.name(kind, *id).to_owned()).collect();
            match self.protocol {
                Protocol::Delta => {
                    DeltaDiscoveryRequest { resource_names_subscribe: names, ..Default::default() }
                        .encode_to_vec()
                }
                Protocol::Sotw => {
                    DiscoveryRequest { resource_names: names, ..Default::default() }.encode_to_vec()
                }
            }
        })
    }

    /// Delta only: what is held already, as a stream says when it comes back.
    pub(crate) fn versions_field(&self, kind: Kind, held: &[RecordId]) -> Bytes {
        self.encoded(kind, (true, held), |inner| {
            let pair = |id: &RecordId| {
                let record = inner.record(*id);
                (inner.name(kind, record.name).to_owned(), record.version.clone())
            };
            DeltaDiscoveryRequest {
                initial_resource_versions: held.iter().map(pair).collect(),
                ..Default::default()
            }
            .encode_to_vec()
        })
    }

    fn encoded(
        &self,
        kind: Kind,
        key: (bool, &[u32]),
        encode: impl FnOnce(&Inner) -> Vec<u8>,
    ) -> Bytes {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let key = (kind, hasher.finish());
        if let Some(found) = self.requests().get(&key) {
            return found.clone();
        }
        let made = Bytes::from(encode(&self.read()));
        self.requests().entry(key).or_insert(made).clone()
    }

    fn requests(&self) -> MutexGuard<'_, HashMap<(Kind, u64), Bytes>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn add(&mut self, key: u128, sent: Sent) -> RecordId {
        let Sent { kind, name, version, any } = sent;
        let mut found = Vec::new();
        for (type_url, name) in references(kind.type_url(), &any) {
            if let Some(kind) = Kind::of(type_url) {
                found.push((kind, self.names[kind as usize].intern(&name)));
            }
        }
        let id = RecordId::try_from(self.records.len()).expect("fewer than 2^32 resources");
        let name = self.names[kind as usize].intern(&name);
        let marker = if kind == Kind::Endpoint { marker(&any) } else { None };
        let loads_hosts = kind == Kind::Route
            && Hosts::decode(&any.value[..]).is_ok_and(|hosts| hosts.vhds.is_some());
        let references = found;
        self.records.push(Record { id, kind, name, version, references, loads_hosts, marker });
        self.by_content.insert(key, id);
        id
    }
}

/// A resource of either protocol.
struct Sent {
    kind: Kind,
    name: String,
    version: String,
    any: Any,
}

/// All resources that xDS serves have their name in field 1.
#[derive(Clone, PartialEq, Message)]
struct Named {
    #[prost(string, tag = "1")]
    name: String,
}

/// Of a route configuration: where its hosts are loaded from. The rest is skipped unread.
#[derive(Clone, PartialEq, Message)]
struct Hosts {
    #[prost(bytes = "vec", optional, tag = "9")]
    vhds: Option<Vec<u8>>,
}

impl Sent {
    fn decode(protocol: Protocol, bytes: &[u8]) -> Option<Self> {
        match protocol {
            Protocol::Delta => {
                let Resource { name, version, resource, .. } = Resource::decode(bytes).ok()?;
                // Without a resource nothing says which type it is; such answers are to requests
                // that this client does not make.
                let any = resource?;
                let kind = Kind::of(&any.type_url)?;
                Some(Self { kind, name, version, any })
            }
            Protocol::Sotw => {
                let any = Any::decode(bytes).ok()?;
                let kind = Kind::of(&any.type_url)?;
                let Named { name } = Named::decode(&any.value[..]).ok()?;
                Some(Self { kind, name, version: String::new(), any })
            }
        }
    }
}

/// What the addresses of an assignment say of the change that it shows.
fn marker(any: &Any) -> Option<u32> {
    let assignment: ClusterLoadAssignment = any.unpack().ok()?;
    let endpoints = assignment.endpoints.into_iter().flat_map(|locality| locality.lb_endpoints);
    let addresses = endpoints.filter_map(|endpoint| match endpoint.host_identifier? {
        HostIdentifier::Endpoint(endpoint) => match endpoint.address?.address? {
            address::Address::SocketAddress(socket) => match socket.port_specifier? {
                PortSpecifier::PortValue(_) => socket.address.parse::<Ipv4Addr>().ok(),
                PortSpecifier::NamedPort(_) => None,
            },
            _ => None,
        },
        HostIdentifier::EndpointName(_) => None,
    });
    addresses.filter_map(crate::mesh::marker_of).max()
}
