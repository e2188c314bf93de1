//! The HTTP API that the command line and people with a browser use.
//!
//! - `/ready` and `/metrics` for machines; `/debug/…` says what is there, as JSON.
//! - `/api/…` does what commands ask for: wait, compare, apply. Only `apply`, `delete` and
//!   decisions about scopes change anything.
//! - A web page cannot use any of it behind the back of the person who looks at it (`guard`).
//! - Not here: how answers are printed (`meltemi`).

mod apply;
mod costs;
mod debug;
mod diff;
mod difference;
mod error;
mod explain;
mod fence_switches;
mod fences;
mod finding;
#[cfg(test)]
mod fixture;
mod guard;
mod lines;
mod lints;
mod load;
mod metrics;
mod plain;
mod plan;
mod proxies;
mod pushes;
mod redact;
mod savings;
mod scopes;
mod wait;

use std::{io, net::SocketAddr, sync::Arc};

use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use push::{EngineHandle, StreamRegistry};
use snapshot::Snapshot;
use source::SourceStatuses;
use source_directory::DirectoryHandle;
use store::WriterHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::{
    apply::{AppliedObject, ApplyReport, DeleteRequest, FileSetRequest, InputFile, ObjectName},
    diff::{DiffReport, EnvoyEffect, ObjectDiff},
    difference::{FieldChange, differences},
    error::{ApiError, ErrorBody, Reason},
    explain::ScopeReason,
    fence_switches::{FenceSwitchRequest, ScopeFenceOff},
    fences::{ScopeExport, ScopeLimitedToo, ScopeOverlap},
    finding::{Finding, FindingList},
    load::LoadReport,
    metrics::MeshMetrics,
    plan::{ScopePlan, ScopePlanItem, ScopeSizes, plan_fences},
    proxies::{
        ProxyConfig, ProxyIdentity, ProxyIdentityList, ProxyStatus, ProxyStatusList, ResourceStatus,
    },
    pushes::{Push, PushCause, PushCost, PushList, PushProxies, PushSent},
    scopes::{
        CallGraph, MetricsSource, ScopeCall, ScopeDecision, ScopeEdge, ScopeEdgeList,
        ScopeExplanation, ScopeFenced, ScopeImportReport, ScopeImportRequest, ScopeKnown,
        ScopeList, ScopeNote, ScopePart, ScopePrometheus, ScopeSensor, ScopeTarget, ScopeWorkload,
    },
    wait::{RefusedResource, WaitEvent, WaitOutcome, WaitQuery, WaitReport, WaitingProxy},
};
use self::{lints::Lints, savings::Savings};

/// The form of metrics that has examples of buckets.
const OPEN_METRICS: &str = "application/openmetrics-text";

/// The longest body that is taken.
const LONGEST_BODY: usize = 32 << 20;

/// What the API answers from.
pub struct Admin {
    pub ready: Box<dyn Fn() -> bool + Send + Sync>,
    pub metrics: Registry,
    pub mesh: MeshMetrics,
    pub statuses: SourceStatuses,
    pub directory: DirectoryHandle,
    pub writer: WriterHandle,
    pub engine: EngineHandle,
    pub streams: StreamRegistry,
    /// What is learned.
    pub scope: ScopePart,
    /// How much this replica has to do.
    pub load: Box<dyn Fn() -> LoadReport + Send + Sync>,
}

type Shared = Arc<Admin>;

impl Admin {
    /// The mesh as it is now. An error when the process is ending.
    async fn snapshot(&self) -> Result<Arc<Snapshot>, ApiError> {
        self.writer.read(|index| index.snapshot()).await.ok_or_else(ApiError::ending)
    }
}

/// Serves the API until `shutdown`.
pub async fn serve(
    listener: TcpListener,
    admin: Admin,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let router = router(admin, shutdown.clone());
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(shutdown.cancelled_owned()).await
}

fn router(admin: Admin, shutdown: CancellationToken) -> Router {
    Router::new()
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/api/wait", get(wait::wait))
        .route("/api/apply", post(apply::apply))
        .route("/api/delete", post(apply::delete))
        .route("/api/diff", post(diff::diff))
        .route("/debug/proxies", get(proxies::list))
        .route("/debug/config_dump", get(proxies::config))
        .route("/debug/identities", get(proxies::identities))
        .route("/debug/pushes", get(pushes::pushes))
        .route("/debug/load", get(load::load))
        .merge(debug::routes())
        .merge(fences::routes())
        .merge(fence_switches::routes())
        .merge(plan::routes())
        .merge(scopes::routes())
        .layer(Extension(Arc::new(Savings::default())))
        .layer(Extension(shutdown))
        .layer(Extension(Arc::new(Lints::default())))
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(middleware::from_fn(guard::guard))
        .with_state(Arc::new(admin))
}

async fn ready(State(admin): State<Shared>) -> (StatusCode, &'static str) {
    match (admin.ready)() {
        true => (StatusCode::OK, "ready\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "sources are not synced yet\n"),
    }
}

/// In the form that is asked for by name, else in the plain one, which all tools know.
async fn metrics(
    State(admin): State<Shared>,
    Extension(savings): Extension<Arc<Savings>>,
    headers: HeaderMap,
) -> Response {
    admin.mesh.look(&admin, &savings).await;
    let mut text = String::new();
    if encode(&mut text, &admin.metrics).is_err() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|it| it.to_str().ok());
    let (kind, text) = match accepted.into_iter().any(|it| it.contains(OPEN_METRICS)) {
        true => (format!("{OPEN_METRICS}; version=1.0.0; charset=utf-8"), text),
        false => ("text/plain; version=0.0.4; charset=utf-8".to_owned(), plain::plain(&text)),
    };
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}
