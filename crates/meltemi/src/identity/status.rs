//! `identity status`.

use std::time::SystemTime;

use identity::{CertificateFacts, DirectoryStatus, Phase, render_time};
use serde::Serialize;

use super::{Directory, failure};
use crate::output::{Cell, Exit, Format, Role, Screen, Table};

pub(super) const FORMATS: &[Format] = &[Format::Table, Format::Wide, Format::Json, Format::Yaml];
/// A certificate that expires sooner is marked.
const SOON: u64 = 30 * 24 * 60 * 60;

/// Show roots, intermediate, when they expire, and how far a rotation is.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  meltemi identity status --directory ./authority
  meltemi identity status --directory ./authority -o json

Exit codes: 0 done, 64 wrong usage, 65 a file is wrong")]
pub(crate) struct Status {
    #[command(flatten)]
    directory: Directory,
    #[arg(short, long, default_value = "table", value_parser = Format::among(FORMATS))]
    pub(crate) output: Format,
}

/// What a script reads.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusResult {
    trust_domain: String,
    cluster: String,
    phase: &'static str,
    since: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_step_at: Option<String>,
    roots: Vec<CertificateResult>,
    intermediate: CertificateResult,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CertificateResult {
    subject: String,
    not_before: String,
    not_after: String,
    /// SHA-256 of the certificate.
    fingerprint: String,
    /// Of a root: whether it is the one that issues, and whether its key is here.
    #[serde(skip_serializing_if = "Option::is_none")]
    issues: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_present: Option<bool>,
}

impl Status {
    pub(crate) fn run(self, screen: &mut Screen<'_>) -> anyhow::Result<Exit> {
        let Self { directory, output } = self;
        let status = directory.open().status().map_err(|error| failure(&error))?;
        print(&status, output, screen)?;
        Ok(Exit::Done)
    }
}

/// Prints what is in the directory, and what can be done next.
pub(super) fn print(
    status: &DirectoryStatus,
    output: Format,
    screen: &mut Screen<'_>,
) -> anyhow::Result<()> {
    if matches!(output, Format::Json | Format::Yaml) {
        return screen.structured(output, &StatusResult::new(status));
    }
    let mut table = Table::new(["CERTIFICATE", "SUBJECT", "EXPIRES", "KEY", "STATE", "SHA-256"]);
    for root in &status.roots {
        let state = if root.issues { "issues" } else { "trusted" };
        let key = if root.has_key { "here" } else { "elsewhere" };
        table.row(row("root", &root.certificate, key, state, output));
    }
    table.row(row("intermediate", &status.intermediate, "here", "signs", output));
    match output {
        Format::Wide => screen.wide_table(&table)?,
        _ => screen.table(&table)?,
    }
    let ready_at = status.ready_at.map(render_time).unwrap_or_default();
    let words = [("until", ready_at.into())];
    let key = match (status.phase, status.ready_at.is_some_and(|it| it <= SystemTime::now())) {
        (Phase::Steady, _) => "identity-steady",
        (Phase::Trusting, false) => "identity-trusting",
        (Phase::Trusting, true) => "identity-trusting-ready",
        (Phase::Issuing, false) => "identity-issuing",
        (Phase::Issuing, true) => "identity-issuing-ready",
        (Phase::Reverting, false) => "identity-reverting",
        (Phase::Reverting, true) => "identity-reverting-ready",
    };
    Ok(screen.say(key, &words)?)
}

fn row(
    kind: &str,
    certificate: &CertificateFacts,
    key: &str,
    state: &str,
    output: Format,
) -> [Cell; 6] {
    let left = certificate.not_after.duration_since(SystemTime::now()).unwrap_or_default();
    let expires = render_time(certificate.not_after);
    let fingerprint = match output {
        Format::Wide => &*certificate.fingerprint,
        _ => &certificate.fingerprint[..16],
    };
    [
        kind.into(),
        certificate.subject.as_str().into(),
        match left.as_secs() < SOON {
            true => Cell::marked(expires, Role::Warning),
            false => expires.into(),
        },
        key.into(),
        state.into(),
        fingerprint.into(),
    ]
}

impl StatusResult {
    fn new(status: &DirectoryStatus) -> Self {
        let roots = status.roots.iter().map(|root| CertificateResult {
            issues: Some(root.issues),
            key_present: Some(root.has_key),
            ..CertificateResult::new(&root.certificate)
        });
        Self {
            trust_domain: status.trust_domain.clone(),
            cluster: status.cluster.clone(),
            phase: match status.phase {
                Phase::Steady => "steady",
                Phase::Trusting => "trusting",
                Phase::Issuing => "issuing",
                Phase::Reverting => "reverting",
            },
            since: render_time(status.since),
            next_step_at: status.ready_at.map(render_time),
            roots: roots.collect(),
            intermediate: CertificateResult::new(&status.intermediate),
        }
    }
}

impl CertificateResult {
    fn new(facts: &CertificateFacts) -> Self {
        Self {
            subject: facts.subject.clone(),
            not_before: render_time(facts.not_before),
            not_after: render_time(facts.not_after),
            fingerprint: facts.fingerprint.clone(),
            issues: None,
            key_present: None,
        }
    }
}
