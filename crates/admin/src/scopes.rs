//! `/debug/scope` and `/api/scope/…`: what each workload was seen to call, and what people decide
//! about it.

mod answer;
mod decide;
mod declared;
mod known;
mod named;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::SystemTime,
};

use axum::{
    Extension, Json, Router,
    extract::{Query, State},
    routing::{get, post},
};
use model::{FenceTarget, Hostname, Name, Namespace, Proxy, ProxyKind, WorkloadKey};
use push::FencedClass;
use scope::{
    DecisionError, Import, ImportInput, ImportedCall, MeshPlaces, NoteKind, Places, ScopeEnded,
    ScopeHandle, Sensor, parse_import,
};
use snapshot::Snapshot;

pub(crate) use self::answer::time;
pub use self::answer::{
    ScopeCall, ScopeDecision, ScopeEdge, ScopeEdgeList, ScopeExplanation, ScopeFenced,
    ScopeImportReport, ScopeImportRequest, ScopeList, ScopeNote, ScopePrometheus, ScopeSensor,
    ScopeTarget, ScopeWorkload,
};
pub use self::known::ScopeKnown;
use self::{
    answer::{describe_edge, describe_workload},
    declared::add_declared,
    named::Named,
};
use crate::{
    ApiError, InputFile, Reason, ScopeFenceOff, ScopeSizes, Shared,
    costs::costs,
    explain::{self, Verdict},
    savings::Savings,
};

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/debug/scope", get(list))
        .route("/debug/scope/edges", get(edges))
        .route("/debug/scope/explain", get(explain))
        .route("/api/scope/import", post(import))
        .merge(decide::routes())
        .merge(known::routes())
}

/// What is learned, and where it is kept.
#[derive(Clone, Debug)]
pub struct ScopePart {
    pub handle: ScopeHandle,
    /// The folder; `None` when it ends with the process.
    pub folder: Option<Arc<str>>,
    /// A Prometheus that is asked who calls whom, if one is.
    pub metrics: Option<Arc<Mutex<MetricsSource>>>,
}

/// A Prometheus, and how the last questions to it ended.
#[derive(Clone, Debug, Default)]
pub struct MetricsSource {
    pub url: String,
    /// When it last had an answer.
    pub answered: Option<SystemTime>,
    /// Series of the last answer.
    pub series: usize,
    /// Why the last question had none.
    pub problem: Option<String>,
}

impl From<ScopeEnded> for ApiError {
    fn from(_: ScopeEnded) -> Self {
        Self::ending()
    }
}

impl From<DecisionError> for ApiError {
    fn from(error: DecisionError) -> Self {
        match error {
            DecisionError::Ended => Self::ending(),
            DecisionError::NotKept => Self::new(Reason::Internal, error.to_string())
                .hint("the control plane's log says why; decide it again when that is mended"),
        }
    }
}

async fn list(
    State(admin): State<Shared>,
    Extension(savings): Extension<Arc<Savings>>,
) -> Result<Json<ScopeList>, ApiError> {
    let ScopePart { handle, folder, metrics } = &admin.scope;
    let classes = savings.measure(&admin, None).await.ok_or_else(ApiError::ending)?;
    let known = handle.list().await?.into_iter().map(describe_workload);
    let mut items: BTreeMap<String, ScopeWorkload> =
        known.map(|it| (it.workload.clone(), it)).collect();
    let (mut held, mut unfenced) = (ScopeSizes::default(), ScopeSizes::default());
    for class in &classes {
        let Some((workload, fenced)) = ScopeFenced::of(class) else { continue };
        if let Some(all) = fenced.unfenced {
            held.add(fenced.held, fenced.proxies);
            unfenced.add(all, fenced.proxies);
        }
        let item = items.entry(workload.clone()).or_default();
        item.workload = workload;
        // Proxies of a workload may differ: the most of them are shown.
        let known = item.fenced.as_ref().map_or(0, |it| it.proxies);
        if fenced.proxies > known {
            item.fenced = Some(fenced);
        }
    }
    let mut items: Vec<ScopeWorkload> = items.into_values().collect();
    for item in &mut items {
        item.state = item.judged().to_owned();
    }
    items.sort_by_key(|it| (!it.is_capped(), !it.full, it.refused == 0, it.workload.clone()));
    let stats = handle.stats().await?;
    let sensors = Sensor::ALL.into_iter().filter_map(|sensor| {
        Some(ScopeSensor {
            sensor: sensor.to_string(),
            worked_at: time(stats.worked_at[sensor as usize]?),
            silent: stats.is_silent(sensor)?,
        })
    });
    let fences_off = handle.fences_off().await?;
    let fences_off = fences_off.iter().map(|(target, off)| ScopeFenceOff::new(target, off));
    let kept_in = folder.as_deref().map(str::to_owned);
    let (fences_off, sensors) = (fences_off.collect(), sensors.collect());
    let prometheus = metrics.as_deref().map(ScopePrometheus::of);
    Ok(Json(ScopeList { items, kept_in, fences_off, held, unfenced, sensors, prometheus }))
}

