//! Serves ADS streams: the proxy's requests and the engine's letters go into a [`StreamState`],
//! and what it decides goes out while there is room.

mod ability;
mod belief;
mod metrics;
mod part;
mod registry;
mod secrets;
mod standing;
mod trust;
mod turn;
mod waits;

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use envoy::config::core::v3::Node;
use model::{Hostname, Locality, Proxy, WorkloadKey};
use prost_types::{Struct, Value, value::Kind as ValueKind};
use serde_json::Map;
use tokio::sync::mpsc;
use xds::{AdsService, AdsStream, Code, PeerInfo, Protocol, Request, Response, Status};

use self::{
    belief::Belief,
    metrics::Stopwatch,
    part::Parts,
    registry::Query,
    secrets::StreamSecrets,
    standing::Watchers,
    turn::{Turn, Turns},
    waits::Waits,
};
pub use self::{
    metrics::StreamMetrics,
    registry::{ProxyDump, ResourceDump, StreamRegistry},
    standing::{HeldBack, Refusal, Standing, Waiting, Watch},
    trust::HeldIdentity,
};
use crate::{
    Access, EngineHandle, FacetView, Learner, ResourceKind, Sent,
    engine::{Letter, Mailbox},
    facet::unknown_route,
    own::{OwnSecrets, is_own},
    state::{Outgoing, StreamState, quotable},
};

/// How long a proxy that came back is given to say what it holds. Envoy does so at once.
const RESUMPTION: Duration = Duration::from_secs(2);

/// Answers ADS streams from the engine's facets.
#[derive(Clone)]
pub struct PushService {
    engine: EngineHandle,
    access: Access,
    own: Option<OwnSecrets>,
    registry: StreamRegistry,
    metrics: StreamMetrics,
    turns: Turns,
    learner: Option<Arc<dyn Learner>>,
}

impl PushService {
    /// Serves clients on this machine alone, none of which has an identity.
    pub fn new(engine: EngineHandle) -> Self {
        let (registry, metrics) = (StreamRegistry::default(), StreamMetrics::default());
        let turns = Turns::default();
        let (access, own, learner) = (Access::default(), None, None);
        Self { engine, access, own, registry, metrics, turns, learner }
    }

    /// Tells somebody what workloads call.
    #[must_use]
    pub fn with_learner(self, learner: Arc<dyn Learner>) -> Self {
        Self { learner: Some(learner), ..self }
    }

    /// Serves whom `access` admits, as what they have proven.
    #[must_use]
    pub fn with_access(self, access: Access) -> Self {
        let own = access.issuer.clone().map(OwnSecrets::new);
        Self { access, own, ..self }
    }

    /// What the streams count.
    pub fn metrics(&self) -> &StreamMetrics {
        &self.metrics
    }

    /// The connected proxies, for status.
    pub fn registry(&self) -> &StreamRegistry {
        &self.registry
    }

