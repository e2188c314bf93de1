//! Why something could not be kept or read.

use std::{io, path::PathBuf};

/// Every variant names the file and says what to try.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The folder cannot be used.
    #[error("cannot keep anything in {path}: give a folder that this process may write to")]
    Folder {
        /// The folder, or the file in it.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has the file.
    #[error("{path} is in use by another process: give each one a folder of its own")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by another version.
    #[error(
        "{path} has the format {format}, which this version does not read: run the version that wrote it, or move the file away"
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// Its number.
        format: u8,
    },
    /// A read or a write failed. The next call opens the file anew.
    #[error("failed to {verb} {path}: see that its disk has room and works")]
    Access {
        /// `read` or `write`.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// What the file's own code said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The call was not finished, because the process ends.
    #[error("the process is ending")]
    Ending,
}