async fn edges(
    State(admin): State<Shared>,
    Extension(savings): Extension<Arc<Savings>>,
    Query(target): Query<ScopeTarget>,
) -> Result<Json<ScopeEdgeList>, ApiError> {
    let workload = workload(&target)?;
    let edges = admin.scope.handle.edges(&workload).await?;
    let classes = savings.measure(&admin, Some(&workload)).await.ok_or_else(ApiError::ending)?;
    let largest = classes.iter().max_by_key(|it| it.class.streams);
    let snapshot = admin.snapshot().await?;
    let mut all: BTreeMap<String, ScopeEdge> =
        edges.into_iter().map(|edge| (edge.host.to_string(), describe_edge(edge))).collect();
    if let Some(proxy) = proxy_of(&admin, &workload) {
        add_declared(&proxy, &snapshot, &mut all);
    }
    for host in largest.iter().flat_map(|it| &it.class.told.asked) {
        let asked = || ScopeEdge {
            host: host.to_string(),
            sensors: vec![Sensor::Request.to_string()],
            state: "asked".to_owned(),
            ..ScopeEdge::default()
        };
        all.entry(host.to_string()).or_insert_with(asked);
    }
    if let Some(largest) = largest {
        let costs = costs(&largest.class.views);
        for edge in all.values_mut() {
            edge.bytes = costs.get(&Hostname::new(&edge.host)).copied();
        }
    }
    Ok(Json(ScopeEdgeList {
        items: all.into_values().collect(),
        fenced: largest.and_then(ScopeFenced::of).map(|(_, fenced)| fenced),
        fence_off: snapshot.fence_off(&workload).map(ToString::to_string),
    }))
}

/// A connected sidecar of a workload.
fn proxy_of(admin: &Shared, workload: &WorkloadKey) -> Option<Arc<Proxy>> {
    let mut proxies = admin.streams.proxies().into_iter();
    proxies.find(|it| it.kind == ProxyKind::Sidecar && it.workload() == *workload)
}

async fn explain(
    State(admin): State<Shared>,
    Query(target): Query<ScopeTarget>,
) -> Result<Json<ScopeExplanation>, ApiError> {
    let (workload, written) = (workload(&target)?, host(&target)?);
    let places = MeshPlaces::new(admin.snapshot().await?);
    let Named { host, .. } = named::resolve(&target.host, &workload.namespace, &places);
    let explained = admin.scope.handle.explain(&workload, &host).await?;
    let notes = explained.notes.into_iter().map(|note| {
        let (event, reason) = match note.kind {
            NoteKind::Aged => ("aged", None),
            NoteKind::Reset => ("reset", None),
            NoteKind::Refused(reason) => ("refused", Some(reason.as_str().to_owned())),
        };
        ScopeNote { at: time(note.at), event: event.to_owned(), reason }
    });
    let verdict = verdict(&admin, &workload, &host, places.snapshot.clone()).await?;
    let edge = explained.edge.map(describe_edge);
    let verdict = verdict.map(|mut verdict| {
        if let Some(edge) = edge.as_ref().filter(|edge| edge.count == 0) {
            verdict.known_without_a_call(edge.state == "seeded");
        }
        verdict
    });
    let (in_scope, reasons) = match verdict {
        Some(verdict) => (Some(verdict.is_in), verdict.reasons),
        None => (None, Vec::new()),
    };
    Ok(Json(ScopeExplanation {
        workload: workload.to_string(),
        written: (written != host).then_some(target.host),
        host: host.to_string(),
        known: explained.is_known,
        edge,
        in_scope,
        reasons,
        notes: notes.collect(),
    }))
}

