//! `POST /api/diff`: what objects would change, in the files and in Envoy. Nothing is written.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::Object;
use axum::{Extension, Json, extract::State};
use envoy::json::{FieldNames, bytes_to_json};
use model::Kind;
use push::{Preview, ResourceChange, ResourceKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use snapshot::Change;
use source_directory::{Draft, WriteMode, WriteVerb, Written};

use crate::{
    ApiError, AppliedObject, FieldChange, FileSetRequest, Finding, Shared,
    apply::{self, Checked},
    differences,
    lints::Lints,
    proxies::kind_name,
    redact::{hide_value, outline_secret, redact},
};

/// More resources than this are counted and not listed, and more fields of one of them.
const MOST_EFFECTS: usize = 500;
const MOST_FIELDS: usize = 50;

/// What would change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DiffReport {
    /// Revision of the mesh that the files were compared with.
    pub base: u64,
    pub objects: Vec<ObjectDiff>,
    /// Resources, sorted by type and name.
    pub effects: Vec<EnvoyEffect>,
    /// Resources that are not listed.
    pub more_effects: usize,
    /// Proxies that something would change for, and proxies that are connected.
    pub affected: usize,
    pub connected: usize,
    /// What is wrong with the files, and what would be wrong that is not wrong now.
    pub findings: Vec<Finding>,
}

/// What would become of one object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ObjectDiff {
    #[serde(flatten)]
    pub object: AppliedObject,
    /// Text in the file, empty for a new object.
    pub before: String,
    pub after: String,
    pub fields: Vec<FieldChange>,
}

/// What would become of one resource, for the proxies that get it alike.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EnvoyEffect {
    #[serde(rename = "type")]
    pub kind: String,
    pub name: String,
    /// `add`, `change` or `remove`.
    pub verb: String,
    pub proxies: usize,
    /// Of changed resources.
    pub fields: Vec<FieldChange>,
}

pub(crate) async fn diff(
    State(admin): State<Shared>,
    Extension(lints): Extension<Arc<Lints>>,
    Json(request): Json<FileSetRequest>,
) -> Result<Json<DiffReport>, ApiError> {
    let Checked { drafts, mut findings } = apply::check(request)?;
    let written = admin.directory.write(drafts.clone(), WriteMode::Plan).await?;
    let connected = admin.streams.proxies().len();
    let changes = changes(&drafts, &written);
    let mut report = DiffReport {
        objects: drafts.iter().zip(&written).map(object_diff).collect(),
        connected,
        ..DiffReport::default()
    };
    let run = admin.writer.dry_run(changes).await.ok_or_else(ApiError::ending)?;
    report.base = run.base;
    findings.extend(lints.brought_by(&run, &admin.writer).await.iter().map(Finding::from));
    let preview = admin.engine.preview(run.snapshot, run.changes).await;
    let preview = preview.ok_or_else(ApiError::ending)?;
    findings.extend(new_findings(&preview));
    report.findings = findings;
    report.affected = affected(&preview);
    report.effects = effects(&preview);
    report.more_effects = report.effects.len().saturating_sub(MOST_EFFECTS);
    report.effects.truncate(MOST_EFFECTS);
    Ok(Json(report))
}

/// What the writer would be told.
fn changes(drafts: &[Draft], written: &[Written]) -> Vec<Change> {
    let changed = drafts.iter().zip(written).filter(|(_, it)| it.verb != WriteVerb::Unchanged);
    let puts = changed.flat_map(|(draft, it)| {
        draft.objects.iter().map(|object| {
            let mut object: Object = object.clone();
            object.location.file = it.file.clone();
            Change::Put(object)
        })
    });
    puts.collect()
}

fn object_diff((draft, written): (&Draft, &Written)) -> ObjectDiff {
    let fields = match written.verb {
        // A preview is of files that are put in.
        WriteVerb::Unchanged | WriteVerb::Deleted => Vec::new(),
        WriteVerb::Created | WriteVerb::Configured => {
            differences(&yaml(&written.before), &yaml(&draft.text))
        }
    };
    let (before, after) = (written.before.clone(), written.after.clone());
    let diff = ObjectDiff { object: apply::applied(written), before, after, fields };
    match written.key.kind {
        Kind::Secret => without_values(diff),
        _ => diff,
    }
}

/// Whoever may ask what would change may not read Secrets for that.
fn without_values(diff: ObjectDiff) -> ObjectDiff {
    let outline = |text: &str| match text.is_empty() {
        true => String::new(),
        false => serde_saphyr::to_string(&outline_secret(&yaml(text))).unwrap_or_default(),
    };
    let fields = diff.fields.into_iter().map(|field| FieldChange {
        before: hide_value(&field.before),
        after: hide_value(&field.after),
        ..field
    });
    let (before, after) = (outline(&diff.before), outline(&diff.after));
    ObjectDiff { before, after, fields: fields.collect(), ..diff }
}

/// The text as JSON; null where it is empty. What the mesh reads is read here too.
fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_default()
}

fn affected(preview: &Preview) -> usize {
    let streams: BTreeSet<u64> =
        preview.facets.iter().flat_map(|facet| &facet.streams).copied().collect();
    streams.len()
}

/// Proxies that get the same change of a resource are counted together, whichever class they are.
fn effects(preview: &Preview) -> Vec<EnvoyEffect> {
    let version =
        |side: &Option<Arc<compile::Compiled>>| side.as_ref().map(|it| it.resource.version());
    type Same<'a> = (ResourceKind, &'a str, Option<u64>, Option<u64>);
    let mut groups: BTreeMap<Same<'_>, (&ResourceChange, usize)> = BTreeMap::new();
    for facet in &preview.facets {
        for change in &facet.changes {
            let key = (change.kind, &*change.name, version(&change.before), version(&change.after));
            groups.entry(key).or_insert((change, 0)).1 += facet.streams.len();
        }
    }
    groups.into_values().map(|(change, proxies)| effect(change, proxies)).collect()
}

fn effect(change: &ResourceChange, proxies: usize) -> EnvoyEffect {
    let json = |side: &compile::Compiled| {
        let body = side.resource.decode_bytes();
        redact(bytes_to_json(change.kind.type_url(), body, FieldNames::Proto))
    };
    let (verb, mut fields) = match (&change.before, &change.after) {
        (Some(before), Some(after)) => ("change", differences(&json(before), &json(after))),
        (None, _) => ("add", Vec::new()),
        (Some(_), None) => ("remove", Vec::new()),
    };
    fields.truncate(MOST_FIELDS);
    let (kind, name) = (kind_name(change.kind), change.name.to_string());
    EnvoyEffect { kind, name, verb: verb.to_owned(), proxies, fields }
}

/// What the compiler finds in the new resources and not in the old ones.
fn new_findings(preview: &Preview) -> Vec<Finding> {
    let changes = preview.facets.iter().flat_map(|facet| &facet.changes);
    let found = changes.flat_map(|change| {
        let old = change.before.as_ref().map(|it| it.diagnostics.clone()).unwrap_or_default();
        let new = change.after.iter().flat_map(|it| it.diagnostics.iter());
        new.filter(|it| !old.iter().any(|known| known == *it))
            .map(Finding::from)
            .collect::<Vec<_>>()
    });
    let mut findings: Vec<Finding> = Vec::new();
    for finding in found {
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    }
    findings
}
