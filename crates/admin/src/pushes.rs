//! `/debug/pushes`: the last pushes, each with its causes, its cost and who got what.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use axum::{
    Json,
    extract::{Query, State},
};
use push::PushRecord;
use serde::{Deserialize, Serialize};
use snapshot::Happening;

use crate::{Shared, proxies::kind_name};

/// How many pushes are told of unless asked for another number.
const USUAL: usize = 50;

#[derive(Debug, Default, Deserialize)]
pub(crate) struct PushQuery {
    /// At most so many.
    last: Option<usize>,
}

/// The answer of `/debug/pushes`, the newest push first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PushList {
    pub items: Vec<Push>,
}

/// What one batch of changes led to. Times are in milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Push {
    pub revision: u64,
    /// When it was taken up, in seconds since 1970.
    pub at: u64,
    /// The objects that caused it; of many only the first, by name.
    pub causes: Vec<PushCause>,
    /// How many objects caused it.
    pub cause_count: usize,
    /// What it cost to make.
    pub cost: PushCost,
    /// How many resources differ, by type.
    pub changed: BTreeMap<String, usize>,
    pub proxies: PushProxies,
    /// What the proxies were sent, by type.
    pub sent: BTreeMap<String, PushSent>,
}

/// What happened to an object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PushCause {
    /// `VirtualService shop/cart`.
    pub object: String,
    /// `added`, `updated` or `deleted`.
    pub happening: String,
}

/// What a push cost to make.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PushCost {
    pub compile_ms: f64,
    pub jobs: u64,
    pub compiled: u64,
    /// Virtual hosts that were encoded.
    pub hosts: u64,
}

/// Whom a push concerned, and how far they are.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PushProxies {
    pub connected: usize,
    /// Those that it concerned.
    pub told: usize,
    /// Of these, those that have acknowledged everything since.
    pub live: usize,
    /// From the first change until all were told.
    pub told_ms: f64,
    /// From the first change until the last of `live` was.
    pub live_ms: f64,
}

/// Responses of one type.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PushSent {
    pub responses: usize,
    pub resources: usize,
    pub bytes: usize,
}

pub(crate) async fn pushes(
    State(admin): State<Shared>,
    Query(query): Query<PushQuery>,
) -> Json<PushList> {
    let last = admin.engine.log().last(query.last.unwrap_or(USUAL));
    Json(PushList { items: last.iter().map(describe).collect() })
}

fn describe(record: &PushRecord) -> Push {
    let causes = record.causes.iter().map(|(object, happening)| PushCause {
        object: object.to_string(),
        happening: match happening {
            Happening::Added => "added",
            Happening::Updated => "updated",
            Happening::Deleted => "deleted",
        }
        .to_owned(),
    });
    let sent = record.sent.iter().map(|(kind, sent)| {
        let push::Sent { responses, resources, bytes } = *sent;
        (kind_name(*kind), PushSent { responses, resources, bytes })
    });
    let push::Work { jobs, compiled, hosts } = record.work;
    Push {
        revision: record.revision,
        at: record.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs(),
        causes: causes.collect(),
        cause_count: record.cause_count,
        cost: PushCost { compile_ms: milliseconds(record.compile), jobs, compiled, hosts },
        changed: record.changed.iter().map(|(kind, count)| (kind_name(*kind), *count)).collect(),
        proxies: PushProxies {
            connected: record.streams,
            told: record.told,
            live: record.live,
            told_ms: milliseconds(record.told_after),
            live_ms: milliseconds(record.live_after),
        },
        sent: sent.collect(),
    }
}

/// With three digits, which is as much as means anything.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
