//! `/debug/…`: what is there, as JSON. The names are those of istiod where the meaning is.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use axum::{
    Extension, Json, Router,
    extract::{Query, State},
    routing::get,
};
use model::{Endpoint, EndpointAddress, Labels, Service};
use push::{ProxyDump, ResourceKind};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{ApiError, FindingList, Shared, finding, lints::Lints, proxies};

/// What there is to ask, with what it tells.
const PAGES: &[(&str, &str)] = &[
    ("/debug/list", "this list"),
    ("/debug/findings", "what is wrong with the configuration"),
    ("/debug/sources", "state of the sources"),
    ("/debug/counters", "work done since the start"),
    ("/debug/proxies", "the connected proxies: synced, stale, refused"),
    ("/debug/config_dump?proxy=NAME.NAMESPACE", "what a proxy holds, with its resources"),
    ("/debug/identities", "certificates and roots that the proxies have acknowledged"),
    ("/debug/pushes?last=", "the last changes: their causes, their cost, who got what"),
    ("/debug/scope", "the workloads of which it is known whom they call"),
    (
        "/debug/scope/edges?workload=NAMESPACE/NAME",
        "whom a workload calls, and by what that is known",
    ),
    (
        "/debug/scope/plan?target=NAMESPACE/NAME",
        "what fences would cut of a workload, or of a namespace",
    ),
    (
        "/debug/scope/known?target=NAMESPACE/NAME",
        "whether there is anything of a namespace, or of a workload",
    ),
    ("/debug/scope/explain?workload=&host=", "why a host is in a workload's scope, or is not"),
    ("/debug/syncz", "state of each proxy by type"),
    ("/debug/connections", "the connected proxies, as they introduced themselves"),
    (
        "/debug/configz?kind=&namespace=&name=&content=",
        "the objects in effect; with a name or `content=true`, their content",
    ),
    ("/debug/fences?namespace=&name=", "what limits the scopes of workloads, and what each holds"),
    ("/debug/scope_export?namespace=&workload=", "the same as Sidecars, with what was learned"),
    ("/debug/registryz?service=", "the services of the mesh"),
    ("/debug/endpointz?service=", "the endpoints of each service"),
];

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/debug/list", get(list))
        .route("/debug/findings", get(findings))
        .route("/debug/sources", get(sources))
        .route("/debug/counters", get(counters))
        .route("/debug/syncz", get(syncz))
        .route("/debug/connections", get(connections))
        .route("/debug/configz", get(configz))
        .route("/debug/registryz", get(registryz))
        .route("/debug/endpointz", get(endpointz))
}

fn items(items: impl IntoIterator<Item = Value>) -> Json<Value> {
    Json(json!({ "items": items.into_iter().collect::<Vec<_>>() }))
}

async fn list() -> Json<Value> {
    items(PAGES.iter().map(|(path, about)| json!({ "path": path, "about": about })))
}

async fn findings(
    State(admin): State<Shared>,
    Extension(lints): Extension<Arc<Lints>>,
) -> Json<FindingList> {
    let mut items = finding::current(&admin.statuses);
    items.extend(finding::compiled(&admin.engine, &lints, &admin.writer).await);
    Json(FindingList { items })
}

async fn sources(State(admin): State<Shared>) -> Json<Value> {
    let seconds = |time: &SystemTime| {
        time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
    };
    items(admin.statuses.load().iter().map(|(name, status)| {
        json!({
            "name": name,
            "synced": status.synced,
            "restored": status.restored.as_ref().map(seconds),
            "files": status.files,
            "objects": status.objects,
            "restarts": status.restarts,
            "lastSuccess": status.last_success.as_ref().map(seconds),
            "lastError": status.last_error.as_ref().map(|error| {
                json!({ "at": seconds(&error.at), "message": error.message })
            }),
        })
    }))
}

async fn counters(State(admin): State<Shared>) -> Json<Value> {
    let counters = admin.engine.counters();
    Json(json!({
        "jobs": counters.jobs.get(),
        "compiled": counters.compiled.get(),
        "hosts": counters.hosts.get(),
        "notified": counters.notified.get(),
        "rounds": counters.rounds.get(),
        "questions": counters.questions.get(),
        "snapshots": counters.snapshots.get(),
        "panics": counters.panics.get(),
    }))
}

async fn syncz(State(admin): State<Shared>) -> Json<Value> {
    let dumps = admin.streams.dump(|_| true, false).await;
    items(dumps.iter().map(|dump| {
        let mut entry = json!({
            "cluster_id": &*dump.proxy.cluster_id,
            "proxy": proxies::proxy_name(&dump.proxy),
            "proxy_type": dump.proxy.kind,
            "istio_version": &*dump.proxy.istio_version,
        });
        for kind in ResourceKind::ALL {
            entry[proxies::kind_name(kind)] = sync_state(dump, kind).into();
        }
        entry
    }))
}

/// In the words of `istioctl proxy-status`.
fn sync_state(dump: &ProxyDump, kind: ResourceKind) -> &'static str {
    let is_refused = dump.resources.iter().any(|it| it.kind == kind && it.refused.is_some());
    let waits = dump.pending.get(&kind).is_some_and(|count| *count > 0)
        || dump.held_back.iter().any(|it| it.kind == kind);
    match (is_refused, dump.subscribed.contains(&kind), waits) {
        (true, _, _) => "NACK",
        (false, false, _) => "NOT SENT",
        (false, true, false) => "SYNCED",
        (false, true, true) => "STALE",
    }
}

