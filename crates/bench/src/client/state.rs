//! What one stream holds and asks for, as Envoy would: clusters first, then their endpoints, then
//! listeners, then their routes; where hosts are loaded on demand, those that come unasked. Everything is
//! acknowledged.
//!
//! No I/O: responses go in, requests come out.

use std::collections::BTreeSet;

use bytes::{BufMut, Bytes, BytesMut};
use envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use prost::Message;
use xds::Protocol;

use super::{
    catalog::{Catalog, Inner, NameId, Record, RecordId},
    kind::{Kind, PerKind},
    response::Head,
};

/// What is known of a name. The numbers keep a stream small: one for each name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot(u32);

impl Slot {
    const EMPTY: Self = Self(0);
    /// Asked for, and no answer yet.
    const AWAITED: Self = Self(1);
    /// Asked for, and it does not exist.
    const ABSENT: Self = Self(2);

    fn of(record: RecordId) -> Self {
        Self(record + 3)
    }

    fn record(self) -> Option<RecordId> {
        self.0.checked_sub(3)
    }

    fn fingerprint(self, name: NameId) -> u64 {
        if self.record().is_none() {
            return 0;
        }
        let both = u64::from(name) << 32 | u64::from(self.0);
        let mixed = both.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 29)
    }
}

/// One type of one stream.
#[derive(Clone, Debug, Default)]
struct Held {
    /// By name.
    slots: Vec<Slot>,
    awaited: u32,
    /// A sum over the slots that is equal for equal contents.
    fingerprint: u64,
    /// Whether there was a response.
    seen: bool,
    subscribed: bool,
    /// SotW: of the last response, repeated in each request.
    version: String,
    nonce: String,
}

impl Held {
    fn get(&self, name: NameId) -> Slot {
        self.slots.get(name as usize).copied().unwrap_or(Slot::EMPTY)
    }

    /// Gives what was there before.
    fn set(&mut self, name: NameId, slot: Slot) -> Slot {
        let index = name as usize;
        if self.slots.len() <= index {
            self.slots.resize(index + 1, Slot::EMPTY);
        }
        let before = std::mem::replace(&mut self.slots[index], slot);
        self.awaited += u32::from(slot == Slot::AWAITED);
        self.awaited -= u32::from(before == Slot::AWAITED);
        let added = slot.fingerprint(name).wrapping_sub(before.fingerprint(name));
        self.fingerprint = self.fingerprint.wrapping_add(added);
        before
    }

    fn records(&self) -> impl Iterator<Item = RecordId> {
        self.slots.iter().filter_map(|slot| slot.record())
    }

    /// Names that are asked for, whether or not there was an answer.
    fn wanted(&self) -> Vec<NameId> {
        let all = (0..).zip(&self.slots).filter(|(_, slot)| **slot != Slot::EMPTY);
        all.map(|(name, _)| name).collect()
    }
}

/// What a resource of a response meant to the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) kind: Kind,
    /// The change that it shows, and the one that was shown before.
    pub(crate) marker: Option<u32>,
    pub(crate) marker_before: Option<u32>,
}

/// What one stream holds and asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    held: PerKind<Held>,
    /// Whether a route configuration is held whose hosts are loaded on demand.
    loads_hosts: bool,
    /// Whether references went away in the response that is being read.
    lost: bool,
    /// New names that were referred to in it.
    found: PerKind<Vec<NameId>>,
    /// What the response that is being read contains; on SotW all else is gone.
    contained: Vec<NameId>,
}

/// Messages that are ready for the wire.
pub(crate) type Requests = Vec<[Bytes; 3]>;

impl State {
    /// The first requests of a connection: what the stream holds already is said.
    pub(crate) fn connect(&mut self, catalog: &Catalog, node: &[u8]) -> Requests {
        // What a broken connection has begun to say is void.
        (self.lost, self.found, self.contained) = Default::default();
        self.held[Kind::Cluster as usize].subscribed = true;
        for kind in [Kind::Endpoint, Kind::Route] {
            // The response that named them may have broken off.
            let held = &mut self.held[kind as usize];
            held.subscribed |= held.slots.iter().any(|slot| *slot != Slot::EMPTY);
        }
        self.held[Kind::Listener as usize].subscribed |= self.is_warm();
        self.held[Kind::VirtualHost as usize].subscribed |= self.loads_hosts;
        let mut node = Some(node);
        let mut requests = Vec::new();
        for kind in Kind::ALL {
            let held = &mut self.held[kind as usize];
            if !held.subscribed {
                continue;
            }
            held.nonce.clear();
            let names = if kind.is_wildcard() { Vec::new() } else { held.wanted() };
            let versions = match catalog.protocol() {
                // A first response that broke off does not count: nobody would say that it is over.
                Protocol::Delta if held.seen || !kind.is_wildcard() => {
                    catalog.versions_field(kind, &held.records().collect::<Vec<_>>())
                }
                Protocol::Delta | Protocol::Sotw => Bytes::new(),
            };
            let mut head = self.head(kind, catalog);
            head.extend_from_slice(node.take().unwrap_or_default());
            requests.push(message(&head, catalog.names_field(kind, &names), versions));
        }
        requests
    }

