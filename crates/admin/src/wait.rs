//! `GET /api/wait`: is the content of the directories, as it is now, live in every proxy?
//!
//! The answer is a line of JSON whenever there is something to say, and a last one. Nobody polls:
//! each step waits for the event that ends it.
//! 1. The directories are looked at, and the writer has published what came of it.
//! 2. The engine has told every stream.
//! 3. Every proxy has acknowledged it, or one has refused something, or the time is over.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Extension,
    body::Body,
    extract::{Query, State},
    response::{IntoResponse, Response},
};
use model::{FenceTarget, Proxy};
use push::{Standing, Waiting, Watch};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;

use crate::{
    ApiError, ErrorBody, Finding, Reason, Shared, finding,
    lines::{LineSender, lines},
    proxies::{held_back_text, kind_name, proxy_name},
};

/// Longer than this nobody waits.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// How often those who wait are told why.
const TOLD_EVERY: Duration = Duration::from_secs(2);

/// How often the number of live proxies is told while it changes.
const COUNTED_EVERY: Duration = Duration::from_millis(200);

/// How long a proxy that went away may take to come back, and how often that is looked for.
const RETURN_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// More proxies than this are not listed one by one.
const MOST_LISTED: usize = 1000;

/// What is asked.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct WaitQuery {
    /// Milliseconds until the answer is "not yet".
    pub timeout: u64,
    /// How many percent of the proxies must have acknowledged, if others go away.
    pub quorum: u8,
}

impl Default for WaitQuery {
    fn default() -> Self {
        Self { timeout: 60_000, quorum: 100 }
    }
}

/// One line of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum WaitEvent {
    /// What is in the directories is the mesh of this revision, but for what is wrong with it.
    Taken { revision: u64, findings: Vec<Finding> },
    /// So many of the proxies are live.
    Progress {
        live: usize,
        total: usize,
        /// Names that wait, by type, over all proxies.
        pending: BTreeMap<String, usize>,
        /// Why some wait for what does not come by itself.
        held_back: Vec<String>,
    },
    /// The end.
    End(WaitReport),
}

/// How it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WaitReport {
    pub outcome: WaitOutcome,
    pub revision: u64,
    /// Why the directories could not be looked at in time; mostly empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub problem: String,
    /// Proxies that were connected at the start.
    pub total: usize,
    pub live: usize,
    pub waiting: Vec<WaitingProxy>,
    pub refused: Vec<RefusedResource>,
    /// Proxies that went away and did not come back.
    pub lost: Vec<String>,
    pub milliseconds: u64,
}

/// The ends that a wait can have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WaitOutcome {
    Live,
    #[default]
    TimedOut,
    Refused,
    Lost,
}

/// A proxy that has not acknowledged everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WaitingProxy {
    pub proxy: String,
    pub pending: BTreeMap<String, usize>,
    pub held_back: Vec<String>,
}

/// A refused resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RefusedResource {
    pub proxy: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub name: String,
    /// Envoy's words.
    pub message: String,
}

pub(crate) async fn wait(
    State(admin): State<Shared>,
    Extension(shutdown): Extension<CancellationToken>,
    Query(query): Query<WaitQuery>,
) -> Result<Response, ApiError> {
    if !(1..=100).contains(&query.quorum) {
        let message = format!("a quorum of {} percent makes no sense", query.quorum);
        return Err(ApiError::new(Reason::BadRequest, message).hint("say a number from 1 to 100"));
    }
    let (sender, body) = lines();
    let begun = Instant::now();
    let deadline = begun + Duration::from_millis(query.timeout).min(LONGEST);
    tokio::spawn(async move {
        let (quorum, whom) = (query.quorum.into(), None);
        let waiting = Wait { admin, begun, deadline, quorum, whom, out: sender };
        // An error says that nobody listens any more.
        tokio::select! {
            _ = waiting.run() => (),
            // The process must not go on for as long as somebody waits.
            () = shutdown.cancelled() => {
                let _ = waiting.out.send(&ErrorBody { error: ApiError::ending() }).await;
            }
        }
    });
    let kind = [(axum::http::header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::new(body)).into_response())
}

