//! `/debug/scope/known`: whether there is anything by the name that somebody gave, so that a slip of
//! the pen is not taken for something that calls nobody.

use axum::{
    Json, Router,
    extract::{Query, State},
    routing::get,
};
use model::{FenceTarget, Kind, Namespace, WorkloadKey};
use serde::{Deserialize, Serialize};
use snapshot::Snapshot;

use crate::{ApiError, Reason, Shared};

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/debug/scope/known", get(known))
}

#[derive(Debug, Deserialize)]
struct KnownQuery {
    /// `shop`, or `shop/web`.
    target: String,
}

/// The answer of `/debug/scope/known`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ScopeKnown {
    /// Whether anything is in the namespace, or it itself is there.
    pub namespace: bool,
    /// Whether anything is of the workload; the same where only a namespace was named.
    pub workload: bool,
}

async fn known(
    State(admin): State<Shared>,
    Query(KnownQuery { target }): Query<KnownQuery>,
) -> Result<Json<ScopeKnown>, ApiError> {
    let target: FenceTarget = target.parse().map_err(|error: model::FenceTargetParseError| {
        ApiError::new(Reason::BadRequest, error.to_string())
    })?;
    let snapshot = admin.snapshot().await?;
    let namespace = knows_namespace(&admin, target.namespace(), &snapshot).await?;
    let workload = match &target {
        FenceTarget::Namespace(_) => namespace,
        FenceTarget::Workload(workload) => knows_workload(&admin, workload, &snapshot).await?,
    };
    Ok(Json(ScopeKnown { namespace, workload }))
}

async fn knows_namespace(
    admin: &Shared,
    namespace: &Namespace,
    snapshot: &Snapshot,
) -> Result<bool, ApiError> {
    let is_object = snapshot.objects().keys().any(|key| {
        let is_itself = key.kind == Kind::Namespace && key.name.as_str() == namespace.as_str();
        is_itself || key.namespace == *namespace
    });
    Ok(is_object
        || admin.streams.proxies().iter().any(|it| it.namespace == *namespace)
        || admin.scope.handle.list().await?.iter().any(|it| it.workload.namespace == *namespace))
}

/// Whether the workload was ever seen, or is anywhere in the mesh.
pub(super) async fn knows_workload(
    admin: &Shared,
    workload: &WorkloadKey,
    snapshot: &Snapshot,
) -> Result<bool, ApiError> {
    Ok(is_in_mesh(workload, snapshot)
        || admin.streams.proxies().iter().any(|it| it.workload() == *workload)
        || admin.scope.handle.list().await?.iter().any(|it| it.workload == *workload))
}

fn is_in_mesh(workload: &WorkloadKey, snapshot: &Snapshot) -> bool {
    let kinds =
        [Kind::Pod, Kind::WorkloadEntry, Kind::WorkloadGroup, Kind::Service, Kind::ServiceFence];
    let is_object = snapshot.objects().keys().any(|key| {
        key.namespace == workload.namespace
            && key.name == workload.name
            && kinds.contains(&key.kind)
    });
    is_object
        || snapshot.members().iter().any(|it| it.workload == *workload)
        || snapshot.services().any(|service| {
            let endpoints = snapshot.endpoints(&service.key).into_iter().flat_map(|all| all.iter());
            endpoints.into_iter().any(|endpoint| {
                endpoint.namespace == workload.namespace
                    && *endpoint.workload_name == *workload.name.as_str()
            })
        })
}
