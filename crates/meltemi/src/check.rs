//! `check`: files → everything that is wrong with them, without a server.
//!
//! - All stages report, and none ends the run: reading, parsing, validating, resolving rules,
//!   compiling what proxies would get, and judging that as Envoy would.
//! - Proxies that would get the same are compiled once.
//! - Not here: what a running control plane thinks of its proxies (`proxy status`).

mod compiler;
mod destination;
mod finding;
mod judge;
mod junit;
mod mesh;
mod proxies;
mod public;
mod report;
mod sarif;
mod special;
#[cfg(test)]
mod tests;
mod workloads;

use std::{path::PathBuf, time::SystemTime};

use clap::ValueEnum;
use model::Severity;

pub(crate) use self::{finding::Finding, proxies::workload, workloads::Workloads};
use self::{mesh::Mesh, report::Report};
use crate::{
    environment::Environment,
    output::{Exit, Format, Screen},
    path::require_readable,
};

const FORMATS: &[Format] = &[
    Format::Table,
    Format::Wide,
    Format::Short,
    Format::Json,
    Format::Yaml,
    Format::Github,
    Format::Junit,
    Format::Sarif,
];

/// Check files without a server: read, validate and compile them, and list all that is wrong.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  meltemi check ./mesh
  meltemi check base overlay/prod --mesh-config mesh.yaml --fail-on warning
  meltemi check ./mesh -o sarif > findings.sarif

Exit codes: 0 nothing at or above --fail-on, 64 wrong usage, 65 a path cannot be read, 79 findings")]
pub(crate) struct Check {
    /// Files and folders with Istio and Kubernetes objects.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// File with a `MeshConfig`; wins over a ConfigMap called `istio`.
    #[arg(long)]
    mesh_config: Option<PathBuf>,
    /// Suffix of Kubernetes service names.
    #[arg(long, default_value = "cluster.local")]
    domain: String,
    /// From which severity on findings make the command fail.
    #[arg(long, value_enum, default_value_t = Threshold::Error)]
    fail_on: Threshold,
    /// Codes that are not reported, such as `MEL0113`.
    #[arg(long, value_name = "CODE", value_delimiter = ',')]
    suppress: Vec<String>,
    #[arg(short, long, default_value = "table", value_parser = Format::among(FORMATS))]
    pub(crate) output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Threshold {
    Info,
    Warning,
    Error,
    /// Findings never make the command fail.
    Never,
}

impl Threshold {
    fn is_reached(self, severity: Severity) -> bool {
        match self {
            Self::Info => true,
            Self::Warning => severity >= Severity::Warning,
            Self::Error => severity >= Severity::Error,
            Self::Never => false,
        }
    }
}

impl Check {
    pub(crate) fn run(
        self,
        environment: &Environment,
        screen: &mut Screen<'_>,
    ) -> anyhow::Result<Exit> {
        let Self { paths, mesh_config, domain, fail_on, suppress, output } = self;
        for path in paths.iter().chain(&mesh_config) {
            require_readable(path, "check-unreadable-hint", screen)?;
        }
        let mesh = Mesh::load(&paths, mesh_config.as_deref(), &domain, environment);
        let checked = mesh.check(now());
        let findings = checked.findings.into_iter();
        let report = Report {
            findings: findings.filter(|it| !suppress.iter().any(|code| *code == it.code)).collect(),
            objects: checked.objects,
            classes: checked.classes,
        };
        report.print(output, screen)?;
        match report.findings.iter().any(|finding| fail_on.is_reached(finding.severity)) {
            true => Ok(Exit::Findings),
            false => Ok(Exit::Done),
        }
    }
}

/// In seconds since 1970: some of what files say may be over.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_secs().try_into().unwrap_or(i64::MAX)
}