    async fn run(&self, stream: &mut AdsStream) -> Status {
        let authenticator = self.access.authenticator.as_ref();
        // What changes from here on is noticed.
        let belief = authenticator.map(|it| Belief::new(it.clone(), stream.id));
        let caller = match self.access.admit(&stream.peer).await {
            Ok(caller) => caller,
            Err(status) => {
                let address = stream.peer.address;
                tracing::warn!(%address, reason = %status.message, "Stream refused");
                return status;
            }
        };
        let first = match stream.requests.next().await {
            None => return Status::OK,
            Some(Err(error)) => return error.status(),
            Some(Ok(request)) => request,
        };
        let proxy = match parse_node(&first, stream.protocol) {
            Ok(proxy) => Arc::new(proxy),
            Err(message) => return Status::new(Code::InvalidArgument, message),
        };
        let ending = || Status::new(Code::Unavailable, "the control plane is shutting down");
        let Some(mesh) = self.engine.mesh().await else { return ending() };
        if let Err(status) = caller.may_be(&proxy, &mesh) {
            tracing::warn!(proxy = %proxy.id, reason = %status.message, "Stream refused");
            return status;
        }
        if let Some(learner) = &self.learner {
            learner.met(&proxy);
        }
        let Some(mailbox) = self.engine.connect(stream.id, proxy.clone()).await else {
            return ending();
        };
        let views = mailbox.take().await.views;
        let own = proxy.addresses.clone();
        let parcels = self.engine.parcels().clone();
        let state = StreamState::new(stream.protocol, own, views.clone(), unknown_route, parcels);
        let queries = self.registry.add(stream.id, proxy.clone(), stream.protocol);
        let identity = caller.proof.as_ref().map(|proof| proof.identity.to_string());
        let identity = identity.as_deref().unwrap_or("-");
        tracing::info!(proxy = %proxy.id, protocol = %stream.protocol, identity, "Proxy connected");
        let belief = belief.zip(caller.proof.clone()).map(|(belief, proof)| belief.in_proof(proof));
        let secrets = StreamSecrets::new(stream.id, caller, self.own.clone());
        let status = Conversation {
            stream,
            state,
            views,
            secrets,
            belief,
            engine: &self.engine,
            mailbox: &mailbox,
            queries,
            watchers: Watchers::default(),
            metrics: &self.metrics,
            stopwatch: Stopwatch::default(),
            turns: &self.turns,
            turn: Turn::default(),
            parts: Parts::default(),
            waits: Waits::default(),
            learner: self.learner.as_deref(),
            proxy: proxy.clone(),
        }
        .run(first)
        .await;
        tracing::info!(proxy = %proxy.id, "Proxy disconnected");
        status
    }
}

impl AdsService for PushService {
    async fn serve(&self, mut stream: AdsStream) -> Status {
        let id = stream.id;
        let status = self.run(&mut stream).await;
        self.registry.remove(id);
        self.engine.disconnect(id).await;
        status
    }
}

struct Conversation<'a> {
    stream: &'a mut AdsStream,
    state: StreamState,
    /// The engine's.
    views: Vec<Arc<FacetView>>,
    secrets: StreamSecrets,
    /// In what the stream has proven, if anything.
    belief: Option<Belief>,
    engine: &'a EngineHandle,
    mailbox: &'a Mailbox,
    queries: mpsc::Receiver<Query>,
    watchers: Watchers,
    metrics: &'a StreamMetrics,
    stopwatch: Stopwatch,
    turns: &'a Turns,
    turn: Turn,
    parts: Parts,
    waits: Waits,
    learner: Option<&'a dyn Learner>,
    proxy: Arc<Proxy>,
}