/// `None` while no proxy of the workload is connected.
async fn verdict(
    admin: &Shared,
    workload: &WorkloadKey,
    host: &Hostname,
    snapshot: Arc<Snapshot>,
) -> Result<Option<Verdict>, ApiError> {
    let classes = admin.engine.fenced_classes().await.ok_or_else(ApiError::ending)?;
    let own = |class: &&FencedClass| class.client.fence.iter().any(|it| it.workload == *workload);
    let class = classes.iter().filter(own).max_by_key(|class| class.streams);
    let proxy = match class {
        Some(class) => Some(class.proxy.clone()),
        None => proxy_of(admin, workload),
    };
    let Some(proxy) = proxy else { return Ok(None) };
    let told = class.map(|class| class.told.clone()).unwrap_or_default();
    let host = host.clone();
    let explaining =
        tokio::task::spawn_blocking(move || explain::explain(&proxy, &host, &told, &snapshot));
    explaining.await.map(Some).map_err(|_| ApiError::ending())
}

/// What files say about who calls whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallGraph {
    /// Sorted.
    pub calls: Vec<ImportedCall>,
    /// What was left out, a line each.
    pub findings: Vec<String>,
}

impl CallGraph {
    /// Reads files in any of the forms that are known. Names without a namespace are in `namespace`,
    /// and `places` is the mesh in which they are completed. An error when one of them is no call graph.
    pub fn read(
        files: &[InputFile],
        namespace: Option<&Namespace>,
        places: &impl Places,
    ) -> Result<Self, ApiError> {
        let mut graph = Self::default();
        for InputFile { name, text } in files {
            let input = ImportInput { text, namespace, places };
            let Import { calls, findings, .. } = parse_import(input).map_err(|error| {
                let message = format!("{name}: {error}");
                ApiError::new(Reason::BadInput, message).hint("nothing was learned")
            })?;
            graph.calls.extend(calls);
            let lines =
                findings.into_iter().map(|it| format!("{name} {}: {}", it.place, it.message));
            graph.findings.extend(lines);
        }
        graph.calls.sort_unstable();
        Ok(graph)
    }
}

async fn import(
    State(admin): State<Shared>,
    Json(request): Json<ScopeImportRequest>,
) -> Result<Json<ScopeImportReport>, ApiError> {
    let ScopeImportRequest { files, namespace, dry_run } = request;
    let places = MeshPlaces::new(admin.snapshot().await?);
    let namespace = (!namespace.is_empty()).then(|| Namespace::from(namespace));
    let CallGraph { calls, findings } = CallGraph::read(&files.files, namespace.as_ref(), &places)?;
    let mut report = ScopeImportReport { findings, dry_run, ..ScopeImportReport::default() };
    let handle = &admin.scope.handle;
    for of_one in calls.chunk_by(|one, other| one.workload == other.workload) {
        let known = handle.edges(&of_one[0].workload).await?;
        for call in of_one {
            report.calls.push(ScopeCall {
                workload: call.workload.to_string(),
                host: call.host.to_string(),
                count: call.count,
                known: known.iter().any(|edge| edge.host == call.host),
                undefined: !places.has(&call.host),
            });
        }
    }
    if !dry_run {
        let count = calls.len();
        let seen = calls.into_iter().map(|call| (call.workload, call.host, call.count));
        handle.learn(seen.collect(), Sensor::Import).await?;
        handle.kept().await?;
        tracing::info!(calls = count, "A call graph was imported");
    }
    Ok(Json(report))
}

fn workload(target: &ScopeTarget) -> Result<WorkloadKey, ApiError> {
    let parts = target.workload.split_once('/').filter(|(namespace, name)| {
        !namespace.is_empty() && !name.is_empty() && !name.contains('/')
    });
    let Some((namespace, name)) = parts else {
        let message = format!("`{}` is no workload", target.workload);
        let hint = match target.workload.parse() {
            Ok(FenceTarget::Namespace(namespace)) => format!(
                "write its namespace and its name, such as `{namespace}/web`; of a whole namespace: \
                 `meltemi scope fences {namespace}`, `meltemi scope plan {namespace}`"
            ),
            Ok(FenceTarget::Workload(_)) | Err(_) => {
                "write its namespace and its name, such as `shop/web`".to_owned()
            }
        };
        return Err(ApiError::new(Reason::BadRequest, message).hint(hint));
    };
    Ok(WorkloadKey { namespace: Namespace::from(namespace), name: Name::from(name) })
}

fn host(target: &ScopeTarget) -> Result<Hostname, ApiError> {
    let is_name = (1..=253).contains(&target.host.len())
        && !target.host.bytes().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control());
    match is_name {
        true => Ok(Hostname::new(&target.host)),
        false => Err(ApiError::new(Reason::BadRequest, format!("`{}` is no host", target.host))),
    }
}
