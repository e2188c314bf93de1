//! `/api/scope/pin`, `/api/scope/unpin` and `/api/scope/reset`: what people decide about a
//! dependency. Each is answered when it is written down.

use axum::{Json, Router, extract::State, routing::post};
use model::{Hostname, WorkloadKey};
use scope::MeshPlaces;
use snapshot::Snapshot;

use super::{
    answer::{ScopeDecision, ScopeTarget},
    declared, host,
    known::knows_workload,
    named::{self, Named},
    proxy_of, workload,
};
use crate::{ApiError, Reason, Shared};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/scope/pin", post(pin))
        .route("/api/scope/unpin", post(unpin))
        .route("/api/scope/reset", post(reset))
}

async fn pin(
    State(admin): State<Shared>,
    Json(target): Json<ScopeTarget>,
) -> Result<Json<ScopeDecision>, ApiError> {
    let workload = workload(&target)?;
    let places = MeshPlaces::new(admin.snapshot().await?);
    let Named { host, is_defined } =
        named::resolve_pinned(&target.host, &workload.namespace, &places)?;
    let is_known = knows_workload(&admin, &workload, &places.snapshot).await?;
    let barred_by = barred_by(&admin, &workload, &host, &places.snapshot);
    admin.scope.handle.pin(&workload, &host).await?;
    tracing::info!(%workload, %host, "A dependency was pinned");
    let near = (!is_defined)
        .then(|| named::near(host.as_str(), &workload.namespace, &places.snapshot))
        .flatten();
    Ok(Json(ScopeDecision {
        changed: 1,
        host: host.to_string(),
        undefined: !is_defined,
        near: near.map(|it| it.to_string()),
        unknown_workload: !is_known,
        barred_by,
    }))
}

/// The fence whose deadline is stronger than a pin: by the labels of a proxy of the workload, or else
/// of its pods.
fn barred_by(
    admin: &Shared,
    workload: &WorkloadKey,
    host: &Hostname,
    snapshot: &Snapshot,
) -> Option<String> {
    let labels = match proxy_of(admin, workload) {
        Some(proxy) => proxy.labels.clone(),
        None => snapshot.members().into_iter().find(|it| it.workload == *workload)?.labels,
    };
    declared::barred_by(host, &workload.namespace, &labels, snapshot)
}

/// The hosts that may be meant: what is written first, as an old entry may be called so.
async fn meant(
    admin: &Shared,
    workload: &WorkloadKey,
    target: &ScopeTarget,
) -> Result<Vec<Hostname>, ApiError> {
    let written = host(target)?;
    let places = MeshPlaces::new(admin.snapshot().await?);
    let Named { host, .. } = named::resolve(&target.host, &workload.namespace, &places);
    let is_same = host == written;
    Ok([written].into_iter().chain((!is_same).then_some(host)).collect())
}

async fn unpin(
    State(admin): State<Shared>,
    Json(target): Json<ScopeTarget>,
) -> Result<Json<ScopeDecision>, ApiError> {
    let workload = workload(&target)?;
    for host in meant(&admin, &workload, &target).await? {
        if admin.scope.handle.unpin(&workload, &host).await? {
            tracing::info!(%workload, %host, "A dependency was unpinned");
            let host = host.to_string();
            return Ok(Json(ScopeDecision { changed: 1, host, ..ScopeDecision::default() }));
        }
    }
    let message = format!("`{}` is not pinned in the scope of {workload}", target.host);
    let hint = format!("`meltemi scope {workload}` shows what is");
    Err(ApiError::new(Reason::NotFound, message).hint(hint))
}

async fn reset(
    State(admin): State<Shared>,
    Json(target): Json<ScopeTarget>,
) -> Result<Json<ScopeDecision>, ApiError> {
    let workload = workload(&target)?;
    let hosts = match target.host.is_empty() {
        true => vec![None],
        false => meant(&admin, &workload, &target).await?.into_iter().map(Some).collect::<Vec<_>>(),
    };
    let mut changed = 0;
    for host in hosts {
        changed += admin.scope.handle.reset(&workload, host).await?;
    }
    tracing::info!(%workload, edges = changed, "Learned dependencies were reset");
    Ok(Json(ScopeDecision { changed, ..ScopeDecision::default() }))
}
