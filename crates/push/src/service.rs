//! Serves ADS streams: the proxy's requests and the engine's letters go into a [`StreamState`],
//! and what it decides goes out while there is room.

mod ability;
mod belief;
mod conversation;
mod metrics;
mod node;
mod part;
mod patience;
mod registry;
mod secrets;
mod standing;
mod trust;
mod turn;
mod waits;

use std::sync::Arc;

use xds::{AdsService, AdsStream, Code, Status};

use self::{
    belief::Belief,
    conversation::Conversation,
    metrics::Stopwatch,
    node::parse_node,
    part::Parts,
    patience::Patience,
    secrets::StreamSecrets,
    standing::Watchers,
    turn::{Turn, Turns},
    waits::Waits,
};
pub use self::{
    metrics::StreamMetrics,
    node::proxy_of,
    registry::{ProxyDump, ResourceDump, StreamRegistry},
    standing::{HeldBack, Refusal, Standing, Waiting, Watch},
    trust::HeldIdentity,
};
use crate::{
    Access, EngineHandle, Learner, facet::unknown_route, own::OwnSecrets, state::StreamState,
};

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
            patience: Patience::default(),
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