    /// The requests that a connection opens with, once it has everything.
    pub(crate) fn subscriptions(&self) -> u64 {
        self.held.iter().filter(|held| held.subscribed).count() as u64
    }

    /// What differs from stream to stream in a request.
    fn head(&self, kind: Kind, catalog: &Catalog) -> Vec<u8> {
        let held = &self.held[kind as usize];
        let type_url = kind.type_url().to_owned();
        match catalog.protocol() {
            Protocol::Delta => {
                DeltaDiscoveryRequest { type_url, ..Default::default() }.encode_to_vec()
            }
            Protocol::Sotw => DiscoveryRequest {
                type_url,
                version_info: held.version.clone(),
                response_nonce: held.nonce.clone(),
                ..Default::default()
            }
            .encode_to_vec(),
        }
    }

    /// Whether the stream has just this already.
    pub(crate) fn holds(&self, record: &Record) -> bool {
        self.held[record.kind as usize].get(record.name) == Slot::of(record.id)
    }

    /// Takes a resource of a response that is not over yet.
    pub(crate) fn take(&mut self, record: &Record, inner: &Inner) -> Option<Taken> {
        let Record { id, kind, name, marker, .. } = *record;
        let slot = Slot::of(id);
        self.contained.push(name);
        let held = &mut self.held[kind as usize];
        // What was not asked for, or not any more, is nothing to Envoy.
        if !kind.is_wildcard() && held.get(name) == Slot::EMPTY {
            return None;
        }
        let before = held.set(name, slot);
        if before == slot {
            return Some(Taken { kind, marker: None, marker_before: None });
        }
        self.loads_hosts |= record.loads_hosts;
        for (kind, name) in &record.references {
            let held = &mut self.held[*kind as usize];
            if held.get(*name) == Slot::EMPTY {
                held.set(*name, Slot::AWAITED);
                self.found[*kind as usize].push(*name);
            }
        }
        // Whether references went away is looked up at the end, and seldom.
        self.lost |= before.record().is_some() && kind.is_wildcard();
        let marker_before = match (marker, before.record()) {
            (Some(_), Some(before)) => inner.record(before).marker,
            _ => None,
        };
        Some(Taken { kind, marker, marker_before })
    }

    /// The response is over: what to answer and to ask. `None` for types that are not followed.
    pub(crate) fn end(&mut self, head: &Head, catalog: &Catalog) -> (Option<Kind>, Requests) {
        let Some(kind) = Kind::of(&head.type_url) else {
            return (None, Vec::new());
        };
        self.remove(kind, head, catalog);
        let held = &mut self.held[kind as usize];
        held.seen = true;
        if catalog.protocol() == Protocol::Sotw {
            held.version.clone_from(&head.version);
            held.nonce.clone_from(&head.nonce);
        }
        let dropped = match std::mem::take(&mut self.lost) {
            true => self.drop_unreferenced(catalog),
            false => Default::default(),
        };
        let mut requests = vec![self.acknowledge(kind, head, catalog)];
        for (other, dropped) in Kind::ALL.into_iter().zip(dropped) {
            let found = std::mem::take(&mut self.found[other as usize]);
            let is_first = !self.held[other as usize].subscribed && self.is_due(other);
            if found.is_empty() && dropped.is_empty() && !is_first {
                continue;
            }
            self.held[other as usize].subscribed = true;
            requests.push(self.subscribe(other, &found, &dropped, catalog));
        }
        (Some(kind), requests)
    }

    /// Whether it is time to ask for all of a type: Envoy does so for listeners when its clusters are
    /// warm.
    fn is_due(&self, kind: Kind) -> bool {
        match kind {
            Kind::Listener => self.is_warm(),
            Kind::VirtualHost => self.loads_hosts,
            Kind::Cluster | Kind::Endpoint | Kind::Route => false,
        }
    }

    /// Whether all clusters have their endpoints.
    fn is_warm(&self) -> bool {
        let clusters = &self.held[Kind::Cluster as usize];
        clusters.seen && self.held[Kind::Endpoint as usize].awaited == 0
    }

