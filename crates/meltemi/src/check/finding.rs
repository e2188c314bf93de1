//! A finding as it is printed: flat, with its place filled in.

use std::cmp::Reverse;

use model::{Diagnostic, Location, Severity};
use serde::{Serialize, Serializer};

/// One finding. The fields are a contract of `-o json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    #[serde(serialize_with = "word")]
    pub(crate) severity: Severity,
    pub(crate) code: &'static str,
    /// Empty where no file is to blame.
    pub(crate) file: String,
    /// From 1; 0 is "somewhere in the file".
    pub(crate) line: u32,
    /// `VirtualService shop/cart`, or empty.
    pub(crate) object: String,
    /// `spec.http[0].route[1].weight`, or empty.
    pub(crate) field: String,
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl Finding {
    /// `location` is where the object begins, for findings without a place of their own.
    pub(super) fn new(diagnostic: Diagnostic, location: Option<&Location>) -> Self {
        let Diagnostic { severity, code, object, location: own, field, message, hint } = diagnostic;
        let location = own.as_ref().or(location);
        Self {
            severity,
            code,
            file: location.map(|it| it.file.to_string()).unwrap_or_default(),
            line: location.map(|it| it.line).unwrap_or_default(),
            object: object.map(|it| it.to_string()).unwrap_or_default(),
            field,
            message,
            hint,
        }
    }

    /// `shop.yaml:12`, or the file alone, or `-`.
    pub(crate) fn place(&self) -> String {
        match (self.file.as_str(), self.line) {
            ("", _) => "-".to_owned(),
            (file, 0) => file.to_owned(),
            (file, line) => format!("{file}:{line}"),
        }
    }

    /// The worst first, then by place.
    pub(super) fn order(&self) -> impl Ord + '_ {
        let text = (&self.file, self.line, self.code, &self.object, &self.field, &self.message);
        (Reverse(self.severity), text)
    }
}

/// `error`, `warning` or `info`.
fn word<S: Serializer>(severity: &Severity, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(severity)
}
