//! `identity issue`.

use std::{path::PathBuf, time::Duration};

use identity::{Authority, AuthoritySettings, render_time};
use model::Identity;

use super::{Directory, bad, failure, print_written};
use crate::{
    bootstrap::write_secrets,
    input::parse_duration,
    output::{Exit, Failure, Screen},
};

/// Issue a certificate into files, for a proxy that cannot ask for one: the first certificate of
/// a machine without Kubernetes. With it, the proxy connects and is given the next ones.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  meltemi identity issue --directory ./authority --identity shop/cart --out ./certs
  meltemi identity issue --directory ./authority --identity shop/cart --out ./certs --lifetime 1h

Exit codes: 0 done, 1 not issued, 64 wrong usage, 65 a file is wrong")]
pub(crate) struct Issue {
    #[command(flatten)]
    directory: Directory,
    /// Who it is for: NAMESPACE/SERVICE-ACCOUNT, or a whole `spiffe://` identity.
    #[arg(long, value_name = "IDENTITY")]
    identity: String,
    /// Folder for `cert-chain.pem`, `key.pem` and `root-cert.pem`, as `bootstrap --proof` wants it.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How long it is valid.
    #[arg(long, default_value = "24h", value_parser = parse_duration)]
    lifetime: Duration,
}

impl Issue {
    pub(crate) fn run(self, screen: &mut Screen<'_>) -> anyhow::Result<Exit> {
        let Self { directory, identity, out, lifetime } = self;
        let status = directory.open().status().map_err(|error| failure(&error))?;
        let identity = parse_identity(&identity, &status.trust_domain, screen)?;
        let trust_domain = identity.trust_domain.clone();
        let settings = AuthoritySettings::new(directory.directory, &trust_domain, &status.cluster);
        let longest_lifetime = settings.longest_lifetime.max(lifetime);
        let settings = AuthoritySettings { lifetime, longest_lifetime, ..settings };
        let authority = Authority::open(settings).map_err(|error| failure(&error))?;
        let issued = authority.issue(&identity).map_err(|error| bad(Exit::Failed, &error))?;
        let written = issued.write(&authority.roots(), &out);
        let mut written = written.map_err(|error| bad(Exit::BadInput, &error))?;
        written.extend(write_secrets(&out)?);
        print_written(&written, screen)?;
        let words = [
            ("identity", identity.to_string().into()),
            ("until", render_time(issued.not_after).into()),
        ];
        screen.say("identity-issued", &words)?;
        Ok(Exit::Done)
    }
}

/// Reads `NAMESPACE/SERVICE-ACCOUNT`, or a whole identity.
pub(super) fn parse_identity(
    text: &str,
    trust_domain: &str,
    screen: &Screen<'_>,
) -> Result<Identity, Failure> {
    let whole = match text.split_once('/') {
        Some((namespace, account)) if !text.contains("://") => {
            format!("spiffe://{trust_domain}/ns/{namespace}/sa/{account}")
        }
        _ => text.to_owned(),
    };
    whole.parse().map_err(|_| {
        let message = screen.text("identity-unreadable", &[("identity", text.into())]);
        Failure::new(Exit::Usage, message)
    })
}