/// Waits for proxies, and says how far they are.
pub(crate) struct Wait {
    pub(crate) admin: Shared,
    pub(crate) begun: Instant,
    pub(crate) deadline: Instant,
    /// Percent.
    pub(crate) quorum: usize,
    /// Whose proxies; all if nobody is named.
    pub(crate) whom: Option<FenceTarget>,
    pub(crate) out: LineSender,
}

/// Who listens is gone.
pub(crate) type Gone = mpsc::error::SendError<bytes::Bytes>;
type Heard = Result<(), Gone>;

/// The proxies as far as they are known.
#[derive(Default)]
struct Tally {
    open: JoinSet<(u64, Arc<Proxy>, Option<Standing>)>,
    total: usize,
    live: usize,
    lost: Vec<Arc<Proxy>>,
}

impl Wait {
    async fn run(&self) -> Heard {
        let Ok(taken) = time::timeout_at(self.deadline, self.admin.directory.rescan()).await else {
            let problem = self.problem();
            return self.end(WaitReport { problem, ..WaitReport::default() }).await;
        };
        let Some(revision) = taken else {
            return self.out.send(&ErrorBody { error: ApiError::ending() }).await;
        };
        let findings = finding::current(&self.admin.statuses);
        self.out.send(&WaitEvent::Taken { revision, findings }).await?;
        let report = self.until_live(revision).await?;
        self.end(report).await
    }

    /// Until every proxy has acknowledged the mesh of this revision, or it is clear that it will not.
    pub(crate) async fn until_live(&self, revision: u64) -> Result<WaitReport, Gone> {
        let mut report = WaitReport { revision, ..WaitReport::default() };
        let engine = &self.admin.engine;
        if time::timeout_at(self.deadline, engine.settled(revision)).await.is_err() {
            return Ok(report);
        }
        let mut tally = Tally::default();
        for watch in self.watch().await {
            tally.total += 1;
            tally.follow(watch);
        }
        let refused = self.follow(&mut tally).await?;
        (report.total, report.live) = (tally.total, tally.live);
        report.lost = tally.lost.iter().map(|proxy| proxy_name(proxy)).collect();
        report.refused = refused;
        let is_enough = self.is_enough(&tally);
        report.outcome = match (report.refused.is_empty(), tally.open.is_empty(), is_enough) {
            (false, _, _) => WaitOutcome::Refused,
            (true, false, _) => WaitOutcome::TimedOut,
            (true, true, true) => WaitOutcome::Live,
            (true, true, false) => WaitOutcome::Lost,
        };
        if report.outcome != WaitOutcome::Live {
            report.waiting = self.waiting().await;
        }
        Ok(report)
    }

    fn concerns(&self, proxy: &Proxy) -> bool {
        self.whom.as_ref().is_none_or(|whom| whom.concerns(&proxy.workload()))
    }

    async fn watch(&self) -> Vec<Watch> {
        let mut watches = self.admin.streams.watch().await;
        watches.retain(|watch| self.concerns(&watch.proxy));
        watches
    }

    async fn standings(&self) -> BTreeMap<u64, (Arc<Proxy>, Standing)> {
        let mut standings = self.admin.streams.standings().await;
        standings.retain(|_, (proxy, _)| self.concerns(proxy));
        standings
    }

    /// Until every proxy is live or gone, or one has refused something, or the time is over.
    async fn follow(&self, tally: &mut Tally) -> Result<Vec<RefusedResource>, Gone> {
        let mut tick = time::interval_at(Instant::now() + TOLD_EVERY, TOLD_EVERY);
        self.progress(tally, false).await?;
        let mut told = Instant::now();
        let mut given_up = None;
        while !tally.open.is_empty() || !tally.lost.is_empty() {
            let look = Instant::now() + LOOK_EVERY;
            tokio::select! {
                Some(ended) = tally.open.join_next() => {
                    let Ok((stream, proxy, standing)) = ended else { continue };
                    match standing {
                        Some(Standing::Refused(list)) => {
                            return Ok(self.refusals(stream, &proxy, list).await);
                        }
                        Some(Standing::Live | Standing::Waiting(_)) => tally.live += 1,
                        None => tally.lost.push(proxy),
                    }
                    if told.elapsed() >= COUNTED_EVERY {
                        told = Instant::now();
                        self.progress(tally, false).await?;
                    }
                }
                () = time::sleep_until(look), if !tally.lost.is_empty() => {
                    self.look_for_lost(tally).await;
                    if tally.lost.is_empty() || !tally.open.is_empty() {
                        given_up = None;
                        continue;
                    }
                    let now = Instant::now();
                    if self.is_enough(tally) || now > *given_up.get_or_insert(now + RETURN_WITHIN) {
                        break;
                    }
                }
                _ = tick.tick() => self.progress(tally, true).await?,
                () = time::sleep_until(self.deadline) => break,
            }
        }
        Ok(Vec::new())
    }

