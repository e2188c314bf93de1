//! `identity rotate`.

use clap::Subcommand;
use identity::{AuthorityError, DirectoryStatus, Haste};

use super::{Directory, acknowledged::require_acknowledged, failure, status};
use crate::{
    client::Server,
    output::{Exit, Format, Screen},
};

pub(super) const EXAMPLES: &str = "\
Examples:
  meltemi identity rotate start --directory ./authority
  meltemi identity rotate next --directory ./authority
  meltemi identity rotate status --directory ./authority

Exit codes: 0 done, 64 wrong usage; the page of each command lists its own";

/// The steps of a rotation.
#[derive(Debug, Subcommand)]
pub(crate) enum RotateVerb {
    /// Make a second root, which everybody begins to trust.
    Start(Start),
    /// Take the next step: the new root issues; then the old one goes.
    Next(Next),
    /// Show how far the rotation is.
    Status(status::Status),
    /// Go back to the old root.
    Abort(Abort),
}

/// Make a second root, which everybody begins to trust. The old one issues until `next`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  meltemi identity rotate start --directory ./authority

Exit codes: 0 done, 1 a rotation is under way, 64 wrong usage, 65 a file is wrong")]
pub(crate) struct Start {
    #[command(flatten)]
    directory: Directory,
    #[arg(short, long, default_value = "table", value_parser = Format::among(status::FORMATS))]
    output: Format,
}

/// Take the next step: the new root issues; then the old one goes. Refused before every
/// certificate that the step would break has expired, and while a connected proxy has not
/// acknowledged what it needs for the step.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  meltemi identity rotate next --directory ./authority
  meltemi identity rotate next --directory ./authority --force --reason stolen-key

Exit codes: 0 done, 1 no rotation is under way, 64 wrong usage, 65 a file is wrong,
69 no control plane to ask, 75 too early, or a proxy is behind")]
pub(crate) struct Next {
    #[command(flatten)]
    directory: Directory,
    #[command(flatten)]
    server: Server,
    /// Take the step before its time and without asking: calls may fail.
    #[arg(long, requires = "reason")]
    force: bool,
    /// Why the step is taken before its time; it is kept with the state.
    #[arg(long, requires = "force", value_name = "TEXT")]
    reason: Option<String>,
    #[arg(short, long, default_value = "table", value_parser = Format::among(status::FORMATS))]
    output: Format,
}

/// Go back to the old root. Until the last step nothing is lost by it: what the new root has
/// issued stays trusted until it has expired, and then `next` ends the rotation.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  meltemi identity rotate abort --directory ./authority

Exit codes: 0 done, 1 no rotation is under way, 64 wrong usage, 65 a file is wrong")]
pub(crate) struct Abort {
    #[command(flatten)]
    directory: Directory,
    #[arg(short, long, default_value = "table", value_parser = Format::among(status::FORMATS))]
    output: Format,
}

impl RotateVerb {
    pub(super) fn format(&self) -> Format {
        match self {
            Self::Start(args) => args.output,
            Self::Next(args) => args.output,
            Self::Status(args) => args.output,
            Self::Abort(args) => args.output,
        }
    }

    pub(super) async fn run(self, screen: &mut Screen<'_>) -> anyhow::Result<Exit> {
        match self {
            Self::Start(Start { directory, output }) => {
                finish(directory.open().start_rotation(), output, screen)
            }
            Self::Next(Next { directory, server, force, reason, output }) => {
                let haste = match (force, reason) {
                    (true, Some(reason)) => Haste::Forced(reason),
                    (true, None) | (false, _) => Haste::InTime,
                };
                if haste == Haste::InTime {
                    let ready = directory.open().require_ready().map_err(|it| failure(&it))?;
                    require_acknowledged(&ready, &server, screen).await?;
                }
                finish(directory.open().continue_rotation(haste), output, screen)
            }
            Self::Status(args) => args.run(screen),
            Self::Abort(Abort { directory, output }) => {
                finish(directory.open().abort_rotation(), output, screen)
            }
        }
    }
}

fn finish(
    step: Result<DirectoryStatus, AuthorityError>,
    output: Format,
    screen: &mut Screen<'_>,
) -> anyhow::Result<Exit> {
    status::print(&step.map_err(|error| failure(&error))?, output, screen)?;
    Ok(Exit::Done)
}
