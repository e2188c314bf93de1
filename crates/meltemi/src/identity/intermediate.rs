//! `identity intermediate`.

use std::path::PathBuf;

use super::{Directory, bad, failure, print_written};
use crate::output::{Exit, Screen};

/// Make an intermediate of the same root for another cluster, in the layout of Istio's Secret
/// `cacerts`: the other cluster serves with `--cacerts`, and both trust each other.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  meltemi identity intermediate --directory ./authority --cluster south --out ./cacerts-south
  meltemi identity intermediate --directory ./authority --cluster south --out ./south --root-key usb/root.key

Exit codes: 0 done, 64 wrong usage, 65 a file is wrong or the key of the root is not here")]
pub(crate) struct Intermediate {
    #[command(flatten)]
    directory: Directory,
    /// The other cluster.
    #[arg(long)]
    cluster: String,
    /// Folder for the files.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Key of the root, where it is kept elsewhere.
    #[arg(long, value_name = "FILE")]
    root_key: Option<PathBuf>,
}

impl Intermediate {
    pub(crate) fn run(self, screen: &mut Screen<'_>) -> anyhow::Result<Exit> {
        let Self { directory, cluster, out, root_key } = self;
        let made = directory.open().make_intermediate(&cluster, root_key.as_deref());
        let made = made.map_err(|error| failure(&error))?;
        let written = made.write(&out).map_err(|error| bad(Exit::BadInput, &error))?;
        print_written(&written, screen)?;
        Ok(Exit::Done)
    }
}
