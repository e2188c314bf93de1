//! `POST /api/apply`: objects into the served directories, all of them or none; and
//! `POST /api/delete`: out of them.

use axum::{Json, extract::State};
use model::{Kind, ObjectKey};
use serde::{Deserialize, Serialize};
use source_directory::{Draft, WriteError, WriteMode, WriteVerb, Written, parse_drafts};

use crate::{ApiError, Finding, Reason, Shared};

/// Files that were handed in.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FileSetRequest {
    pub files: Vec<InputFile>,
}

/// One file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct InputFile {
    /// Only used to say where things are.
    pub name: String,
    pub text: String,
}

/// What became of the objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ApplyReport {
    pub objects: Vec<AppliedObject>,
    /// Warnings about the files.
    pub findings: Vec<Finding>,
}

/// What became of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AppliedObject {
    pub kind: String,
    pub namespace: String,
    pub name: String,
    /// `created`, `configured`, `unchanged` or `deleted`.
    pub verb: String,
    /// The file that holds it.
    pub file: String,
}

/// Objects that are to go.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DeleteRequest {
    pub objects: Vec<ObjectName>,
}

/// One object by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ObjectName {
    pub kind: String,
    pub namespace: String,
    pub name: String,
}

/// Drafts without errors, and what is to be said about them.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) drafts: Vec<Draft>,
    pub(crate) findings: Vec<Finding>,
}

pub(crate) async fn apply(
    State(admin): State<Shared>,
    Json(request): Json<FileSetRequest>,
) -> Result<Json<ApplyReport>, ApiError> {
    let Checked { drafts, findings } = check(request)?;
    let written = admin.directory.write(drafts, WriteMode::Write).await?;
    for it in written.iter().filter(|it| it.verb != WriteVerb::Unchanged) {
        tracing::info!(object = %it.key, file = %it.file, "Object was applied");
    }
    Ok(Json(ApplyReport { objects: written.iter().map(applied).collect(), findings }))
}

pub(crate) async fn delete(
    State(admin): State<Shared>,
    Json(request): Json<DeleteRequest>,
) -> Result<Json<ApplyReport>, ApiError> {
    let mut keys = Vec::with_capacity(request.objects.len());
    for ObjectName { kind, namespace, name } in request.objects {
        let Some(kind) = Kind::parse(&kind) else {
            let message = format!("`{kind}` is not a kind that the mesh reads");
            return Err(ApiError::new(Reason::BadInput, message));
        };
        let key = ObjectKey::new(kind, &namespace, &name);
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let written = admin.directory.remove(keys, WriteMode::Write).await?;
    for it in &written {
        tracing::info!(object = %it.key, file = %it.file, "Object was deleted");
    }
    let objects = written.iter().map(applied).collect();
    Ok(Json(ApplyReport { objects, findings: Vec::new() }))
}

/// Reads and validates the files: nothing is written while anything is wrong.
pub(crate) fn check(request: FileSetRequest) -> Result<Checked, ApiError> {
    let (mut drafts, mut findings) = (Vec::<Draft>::new(), Vec::new());
    for InputFile { name, text } in request.files {
        let (found, diagnostics) = parse_drafts(&name, text.as_bytes());
        findings.extend(diagnostics.iter().map(Finding::from));
        for draft in found {
            let twin = drafts.iter().find(|other| other.key() == draft.key());
            if let Some(twin) = twin {
                let (key, first) = (draft.key(), &twin.object().location);
                let second = &draft.object().location;
                let message = format!("{key} is given twice, at {first} and at {second}");
                return Err(ApiError::new(Reason::BadInput, message));
            }
            drafts.push(draft);
        }
    }
    if findings.iter().any(Finding::is_error) {
        let message = "the files have errors; nothing was changed";
        return Err(ApiError { findings, ..ApiError::new(Reason::BadInput, message) });
    }
    if drafts.is_empty() {
        let message = "the files hold no object that the mesh reads";
        return Err(ApiError { findings, ..ApiError::new(Reason::BadInput, message) });
    }
    Ok(Checked { drafts, findings })
}

pub(crate) fn applied(written: &Written) -> AppliedObject {
    AppliedObject {
        kind: written.key.kind.to_string(),
        namespace: written.key.namespace.to_string(),
        name: written.key.name.to_string(),
        verb: match written.verb {
            WriteVerb::Created => "created",
            WriteVerb::Configured => "configured",
            WriteVerb::Unchanged => "unchanged",
            WriteVerb::Deleted => "deleted",
        }
        .to_owned(),
        file: written.file.to_string(),
    }
}

impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        let message = match std::error::Error::source(&error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        };
        match error {
            WriteError::BadName { .. } => Self::new(Reason::BadInput, message)
                .hint("use a valid Kubernetes name: letters, digits, `-` and `.`"),
            WriteError::NotThere { .. } => Self::new(Reason::NotFound, message)
                .hint("`meltemi access list` and the served files say what there is"),
            WriteError::Refused { hint, .. } => Self::new(Reason::Conflict, message).hint(hint),
            WriteError::Conflict { .. } => {
                Self::new(Reason::Conflict, message).hint("look at the file, and try again")
            }
            WriteError::Write { .. } => {
                Self::new(Reason::Internal, message).hint("check the permissions and the space")
            }
            WriteError::Gone => Self::ending(),
        }
    }
}
