//! The HTTP API that the command line and people with a browser use.
//!
//! - Reads only: nothing here changes the mesh.
//! - Not here: how answers are printed (`meltemi`).

mod proxies;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use push::{EngineHandle, StreamRegistry};

pub use self::proxies::{ProxyConfig, ProxyStatus, ProxyStatusList, ResourceStatus};

/// What the API answers from.
pub struct Admin {
    pub ready: Box<dyn Fn() -> bool + Send + Sync>,
    /// Current findings about the sources, as JSON.
    pub findings: Box<dyn Fn() -> serde_json::Value + Send + Sync>,
    pub metrics: Registry,
    pub streams: StreamRegistry,
    pub engine: EngineHandle,
}

type Shared = Arc<Admin>;

/// The routes of the API.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/debug/findings", get(findings))
        .route("/debug/counters", get(counters))
        .route("/debug/proxies", get(proxies::list))
        .route("/debug/config_dump", get(proxies::config))
        .with_state(Arc::new(admin))
}

async fn ready(State(admin): State<Shared>) -> (StatusCode, &'static str) {
    match (admin.ready)() {
        true => (StatusCode::OK, "ready\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "sources are not synced yet\n"),
    }
}

async fn metrics(State(admin): State<Shared>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &admin.metrics) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn findings(State(admin): State<Shared>) -> Json<serde_json::Value> {
    Json((admin.findings)())
}

async fn counters(State(admin): State<Shared>) -> Json<serde_json::Value> {
    let counters = admin.engine.counters();
    Json(serde_json::json!({
        "jobs": counters.jobs.get(),
        "compiled": counters.compiled.get(),
        "notified": counters.notified.get(),
        "snapshots": counters.snapshots.get(),
    }))
}
