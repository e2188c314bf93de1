//! `/debug/scope/plan`: what fences would cut, from what is known. Nothing is changed.
//!
//! - It is compiled aside from the engine, for one question at a time and for a limited time.
//! - Known calls are those that were learned: what was never seen cannot be told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Extension, Json, Router,
    extract::{Query, State},
    routing::get,
};
use compile::{Client, ClientFence, Scope, Visible};
use model::{FenceTarget, FenceTargetParseError, Generator, Proxy, ProxyKind, WorkloadKey};
use push::{Reckoner, Sizes};
use serde::{Deserialize, Serialize};
use snapshot::{Reader, Snapshot};
use tokio::sync::Semaphore;

use crate::{ApiError, Reason, Shared, savings::unfenced};

/// So long is compiled for one plan at most.
const LIMIT: Duration = Duration::from_secs(20);
/// More classes than this are not looked at.
const MOST: usize = 1_000;

/// The answer of `/debug/scope/plan`: those first of which something is to be said.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScopePlan {
    pub target: String,
    pub items: Vec<ScopePlanItem>,
    /// Of all proxies together.
    pub now: ScopeSizes,
    pub then: ScopeSizes,
    /// Classes that were left out, as it took too long.
    pub left_out: usize,
}

/// One workload (or proxies of it that differ from its others).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScopePlanItem {
    /// `shop/web`.
    pub workload: String,
    pub proxies: usize,
    pub mode_now: String,
    /// How much it would be sent.
    pub mode: String,
    /// Why it would be sent everything all the same: `cannot-ask`, `grpc` or `gateway`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfenced_because: Option<String>,
    /// What it is not told of is called through the lazy gateway, which is there.
    #[serde(default)]
    pub by_gateway: bool,
    /// Of each proxy.
    pub now: ScopeSizes,
    pub then: ScopeSizes,
    /// Hosts that it was seen to call.
    pub known: usize,
    /// Of these, those that would wait once.
    pub waiting: Vec<String>,
    /// Those that would go through the lazy gateway first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub detoured: Vec<String>,
    /// Those that would go where `outboundTrafficPolicy` says.
    pub cut: Vec<String>,
    /// Those that it may not see, now as then.
    pub invisible: Vec<String>,
}

/// How much proxies hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopeSizes {
    pub resources: usize,
    pub bytes: usize,
}

impl From<Sizes> for ScopeSizes {
    fn from(Sizes { resources, bytes }: Sizes) -> Self {
        Self { resources, bytes }
    }
}

impl ScopeSizes {
    pub(crate) fn add(&mut self, other: Self, times: usize) {
        self.resources += other.resources * times;
        self.bytes += other.bytes * times;
    }
}

#[derive(Debug, Deserialize)]
struct PlanQuery {
    /// `shop`, or `shop/web`.
    target: String,
}

/// Plans under way: one.
type Turn = Arc<Semaphore>;

pub(crate) fn routes() -> Router<Shared> {
    let turn: Turn = Arc::new(Semaphore::new(1));
    Router::new().route("/debug/scope/plan", get(plan)).layer(Extension(turn))
}

async fn plan(
    State(admin): State<Shared>,
    Extension(turn): Extension<Turn>,
    Query(PlanQuery { target }): Query<PlanQuery>,
) -> Result<Json<ScopePlan>, ApiError> {
    let target: FenceTarget = target.parse().map_err(|error: FenceTargetParseError| {
        ApiError::new(Reason::BadRequest, error.to_string())
    })?;
    let mut proxies = admin.streams.proxies();
    proxies.retain(|proxy| target.concerns(&proxy.workload()));
    if proxies.is_empty() {
        let message = format!("no proxy of {target} is connected");
        let hint = "a plan is made for the proxies that are; `meltemi proxy status` lists them";
        return Err(ApiError::new(Reason::NotFound, message).hint(hint));
    }
    let Ok(_turn) = turn.try_acquire() else {
        let message = "another plan is being made";
        return Err(ApiError::new(Reason::Unavailable, message).hint("try again in a moment"));
    };
    let snapshot = admin.snapshot().await?;
    let plan = move || plan_fences(&target, &proxies, &snapshot, LIMIT);
    let made = tokio::task::spawn_blocking(plan);
    made.await.map(Json).map_err(|_| ApiError::ending())
}

/// What the plan of a proxy follows from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Class {
    workload: WorkloadKey,
    now: Client,
    /// As it would be.
    then: Client,
    unfenced_because: Option<&'static str>,
}

