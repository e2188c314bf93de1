//! What `/debug/scope` and `/api/scope/…` say, and what they are told.

use std::{
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use api::Timestamp;
use push::Told;
use scope::{EdgeState, EdgeView, WorkloadView};
use serde::{Deserialize, Serialize};

use super::MetricsSource;
use crate::{FileSetRequest, ScopeFenceOff, ScopeReason, ScopeSizes, savings::ClassSavings};

/// The answer of `/debug/scope`: those first where something needs a look.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScopeList {
    pub items: Vec<ScopeWorkload>,
    /// Where it is kept; absent when it ends with the process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_in: Option<String>,
    /// Whose fences are switched off.
    #[serde(default)]
    pub fences_off: Vec<ScopeFenceOff>,
    /// All fenced proxies together: what they hold, and what they would hold, as far as that is
    /// known.
    #[serde(default)]
    pub held: ScopeSizes,
    #[serde(default)]
    pub unfenced: ScopeSizes,
    /// What sees calls, and whether it works.
    #[serde(default)]
    pub sensors: Vec<ScopeSensor>,
    /// The Prometheus that is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<ScopePrometheus>,
}

/// A Prometheus that is asked who calls whom.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScopePrometheus {
    pub url: String,
    /// When it last had an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<String>,
    /// Series of the last answer.
    pub series: usize,
    /// Why the last question had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl ScopePrometheus {
    pub(super) fn of(source: &Mutex<MetricsSource>) -> Self {
        let source = source.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let MetricsSource { url, answered, series, problem } = source;
        let seconds = |at: SystemTime| at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self { url, answered_at: answered.map(|at| time(seconds(at))), series, problem }
    }
}

/// A sensor that has worked once.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScopeSensor {
    pub sensor: String,
    /// When it last worked.
    pub worked_at: String,
    /// While it is, nothing that it knows is forgotten.
    pub silent: bool,
}

/// How the connected proxies of a workload are limited.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScopeFenced {
    pub mode: String,
    pub proxies: usize,
    /// Services that it is told of, and that it may see.
    pub services: usize,
    pub visible: usize,
    /// What one proxy holds towards others.
    pub held: ScopeSizes,
    /// What it would hold without a fence; absent where that took too long to find out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfenced: Option<ScopeSizes>,
    /// Hosts that its proxies have asked for since they connected.
    pub asked: usize,
    /// It has asked for more hosts than a fence fits, and is sent everything.
    pub everything: bool,
    /// Names that it has called and that nothing defines.
    pub unknown: usize,
    /// Ports on which these were so many that it does not ask any more.
    pub closed_ports: Vec<u16>,
}

/// One workload.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScopeWorkload {
    /// `shop/web`.
    pub workload: String,
    /// How its connected proxies are limited; absent when nothing limits any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fenced: Option<ScopeFenced>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    pub targets: usize,
    pub pinned: usize,
    pub seeded: usize,
    /// How often something was not learned, since the process began.
    pub refused: u32,
    /// Whether it has as many targets as it may have.
    pub full: bool,
    /// When any target was last seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<String>,
    /// What needs a look: `capped`, `full` or `refused`, else `ok`.
    pub state: String,
}

/// The answer of `/debug/scope/edges`, by host.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScopeEdgeList {
    pub items: Vec<ScopeEdge>,
    /// How its connected proxies are limited; absent when nothing limits any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fenced: Option<ScopeFenced>,
    /// What was switched off, if its fences are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence_off: Option<String>,
}

/// One dependency.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScopeEdge {
    pub host: String,
    /// `request`, `access-log` and others, in a fixed order.
    pub sensors: Vec<String>,
    /// Empty for what was never seen.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub first_seen: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub last_seen: String,
    pub count: u64,
    /// `pinned`, `learned`, `seeded`, `kept` or `due`; for what a fence declares `declared`,
    /// `declared-no-longer` or `deadline`; `asked` for what is asked for and not learned.
    pub state: String,
    /// What it costs each proxy: bytes of its clusters, assignments, virtual hosts and of listeners of
    /// its own. Absent where no proxy is limited, or where it is not held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<usize>,
    /// Why it is kept although it is old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_because: Option<String>,
    /// When it may be forgotten, if it is not seen before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forget_at: Option<String>,
}

