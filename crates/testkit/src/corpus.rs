//! Finds the corpus of public configuration that some tests read.
//!
//! The corpus is not part of the repository. A test that needs it begins with
//!
//! ```no_run
//! let Some(corpus) = testkit::corpus::require_corpus("every sample converts") else { return };
//! ```

use std::{
    io::{self, Write},
    path::PathBuf,
};

use crate::tools;

/// `MELTEMI_CORPUS`, else `../shared/corpus` beside the workspace, if there is such a folder.
#[must_use]
pub fn corpus_dir() -> Option<PathBuf> {
    let beside = tools::workspace_root().with_file_name("shared").join("corpus");
    let folder = tools::variable("MELTEMI_CORPUS").map_or(beside, PathBuf::from);
    folder.is_dir().then_some(folder)
}

/// The corpus, or a loud line that `test` did not run.
///
/// # Panics
///
/// If there is no corpus and `CI=true`.
#[must_use]
pub fn require_corpus(test: &str) -> Option<PathBuf> {
    let corpus = corpus_dir();
    if corpus.is_none() {
        assert!(!tools::is_ci(), "no corpus for `{test}`: set MELTEMI_CORPUS to its folder");
        // Written past `eprintln`, whose text the test runner hides when a test passes.
        let line = format!("\n!!! NOT RUN, no corpus: {test}. Set MELTEMI_CORPUS to its folder\n");
        io::stderr().write_all(line.as_bytes()).unwrap_or_default();
    }
    corpus
}
