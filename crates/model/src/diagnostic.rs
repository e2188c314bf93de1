//! What a user got wrong, said so that the user can mend it.
//!
//! A diagnostic never stops its neighbours: whoever reports one has already chosen a safe meaning.

use std::{fmt, sync::Arc};

use crate::ObjectKey;

/// How bad a finding is. `Error` means the object, or the named part of it, has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    Info,
    Warning,
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// A place in a file. Lines count from 1; 0 means "somewhere in the file".
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    pub file: Arc<str>,
    pub line: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(out, "{}", self.file),
            line => write!(out, "{}:{line}", self.file),
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Diagnostic {
    pub severity: Severity,
    /// Stable code such as `MEL0104`; `meltemi help CODE` explains it.
    pub code: &'static str,
    pub object: Option<ObjectKey>,
    pub location: Option<Location>,
    /// Path of the field in the object, such as `spec.http[0].route[1].weight`; empty for the whole.
    pub field: String,
    /// What is wrong, without a full stop.
    pub message: String,
    /// What to do about it; empty when the message says it already.
    pub hint: String,
}

impl Diagnostic {
    pub fn new(severity: Severity, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity,
            code,
            object: None,
            location: None,
            field: String::new(),
            message: message.into(),
            hint: String::new(),
        }
    }

    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message)
    }

    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message)
    }

    pub fn info(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Info, code, message)
    }

    #[must_use]
    pub fn object(mut self, object: ObjectKey) -> Self {
        self.object = Some(object);
        self
    }

    #[must_use]
    pub fn at(mut self, location: Location) -> Self {
        self.location = Some(location);
        self
    }

    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = field.into();
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

/// One line for people: `shop.yaml:12: error[MEL0104] VirtualService shop/cart spec.http[0]: … (hint)`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = &self.location {
            write!(out, "{location}: ")?;
        }
        write!(out, "{}[{}]", self.severity, self.code)?;
        if let Some(object) = &self.object {
            write!(out, " {object}")?;
        }
        if !self.field.is_empty() {
            write!(out, " {}", self.field)?;
        }
        write!(out, ": {}", self.message)?;
        if !self.hint.is_empty() {
            write!(out, " ({})", self.hint)?;
        }
        Ok(())
    }
}

/// Findings in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }

    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    pub fn into_vec(self) -> Vec<Diagnostic> {
        self.0
    }
}

impl FromIterator<Diagnostic> for Diagnostics {
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}
