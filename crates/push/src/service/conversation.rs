//! One stream: whatever it waits for, and what happens then.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use model::{Hostname, Proxy, WorkloadKey};
use tokio::sync::mpsc;
use xds::{AdsStream, Code, PeerInfo, Protocol, Request, Response, Status};

use super::{
    belief::Belief,
    metrics::{Stopwatch, StreamMetrics},
    part::Parts,
    patience::Patience,
    registry::Query,
    secrets::StreamSecrets,
    standing::Watchers,
    turn::{Turn, Turns},
    waits::Waits,
};
use crate::{
    EngineHandle, FacetView, Learner, ResourceKind, Sent,
    engine::{Letter, Mailbox},
    own::is_own,
    state::{Outgoing, StreamState, quotable},
};

/// How long a proxy that came back is given to say what it holds. Envoy does so at once.
const RESUMPTION: Duration = Duration::from_secs(2);

/// A stream from its first request on.
pub(super) struct Conversation<'a> {
    pub(super) stream: &'a mut AdsStream,
    pub(super) state: StreamState,
    /// The engine's.
    pub(super) views: Vec<Arc<FacetView>>,
    pub(super) secrets: StreamSecrets,
    /// In what the stream has proven, if anything.
    pub(super) belief: Option<Belief>,
    pub(super) engine: &'a EngineHandle,
    pub(super) mailbox: &'a Mailbox,
    pub(super) queries: mpsc::Receiver<Query>,
    pub(super) watchers: Watchers,
    pub(super) metrics: &'a StreamMetrics,
    pub(super) stopwatch: Stopwatch,
    pub(super) turns: &'a Turns,
    pub(super) turn: Turn,
    pub(super) parts: Parts,
    pub(super) waits: Waits,
    pub(super) patience: Patience,
    pub(super) learner: Option<&'a dyn Learner>,
    pub(super) proxy: Arc<Proxy>,
}

impl Conversation<'_> {
    pub(super) async fn run(mut self, first: Request) -> Status {
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
            self.patience.look(&self.state);
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
                nonce = self.patience.over() => {
                    self.patience = Patience::default();
                    self.state.set_aside(nonce);
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
        self.state.refuse_clusters();
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
