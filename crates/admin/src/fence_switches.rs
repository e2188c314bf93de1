//! `/api/scope/disable` and `/api/scope/enable`: fences off, in spite of all that is written, and on
//! again.
//!
//! - Off means: everything is sent first, and every proxy has acknowledged it before the decision
//!   counts as carried out. It holds from the start all the same, for whoever connects meanwhile.
//! - A decision outlives the process where what is learned does: it is written down before the answer.
//!   One that cannot be is carried out all the same, and the answer ends with an error.

use std::time::Duration;

use axum::{
    Extension, Json, Router,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};
use model::FenceTarget;
use scope::{DecisionError, FenceOff};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    ApiError, ErrorBody, Reason, ScopeDecision, Shared, WaitEvent, WaitOutcome, finding,
    lines::lines,
    scopes::time,
    wait::{Gone, Wait},
};

/// Longer than this nobody waits.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Whose fences.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FenceSwitchRequest {
    /// `shop`, or `shop/web`.
    pub target: String,
    /// For how many seconds; until it is taken back if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// Milliseconds until the answer is "not yet".
    #[serde(default)]
    pub timeout: u64,
}

/// A decision in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScopeFenceOff {
    /// `shop`, or `shop/web`.
    pub target: String,
    /// `off`, or `widening` until every proxy has acknowledged everything.
    pub state: String,
    pub since: String,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

impl ScopeFenceOff {
    pub(crate) fn new(target: &FenceTarget, off: &FenceOff) -> Self {
        let state = if off.confirmed.is_some() { "off" } else { "widening" };
        Self {
            target: target.to_string(),
            state: state.to_owned(),
            since: time(off.since),
            until: off.until.map(time),
        }
    }
}

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/scope/disable", post(disable))
        .route("/api/scope/enable", post(enable))
}

fn target(request: &FenceSwitchRequest) -> Result<FenceTarget, ApiError> {
    request.target.parse().map_err(|error: model::FenceTargetParseError| {
        ApiError::new(Reason::BadRequest, error.to_string())
    })
}

/// The answer is that of `/api/wait`, for the proxies that it concerns.
async fn disable(
    State(admin): State<Shared>,
    Extension(shutdown): Extension<CancellationToken>,
    Json(request): Json<FenceSwitchRequest>,
) -> Result<Response, ApiError> {
    let target = target(&request)?;
    let unkept = match admin.scope.handle.switch_off(target.clone(), request.seconds).await {
        Ok(()) => None,
        Err(error @ DecisionError::NotKept) => Some(ApiError::from(error)),
        Err(error @ DecisionError::Ended) => return Err(error.into()),
    };
    tracing::info!(%target, seconds = request.seconds, "Fences were switched off");
    let (out, body) = lines();
    let begun = Instant::now();
    let deadline = begun + Duration::from_millis(request.timeout).min(LONGEST);
    tokio::spawn(async move {
        // A proxy that goes away comes back to what is in force.
        let whom = Some(target.clone());
        let waiting = Wait { admin, begun, deadline, quorum: 0, whom, out };
        // An error says that nobody listens any more.
        tokio::select! {
            _ = widen(&waiting, target, unkept) => (),
            () = shutdown.cancelled() => {
                let _ = waiting.out.send(&ErrorBody { error: ApiError::ending() }).await;
            }
        }
    });
    let kind = [(axum::http::header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::new(body)).into_response())
}

async fn widen(waiting: &Wait, target: FenceTarget, unkept: Option<ApiError>) -> Result<(), Gone> {
    let handle = &waiting.admin.scope.handle;
    let Ok(revision) = handle.in_effect().await else {
        return waiting.out.send(&ErrorBody { error: ApiError::ending() }).await;
    };
    let findings = finding::current(&waiting.admin.statuses);
    waiting.out.send(&WaitEvent::Taken { revision, findings }).await?;
    let report = waiting.until_live(revision).await?;
    if report.outcome == WaitOutcome::Live {
        // Somebody may have taken it back meanwhile, or the process is ending.
        let _ = handle.confirm_off(target).await;
    }
    match unkept {
        Some(error) => waiting.out.send(&ErrorBody { error }).await,
        None => waiting.end(report).await,
    }
}

async fn enable(
    State(admin): State<Shared>,
    Json(request): Json<FenceSwitchRequest>,
) -> Result<Json<ScopeDecision>, ApiError> {
    let target = target(&request)?;
    let handle = &admin.scope.handle;
    if !handle.switch_back(target.clone()).await? {
        let message = format!("the fences of {target} were not switched off");
        let off = handle.fences_off().await?;
        let whole = FenceTarget::Namespace(target.namespace().clone());
        let hint = match off.iter().any(|(it, _)| *it == whole) {
            true => format!("those of all of {whole} are: `meltemi scope enable {whole}`"),
            false => "`meltemi scope list` shows which are".to_owned(),
        };
        return Err(ApiError::new(Reason::NotFound, message).hint(hint));
    }
    tracing::info!(%target, "Fences count again");
    Ok(Json(ScopeDecision { changed: 1, ..ScopeDecision::default() }))
}