async fn connections(State(admin): State<Shared>) -> Json<Value> {
    items(admin.streams.proxies().iter().map(|proxy| {
        json!({
            "id": proxy.id,
            "proxy": proxies::proxy_name(proxy),
            "kind": proxy.kind,
            "addresses": proxy.addresses.to_vec(),
            "locality": proxy.locality.to_string(),
            "labels": labels(&proxy.labels),
            "metadata": *proxy.metadata,
        })
    }))
}

#[derive(Debug, Deserialize)]
struct ObjectQuery {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    name: String,
    /// Show the content of all of them.
    #[serde(default)]
    content: bool,
}

async fn configz(
    State(admin): State<Shared>,
    Query(query): Query<ObjectQuery>,
) -> Result<Json<Value>, ApiError> {
    let objects = admin.writer.read(move |index| {
        let is = |wanted: &str, own: &str| wanted.is_empty() || wanted.eq_ignore_ascii_case(own);
        let found = index.objects().values().filter(|object| {
            let key = &object.key;
            is(&query.kind, key.kind.as_str())
                && is(&query.namespace, key.namespace.as_str())
                && is(&query.name, key.name.as_str())
        });
        let is_one = query.content || !query.name.is_empty();
        found.cloned().map(|object| (object, is_one)).collect::<Vec<_>>()
    });
    let objects = objects.await.ok_or_else(ApiError::ending)?;
    Ok(items(objects.iter().map(|(object, with_content)| {
        let mut entry = json!({
            "kind": object.key.kind,
            "namespace": object.key.namespace,
            "name": object.key.name,
            "location": object.location.to_string(),
        });
        // What a Secret holds is for proxies alone.
        if *with_content && object.key.kind != model::Kind::Secret {
            entry["spec"] = serde_json::to_value(&object.spec).unwrap_or_default();
            // Ours alone: others may hold whole objects.
            let all = object.meta.annotations.iter();
            let ours = all.filter(|(key, _)| key.starts_with("meltemi.io/"));
            entry["annotations"] = json!(ours.collect::<BTreeMap<_, _>>());
        }
        entry
    })))
}

#[derive(Debug, Deserialize)]
struct ServiceQuery {
    /// A host name, or a part of one.
    #[serde(default)]
    service: String,
}

async fn registryz(
    State(admin): State<Shared>,
    Query(query): Query<ServiceQuery>,
) -> Result<Json<Value>, ApiError> {
    Ok(items(services(&admin, query).await?.iter().map(|(service, _)| service_json(service))))
}

async fn endpointz(
    State(admin): State<Shared>,
    Query(query): Query<ServiceQuery>,
) -> Result<Json<Value>, ApiError> {
    Ok(items(services(&admin, query).await?.iter().map(|(service, endpoints)| {
        let endpoints: Vec<Value> = endpoints.iter().map(endpoint_json).collect();
        json!({
            "service": service.key.hostname,
            "namespace": service.key.namespace,
            "endpoints": endpoints,
        })
    })))
}

type Found = Vec<(model::Shared<Service>, Vec<Endpoint>)>;

async fn services(admin: &Shared, query: ServiceQuery) -> Result<Found, ApiError> {
    let snapshot = admin.snapshot().await?;
    let wanted = snapshot
        .services()
        .filter(|service| service.key.hostname.as_str().contains(&query.service));
    let found = wanted.map(|service| {
        let endpoints = snapshot.endpoints(&service.key);
        (service.clone(), endpoints.map(|set| set.to_vec()).unwrap_or_default())
    });
    Ok(found.collect())
}

fn service_json(service: &Service) -> Value {
    let ports: Vec<Value> = service
        .ports
        .iter()
        .map(|port| {
            let protocol = format!("{:?}", port.protocol);
            json!({ "number": port.number, "name": &*port.name, "protocol": protocol })
        })
        .collect();
    json!({
        "hostname": service.key.hostname,
        "namespace": service.key.namespace,
        "addresses": service.addresses.iter().map(|it| &**it).collect::<Vec<_>>(),
        "allocated": service.allocated.to_vec(),
        "ports": ports,
        "resolution": format!("{:?}", service.resolution),
        "origin": service.origin.to_string(),
    })
}

fn endpoint_json(endpoint: &Endpoint) -> Value {
    let address = match &endpoint.address {
        EndpointAddress::Ip(ip) => ip.to_string(),
        EndpointAddress::Dns(name) => name.to_string(),
        EndpointAddress::Unix(path) => path.to_string(),
    };
    json!({
        "address": address,
        "ports": *endpoint.ports,
        "labels": labels(&endpoint.labels),
        "locality": endpoint.locality.to_string(),
        "weight": endpoint.weight,
        "workload": &*endpoint.workload_name,
        "namespace": endpoint.namespace,
        "health": format!("{:?}", endpoint.health),
    })
}

fn labels(labels: &Labels) -> BTreeMap<&str, &str> {
    labels.iter().collect()
}
