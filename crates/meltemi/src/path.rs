//! Paths that people name.

use std::path::Path;

use crate::output::{Exit, Failure, Screen};

/// Refuses a path that is not there or cannot be read: taken as empty, it would look as if nothing
/// was wrong. `hint` is a key of the catalogue.
pub(crate) fn require_readable(
    path: &Path,
    hint: &str,
    screen: &Screen<'_>,
) -> Result<(), Failure> {
    let read = match path.is_dir() {
        true => std::fs::read_dir(path).map(drop),
        false => std::fs::File::open(path).map(drop),
    };
    read.map_err(|error| {
        let words =
            [("path", path.display().to_string().into()), ("reason", error.to_string().into())];
        let message = screen.text("input-unreadable", &words);
        Failure::new(Exit::BadInput, message).hint(screen.text(hint, &[]))
    })
}
