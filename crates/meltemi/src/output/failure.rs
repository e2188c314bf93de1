//! Why a command could not do its work, with what to do about it.

use std::{fmt, io::Write};

use serde_json::json;

use crate::output::{Exit, Format};

/// An error whose exit code is known. Commands return it inside `anyhow::Error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// What went wrong, in the user's language.
    pub(crate) message: String,
    /// What to try next; may be empty.
    pub(crate) hint: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: String::new() }
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Writes an error for people, or as one JSON value where the output was asked for in that form.
/// Returns how the command ended.
pub(crate) fn report_error(error: &anyhow::Error, format: Format, err: &mut impl Write) -> Exit {
    if is_closed_pipe(error) {
        // Whoever read the output has enough of it, as `head` does.
        return Exit::Done;
    }
    let failure = error.downcast_ref::<Failure>();
    let exit = failure.map_or(Exit::Failed, |failure| failure.exit);
    let hint = failure.map(|failure| failure.hint.as_str()).unwrap_or_default();
    let message = format!("{error:#}");
    // There is nowhere left to report that stderr is closed.
    let _ = match format {
        Format::Json => {
            let mut body = json!({ "code": exit.code(), "message": message });
            if !hint.is_empty() {
                body["hint"] = hint.into();
            }
            writeln!(err, "{}", json!({ "error": body }))
        }
        _ if hint.is_empty() => writeln!(err, "error: {message}"),
        _ => writeln!(err, "error: {message}\n  → {hint}"),
    };
    exit
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let causes = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    causes.into_iter().any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}
