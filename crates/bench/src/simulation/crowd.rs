//! Proxies that cost next to nothing: streams in the same state are one state.
//!
//! - What a response means to a state is worked out once, by the same rules as for the load over
//!   sockets (`client::state`); for every other stream it is looked up by where its bytes lie.
//! - A stream is a task with the number of its state.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
};

use anyhow::{Context, Result};
use bytes::{BufMut, Bytes, BytesMut};
use envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use prost::Message;
use xds::{Protocol, memory::MemoryClient};
use xxhash_rust::xxh3::Xxh3Default;

use crate::client::{Catalog, Kind, Part, PerKind, Requests, Splitter, State};

/// A state, counted from 0. The first one is that of a proxy that holds nothing.
pub(crate) type StateId = u32;
const NOTHING: StateId = 0;
/// gRPC's, before each message.
const PREFIX_LEN: usize = 5;

/// What a response means to a state.
#[derive(Debug)]
struct Transition {
    next: StateId,
    kind: Kind,
    /// What follows the acknowledgement.
    requests: Vec<Bytes>,
    resources: u64,
    /// Resources that the stream had already, just as they are.
    again: u64,
    bytes: u64,
    is_synced: bool,
    /// As long as these live, nothing else lies where they do.
    _chunks: Vec<Bytes>,
}

#[derive(Debug, Default)]
struct Book {
    states: Vec<State>,
    transitions: HashMap<(StateId, u128), Arc<Transition>>,
}

/// What all streams together were sent since the last reset.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    responses: PerKind<AtomicU64>,
    pub(crate) resources: AtomicU64,
    /// Resources that their stream had already.
    pub(crate) again: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

impl Counts {
    pub(crate) fn responses(&self, kind: Kind) -> u64 {
        self.responses[kind as usize].load(Ordering::Acquire)
    }

    pub(crate) fn all_responses(&self) -> u64 {
        Kind::ALL.into_iter().map(|kind| self.responses(kind)).sum()
    }

    pub(crate) fn reset(&self) {
        let Self { responses, resources, again, bytes } = self;
        for count in responses.iter().chain([resources, again, bytes]) {
            count.store(0, Ordering::Release);
        }
    }
}

/// All streams.
#[derive(Debug)]
pub(crate) struct Crowd {
    catalog: Catalog,
    book: RwLock<Book>,
    pub(crate) counts: Counts,
    /// Of each stream.
    states: Box<[AtomicU32]>,
    synced: AtomicUsize,
    /// Requests sent and responses received, ever.
    sent: AtomicU64,
    received: AtomicU64,
    /// Streams that the server has ended.
    ended: AtomicUsize,
}

impl Crowd {
    /// Room for so many streams.
    pub(crate) fn new(streams: usize) -> Self {
        Self {
            catalog: Catalog::new(Protocol::Delta),
            book: RwLock::new(Book { states: vec![State::default()], ..Book::default() }),
            counts: Counts::default(),
            states: (0..streams).map(|_| AtomicU32::new(NOTHING)).collect(),
            synced: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            ended: AtomicUsize::new(0),
        }
    }

    /// How many streams have everything that they have asked for.
    pub(crate) fn synced(&self) -> usize {
        self.synced.load(Ordering::Acquire)
    }