/// The answer of `/debug/scope/explain`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScopeExplanation {
    pub workload: String,
    /// What was asked about, where the host that is meant is called otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<String>,
    pub host: String,
    /// Whether anything is known of the workload.
    pub known: bool,
    /// Absent when it was not learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge: Option<ScopeEdge>,
    /// Whether the connected proxies are sent it, or would be; absent while none is connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_scope: Option<bool>,
    /// Why so.
    #[serde(default)]
    pub reasons: Vec<ScopeReason>,
    /// What happened before, the latest last.
    pub notes: Vec<ScopeNote>,
}

/// What happened to an edge that is not there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScopeNote {
    pub at: String,
    /// `aged`, `reset`, or `refused`.
    pub event: String,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Which edge is meant; without a host, all of a workload.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ScopeTarget {
    /// `shop/web`.
    pub workload: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
}

/// What a decision did.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScopeDecision {
    /// How many edges it changed.
    pub changed: usize,
    /// The host that was meant; empty where none was named.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// Nothing defines that host yet.
    #[serde(skip_serializing_if = "is_false")]
    pub undefined: bool,
    /// A host that is nearly called so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub near: Option<String>,
    /// Nothing is known of the workload, or of the namespace.
    #[serde(skip_serializing_if = "is_false")]
    pub unknown_workload: bool,
    /// The fence and its key whose deadline is over, so that the host stays out all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub barred_by: Option<String>,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Call graphs to take in.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScopeImportRequest {
    #[serde(flatten)]
    pub files: FileSetRequest,
    /// The namespace of names that have none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Only say what would be learned.
    pub dry_run: bool,
}

/// What was taken in.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScopeImportReport {
    pub calls: Vec<ScopeCall>,
    /// What was left out: `calls.json data[2].child: it must be a name`.
    pub findings: Vec<String>,
    pub dry_run: bool,
}

/// One call of a graph.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ScopeCall {
    pub workload: String,
    pub host: String,
    pub count: u32,
    /// Whether it was known before.
    pub known: bool,
    /// Nothing defines the host yet.
    #[serde(default, skip_serializing_if = "is_false")]
    pub undefined: bool,
}

impl ScopeWorkload {
    /// What needs a look first.
    pub fn judged(&self) -> &'static str {
        match (self.is_capped(), self.full, self.refused) {
            (true, _, _) => "capped",
            (false, true, _) => "full",
            (false, false, 1..) => "refused",
            (false, false, 0) => "ok",
        }
    }

    /// Whether it has asked for so much that a fence does not fit it.
    pub fn is_capped(&self) -> bool {
        self.fenced.as_ref().is_some_and(|it| it.everything || !it.closed_ports.is_empty())
    }
}

impl ScopeFenced {
    pub(super) fn of(savings: &ClassSavings) -> Option<(String, Self)> {
        let ClassSavings { class, held, full } = savings;
        let fence = class.client.fence.as_ref()?;
        let Told { services, visible, asked, everything, unknown, closed_ports } = &class.told;
        let fenced = Self {
            mode: fence.mode.to_string(),
            proxies: class.streams,
            services: *services,
            visible: *visible,
            held: (*held).into(),
            unfenced: full.map(ScopeSizes::from),
            asked: asked.len(),
            everything: *everything,
            unknown: *unknown,
            closed_ports: closed_ports.clone(),
        };
        Some((fence.workload.to_string(), fenced))
    }
}

pub(super) fn describe_workload(view: WorkloadView) -> ScopeWorkload {
    ScopeWorkload {
        workload: view.workload.to_string(),
        fenced: None,
        application: view.application.map(|it| it.to_string()),
        targets: view.targets,
        pinned: view.pinned,
        seeded: view.seeded,
        refused: view.refused,
        full: view.is_full,
        last_seen: (view.last_seen > 0).then(|| time(view.last_seen)),
        state: String::new(),
    }
}

pub(super) fn describe_edge(edge: EdgeView) -> ScopeEdge {
    let kept_because = match edge.state {
        EdgeState::Kept(reason) => Some(reason.as_str().to_owned()),
        EdgeState::Pinned | EdgeState::Learned | EdgeState::Seeded | EdgeState::Due => None,
    };
    ScopeEdge {
        host: edge.host.to_string(),
        sensors: edge.sensors.iter().map(|sensor| sensor.to_string()).collect(),
        first_seen: time(edge.first_seen),
        last_seen: time(edge.last_seen),
        count: edge.count,
        state: edge.state.as_str().to_owned(),
        bytes: None,
        kept_because,
        forget_at: edge.forget_at.map(time),
    }
}

pub(crate) fn time(seconds: u64) -> String {
    Timestamp(i64::try_from(seconds).unwrap_or(i64::MAX)).to_string()
}