impl Conversation<'_> {
    async fn run(mut self, first: Request) -> Status {
        self.on_request(&first).await;
        let proof = self.secrets.caller().proof.as_ref();
        let expiry = expiry(proof.map(|proof| proof.expires));
        tokio::pin!(expiry);
        let resumption = tokio::time::sleep(RESUMPTION);
        tokio::pin!(resumption);
        loop {
            if let Err(xds::Closed) = self.send_what_fits() {
                return Status::OK;
            }
            let full = !self.stream.responses.has_capacity();
            self.parts.look(&self.state, !full);
            if self.state.has_started() {
                self.turn.end();
            }
            self.watchers.look(&self.state);
            self.stopwatch.look(self.metrics, self.engine.log(), &self.state);
            tokio::select! {
                request = self.stream.requests.next() => match request {
                    None => return Status::OK,
                    Some(Err(error)) => return error.status(),
                    Some(Ok(request)) => self.on_request(&request).await,
                },
                turn = self.turn.changed() => if let Err(status) = turn {
                    tracing::warn!(proxy = %self.proxy.id, reason = %status.message, "Stream ended");
                    return status;
                },
                letter = self.mailbox.take() => self.on_letter(letter).await,
                () = self.secrets.renewed() => self.on_renewal(),
                Some(query) = self.queries.recv() => {
                    // What the engine has said counts as known.
                    if let Some(letter) = self.mailbox.try_take() {
                        self.on_letter(letter).await;
                    }
                    let caller = self.secrets.caller();
                    query.answer(&self.proxy, caller, &self.state, &mut self.watchers);
                }
                permit = self.stream.responses.reserve(), if full => {
                    if permit.is_err() {
                        return Status::OK;
                    }
                }
                () = &mut resumption, if self.state.is_resuming() => self.state.end_resumption(),
                () = &mut expiry => {
                    let why = "what proved the identity of the stream has expired: come back";
                    return Status::new(Code::Unauthenticated, why);
                }
                status = lost(&mut self.belief, &self.stream.peer) => {
                    tracing::warn!(proxy = %self.proxy.id, reason = %status.message, "Stream ended");
                    return status;
                }
                () = self.stream.shutdown.cancelled() => {
                    return Status::new(Code::Unavailable, "the control plane is shutting down");
                }
            }
        }
    }

    async fn on_request(&mut self, request: &Request) {
        let asked = self.secrets.on_request(request);
        // What is asked for is there before it is answered: otherwise it would not exist at first.
        if asked.own {
            self.secrets.lease().await;
            self.on_renewal();
        }
        if asked.kubernetes {
            self.grant_secrets().await;
        }
        self.state.on_request(request);
        self.ask().await;
        if let Some((type_url, message)) = refusal(request) {
            self.metrics.refused(type_url);
            let message = quotable(type_url, message);
            tracing::warn!(proxy = %self.proxy.id, type_url, message, "Proxy refused a response");
        }
    }

    async fn on_letter(&mut self, letter: Letter) {
        self.take_letter(letter);
        self.learn(self.engine.late_calls().take());
        // What was asked for too early may be named by now.
        if self.secrets.is_denied() {
            self.grant_secrets().await;
        }
        self.state.ask_again();
        self.ask().await;
    }

    /// Has what the proxy asks answered: a request waits in it.
    async fn ask(&mut self) {
        self.engine.counters().dropped.add(self.state.take_dropped());
        let questions = self.state.take_questions();
        if questions.is_empty() {
            return;
        }
        self.waits.asked(Instant::now());
        let called = self.engine.ask(self.stream.id, questions).await;
        self.learn(called);
        if let Some(letter) = self.mailbox.try_take() {
            self.take_letter(letter);
        }
    }

    fn learn(&self, called: Vec<(WorkloadKey, Hostname)>) {
        for (workload, host) in called {
            if let Some(learner) = self.learner {
                learner.called(&workload, &host);
            }
        }
    }

    async fn grant_secrets(&mut self) {
        if self.secrets.grant(&self.views, self.engine).await
            && let Some(letter) = self.mailbox.try_take()
        {
            self.take_letter(letter);
        }
    }

    /// The secrets of the stream's own identity are others.
    fn on_renewal(&mut self) {
        let own = self.secrets.view();
        let names = own.table(ResourceKind::Secret).keys().filter(|name| is_own(name));
        let changed = names.map(|name| (ResourceKind::Secret, name.clone())).collect();
        let changed = [Arc::new(changed)];
        let views = self.views.iter().cloned().chain([own]).collect();
        self.state.update(views, Some(&changed));
    }

    fn take_letter(&mut self, letter: Letter) {
        self.stopwatch.told(self.metrics, self.engine.log(), &letter.revisions);
        self.views = letter.views;
        self.parts.take(letter.tickets);
        let own = self.secrets.view();
        let views = self.views.iter().cloned().chain([own]).collect();
        self.state.update(views, letter.changed.as_deref());
        for (question, resource) in letter.found {
            self.waits.found(&question);
            self.state.on_found(question, &resource);
        }
    }

    fn send_what_fits(&mut self) -> Result<(), xds::Closed> {
        while let Some(permit) = self.stream.responses.try_reserve()? {
            let state = &self.state;
            if state.is_starting() && !self.turn.take(self.turns, || state.start_size()) {
                return Ok(());
            }
            let begun = Instant::now();
            let Some(outgoing) = self.state.next_response() else { return Ok(()) };
            let response = response(&outgoing, self.stream.protocol);
            let bytes = response.chunks.iter().map(Bytes::len).sum();
            let decided = Instant::now();
            permit.send(response);
            self.metrics.sent(&outgoing, bytes, [begun, decided]);
            if outgoing.kind == ResourceKind::VirtualHost {
                self.waits.sent(&self.state, self.metrics);
            }
            let resources = outgoing.resources.len();
            let sent = Sent { responses: 1, resources, bytes };
            self.stopwatch.sent(self.engine.log(), outgoing.kind, sent);
        }
        Ok(())
    }
}

