//! `identity init`.

use std::time::Duration;

use super::{Directory, failure, status};
use crate::{
    input::parse_duration,
    output::{Exit, Format, Screen},
};

/// Make a root and an intermediate for this cluster, unless there are some.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  meltemi identity init --directory ./authority
  meltemi identity init --directory ./authority --trust-domain mesh.example --cluster north

Exit codes: 0 done, 64 wrong usage, 65 the folder cannot be used")]
pub(crate) struct Init {
    #[command(flatten)]
    directory: Directory,
    /// The trust domain, with which every identity begins.
    #[arg(long, default_value = "cluster.local")]
    trust_domain: String,
    /// The cluster whose intermediate signs.
    #[arg(long, default_value = "Kubernetes")]
    cluster: String,
    /// The longest life that certificates will be given, such as `24h`.
    #[arg(long, default_value = "24h", value_parser = parse_duration)]
    lifetime: Duration,
    #[arg(short, long, default_value = "table", value_parser = Format::among(status::FORMATS))]
    pub(crate) output: Format,
}

impl Init {
    pub(crate) fn run(self, screen: &mut Screen<'_>) -> anyhow::Result<Exit> {
        let Self { directory, trust_domain, cluster, lifetime, output } = self;
        let made = directory.open().initialise(&trust_domain, &cluster, lifetime);
        status::print(&made.map_err(|error| failure(&error))?, output, screen)?;
        Ok(Exit::Done)
    }
}
