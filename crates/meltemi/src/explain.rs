//! What every diagnostic code means.

use api::codes::Code;

/// Every code that a finding can have, in order.
pub(crate) fn all() -> Vec<&'static Code> {
    let tables = [
        api::codes::ALL,
        source::codes::ALL,
        source_directory::codes::ALL,
        jwks::codes::ALL,
        compile::codes::ALL,
        lint::codes::ALL,
    ];
    let mut all: Vec<&'static Code> = tables.into_iter().flatten().collect();
    all.sort_by_key(|code| code.code);
    all
}

/// The code with this name.
pub(crate) fn find(name: &str) -> Option<&'static Code> {
    all().into_iter().find(|code| code.code.eq_ignore_ascii_case(name))
}
