//! What is wrong with the configuration, as the API says it.

use model::{Diagnostic, Severity};
use push::EngineHandle;
use serde::{Deserialize, Serialize};
use source::SourceStatuses;
use store::WriterHandle;

use crate::lints::Lints;

/// One finding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Finding {
    /// `error`, `warning` or `info`.
    pub severity: String,
    /// Stable code such as `MEL0104`.
    pub code: String,
    /// `VirtualService shop/cart`.
    pub object: Option<String>,
    /// `file:line`.
    pub location: Option<String>,
    /// Path of the field in the object.
    pub field: String,
    pub message: String,
    pub hint: String,
}

/// The list of `/debug/findings`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct FindingList {
    pub items: Vec<Finding>,
}

impl Finding {
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error.to_string()
    }
}

impl From<&Diagnostic> for Finding {
    fn from(finding: &Diagnostic) -> Self {
        Self {
            severity: finding.severity.to_string(),
            code: finding.code.to_owned(),
            object: finding.object.as_ref().map(ToString::to_string),
            location: finding.location.as_ref().map(ToString::to_string),
            field: finding.field.clone(),
            message: finding.message.clone(),
            hint: finding.hint.clone(),
        }
    }
}

/// One line, as `model::Diagnostic` writes it.
impl std::fmt::Display for Finding {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(location) = &self.location {
            write!(out, "{location}: ")?;
        }
        write!(out, "{}[{}]", self.severity, self.code)?;
        for part in self.object.iter().chain(Some(&self.field).filter(|field| !field.is_empty())) {
            write!(out, " {part}")?;
        }
        write!(out, ": {}", self.message)?;
        if !self.hint.is_empty() {
            write!(out, " ({})", self.hint)?;
        }
        Ok(())
    }
}

/// What is wrong with the sources now.
pub(crate) fn current(statuses: &SourceStatuses) -> Vec<Finding> {
    let statuses = statuses.load();
    let places = statuses.values().flat_map(|status| status.findings.values());
    places.flat_map(|diagnostics| diagnostics.iter()).map(Finding::from).collect()
}

/// What is wrong between the objects, and what was found wrong while compiling for the connected
/// proxies, with the places of the objects.
pub(crate) async fn compiled(
    engine: &EngineHandle,
    lints: &Lints,
    writer: &WriterHandle,
) -> Vec<Finding> {
    let mut found: Vec<Diagnostic> = engine.findings().await.into_iter().collect();
    found.extend(lints.current(writer).await.iter().cloned());
    let located = writer.read(move |index| {
        let place = |finding: Diagnostic| {
            let object = finding.object.as_ref().and_then(|key| index.objects().get(key));
            let location = finding.location.clone().or(object.map(|it| it.location.clone()));
            Finding::from(&Diagnostic { location, ..finding })
        };
        found.into_iter().map(place).collect()
    });
    located.await.unwrap_or_default()
}
