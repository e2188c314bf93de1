//! `apply`: objects into the directories that a control plane serves.

use std::time::Duration;

use admin::{AppliedObject, ApplyReport, DeleteRequest, FileSetRequest, InputFile, ObjectName};
use clap::ValueEnum;
use serde::Serialize;

use crate::{
    client::Server,
    diff,
    input::{InputFiles, parse_duration},
    output::{Exit, Format, Screen},
    wait::{WaitResult, wait_for},
};

/// Write objects into the served directories: all of them, or none when one is wrong.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  meltemi apply -f cart-canary.yaml --wait
  kubectl get virtualservice -o yaml | meltemi apply -f -
  meltemi apply -f mesh/ -R --dry-run=server
  meltemi apply -f cart-canary.yaml --delete

Exit codes: 0 done, 1 failed or (dry run) differences, 64 usage, 65 a file is wrong, 69 no control
plane, 77 not allowed from here, 80 conflict; with --wait as `meltemi wait`")]
pub(crate) struct Apply {
    #[command(flatten)]
    files: InputFiles,
    /// Wait until every proxy has acknowledged it.
    #[arg(long)]
    wait: bool,
    /// How long to wait, such as `90s` or `2m`.
    #[arg(long, default_value = "60s", value_parser = parse_duration)]
    timeout: Duration,
    /// Take the objects out of the directories instead.
    #[arg(long, conflicts_with = "dry_run")]
    delete: bool,
    /// Only show what would change: in the files and in Envoy.
    #[arg(long, value_enum, value_name = "WHERE", require_equals = true, num_args = 0..=1, default_missing_value = "server")]
    dry_run: Option<DryRun>,
    #[arg(short, long, default_value = "table", value_parser = Format::among(&[Format::Table, Format::Json, Format::Yaml, Format::Name]))]
    pub(crate) output: Format,
    #[command(flatten)]
    server: Server,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DryRun {
    /// Nothing is changed.
    None,
    /// The control plane compares, and writes nothing.
    Server,
}

/// What a script reads.
#[derive(Debug, Serialize)]
struct ApplyResult {
    #[serde(flatten)]
    report: ApplyReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait: Option<WaitResult>,
}

impl Apply {
    pub(crate) async fn run(self, screen: &mut Screen<'_>) -> anyhow::Result<Exit> {
        let Self { files, wait, timeout, delete, dry_run, output, server } = self;
        if dry_run == Some(DryRun::Server) {
            return diff::run(&files, &server, diff::Show::Summary, output, screen).await;
        }
        let request = files.read(screen)?;
        let report: ApplyReport = match delete {
            true => server.post("/api/delete", &names(&request), screen.catalogue()).await?,
            false => server.post("/api/apply", &request, screen.catalogue()).await?,
        };
        for finding in &report.findings {
            eprintln!("{finding}");
        }
        let is_text = matches!(output, Format::Table | Format::Name);
        if is_text {
            for object in &report.objects {
                screen.line(&line(object, output))?;
            }
        }
        let waited = match wait {
            true => wait_for(&server, timeout, 100, screen).await?,
            false => None,
        };
        let exit = match (wait, &waited) {
            (false, _) => Exit::Done,
            (true, None) => Exit::Interrupted,
            (true, Some(result)) => result.exit(false),
        };
        match (output, &waited) {
            (Format::Table, Some(result)) => {
                for (_, line) in result.describe(screen) {
                    eprintln!("{line}");
                }
            }
            (Format::Table | Format::Name, _) => (),
            _ => screen.structured(output, &ApplyResult { report, wait: waited })?,
        }
        if exit == Exit::Interrupted {
            eprintln!("{}", screen.text("wait-interrupted", &[]));
        }
        Ok(exit)
    }
}

/// The objects of files, whatever else they say.
fn names(files: &FileSetRequest) -> DeleteRequest {
    let read = |file: &InputFile| api::parse_documents(&file.name, file.text.as_bytes()).0;
    let objects = files.files.iter().flat_map(read).map(|object| ObjectName {
        kind: object.key.kind.to_string(),
        namespace: object.key.namespace.to_string(),
        name: object.key.name.to_string(),
    });
    DeleteRequest { objects: objects.collect() }
}

/// As kubectl says it, and where the object lives.
pub(crate) fn line(object: &AppliedObject, output: Format) -> String {
    let name = format!("{}/{}", object.kind.to_ascii_lowercase(), object.name);
    match (output, object.namespace.as_str()) {
        (Format::Name, _) => name,
        (_, "") => format!("{name} {}  {}", object.verb, object.file),
        (_, namespace) => format!("{name} {}  -n {namespace}  {}", object.verb, object.file),
    }
}