impl Class {
    fn of(proxy: &Proxy, snapshot: &Snapshot) -> Self {
        let now = Client::reduce(proxy, &Reader::new(snapshot));
        let fence = snapshot.planned_fence(&proxy.namespace, &proxy.labels);
        let fence = match proxy.kind {
            ProxyKind::Sidecar => ClientFence::of(proxy, fence, snapshot.fencing()),
            ProxyKind::Router => None,
        };
        let unfenced_because = match (proxy.kind, proxy.generator) {
            _ if fence.is_some() => None,
            (ProxyKind::Router, _) => Some("gateway"),
            (ProxyKind::Sidecar, Generator::Grpc) => Some("grpc"),
            (ProxyKind::Sidecar, _) => Some("cannot-ask"),
        };
        let then = Client { fence, ..unfenced(&now) };
        Self { workload: proxy.workload(), now, then, unfenced_because }
    }
}

/// What fences would cut of proxies. When the time is over, what is left is left out.
pub fn plan_fences(
    target: &FenceTarget,
    proxies: &[Arc<Proxy>],
    snapshot: &Snapshot,
    limit: Duration,
) -> ScopePlan {
    let begun = Instant::now();
    let mut classes: BTreeMap<Class, (&Arc<Proxy>, usize)> = BTreeMap::new();
    for proxy in proxies {
        classes.entry(Class::of(proxy, snapshot)).or_insert((proxy, 0)).1 += 1;
    }
    let mut plan = ScopePlan {
        target: target.to_string(),
        items: Vec::new(),
        now: ScopeSizes::default(),
        then: ScopeSizes::default(),
        left_out: 0,
    };
    let mut sizes = Known { reckoner: Reckoner::new(snapshot), unfenced: BTreeMap::new() };
    for (class, (proxy, count)) in classes {
        if plan.items.len() >= MOST || begun.elapsed() > limit {
            plan.left_out += 1;
            continue;
        }
        let item = plan_class(&class, proxy, count, &mut sizes, snapshot);
        plan.now.add(item.now, count);
        plan.then.add(item.then, count);
        plan.items.push(item);
    }
    plan.items.sort_by_key(|item| {
        let is_good = item.unfenced_because.is_none() && item.cut.is_empty();
        let is_direct = item.waiting.is_empty() && item.detoured.is_empty();
        (is_good, is_direct, item.workload.clone(), item.then.bytes, item.now.bytes)
    });
    // Classes may differ in what nobody sees here.
    plan.items.dedup_by(|next, kept| {
        let is_same = ScopePlanItem { proxies: kept.proxies, ..next.clone() } == *kept;
        kept.proxies += if is_same { next.proxies } else { 0 };
        is_same
    });
    plan
}

/// Sizes that were compiled; those without fences are common to many workloads.
struct Known<'a> {
    reckoner: Reckoner<'a>,
    unfenced: BTreeMap<Client, ScopeSizes>,
}

impl Known<'_> {
    fn of(&mut self, client: &Client, proxy: &Proxy) -> ScopeSizes {
        if client.kind == ProxyKind::Router {
            // Gateways are not fenced, so that nothing of theirs would change.
            return ScopeSizes::default();
        }
        if let Some(known) = self.unfenced.get(client) {
            return *known;
        }
        let sizes = self.reckoner.outbound(client, proxy).into();
        if client.fence.is_none() {
            self.unfenced.insert(client.clone(), sizes);
        }
        sizes
    }
}

fn plan_class(
    class: &Class,
    proxy: &Proxy,
    count: usize,
    sizes: &mut Known<'_>,
    snapshot: &Snapshot,
) -> ScopePlanItem {
    let Class { workload, now, then, unfenced_because } = class;
    let mode = |client: &Client| match &client.fence {
        Some(fence) => fence.mode.to_string(),
        None => "full".to_owned(),
    };
    let reader = Reader::new(snapshot);
    let known = reader.learned(workload).map(|hosts| (**hosts).clone()).unwrap_or_default();
    let visible = Visible::new(Scope::select(&unfenced(then), &reader), &then.namespace, &reader);
    let fenced = then.fence.as_ref();
    let fenced = fenced.map(|fence| visible.fenced(fence, &BTreeSet::new(), &reader).scope);
    let by_gateway = fenced.as_ref().is_some_and(|scope| scope.detour.is_some());
    let [mut waiting, mut detoured, mut cut, mut invisible] = [const { Vec::new() }; 4];
    for host in &known {
        let list = if visible.scope.service(host).is_none() {
            &mut invisible
        } else if fenced.as_ref().is_none_or(|scope| scope.service(host).is_some()) {
            continue;
        } else if then.loads_on_demand() {
            &mut waiting
        } else if by_gateway {
            &mut detoured
        } else {
            &mut cut
        };
        list.push(host.to_string());
    }
    let now_sizes = sizes.of(now, proxy);
    ScopePlanItem {
        workload: workload.to_string(),
        proxies: count,
        mode_now: mode(now),
        mode: mode(then),
        unfenced_because: unfenced_because.map(str::to_owned),
        by_gateway,
        then: if now == then { now_sizes } else { sizes.of(then, proxy) },
        now: now_sizes,
        known: known.len(),
        waiting,
        detoured,
        cut,
        invisible,
    }
}

#[cfg(test)]
mod tests;
