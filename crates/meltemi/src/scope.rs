//! `scope`: what workloads are sent of the mesh, and what they call.

mod export;

use clap::Subcommand;

use self::export::Export;
use crate::output::{Exit, Format, Screen};

pub(crate) const EXAMPLES: &str = "\
Examples:
  meltemi scope export shop > sidecars.yaml

Exit codes: 0 done, 64 wrong usage; the page of each command lists its own";

#[derive(Debug, Subcommand)]
pub(crate) enum ScopeVerb {
    /// Print fences, with what was learned, as ordinary Sidecar objects.
    Export(Export),
}

impl ScopeVerb {
    /// Errors take the form of the output.
    pub(crate) fn format(&self) -> Format {
        match self {
            Self::Export(_) => Format::Table,
        }
    }

    pub(crate) async fn run(self, screen: &mut Screen<'_>) -> anyhow::Result<Exit> {
        match self {
            Self::Export(args) => args.run(screen).await,
        }
    }
}