    /// Requests sent and responses received, ever.
    pub(crate) fn messages(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Acquire), self.received.load(Ordering::Acquire))
    }

    pub(crate) fn ended(&self) -> usize {
        self.ended.load(Ordering::Acquire)
    }

    /// How many different states and responses there were.
    pub(crate) fn distinct(&self) -> (usize, usize) {
        let book = self.book.read().unwrap_or_else(PoisonError::into_inner);
        (book.states.len(), book.transitions.len())
    }

    pub(crate) fn state_of(&self, stream: usize) -> StateId {
        self.states[stream].load(Ordering::Acquire)
    }

    /// What a stream holds: equal for equal contents.
    pub(crate) fn fingerprint(&self, stream: usize) -> PerKind<u64> {
        let book = self.book.read().unwrap_or_else(PoisonError::into_inner);
        let state = &book.states[self.state_of(stream) as usize];
        Kind::ALL.map(|kind| state.fingerprint(kind))
    }

    /// Is one stream until the server ends it. It says that it holds what is in `state`.
    pub(crate) async fn run(
        self: Arc<Self>,
        stream: usize,
        state: StateId,
        node: Vec<u8>,
        mut client: MemoryClient,
    ) {
        let mut state = state;
        self.states[stream].store(state, Ordering::Release);
        let (requests, mut is_synced) = self.connect(state, &node);
        drop(node);
        self.synced.fetch_add(usize::from(is_synced), Ordering::AcqRel);
        for request in requests {
            self.send(&client, request).await;
        }
        while let Ok(chunks) = client.next().await {
            self.received.fetch_add(1, Ordering::AcqRel);
            let Ok((acknowledgement, transition)) = self.receive(state, chunks) else { break };
            state = transition.next;
            self.states[stream].store(state, Ordering::Release);
            self.count(&transition);
            if transition.is_synced && !std::mem::replace(&mut is_synced, true) {
                self.synced.fetch_add(1, Ordering::AcqRel);
            }
            self.send(&client, acknowledgement).await;
            for request in &transition.requests {
                self.send(&client, request.clone()).await;
            }
        }
        self.ended.fetch_add(1, Ordering::AcqRel);
    }

    async fn send(&self, client: &MemoryClient, request: Bytes) {
        self.sent.fetch_add(1, Ordering::AcqRel);
        client.send(request).await;
    }

    /// The first requests, and whether nothing is missing before they are answered.
    fn connect(&self, state: StateId, node: &[u8]) -> (Vec<Bytes>, bool) {
        let mut state = {
            let book = self.book.read().unwrap_or_else(PoisonError::into_inner);
            book.states[state as usize].clone()
        };
        (join(state.connect(&self.catalog, node)), state.is_synced())
    }

    fn count(&self, transition: &Transition) {
        let Counts { responses, resources, again, bytes } = &self.counts;
        resources.fetch_add(transition.resources, Ordering::AcqRel);
        again.fetch_add(transition.again, Ordering::AcqRel);
        bytes.fetch_add(transition.bytes, Ordering::AcqRel);
        // Last, so that who has seen it finds the others.
        responses[transition.kind as usize].fetch_add(1, Ordering::AcqRel);
    }

    /// Gives what to answer at once, and what the response means.
    fn receive(&self, state: StateId, chunks: Vec<Bytes>) -> Result<(Bytes, Arc<Transition>)> {
        let head = chunks.first().and_then(|head| head.get(PREFIX_LEN..));
        let head = DeltaDiscoveryResponse::decode(head.context("a response without a head")?)?;
        let request = DeltaDiscoveryRequest {
            type_url: head.type_url.clone(),
            response_nonce: head.nonce.clone(),
            ..Default::default()
        };
        let acknowledgement = framed(&request);
        let key = (state, identity(&head, &chunks[1..]));
        let known = {
            let book = self.book.read().unwrap_or_else(PoisonError::into_inner);
            book.transitions.get(&key).cloned()
        };
        if let Some(known) = known {
            return Ok((acknowledgement, known));
        }
        let mut book = self.book.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = book.transitions.get(&key) {
            return Ok((acknowledgement, known.clone()));
        }
        let (state, mut transition) = self.work_out(&book.states[state as usize], chunks)?;
        transition.next = StateId::try_from(book.states.len())?;
        book.states.push(state);
        let transition = Arc::new(transition);
        book.transitions.insert(key, transition.clone());
        Ok((acknowledgement, transition))
    }

    fn work_out(&self, before: &State, chunks: Vec<Bytes>) -> Result<(State, Transition)> {
        let mut state = before.clone();
        let (mut resources, mut again) = (0, 0);
        let mut ends = Vec::new();
        let mut splitter = Splitter::default();
        for chunk in &chunks {
            splitter.push(chunk, |part| match part {
                Part::Resource(bytes) => {
                    resources += 1;
                    self.catalog.with(bytes, |inner, record| {
                        again += u64::from(state.holds(record));
                        state.take(record, inner);
                    });
                }
                Part::End(head) => ends.push(head),
            })?;
        }
        let head = ends.pop().context("a response that does not end")?;
        let (kind, requests) = state.end(&head, &self.catalog);
        let transition = Transition {
            next: NOTHING,
            kind: kind.context("a response of a type that nobody has asked for")?,
            // The first one is the acknowledgement, with the nonce of this stream.
            requests: join(requests).split_off(1),
            resources,
            again,
            bytes: chunks.iter().map(|chunk| chunk.len() as u64).sum(),
            is_synced: state.is_synced(),
            _chunks: chunks,
        };
        Ok((state, transition))
    }
}

/// A number for the content of a response, by where its resources lie.
fn identity(head: &DeltaDiscoveryResponse, chunks: &[Bytes]) -> u128 {
    let mut hash = Xxh3Default::new();
    hash.update(head.type_url.as_bytes());
    for name in &head.removed_resources {
        hash.update(&name.len().to_le_bytes());
        hash.update(name.as_bytes());
    }
    for chunk in chunks {
        hash.update(&chunk.as_ptr().addr().to_le_bytes());
        hash.update(&chunk.len().to_le_bytes());
    }
    hash.digest128()
}

fn framed(request: &DeltaDiscoveryRequest) -> Bytes {
    let mut message = BytesMut::with_capacity(PREFIX_LEN + request.encoded_len());
    message.put_u8(0);
    message.put_u32(u32::try_from(request.encoded_len()).unwrap_or(u32::MAX));
    message.extend_from_slice(&request.encode_to_vec());
    message.freeze()
}

fn join(requests: Requests) -> Vec<Bytes> {
    requests.into_iter().map(|parts| parts.concat().into()).collect()
}