    /// What sources that have not been read say about it.
    fn problem(&self) -> String {
        let statuses = self.admin.statuses.load();
        let errors = statuses.values().filter_map(|status| status.last_error.as_ref());
        errors.map(|error| error.message.as_str()).collect::<Vec<_>>().join("; ")
    }

    fn is_enough(&self, tally: &Tally) -> bool {
        tally.live * 100 >= tally.total * self.quorum
    }

    /// Proxies that went away may have come back on another stream.
    async fn look_for_lost(&self, tally: &mut Tally) {
        for watch in self.watch().await {
            let own = tally.lost.iter().position(|proxy| proxy.id == watch.proxy.id);
            if let Some(own) = own {
                tally.lost.swap_remove(own);
                tally.follow(watch);
            }
        }
    }

    async fn progress(&self, tally: &Tally, with_reasons: bool) -> Heard {
        let (mut pending, mut held_back) = (BTreeMap::new(), Vec::new());
        if with_reasons {
            for waiting in self.waiting().await {
                for (kind, count) in waiting.pending {
                    *pending.entry(kind).or_default() += count;
                }
                held_back.extend(waiting.held_back);
            }
            held_back.sort();
            held_back.dedup();
        }
        let (live, total) = (tally.live, tally.total);
        self.out.send(&WaitEvent::Progress { live, total, pending, held_back }).await
    }

    /// The refusals of all proxies, those of the one that was heard of first in front.
    async fn refusals(
        &self,
        stream: u64,
        proxy: &Proxy,
        list: Vec<push::Refusal>,
    ) -> Vec<RefusedResource> {
        let mut all: Vec<RefusedResource> = list.into_iter().map(|it| refused(proxy, it)).collect();
        for (other, (proxy, standing)) in self.standings().await {
            if let Standing::Refused(list) = standing
                && other != stream
            {
                all.extend(list.into_iter().map(|it| refused(&proxy, it)));
            }
        }
        all.truncate(MOST_LISTED);
        all
    }

    async fn waiting(&self) -> Vec<WaitingProxy> {
        let standings = self.standings().await.into_values();
        let waiting = standings.filter_map(|(proxy, standing)| match standing {
            Standing::Waiting(waiting) => Some(waiting_proxy(&proxy, &waiting)),
            Standing::Live | Standing::Refused(_) => None,
        });
        waiting.take(MOST_LISTED).collect()
    }

    pub(crate) async fn end(&self, mut report: WaitReport) -> Heard {
        let elapsed = self.begun.elapsed().as_millis();
        report.milliseconds = u64::try_from(elapsed).unwrap_or(u64::MAX);
        self.out.send(&WaitEvent::End(report)).await
    }
}

impl Tally {
    fn follow(&mut self, watch: Watch) {
        let Watch { stream, proxy, outcome } = watch;
        self.open.spawn(async move { (stream, proxy, outcome.await.ok()) });
    }
}

fn refused(proxy: &Proxy, refusal: push::Refusal) -> RefusedResource {
    RefusedResource {
        proxy: proxy_name(proxy),
        kind: kind_name(refusal.kind),
        name: refusal.name.to_string(),
        message: refusal.message,
    }
}

fn waiting_proxy(proxy: &Proxy, waiting: &Waiting) -> WaitingProxy {
    WaitingProxy {
        proxy: proxy_name(proxy),
        pending: waiting.pending.iter().map(|(kind, count)| (kind_name(*kind), *count)).collect(),
        held_back: waiting.held_back.iter().map(held_back_text).collect(),
    }
}