    fn remove(&mut self, kind: Kind, head: &Head, catalog: &Catalog) {
        let contained = std::mem::take(&mut self.contained);
        let mut gone: Vec<NameId> = Vec::new();
        match catalog.protocol() {
            Protocol::Delta if head.removed.is_empty() => (),
            Protocol::Delta => {
                let inner = catalog.read();
                gone.extend(head.removed.iter().filter_map(|name| inner.name_id(kind, name)));
            }
            Protocol::Sotw => {
                if kind.is_wildcard() {
                    let contained: BTreeSet<NameId> = contained.into_iter().collect();
                    gone.extend(self.held[kind as usize].wanted());
                    gone.retain(|name| !contained.contains(name));
                }
            }
        }
        let held = &mut self.held[kind as usize];
        for name in gone {
            let is_known = held.get(name) != Slot::EMPTY;
            if is_known {
                held.set(name, if kind.is_wildcard() { Slot::EMPTY } else { Slot::ABSENT });
                self.lost |= kind.is_wildcard();
            }
        }
    }

    /// Forgets what nothing refers to any more.
    fn drop_unreferenced(&mut self, catalog: &Catalog) -> PerKind<Vec<NameId>> {
        let inner = catalog.read();
        let mut wanted: PerKind<BTreeSet<NameId>> = Default::default();
        for kind in [Kind::Cluster, Kind::Listener] {
            for record in self.held[kind as usize].records() {
                for (kind, name) in &inner.record(record).references {
                    wanted[*kind as usize].insert(*name);
                }
            }
        }
        let mut dropped: PerKind<Vec<NameId>> = Default::default();
        for kind in [Kind::Endpoint, Kind::Route] {
            let held = &mut self.held[kind as usize];
            for name in held.wanted() {
                if !wanted[kind as usize].contains(&name) {
                    held.set(name, Slot::EMPTY);
                    self.found[kind as usize].retain(|found| *found != name);
                    dropped[kind as usize].push(name);
                }
            }
        }
        dropped
    }

    fn acknowledge(&self, kind: Kind, head: &Head, catalog: &Catalog) -> [Bytes; 3] {
        match catalog.protocol() {
            Protocol::Delta => {
                let request = DeltaDiscoveryRequest {
                    type_url: head.type_url.clone(),
                    response_nonce: head.nonce.clone(),
                    ..Default::default()
                };
                message(&request.encode_to_vec(), Bytes::new(), Bytes::new())
            }
            Protocol::Sotw => self.repeat(kind, catalog),
        }
    }

    fn subscribe(
        &self,
        kind: Kind,
        found: &[NameId],
        dropped: &[NameId],
        catalog: &Catalog,
    ) -> [Bytes; 3] {
        match catalog.protocol() {
            Protocol::Delta => {
                let inner = catalog.read();
                let names = dropped.iter().map(|name| inner.name(kind, *name).to_owned());
                let request = DeltaDiscoveryRequest {
                    type_url: kind.type_url().to_owned(),
                    resource_names_unsubscribe: names.collect(),
                    ..Default::default()
                };
                drop(inner);
                message(&request.encode_to_vec(), catalog.names_field(kind, found), Bytes::new())
            }
            Protocol::Sotw => self.repeat(kind, catalog),
        }
    }

    /// SotW: the one request, which says everything.
    fn repeat(&self, kind: Kind, catalog: &Catalog) -> [Bytes; 3] {
        let wanted =
            if kind.is_wildcard() { Vec::new() } else { self.held[kind as usize].wanted() };
        let head = self.head(kind, catalog);
        message(&head, catalog.names_field(kind, &wanted), Bytes::new())
    }

    /// Whether everything has come that was asked for.
    pub(crate) fn is_synced(&self) -> bool {
        Kind::ALL.into_iter().all(|kind| {
            let held = &self.held[kind as usize];
            match kind {
                Kind::Cluster | Kind::Listener => held.seen,
                Kind::Endpoint | Kind::Route => held.awaited == 0,
                Kind::VirtualHost => held.seen || !self.loads_hosts,
            }
        })
    }

    /// What is held of a type, as a number that is equal for equal contents.
    pub(crate) fn fingerprint(&self, kind: Kind) -> u64 {
        self.held[kind as usize].fingerprint
    }
}

/// A gRPC message of three chunks, of which the last two may be shared.
fn message(head: &[u8], names: Bytes, versions: Bytes) -> [Bytes; 3] {
    let len = head.len() + names.len() + versions.len();
    let mut out = BytesMut::with_capacity(5 + head.len());
    out.put_u8(0);
    out.put_u32(u32::try_from(len).unwrap_or(u32::MAX));
    out.put_slice(head);
    [out.freeze(), names, versions]
}