/// Ends when a proof is believed no more, with what the client is told.
async fn lost(belief: &mut Option<Belief>, peer: &PeerInfo) -> Status {
    match belief {
        Some(belief) => belief.lost(peer).await,
        None => std::future::pending().await,
    }
}

/// Ends when a proof does.
async fn expiry(at: Option<SystemTime>) {
    match at {
        Some(at) => {
            let left = at.duration_since(SystemTime::now()).unwrap_or_default();
            tokio::time::sleep(left).await;
        }
        None => std::future::pending().await,
    }
}

fn response(outgoing: &Outgoing, protocol: Protocol) -> Response<'_> {
    Response {
        type_url: outgoing.kind.type_url(),
        nonce: outgoing.nonce,
        version: &outgoing.version,
        chunks: outgoing.resources.chunks(protocol),
        removed: outgoing.removed.clone(),
    }
}

fn refusal(request: &Request) -> Option<(&str, &str)> {
    match request {
        Request::Delta(it) => Some((&it.type_url, &it.error_detail.as_ref()?.message)),
        Request::Sotw(it) => Some((&it.type_url, &it.error_detail.as_ref()?.message)),
    }
}

fn parse_node(request: &Request, protocol: Protocol) -> Result<Proxy, String> {
    let node: Option<&Node> = match request {
        Request::Delta(request) => request.node.as_ref(),
        Request::Sotw(request) => request.node.as_ref(),
    };
    let node = node.ok_or("the first request of a stream must carry its node")?;
    let loads_on_demand = ability::loads_on_demand(node, protocol);
    let retries_elsewhere = ability::retries_elsewhere(node);
    Ok(Proxy { loads_on_demand, retries_elsewhere, ..proxy_of(node)? })
}

/// The proxy that introduces itself so.
pub fn proxy_of(node: &Node) -> Result<Proxy, String> {
    let locality = node.locality.as_ref().map(|it| Locality {
        region: it.region.as_str().into(),
        zone: it.zone.as_str().into(),
        subzone: it.sub_zone.as_str().into(),
    });
    let metadata = node.metadata.as_ref().map(json_map).unwrap_or_default();
    Proxy::parse(&node.id, metadata, locality.unwrap_or_default()).map_err(|it| it.to_string())
}

fn json_map(fields: &Struct) -> Map<String, serde_json::Value> {
    fields.fields.iter().map(|(key, value)| (key.clone(), json_value(value))).collect()
}

fn json_value(value: &Value) -> serde_json::Value {
    match &value.kind {
        None | Some(ValueKind::NullValue(_)) => serde_json::Value::Null,
        Some(ValueKind::NumberValue(number)) => (*number).into(),
        Some(ValueKind::StringValue(text)) => text.as_str().into(),
        Some(ValueKind::BoolValue(flag)) => (*flag).into(),
        Some(ValueKind::StructValue(fields)) => json_map(fields).into(),
        Some(ValueKind::ListValue(list)) => list.values.iter().map(json_value).collect(),
    }
}
