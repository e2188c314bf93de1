//! `/debug/fences` and `/debug/scope_export`: what limits the scopes of workloads.

use std::collections::BTreeSet;

use api::istio::{
    WorkloadSelector,
    sidecar::{IstioEgressListener, Sidecar},
};
use axum::{
    Json, Router,
    extract::{Query, State},
    routing::get,
};
use model::{Labels, ProxyKind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use snapshot::{ExportedScope, ExportedScopes, FenceRecord, Member};

use crate::{ApiError, Shared};

/// `/debug/scope_export`: Sidecars as people write them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScopeExport {
    pub items: Vec<Value>,
    /// Workloads that are fenced by a label alone, and that no Sidecar could select without selecting
    /// others: `shop/web`.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// Workloads that no fence limits, and that one of these selects all the same.
    #[serde(default)]
    pub limited_too: Vec<ScopeLimitedToo>,
    /// Those that declare different things for one workload, for which Istio goes by one of them alone.
    #[serde(default)]
    pub overlapping: Vec<ScopeOverlap>,
}

/// Sidecars of a namespace, by their names.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScopeOverlap {
    pub namespace: String,
    pub sidecars: Vec<String>,
}

/// A label takes a workload out of a fence, which no Sidecar can say.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScopeLimitedToo {
    /// `shop/web`.
    pub workload: String,
    /// Name of the Sidecar, in the namespace of the workload.
    pub sidecar: String,
}

#[derive(Debug, Deserialize)]
struct FenceQuery {
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    name: String,
}

#[derive(Debug, Deserialize)]
struct ExportQuery {
    #[serde(default)]
    namespace: String,
    /// A workload, or a fence.
    #[serde(default)]
    workload: String,
}

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/debug/fences", get(fences))
        .route("/debug/scope_export", get(scope_export))
}

fn is(wanted: &str, own: &str) -> bool {
    wanted.is_empty() || wanted == own
}

async fn fences(
    State(admin): State<Shared>,
    Query(query): Query<FenceQuery>,
) -> Result<Json<Value>, ApiError> {
    let snapshot = admin.snapshot().await?;
    let found = snapshot.fences().into_iter().filter(|fence| {
        is(&query.namespace, fence.key.namespace.as_str())
            && is(&query.name, fence.key.name.as_str())
    });
    Ok(Json(json!({ "items": found.map(fence_json).collect::<Vec<_>>() })))
}

/// A fence, with its dependencies as Slime's status has them.
fn fence_json(fence: &FenceRecord) -> Value {
    let FenceRecord { key, origin, enabled, selector, domains, declared: _ } = fence;
    json!({
        "namespace": key.namespace,
        "name": key.name,
        "origin": origin,
        "enabled": enabled,
        "selector": selector,
        "status": { "domains": domains },
    })
}

async fn scope_export(
    State(admin): State<Shared>,
    Query(query): Query<ExportQuery>,
) -> Result<Json<ScopeExport>, ApiError> {
    let snapshot = admin.snapshot().await?;
    let proxies = admin.streams.proxies();
    let sidecars = proxies.iter().filter(|proxy| proxy.kind == ProxyKind::Sidecar);
    let connected =
        sidecars.map(|it| Member { workload: it.workload(), labels: it.labels.clone() });
    let mut members: BTreeSet<Member> = snapshot.members();
    members.extend(connected);
    let ExportedScopes { scopes, left_out, limited_too, overlapping } =
        snapshot.export_scopes(&members);
    let asked = scopes.iter().filter(|scope| {
        let is_workload = |name: &str| scope.workloads.iter().any(|it| it.name.as_str() == name);
        is(&query.namespace, scope.namespace.as_str())
            && (is(&query.workload, scope.name.as_str()) || is_workload(&query.workload))
    });
    let asked: Vec<&ExportedScope> = asked.collect();
    let left_out = left_out.iter().filter(|workload| {
        is(&query.namespace, workload.namespace.as_str())
            && is(&query.workload, workload.name.as_str())
    });
    let limited_too = limited_too.into_iter().filter(|(workload, sidecar)| {
        asked.iter().any(|it| it.namespace == workload.namespace && it.name == *sidecar)
    });
    let limited_too = limited_too.map(|(workload, sidecar)| ScopeLimitedToo {
        workload: workload.to_string(),
        sidecar: sidecar.to_string(),
    });
    let overlapping = overlapping.into_iter().filter(|(namespace, names)| {
        asked.iter().any(|it| it.namespace == *namespace && names.contains(&it.name))
    });
    let overlapping = overlapping.map(|(namespace, names)| ScopeOverlap {
        namespace: namespace.to_string(),
        sidecars: names.iter().map(ToString::to_string).collect(),
    });
    Ok(Json(ScopeExport {
        items: asked.iter().map(|scope| sidecar_json(scope)).collect(),
        left_out: left_out.map(ToString::to_string).collect(),
        limited_too: limited_too.collect(),
        overlapping: overlapping.collect(),
    }))
}

fn sidecar_json(scope: &ExportedScope) -> Value {
    let ExportedScope { namespace, name, selector, hosts, workloads: _ } = scope;
    let labels = |labels: &Labels| {
        labels.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    };
    let sidecar = Sidecar {
        workload_selector: Some(WorkloadSelector { labels: labels(selector) }),
        egress: vec![IstioEgressListener { hosts: hosts.clone(), ..Default::default() }],
        ..Sidecar::default()
    };
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "Sidecar",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": { "app.kubernetes.io/managed-by": "meltemi" },
        },
        "spec": sidecar,
    })
}
