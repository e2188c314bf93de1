//! Why an authority does nothing: its errors, each with the file and what to do about it.

use std::{path::PathBuf, sync::Arc};

use model::Identity;

use crate::{BundleError, FileError, MintError, RequestError, StateError, StepError};

/// Why an authority cannot be opened or changed.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Files do not fit together, or one is not what it should be.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The state on disk cannot be used.
    #[error("failed to read `{}`", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: StateError,
    },
    /// There are keys, but nothing says which of them count.
    #[error(
        "`{}` is missing, but there are keys beside it: restore it from a backup; only if no \
         certificate is in use, move the directory away and start again", path.display()
    )]
    StateMissing {
        /// The file.
        path: PathBuf,
    },
    /// The directory is not an authority's.
    #[error("`{}` is not the directory of an authority: `meltemi identity init` makes one", directory.display())]
    NoAuthority {
        /// The directory.
        directory: PathBuf,
    },
    /// The key of the root is kept elsewhere.
    #[error("the key of the root, `{}`, is not here: put it there for this step, or name it", path.display())]
    NoRootKey {
        /// Where it would be.
        path: PathBuf,
    },
    /// A step of a rotation cannot be taken.
    #[error(transparent)]
    Step(#[from] StepError),
    /// Nothing could be signed.
    #[error(transparent)]
    Mint(#[from] MintError),
}

/// Why a certificate was not issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The caller belongs to another trust domain.
    #[error(
        "`{identity}` is not of the trust domain `{trust_domain}`, for which this authority signs"
    )]
    ForeignTrustDomain {
        /// Who asks.
        identity: Identity,
        /// For whom it signs.
        trust_domain: Arc<str>,
    },
    /// The signing request cannot be signed.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// What signs has expired.
    #[error("the certificate that signs has expired: see `meltemi identity status`")]
    Expired,
    /// Signing failed.
    #[error(transparent)]
    Mint(#[from] MintError),
    /// That somebody was given a longer life than anybody before could not be noted.
    #[error("failed to note the life of a certificate")]
    Note(#[source] Box<AuthorityError>),
}

/// An error with its causes, on one line.
pub(crate) fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
