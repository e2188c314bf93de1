//! `identity`: the authority of a mesh from the command line: its root, intermediates for other
//! clusters, first certificates, the rotation of roots, and tokens for tests.
//!
//! - Works on the directory of an authority, also while a server uses it: the server notices.
//! - Keys go into files with mode 0600 and are never printed; a token is printed, as it is what
//!   was asked for.
//! - Not here: what an authority does (the crate `identity`).

mod acknowledged;
mod init;
mod intermediate;
mod issue;
mod rotate;
mod status;
mod token;

use std::{
    error::Error,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Subcommand;
use identity::{AuthorityDirectory, AuthorityError, StepError, SystemAmbient};

use self::{
    init::Init, intermediate::Intermediate, issue::Issue, rotate::RotateVerb, status::Status,
    token::Token,
};
use crate::output::{Exit, Failure, Format, Role, Screen};

/// The verbs of `identity`.
#[derive(Debug, Subcommand)]
pub(crate) enum IdentityVerb {
    /// Make a root and an intermediate for this cluster, unless there are some.
    #[command(visible_alias = "root")]
    Init(Init),
    /// Make an intermediate of the same root for another cluster.
    Intermediate(Intermediate),
    /// Issue a certificate into files, for a proxy that cannot ask for one.
    Issue(Issue),
    /// Replace the root, in steps that break no call.
    #[command(subcommand, after_help = rotate::EXAMPLES)]
    Rotate(RotateVerb),
    /// Show roots, intermediate, and how far a rotation is.
    Status(Status),
    /// Sign a token of a service account, for tests and demos.
    Token(Token),
}

pub(crate) const EXAMPLES: &str = "\
Examples:
  meltemi identity init --directory ./authority
  meltemi identity status --directory ./authority
  meltemi identity rotate start --directory ./authority

Exit codes: 0 done, 64 wrong usage; the page of each command lists its own";

/// Where the authority keeps its state.
#[derive(Clone, Debug, clap::Args)]
struct Directory {
    /// Folder of the authority: roots, intermediates, keys.
    #[arg(long, env = "MELTEMI_IDENTITY_DIRECTORY", value_name = "DIR")]
    directory: PathBuf,
}

impl IdentityVerb {
    pub(crate) fn format(&self) -> Format {
        match self {
            Self::Init(args) => args.output,
            Self::Rotate(verb) => verb.format(),
            Self::Status(args) => args.output,
            Self::Intermediate(_) | Self::Issue(_) | Self::Token(_) => Format::Table,
        }
    }

    pub(crate) async fn run(self, screen: &mut Screen<'_>) -> anyhow::Result<Exit> {
        match self {
            Self::Init(args) => args.run(screen),
            Self::Intermediate(args) => args.run(screen),
            Self::Issue(args) => args.run(screen),
            Self::Rotate(verb) => verb.run(screen).await,
            Self::Status(args) => args.run(screen),
            Self::Token(args) => args.run(screen),
        }
    }
}

impl Directory {
    fn open(&self) -> AuthorityDirectory {
        AuthorityDirectory::new(&self.directory, Arc::new(SystemAmbient::default()))
    }
}

/// An error of the authority as a failure: a step that has to wait is one that can be tried again.
fn failure(error: &AuthorityError) -> Failure {
    let exit = match error {
        AuthorityError::Step(StepError::TooEarly(_)) => Exit::TryAgain,
        AuthorityError::Step(_) | AuthorityError::Mint(_) => Exit::Failed,
        AuthorityError::File(_)
        | AuthorityError::Bundle(_)
        | AuthorityError::State { .. }
        | AuthorityError::StateMissing { .. }
        | AuthorityError::NoAuthority { .. }
        | AuthorityError::NoRootKey { .. } => Exit::BadInput,
    };
    bad(exit, error)
}

/// A failure that says its causes too.
fn bad(exit: Exit, error: &(dyn Error + 'static)) -> Failure {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let texts: Vec<String> = causes.map(ToString::to_string).collect();
    Failure::new(exit, texts.join(": "))
}

/// Says which files were written.
fn print_written(paths: &[PathBuf], screen: &mut Screen<'_>) -> anyhow::Result<()> {
    for path in paths {
        print_file(path, screen)?;
    }
    Ok(())
}

fn print_file(path: &Path, screen: &mut Screen<'_>) -> anyhow::Result<()> {
    let text = screen.text("identity-wrote", &[("path", path.display().to_string().into())]);
    Ok(screen.mark(Role::Good, &text)?)
}
